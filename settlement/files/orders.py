"""What a file orders, whatever its form, and what must be true of it that no form's schema sees.

A file may be well formed and still not payable. So every order is judged before its file is frozen, and the
finished bytes are read back and held against the same rows.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime

import msgspec

from settlement.files.naming import MAX35

NAME_MAX = 140
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]+")
_ACCOUNT = re.compile(r"[0-9A-Za-z-]{1,34}")
_BANK = re.compile(r"[0-9A-Z]{3,35}")
_IDENTITY = re.compile(rf"[0-9A-Za-z-]{{1,{MAX35}}}")


class Party(msgspec.Struct, frozen=True, gc=False):
    """A name, an account number and its bank's clearing code."""

    name: str
    account: str
    bank: str


class Transfer(msgspec.Struct, frozen=True, gc=False):
    """One payout or transfer: won > 0 to an account."""

    end_to_end_id: str
    won: int
    payee: Party


class Order(msgspec.Struct, frozen=True):
    """The head of a file. `count` and `won` (the control sum) are those of all its transfers."""

    message_id: str
    payment_information_id: str
    created_at: datetime
    pay_on: date
    debtor: Party
    count: int
    won: int
    remittance: str


class OrderError(ValueError):
    """An order that no bank may get: the text says which rule it breaks, with the values."""


class ControlError(ValueError):
    """A file that must not leave: the text says which control failed, with both values."""


def printable(text: str) -> str:
    """A name as files take it: on one line, without control characters, at most 140 characters."""
    return _CONTROL_CHARACTERS.sub(" ", unicodedata.normalize("NFC", text)).strip()[:NAME_MAX].strip()


def masked(account: str) -> str:
    """An account number down to its last four characters."""
    return f"…{account[-4:]}" if len(account) > 4 else "…"


def admit_order(order: Order, is_open: Callable[[date], bool]) -> None:
    """Judge an order's head; `is_open` is the run's bank calendar. Raises OrderError."""
    _admit_party(order.message_id, "debtor", order.debtor)
    if order.pay_on < order.created_at.date():
        raise OrderError(
            f"{order.message_id} is made on {order.created_at.date()} for {order.pay_on}, which is over"
        )
    if not is_open(order.pay_on):
        raise OrderError(f"{order.message_id} pays on {order.pay_on}, on which banks are closed")
    if not printable(order.remittance):
        raise OrderError(f"{order.message_id} has no remittance text")


def admitted(order: Order, transfers: Iterable[Transfer]) -> Iterator[Transfer]:
    """Pass on an order's transfers, each judged. Raises OrderError, at the end if they do not add up."""
    seen: set[str] = set()
    won = 0
    own = _plain(order.debtor)
    for transfer in transfers:
        name = transfer.end_to_end_id
        if not _IDENTITY.fullmatch(name):
            raise OrderError(f"EndToEndId {name!r} is not 1 to {MAX35} letters, digits and dashes")
        if name in seen:
            raise OrderError(f"EndToEndId {name} appears twice")
        if transfer.won <= 0:
            raise OrderError(f"{name} pays {transfer.won} won: it must be above 0")
        _admit_party(name, "payee", transfer.payee)
        if _plain(transfer.payee) == own:
            raise OrderError(f"{name} pays the account {masked(transfer.payee.account)} that it comes from")
        seen.add(name)
        won += transfer.won
        yield transfer
    if (len(seen), won) != (order.count, order.won):
        raise OrderError(
            f"{order.message_id} announces {order.count:,} transfers of {order.won:,} won,"
            f" has {len(seen):,} of {won:,}"
        )


def _admit_party(name: str, role: str, party: Party) -> None:
    if not _ACCOUNT.fullmatch(party.account):
        raise OrderError(f"{name}: the {role}'s account {masked(party.account)} is no account number")
    if not _BANK.fullmatch(party.bank):
        raise OrderError(f"{name}: the {role}'s bank {party.bank!r} is no clearing code")
    if not printable(party.name):
        raise OrderError(f"{name}: the {role} has no name")


def _plain(party: Party) -> tuple[str, str]:
    return party.bank, party.account.replace("-", "")
