"""What the operator's files hold: the columns of each kind, and the rows that they become.

Here a value is judged by itself; what needs the books (does the member exist?) is asked in `imports`.
"""

import re
from collections.abc import Callable
from datetime import date
from itertools import pairwise
from typing import Any

import msgspec

from switch.domain.calendar import OPEN_DAYS_MAX, day_of_date
from switch.domain.merchant import CHANNELS, SIZES
from switch.domain.money import WON_MAX
from switch.service.import_files import CellError, Column
from switch.wire.redact import luhn_valid

CARD_STATES = ("active", "blocked", "lost", "stolen")
FUNDING_KINDS = ("charged", "points")
CARD_FORMS = ("card", "qr", "mobile")
HOLDERS = ("person", "company")
GROUPS_MAX = 50
KEY_MODES = ("session", "dukpt_tdes", "dukpt_aes")
KEY_FORMS = ("block", "x917")
WRAPPED_KEY = r"[UX][0-9A-F]{32}|R[0-9A-Z]{16,399}"
KEY_TEXT = r"U[0-9A-F]{32}|S[0-9A-Z]{16,199}"  # a variant key or a key block, under the LMK


class MemberRow(msgspec.Struct, frozen=True, gc=False):
    """A member, whether points may be spent, whose wallet it is, and the programme's tags that it has.

    `holder` (person or company) and `tags` are None where the file leaves them open.
    """

    line: int
    member_id: str
    programme: str
    points_on: bool
    holder: str | None
    tags: tuple[str, ...] | None


class CardRow(msgspec.Struct, frozen=True, gc=False):
    """A card of a member. `expiry` is yymm; `state` and `form` None where the file leaves them open."""

    line: int
    programme: str
    member_id: str
    pan: str
    expiry: int
    pvki: str
    pvv: str
    state: str | None
    form: str | None

    def __repr__(self) -> str:
        return f"CardRow(line {self.line})"  # a card number must not reach a log by way of a repr


class MerchantRow(msgspec.Struct, frozen=True):
    """A merchant with its annual sales from a day on and all its dated groups (yyyymmdd; 0 open-ended).

    `effective_from` is the day from which category, size, region and head region are as the row says.
    """

    line: int
    merchant_id: str
    programme: str
    name: str
    category: str
    region: str
    head_region: str
    size: str
    channels: tuple[str, ...]
    opened: date
    annual_sales: int | None
    sales_from: date | None
    business_no: str
    bank_code: str
    account_no: str
    account_holder: str
    payout_days: int | None
    groups: tuple[tuple[str, int, int], ...]
    effective_from: date | None


class TerminalRow(msgspec.Struct, frozen=True, gc=False):
    """A terminal, its merchant, and its keys under the LMK, the master key with its check value.

    What the file leaves open is None: a known terminal keeps it.
    """

    line: int
    terminal_id: str
    merchant_id: str
    tmk: str
    kcv: str
    key_mode: str | None
    key_form: str | None
    bdk: str | None
    ksn_id: str | None
    notify: bool | None

    def __repr__(self) -> str:
        return f"TerminalRow(line {self.line})"


class MasterKeyRow(msgspec.Struct, frozen=True, gc=False):
    """A terminal's master key under a zone master key, with its check value."""

    line: int
    terminal_id: str
    tmk: str
    kcv: str

    def __repr__(self) -> str:
        return f"MasterKeyRow(line {self.line})"


class FundingRow(msgspec.Struct, frozen=True, gc=False):
    """Money that came in for a member, in won; `funder` for points only."""

    line: int
    programme: str
    reference: str
    member_id: str
    kind: str
    won: int
    funder: str
    day: date


def _form(pattern: str, what: str) -> Callable[[str], str]:
    matches = re.compile(pattern).fullmatch

    def parse(cell: str) -> str:
        if not matches(cell):
            raise CellError("is empty" if not cell else f"{cell[:40]!r} does not fit", f"write {what}")
        return cell

    return parse


def _hidden(pattern: str, what: str) -> Callable[[str], str]:
    """As _form, for values that a message must not quote."""
    matches = re.compile(pattern).fullmatch

    def parse(cell: str) -> str:
        if not matches(cell):
            raise CellError("is empty" if not cell else "does not fit", f"write {what}")
        return cell

    return parse


def _choice(words: tuple[str, ...], *, empty: bool = False) -> Callable[[str], str | None]:
    def parse(cell: str) -> str | None:
        if cell in words:
            return cell
        if not cell and empty:
            return None
        raise CellError(f"{cell[:40]!r} is not known", f"write one of {', '.join(words)}")

    return parse


def _must_choose(words: tuple[str, ...]) -> Callable[[str], Any]:
    return _choice(words)


def _label(cell: str) -> str:
    if not 1 <= len(cell) <= 200 or not cell.isprintable():
        raise CellError("is empty or too long", "write 1 to 200 characters on one line")
    return cell


def _day(cell: str) -> date:
    try:
        if len(cell) != 10:
            raise ValueError
        return date.fromisoformat(cell)
    except ValueError:
        raise CellError(f"{cell[:20]!r} is no day", "write it as YYYY-MM-DD") from None


def _won(least: int) -> Callable[[str], int]:
    def parse(cell: str) -> int:
        if not (cell.isascii() and cell.isdecimal() and len(cell) <= 12 and least <= int(cell) <= WON_MAX):
            raise CellError(
                f"{cell[:20]!r} is no amount of won",
                f"write {least:,} to {WON_MAX:,}, digits only, no separators",
            )
        return int(cell)

    return parse


def _or_none(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda cell: parse(cell) if cell else None


def _yes_no(cell: str) -> bool:
    if cell not in ("yes", "no"):
        raise CellError(f"{cell[:20]!r} is neither", "write yes or no")
    return cell == "yes"


def _pan(cell: str) -> str:
    if not (cell.isascii() and cell.isdecimal() and 13 <= len(cell) <= 19):
        raise CellError("is no card number", "write its 13 to 19 digits without spaces")
    if not luhn_valid(cell):
        raise CellError("the check digit is wrong (Luhn)", "correct the card number")
    return cell


def _expiry(cell: str) -> int:
    if not (cell.isascii() and cell.isdecimal() and len(cell) == 4 and 1 <= int(cell[2:]) <= 12):
        raise CellError("is no expiry", "write it as YYMM, for example 2912")
    return int(cell)


def _payout_days(cell: str) -> int:
    if not (cell.isascii() and cell.isdecimal() and len(cell) <= 2 and int(cell) <= OPEN_DAYS_MAX):
        raise CellError(
            f"{cell[:20]!r} is no payout term", f"write 0 to {OPEN_DAYS_MAX} bank days, or nothing"
        )
    return int(cell)


def _business_no(cell: str) -> str:
    digits = cell.replace("-", "")
    if not (digits.isascii() and digits.isdecimal() and len(digits) == 10):
        raise CellError(
            f"{cell[:20]!r} is no business number", "write its 10 digits, as 123-45-67890 or plain"
        )
    return digits


def _channels(cell: str) -> tuple[str, ...]:
    parts = tuple(dict.fromkeys(part.strip() for part in cell.split(";") if part.strip()))
    unknown = [part for part in parts if part not in CHANNELS]
    if not parts or unknown:
        raise CellError(
            f"{(unknown or ['nothing'])[0][:20]!r} is no channel", f"write some of {'; '.join(CHANNELS)}"
        )
    return parts


def _tags(cell: str) -> tuple[str, ...]:
    """`student,senior`; an empty cell takes all tags away."""
    tags = tuple(dict.fromkeys(part.strip() for part in cell.split(",") if part.strip()))
    for tag in tags:
        if not _TAG.fullmatch(tag):
            raise CellError(f"{tag[:40]!r} is no tag", 'write tags of the programme: "student,senior"')
    return tags


_TAG = re.compile(r"[a-z][a-z0-9_]{0,31}")
_GROUP = re.compile(r"([a-z][a-z0-9_]{0,31}):(\d{4}-\d{2}-\d{2})(?:\.\.(\d{4}-\d{2}-\d{2})?)?")


def _groups(cell: str) -> tuple[tuple[str, int, int], ...]:
    """`market:2025-01-01..2025-12-31;other:2025-01-01`; the last day belongs to it. Inside, the day after."""
    found: list[tuple[str, int, int]] = []
    for part in (part.strip() for part in cell.split(";") if part.strip()):
        match = _GROUP.fullmatch(part)
        if not match:
            raise CellError(
                f"{part[:40]!r} is no dated group", "write group:YYYY-MM-DD..YYYY-MM-DD or group:YYYY-MM-DD"
            )
        first = _day(match[2])
        last = _day(match[3]) if match[3] else None
        if last is not None and last < first:
            raise CellError(f"{part} ends before it starts", "put the earlier day first")
        after = day_of_date(date.fromordinal(last.toordinal() + 1)) if last else 0
        found.append((match[1], day_of_date(first), after))
    found.sort()
    for (group, _, end), (next_group, start, _) in pairwise(found):
        if group == next_group and (not end or start < end):
            raise CellError(f"{group} overlaps itself", "make its periods follow one another")
    if len(found) > GROUPS_MAX:
        raise CellError(f"more than {GROUPS_MAX} groups", "remove periods that are long over")
    return tuple(found)


_MEMBER_ID = _form(r"[0-9A-Za-z._-]{1,64}", "a member id: 1 to 64 letters, digits, points, dashes")
_PROGRAMME = _form(r"[a-z][a-z0-9_]{0,31}", "a programme id, as in its file")
_MERCHANT_ID = _form(r"[0-9A-Za-z._-]{1,15}", "a merchant id (DE42): 1 to 15 letters, digits, points, dashes")
_WORD = _form(r"[a-z0-9][a-z0-9_-]{0,31}", "one word of a-z, 0-9, _ and -")

MEMBERS = (
    Column("member_id", _MEMBER_ID),
    Column("programme", _PROGRAMME),
    Column("points_on", _yes_no),
    Column("holder", _choice(HOLDERS, empty=True), optional=True),
    Column("tags", _tags, optional=True),
)

CARDS = (
    Column("programme", _PROGRAMME),
    Column("member_id", _MEMBER_ID),
    Column("pan", _pan),
    Column("expiry", _expiry),
    Column("pvki", _hidden(r"[0-9]?", "one digit, or nothing")),
    Column("pvv", _hidden(r"([0-9]{4})?", "four digits, or nothing")),
    Column("state", _choice(CARD_STATES, empty=True), optional=True),
    Column("form", _choice(CARD_FORMS, empty=True), optional=True),
)

MERCHANTS = (
    Column("merchant_id", _MERCHANT_ID),
    Column("programme", _PROGRAMME),
    Column("name", _label),
    Column("category", _WORD),
    Column("region", _WORD),
    Column("head_region", _WORD),
    Column("size", _must_choose(SIZES)),
    Column("channels", _channels),
    Column("opened", _day),
    Column("annual_sales", _or_none(_won(0))),
    Column("sales_from", _or_none(_day)),
    Column("business_no", _business_no),
    Column("bank_code", _form(r"[0-9]{3}([0-9]{4})?", "a bank code of 3 or 7 digits")),
    Column("account_no", _form(r"[0-9][0-9-]{3,32}[0-9]", "an account number of digits and dashes")),
    Column("account_holder", _label),
    Column("payout_days", _or_none(_payout_days)),
    Column("groups", _groups),
    Column("effective_from", _or_none(_day), optional=True),
)

_TERMINAL_ID = _form(r"[0-9A-Za-z]{8}", "a terminal id (DE41): 8 letters or digits")

TERMINALS = (
    Column("terminal_id", _TERMINAL_ID),
    Column("merchant_id", _MERCHANT_ID),
    Column("tmk", _hidden(rf"({KEY_TEXT})?", "a key under the LMK: U and 32 hex digits in capitals")),
    Column("kcv", _form(r"([0-9A-F]{6})?", "a check value: 6 hex digits in capitals")),
    Column("key_mode", _choice(KEY_MODES, empty=True), optional=True),
    Column("key_form", _choice(KEY_FORMS, empty=True), optional=True),
    Column("bdk", _or_none(_hidden(KEY_TEXT, "a key under the LMK: U or S and its text")), optional=True),
    Column("ksn_id", _or_none(_form(r"[0-9A-F]{20}|[0-9A-F]{24}", "20 or 24 hex digits")), optional=True),
    Column("notify", _or_none(_yes_no), optional=True),
)

MASTER_KEYS = (
    Column("terminal_id", _TERMINAL_ID),
    Column(
        "tmk",
        _hidden(WRAPPED_KEY, "the key under the zone master key: X and 32 hex digits, or R and its block"),
    ),
    Column("kcv", _form(r"[0-9A-F]{6}", "a check value: 6 hex digits in capitals")),
)

FUNDING = (
    Column("programme", _PROGRAMME),
    Column(
        "reference", _form(r"[0-9A-Za-z._:/-]{1,64}", "a reference: 1 to 64 letters, digits and . _ : / -")
    ),
    Column("member_id", _MEMBER_ID),
    Column("kind", _must_choose(FUNDING_KINDS)),
    Column("won", _won(1)),
    Column("funder", _form(r"([a-z][a-z0-9_]{0,31})?", "a funder id, or nothing")),
    Column("day", _day),
)
