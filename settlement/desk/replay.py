"""A past run once more, from the journal and from what it froze: the same nets, the same bytes.

Nothing is written but a scratch folder, and all is read at one position of the books, so a replay may go on
while another run does.
"""

from collections.abc import Iterator
from datetime import date
from itertools import islice
from pathlib import Path

import msgspec
from sqlalchemy import text

from settlement.desk import bankfiles, netted
from settlement.disk import READ_BYTES, draft_of, sha256_of
from settlement.errors import SettlementError
from settlement.frame import Frame
from settlement.store.files import FileRow, files_of_run

DIFFERENCES_SHOWN_MAX = 5

_SUMS = text("""
    SELECT count(*) AS merchants, coalesce(sum(paid), 0)::bigint AS won,
           count(*) FILTER (WHERE paid > 0) AS payouts
    FROM merchant_net WHERE programme_no = :programme_no AND business_date = :day AND cycle = :cycle
""")
_UNPAID = text("""
    SELECT merchant_no, coalesce(n.paid, 0) AS paid, coalesce(p.won, 0) AS won FROM
        (SELECT merchant_no, paid FROM merchant_net
         WHERE programme_no = :programme_no AND business_date = :day AND cycle = :cycle AND paid > 0) n
    FULL JOIN
        (SELECT merchant_no, won FROM payout
         WHERE programme_no = :programme_no AND business_date = :day AND cycle = :cycle AND attempt = 1) p
    USING (merchant_no) WHERE n.paid IS DISTINCT FROM p.won ORDER BY merchant_no LIMIT 6
""")
_LINES = text("""
    SELECT count(*) AS payments, coalesce(sum(coalesce(p.won, h.won)), 0)::bigint AS won
    FROM bank_file_line l LEFT JOIN payout p USING (end_to_end_id)
    LEFT JOIN house_transfer h USING (end_to_end_id)
    WHERE l.programme_no = :programme_no AND l.file_no = :file_no
""")


class Replayed(msgspec.Struct, frozen=True):
    """One thing that was made again: what it came to, and the first differences (none: it agrees)."""

    what: str
    count: int
    won: int
    differences: tuple[str, ...] = ()
    sha256: str = ""


class Replay(msgspec.Struct, frozen=True):
    """One run made again. `agrees` if nothing in it differs."""

    programme: str
    business_date: date
    cycle: int
    parts: tuple[Replayed, ...]
    agrees: bool


def replay(frame: Frame, scratch: Path) -> Replay:
    """Make a run's nets, payouts and files again and hold them against what is stored.

    Works in the caller's transaction, which should see one position (REPEATABLE READ); writes below `scratch`
    only. Raises ConfigurationError where a file's layout is gone.
    """
    parts = [_nets(frame), _payouts(frame)]
    for row in files_of_run(frame.connection, frame.key, live=False):
        if row.sha256 is not None:
            parts.append(_file(frame, row, scratch))
            frame.observer.progress("replay", len(parts), 0)
    agrees = not any(part.differences for part in parts)
    return Replay(frame.facts.programme_id, frame.day, frame.key.cycle, tuple(parts), agrees)


def _run_of(frame: Frame) -> dict[str, object]:
    return {**frame.of_day(), "cycle": frame.key.cycle}


def _nets(frame: Frame) -> Replayed:
    sums = frame.connection.execute(_SUMS, _run_of(frame)).one()
    found = tuple(islice(_unlike(frame), DIFFERENCES_SHOWN_MAX))
    return Replayed("netting", sums.merchants, sums.won, found)


def _unlike(frame: Frame) -> Iterator[str]:
    """The merchants whose row does not follow again; both sides come by their number, ascending."""
    again, stored = netted.recompute(frame), netted.recorded(frame)
    new, old = next(again, None), next(stored, None)
    while new is not None or old is not None:
        if old is None or (new is not None and _number(new) < _number(old)):
            yield f"merchant {_number(new or ())}: is not stored, has a net of the journal"
            new = next(again, None)
        elif new is None or _number(old) < _number(new):
            yield f"merchant {_number(old)}: is stored, has no net of the journal"
            old = next(stored, None)
        else:
            if new != old:
                columns = zip(netted.NET_COLUMNS, new, old, strict=True)
                said = ", ".join(f"{name} {one} (stored {two})" for name, one, two in columns if one != two)
                yield f"merchant {_number(new)}: {said}"
            new, old = next(again, None), next(stored, None)


def _number(row: tuple[object, ...]) -> int:
    number = row[0] if row else 0
    return number if isinstance(number, int) else 0


def _payouts(frame: Frame) -> Replayed:
    sums = frame.connection.execute(_SUMS, _run_of(frame)).one()
    rows = frame.connection.execute(_UNPAID, _run_of(frame)).all()
    found = tuple(
        f"merchant {row.merchant_no}: its net pays {row.paid:,} won, its payout is {row.won:,}"
        for row in rows[:DIFFERENCES_SHOWN_MAX]
    )
    return Replayed("payouts", sums.payouts, sums.won, found)


def _file(frame: Frame, row: FileRow, scratch: Path) -> Replayed:
    found: list[str] = []
    lines = frame.connection.execute(_LINES, {"programme_no": row.programme_no, "file_no": row.file_no}).one()
    if (lines.payments, lines.won) != (row.payments, row.won):
        found.append(
            f"its lines are {lines.payments:,} of {lines.won:,} won,"
            f" it was frozen with {row.payments:,} of {row.won:,}"
        )
    made = scratch / row.name
    again = msgspec.structs.replace(row, sha256=None)
    try:
        digest = bankfiles.draft(frame.connection, again, made)
    except SettlementError as error:
        return Replayed(row.name, row.payments, row.won, (*found, f"cannot be made again: {error}"))
    draft = draft_of(made)
    if digest != row.sha256:
        found.append(f"its rows make sha256 {digest}, emitted was {row.sha256}")
    archived, out = bankfiles.archive_path(frame.settings, row), bankfiles.outbox_path(frame.settings, row)
    if not archived.exists():
        found.append(f"{archived} is not there: dure-settlement files regenerate {row.name}")
    found += [
        f"{path} differs from byte {_first_difference(path, draft):,} on"
        for path in (archived, out)
        if path.exists() and sha256_of(path) != digest
    ]
    draft.unlink()
    return Replayed(row.name, row.payments, row.won, tuple(found), digest)


def _first_difference(one: Path, other: Path) -> int:
    """The first byte (from 0) at which two files differ; the shorter one's length where it ends."""
    at = 0
    with one.open("rb") as left, other.open("rb") as right:
        while True:
            a, b = left.read(READ_BYTES), right.read(READ_BYTES)
            if a != b or not a:
                pairs = enumerate(zip(a, b, strict=False))
                return at + next((index for index, (x, y) in pairs if x != y), min(len(a), len(b)))
            at += len(a)
