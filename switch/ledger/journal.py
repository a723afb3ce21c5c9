"""An entry and a posting: balanced by construction, or not built at all."""

from enum import IntEnum

import msgspec

from switch.ledger.chart import ALLOWED, DIMENSION, Account, Dimension


class UnbookableError(ValueError):
    """An entry that the chart of accounts does not allow. Always a fault of the program, never of a user."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One movement of `won` (> 0) from the credit account to the debit account.

    `lot_no`, `merchant_no`, `funder_no` are 0 where neither account asks for them. The wallet, the business
    date and the posting's sequence number are the posting's, and are added where it is stored.
    """

    debit: Account
    credit: Account
    won: int
    lot_no: int = 0
    merchant_no: int = 0
    funder_no: int = 0


def entry(
    debit: Account, credit: Account, won: int, *, lot_no: int = 0, merchant_no: int = 0, funder_no: int = 0
) -> Entry:
    """Build an entry; raises UnbookableError for a pair, an amount or a dimension that the chart forbids."""
    if won <= 0:
        raise UnbookableError(f"an entry moves a positive amount, not {won}")
    if (debit, credit) not in ALLOWED:
        raise UnbookableError(f"the chart has no movement from {credit.name} to {debit.name}")
    for account in (debit, credit):
        dimension = DIMENSION[account]
        if (
            (dimension is Dimension.LOT and lot_no <= 0)
            or (dimension is Dimension.MERCHANT and merchant_no <= 0)
            or (dimension is Dimension.FUNDER and funder_no <= 0)
        ):
            raise UnbookableError(f"{account.name} needs its {dimension.name.lower()}")
    return Entry(debit, credit, won, lot_no, merchant_no, funder_no)


class Source(IntEnum):
    """What booked a posting. The numbers are stored; never renumber."""

    PAYMENT = 1  # a payment, refund, top-up or reversal through the switch
    FUNDING = 2  # an operator's file of money received
    CREDIT = 3  # the nightly credit of cashback
    CORRECTION = 4
