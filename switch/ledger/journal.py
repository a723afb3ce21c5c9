"""An entry and a posting: balanced by construction, or not built at all."""

from enum import IntEnum

import msgspec

from switch.ledger.chart import ALLOWED, DIMENSION, Account, Dimension


class UnbookableError(ValueError):
    """An entry that the chart of accounts does not allow. Always a fault of the program, never of a user."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One movement of `won` (> 0) from the credit account to the debit account.

    `lot_no`, `merchant_no`, `funder_no` are 0 where neither account asks for them. `budget_no` names the
    budget that cashback was taken from, 0 where there is none. The wallet, the business
    date and the posting's sequence number are the posting's, and are added where it is stored.
    """

    debit: Account
    credit: Account
    won: int
    lot_no: int = 0
    merchant_no: int = 0
    funder_no: int = 0
    budget_no: int = 0


def _needs(debit: Account, credit: Account) -> tuple[bool, bool, bool]:
    wanted = {DIMENSION[debit], DIMENSION[credit]}
    return Dimension.LOT in wanted, Dimension.MERCHANT in wanted, Dimension.FUNDER in wanted


# Keyed by plain numbers: hashing an enumeration's member costs more than all the rest of an entry.
_ALLOWED = {debit * 1000 + credit: _needs(debit, credit) for debit, credit in ALLOWED}


def entry(
    debit: Account,
    credit: Account,
    won: int,
    *,
    lot_no: int = 0,
    merchant_no: int = 0,
    funder_no: int = 0,
    budget_no: int = 0,
) -> Entry:
    """Build an entry; raises UnbookableError for a pair, an amount or a dimension that the chart forbids."""
    needs = _ALLOWED.get(debit * 1000 + credit)
    if needs is None:
        raise UnbookableError(f"the chart has no movement from {credit.name} to {debit.name}")
    if won <= 0:
        raise UnbookableError(f"an entry moves a positive amount, not {won}")
    lot, merchant, funder = needs
    if (lot and lot_no <= 0) or (merchant and merchant_no <= 0) or (funder and funder_no <= 0):
        raise UnbookableError(f"{debit.name} and {credit.name} need their lot, merchant or funder")
    return Entry(debit, credit, won, lot_no, merchant_no, funder_no, budget_no)


class Source(IntEnum):
    """What booked a posting. The numbers are stored; never renumber."""

    PAYMENT = 1  # a payment, refund, top-up or reversal through the switch
    FUNDING = 2  # an operator's file of money received
    CREDIT = 3  # the nightly credit of cashback
    CORRECTION = 4  # of cashback by a wrong rule
    ACT = 5  # an operator's act on wallets: issue of a campaign, gift, refund of charged money
    EXPIRY = 6  # the nightly return of what has expired
