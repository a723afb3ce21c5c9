"""A correction as lists: by member and funder, as a file of every line, as messages to members."""

import csv
from collections.abc import Iterator
from pathlib import Path

import msgspec
from sqlalchemy import Engine

from switch.domain.explain_en import EN
from switch.domain.explain_ko import KO
from switch.service.admin import RefusedError
from switch.service.review.correct import correction_row
from switch.service.review.names import Names
from switch.store import corrections as store
from switch.store.corrections import LEFT_OUT, OPEN, Line

_STATES = {OPEN: "open", LEFT_OUT: "left_out"}
_LINES = (
    *("member", "wallet", "posting", "day", "month", "funder", "budget"),
    *("stood", "due", "difference", "booked", "waived", "state"),
)
_TOLD = ("member", "won", "ko", "en")

_KO_MORE = "{month} 캐시백이 {won} 적게 지급되어 정정분 {won}을 드렸습니다."
_KO_LESS = "{month} 캐시백이 {won} 초과 지급되어 {won}을 차감했습니다."
_EN_MORE = "Your cashback of {month} was {won} too little: {won} have been added."
_EN_LESS = "Your cashback of {month} was {won} too much: {won} have been taken off."


class MemberSum(msgspec.Struct):
    """One member's differences in won: `won` proposed, `booked`, `waived` (negative: against the member)."""

    member: str
    payments: int = 0
    won: int = 0
    booked: int = 0
    waived: int = 0
    first_month: int = 0
    last_month: int = 0


class FunderSum(msgspec.Struct):
    """One funder's differences by budget, in won: positive is paid by the funder."""

    funder: str
    budget: str
    won: int = 0
    booked: int = 0


class Sums(msgspec.Struct, frozen=True):
    """A correction's differences added up."""

    members: list[MemberSum]
    funders: list[FunderSum]
    left_out: int


def sums(engine: Engine, number: int) -> Sums:
    """Add up a correction by member and by funder. Raises NotFoundError."""
    members: dict[str, MemberSum] = {}
    funders: dict[tuple[int, int], FunderSum] = {}
    payments: set[tuple[str, int]] = set()
    left_out: set[tuple[str, int]] = set()
    with engine.connect() as connection:
        names = Names(connection, correction_row(connection, number).programme_no)
        for line, member_id in store.lines_of(connection, number):
            one = line.difference
            own = members.setdefault(member_id, MemberSum(member_id, first_month=one.month))
            own.payments += (member_id, one.seq) not in payments
            payments.add((member_id, one.seq))
            own.won, own.booked = own.won + one.won, own.booked + line.booked
            own.waived += line.waived
            own.first_month = min(own.first_month, one.month)
            own.last_month = max(own.last_month, one.month)
            code = names.budget_code.get(one.budget_no, "")
            funder = funders.setdefault(
                (one.funder_no, one.budget_no), FunderSum(names.funder_id.get(one.funder_no, ""), code)
            )
            funder.won, funder.booked = funder.won + one.won, funder.booked + line.booked
            if line.state == LEFT_OUT:
                left_out.add((member_id, one.seq))
    by_won = sorted(members.values(), key=lambda one: (-abs(one.won), one.member))
    return Sums(by_won, [funders[key] for key in sorted(funders)], len(left_out))


def write_lines(engine: Engine, number: int, path: Path) -> int:
    """Write every line of a correction as CSV; returns how many. Raises NotFoundError, RefusedError."""
    with engine.connect() as connection:
        names = Names(connection, correction_row(connection, number).programme_no)
        rows = (_row(line, member, names) for line, member in store.lines_of(connection, number))
        return _write(path, _LINES, rows)


def _row(line: Line, member: str, names: Names) -> tuple[object, ...]:
    one = line.difference
    return (
        *(member, one.wallet_id, one.seq, one.local_day, one.month),
        *(names.funder_id.get(one.funder_no, ""), names.budget_code.get(one.budget_no, "")),
        *(one.stood, one.due, one.won, line.booked, line.waived, _STATES.get(line.state, "posted")),
    )


def write_messages(engine: Engine, number: int, path: Path) -> int:
    """Write what to tell each member whose cashback was corrected, as CSV; returns how many.

    Raises NotFoundError, and RefusedError before anything is booked.
    """
    told = [one for one in sums(engine, number).members if one.booked]
    if not told:
        raise RefusedError(f"correction {number} has booked nothing yet: post it, then tell the members")
    return _write(path, _TOLD, (_message(one) for one in told))


def _message(one: MemberSum) -> tuple[object, ...]:
    won = abs(one.booked)
    ko, en = (_KO_MORE, _EN_MORE) if one.booked > 0 else (_KO_LESS, _EN_LESS)
    months = sorted({one.first_month, one.last_month})
    return (
        *(one.member, one.booked),
        ko.format(month="~".join(KO.month(month) for month in months), won=KO.won(won)),
        en.format(month=" to ".join(EN.month(month) for month in months), won=EN.won(won)),
    )


def _write(path: Path, header: tuple[str, ...], rows: Iterator[tuple[object, ...]]) -> int:
    count = 0
    try:
        with path.open("x", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            for row in rows:
                writer.writerow(row)
                count += 1
    except OSError as error:
        raise RefusedError(f"{path} cannot be written ({error.strerror}): name a new file") from None
    return count
