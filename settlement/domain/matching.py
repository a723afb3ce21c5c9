"""Which payment an entry on the bank's statement is: by what it carries, never by its amount alone.

The carriers in their order, the strongest first:

    EndToEndId            one payment
    PmtInfId, MsgId       a whole file: the sum of what it has left to book
    the remittance        one of our identities written out in words
    TOPUP-yyyymmdd        top-ups of a date, collected          (as agreed with the bank)
    PREPAY-funder         a funder pays in ahead
    CLAIM-funder          a funder pays what it owes

A carrier that names something of ours with another amount, on another account or in a state that it cannot
have is a near miss: it goes to suspense with the reason, and no weaker carrier is tried. Whatever nothing
names goes to suspense. An entry of several payments matches as a whole or not at all.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum

import msgspec

from settlement.domain.payouts import PayoutState

SAFEGUARDED = "safeguarded"
OURS = re.compile(r"DURE\d{5}-\d{8}-\d{2}(?:-[0-9A-Z]+)+")
_AGREED = re.compile(r"\b(TOPUP-\d{8}|PREPAY-[0-9A-Za-z_.-]+|CLAIM-[0-9A-Za-z_.-]+)")
_OPEN = frozenset({PayoutState.SENT, PayoutState.ACCEPTED})


class Item(msgspec.Struct, frozen=True, gc=False):
    """A payout (`merchant_no` above 0) or a transfer between own accounts, and the live file that it is in.

    `debtor` and `payee` are codes of own accounts; a payout's payee is "". `file_no` 0: in no live file.
    """

    end_to_end_id: str
    merchant_no: int
    funder_no: int
    won: int
    state: PayoutState
    debtor: str
    payee: str
    booked_on: date | None
    received_on: date | None
    file_no: int
    announced: bool


class Part(msgspec.Struct, frozen=True, gc=False):
    """One payment that an entry tells of. `won` as the entry's, None where the bank does not say."""

    end_to_end_id: str = ""
    payment_information_id: str = ""
    message_id: str = ""
    remittance: str = ""
    won: int | None = None
    return_reason: str = ""


class Entry(msgspec.Struct, frozen=True):
    """One entry of a statement: `won` above 0 came in, below went out. At least one part."""

    entry_no: int
    won: int
    booked_on: date
    reference: str
    reversal: bool
    parts: tuple[Part, ...]


class Means(StrEnum):
    """What an entry, or a part of it, is booked as. The names are stored as bank_entry.kind."""

    PAYOUT = "payout"
    RETURN = "return"
    OUT = "transfer"
    IN = "transfer_in"
    COLLECTION = "collection"
    PREPAYMENT = "prepayment"
    CLAIM = "claim"


class Booking(msgspec.Struct, frozen=True, gc=False):
    """One thing to book. `won` above 0; `name` is the day of a collection or the funder's id."""

    means: Means
    won: int
    item: Item | None = None
    name: str = ""
    reason: str = ""


class Match(msgspec.Struct, frozen=True):
    """What an entry is. Without bookings it goes to suspense, and `why` says what is wrong with its carrier.

    A collection has a booking like the others, though the books knew it before the bank.
    """

    kind: str = ""
    carrier: str = ""
    matched_to: str = ""
    bookings: tuple[Booking, ...] = ()
    why: str = ""


class Known(msgspec.Struct):
    """What the books know of the names on a statement. `collections`: won that each day has outstanding."""

    items: dict[str, Item]
    files: Mapping[str, Sequence[str]]  # EndToEndIds by PmtInfId and by MsgId
    funders: frozenset[str]
    collections: dict[str, int]


def names_of(entry: Entry) -> Iterator[str]:
    """Every name on an entry that may be one of ours."""
    for part in entry.parts:
        yield from (one for one in (part.end_to_end_id, part.payment_information_id, part.message_id) if one)
        yield from OURS.findall(part.remittance)


def days_of(entry: Entry) -> Iterator[str]:
    """Every day (yyyymmdd) whose collection an entry names."""
    for part in entry.parts:
        for found in _AGREED.findall(f"{part.end_to_end_id} {part.remittance}"):
            if found.startswith("TOPUP-"):
                yield found.removeprefix("TOPUP-")


def match_all(entries: Sequence[Entry], account: str, known: Known) -> list[Match]:
    """Match the entries of one account, in their order. What went out is looked at before what came in.

    `known` is moved on with each match, so that nothing is booked twice.
    """
    found: dict[int, Match] = {}
    for index in sorted(range(len(entries)), key=lambda one: entries[one].won > 0):
        found[index] = one = match(entries[index], account, known)
        for booking in one.bookings:
            _move_on(booking, entries[index].booked_on, known)
    return [found[index] for index in range(len(entries))]


def match(entry: Entry, account: str, known: Known) -> Match:
    """Match one entry of an account (`safeguarded`, `funder:ID`, `operator`)."""
    if entry.reversal and entry.won < 0:
        return Match(why="the bank takes back what had come in: find out what it was")
    if len(entry.parts) == 1:
        return _one(entry.parts[0], entry.won, account, known)
    if not all(part.end_to_end_id in known.items for part in entry.parts):
        batch = _batch_name(entry)
        return _one(msgspec.structs.replace(batch, end_to_end_id=""), entry.won, account, known)
    bookings: list[Booking] = []
    seen: set[str] = set()
    for part in entry.parts:
        item = known.items[part.end_to_end_id]
        won = part.won if part.won is not None else (item.won if entry.won > 0 else -item.won)
        one = as_payment(item, won, account, part.return_reason)
        if isinstance(one, str) or item.end_to_end_id in seen:
            why = one if isinstance(one, str) else "is named twice"
            return Match(carrier="end_to_end_id", why=f"{part.end_to_end_id}: {why}")
        seen.add(item.end_to_end_id)
        bookings.append(one)
    total = sum(one.won for one in bookings)
    if total != abs(entry.won):
        why = f"its {len(bookings):,} payments come to {total:,} won, the entry is {abs(entry.won):,}"
        return Match(carrier="end_to_end_id", why=why)
    return Match("batch", "end_to_end_id", f"{len(bookings)} payments", tuple(bookings))


def _batch_name(entry: Entry) -> Part:
    """What the parts of an entry have in common."""
    first = entry.parts[0]
    same = all(one.payment_information_id == first.payment_information_id for one in entry.parts)
    return first if same else Part()


def _one(part: Part, won: int, account: str, known: Known) -> Match:
    carried = (
        ("end_to_end_id", (part.end_to_end_id,)),
        ("payment_information_id", (part.payment_information_id,)),
        ("message_id", (part.message_id,)),
        ("remittance", tuple(OURS.findall(part.remittance))),
    )
    for carrier, names in carried:
        for name in names:
            if name in known.items:
                return _as_item(known.items[name], won, account, part.return_reason, carrier)
            if name in known.files:
                return _as_file(name, won, account, part.return_reason, carrier, known)
    for name in _AGREED.findall(f"{part.end_to_end_id} {part.remittance}"):
        return _agreed(name, won, account, known)
    return Match()


def _as_item(item: Item, won: int, account: str, reason: str, carrier: str) -> Match:
    one = as_payment(item, won, account, reason)
    if isinstance(one, str):
        return Match(carrier=carrier, matched_to=item.end_to_end_id, why=f"{item.end_to_end_id}: {one}")
    kind = Means.OUT if one.means is Means.IN else one.means
    return Match(kind.value, carrier, item.end_to_end_id, (one,))


def as_payment(item: Item, won: int, account: str, reason: str) -> Booking | str:
    """What an entry of that much on that account is for one payment, or why it cannot be."""
    if abs(won) != item.won:
        return f"the bank says {abs(won):,} won, ordered are {item.won:,}"
    if item.merchant_no == 0 and won > 0 and account == item.payee:
        if item.received_on is not None:
            return "has come in before"
        if item.state in (PayoutState.ORDERED, PayoutState.REJECTED):
            return f"the bank brings it, and it is {item.state.value}"
        return Booking(Means.IN, item.won, item)
    if account != item.debtor:
        return f"is on the account {account}, it was ordered from {item.debtor}"
    if won < 0:
        if item.state not in _OPEN:
            return f"the bank has paid it, and it is {item.state.value}"
        return Booking(Means.OUT if item.merchant_no == 0 else Means.PAYOUT, item.won, item)
    if item.merchant_no == 0:
        return "a transfer between own accounts came back"
    if item.state is not PayoutState.BOOKED:
        return f"the bank gives it back, and it is {item.state.value}"
    return Booking(Means.RETURN, item.won, item, reason=reason)


def _as_file(name: str, won: int, account: str, reason: str, carrier: str, known: Known) -> Match:
    """A whole file in one entry: what of it is still to be booked, or what comes back as a whole."""
    items = [known.items[one] for one in known.files[name]]
    due = [one for one in items if (one.state in _OPEN if won < 0 else one.state is PayoutState.BOOKED)]
    total = sum(one.won for one in due)
    if total != abs(won):
        return Match(
            carrier=carrier,
            matched_to=name,
            why=f"{name}: the bank says {abs(won):,} won, {len(due):,} payments of it make {total:,}",
        )
    bookings: list[Booking] = []
    for item in due:
        one = as_payment(item, item.won if won > 0 else -item.won, account, reason)
        if isinstance(one, str):
            return Match(carrier=carrier, matched_to=name, why=f"{name}: {item.end_to_end_id} {one}")
        bookings.append(one)
    return Match("batch", carrier, name, tuple(bookings))


def _agreed(carried: str, won: int, account: str, known: Known) -> Match:
    what, _, name = carried.partition("-")
    near = Match(carrier="agreed", matched_to=carried)
    if what == "TOPUP":
        if not _is_day(name):
            return msgspec.structs.replace(near, why=f"{carried}: is no date")
        due = known.collections.get(name, 0)
        if account != SAFEGUARDED or due != won:
            why = f"{carried}: {won:,} won on {account}, {due:,} are outstanding on {SAFEGUARDED}"
            return msgspec.structs.replace(near, why=why)
        return Match("collection", "agreed", carried, (Booking(Means.COLLECTION, won, name=name),))
    if name not in known.funders:
        return msgspec.structs.replace(near, why=f"{carried}: there is no funder {name}")
    wanted = f"funder:{name}" if what == "PREPAY" else SAFEGUARDED
    if account != wanted or won < 0:
        way = "came in on" if won > 0 else "went out from"
        return msgspec.structs.replace(near, why=f"{carried}: {way} {account}, it belongs into {wanted}")
    means = Means.PREPAYMENT if what == "PREPAY" else Means.CLAIM
    return Match(means.value, "agreed", carried, (Booking(means, won, name=name),))


def _is_day(text: str) -> bool:
    try:
        return bool(datetime.strptime(text, "%Y%m%d"))  # noqa: DTZ007 (a calendar date has no zone)
    except ValueError:
        return False


def _move_on(booking: Booking, on: date, known: Known) -> None:
    if booking.means is Means.COLLECTION:
        known.collections[booking.name] -= booking.won
    item = known.items.get(booking.item.end_to_end_id) if booking.item else None
    if item is None:
        return
    if booking.means is Means.IN:
        item = msgspec.structs.replace(item, received_on=on)
    elif booking.means is Means.RETURN:
        item = msgspec.structs.replace(item, state=PayoutState.RETURNED)
    else:
        item = msgspec.structs.replace(item, state=PayoutState.BOOKED, booked_on=on)
    known.items[item.end_to_end_id] = item
