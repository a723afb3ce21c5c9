"""A terminal's journal read as payments: what it asked, what it was told, and what is left of each.

Pure. A repeat is the message that it repeats; a reversal, refund or void is a line of its own and also
changes the line that it names. From this come the totals of a batch and the comparison with the host.
"""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from switch.wire.message import Message
from switch.wire.private import TAG_CASE, PrivateDataError, decode_private
from switch.wire.spec import PROCESSING_CODES
from terminal_sim.reply import APPROVED, APPROVED_PARTLY, Exchange

TAG_BATCH: Final = "BN"
REVERSAL: Final = "reversal"
PREAUTH_MTI: Final = "0100"
_REPLACEMENT_DIGITS: Final = 12
_NOT_KNOWN: Final = "0" * 16  # STAN and DE7 in DE90
_DEBITS: Final = ("purchase", "gift")
_CREDITS: Final = ("refund", "void")


class Line(msgspec.Struct, kw_only=True):
    """One payment or reversal as its terminal knows it; won.

    `code` is "" while no answer was heard. `day` MMDD and `time` hhmmss are those of DE13 and DE12, which in
    a reversal are the original's. `left` is what the terminal believes to stand after reversals, refunds and
    voids that were acknowledged; `taken_back` is what reversals took.
    """

    kind: str  # purchase, gift, refund, topup, inquiry, preauth, void or reversal
    mti: str
    stan: str
    day: str
    time: str
    transmission: str
    won: int
    code: str = ""
    approved: int = 0
    taken_back: int = 0
    given_back: int = 0
    reversed: bool = False
    batch_no: int = 0
    rrn: str = ""
    approval: str = ""
    original: str = ""  # the first 20 digits of DE90: MTI, STAN, DE7
    asked_rrn: str = ""  # DE37 of the request
    replacement: int = 0  # of a reversal: what shall remain
    processing_code: str = ""

    @property
    def left(self) -> int:
        return self.approved - self.taken_back - self.given_back

    @property
    def told_yes(self) -> bool:
        return self.code in (APPROVED, APPROVED_PARTLY)


class Totals(msgspec.Struct, kw_only=True):
    """The totals of a batch (DE74 to DE77, DE86 to DE89): counts and won."""

    credits: int = 0
    credits_reversed: int = 0
    debits: int = 0
    debits_reversed: int = 0
    credit_won: int = 0
    credit_reversed_won: int = 0
    debit_won: int = 0
    debit_reversed_won: int = 0

    @property
    def net(self) -> int:
        """Credits less debits, won: what goes back to cards when positive."""
        return self.credit_won - self.credit_reversed_won - self.debit_won + self.debit_reversed_won

    def fields(self) -> dict[int, str]:
        """The fields of a 0500: counts n10, amounts n16, net with its sign."""
        counts = (self.credits, self.credits_reversed, self.debits, self.debits_reversed)
        amounts = (self.credit_won, self.credit_reversed_won, self.debit_won, self.debit_reversed_won)
        fields = {74 + number: f"{count:010d}" for number, count in enumerate(counts)}
        fields |= {86 + number: f"{won:016d}" for number, won in enumerate(amounts)}
        fields[97] = f"{'D' if self.net < 0 else 'C'}{abs(self.net):016d}"
        return fields


def read_journal(journal: Iterable[Exchange], decode: Callable[[bytes], Message]) -> list[Line]:
    """The payments and reversals of a journal in the order in which they were made.

    `decode` is the terminal's dialect. Network messages and batch messages are left out.
    """
    lines: dict[tuple[str, str, str], Line] = {}
    for exchange in journal:
        message = decode(exchange.sent)
        if message.mti[1] not in "124":
            continue
        fields = message.fields
        key = (message.mti[1], fields[11], fields[7])
        line = lines.get(key)
        if line is None:
            line = lines[key] = _line(message)
        if exchange.reply is not None and not line.code:
            _answered(line, exchange, lines)
    return list(lines.values())


def _line(message: Message) -> Line:
    fields = message.fields
    reversal = message.mti[1] == "4"
    kind = PROCESSING_CODES[fields[3]]
    if message.mti[1] == "1":
        kind = "preauth"
    private = _private(fields.get(48, ""))
    if TAG_CASE in private:
        kind = "gift"
    return Line(
        kind=REVERSAL if reversal else kind,
        mti=message.mti[:3] + "0",
        stan=fields[11],
        day=fields[13],
        time=fields[12],
        transmission=fields[7],
        won=int(fields.get(4, "0")),
        batch_no=_batch_no(private),
        original=fields.get(90, "")[:20],
        asked_rrn=fields.get(37, ""),
        replacement=int(fields.get(95, "0" * _REPLACEMENT_DIGITS)[:_REPLACEMENT_DIGITS]),
        processing_code=fields[3],
    )


def _private(text: str) -> dict[str, str]:
    try:
        return decode_private(text)
    except PrivateDataError:
        return {}


def _batch_no(private: dict[str, str]) -> int:
    text = private.get(TAG_BATCH, "")
    return int(text) if text.isdecimal() else 0


def _answered(line: Line, exchange: Exchange, lines: dict[tuple[str, str, str], Line]) -> None:
    reply = exchange.reply
    if reply is None or reply.mac_ok is False:
        return
    line.code = reply.code
    line.rrn = reply.rrn or ""
    line.approval = reply.approval or ""
    if not line.told_yes:
        return
    told = reply.amount
    line.approved = line.won if reply.code == APPROVED or told is None else told
    named = _named(line, lines)
    if named is None:
        return
    if line.kind == REVERSAL:
        named = _completion(named, lines) or named
        named.reversed = True
        named.taken_back += max(named.left - line.replacement, 0)
        line.approved = 0
    elif line.kind in _CREDITS:
        named.given_back += line.approved


def _completion(hold: Line, lines: dict[tuple[str, str, str], Line]) -> Line | None:
    """The completion of a pre-authorisation: it is what a reversal takes back after it."""
    for line in lines.values() if hold.kind == "preauth" else ():
        if line.mti == "0220" and line.told_yes and line.original == hold.mti + hold.stan + hold.transmission:
            return line
    return None


def _named(line: Line, lines: dict[tuple[str, str, str], Line]) -> Line | None:
    """The line that DE90 of this one names; without STAN and time the one whose answer had its DE37."""
    if line.original[4:] == _NOT_KNOWN:
        fitting = [one for one in lines.values() if one.kind != REVERSAL and one.rrn == line.asked_rrn]
        return fitting[0] if line.asked_rrn and len(fitting) == 1 else None
    return lines.get((line.original[1:2], line.original[4:10], line.original[10:20]))


def batch_lines(lines: Iterable[Line], batch_no: int) -> list[Line]:
    """What of a journal belongs to a batch and moved money, so far as the terminal was told.

    The void of a pre-authorisation gives back what no merchant had.
    """
    counted = (*_DEBITS, *_CREDITS)
    return [
        one
        for one in lines
        if one.batch_no == batch_no
        and one.kind in counted
        and one.told_yes
        and not (one.kind == "void" and one.original.startswith(PREAUTH_MTI))
    ]


def batch_totals(lines: Iterable[Line], batch_no: int) -> Totals:
    """The terminal's own totals of a batch."""
    totals = Totals()
    for line in batch_lines(lines, batch_no):
        taken = line.taken_back
        if line.kind in _DEBITS:
            totals.debits += 1
            totals.debit_won += line.approved
            totals.debits_reversed += taken > 0
            totals.debit_reversed_won += taken
        else:
            totals.credits += 1
            totals.credit_won += line.approved
            totals.credits_reversed += taken > 0
            totals.credit_reversed_won += taken
    return totals
