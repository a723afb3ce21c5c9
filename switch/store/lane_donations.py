"""The lane's side of donation cases: locked only by batches with a gift, after wallets and budgets."""

from collections.abc import Iterable, Sequence

from switch.domain.calendar import day_of_date
from switch.domain.decision import Decision, decode_detail
from switch.domain.donation import Case
from switch.domain.payment import Kind
from switch.domain.request import Request
from switch.domain.wallet import LotKind
from switch.store.arrays import dates, int2s, int4s, int8s, texts
from switch.store.lane_values import Loaded
from switch.store.pipe import Rows, Statement

# One statement locks them all, in one order, so that batches of two lanes wait for each other in no circle.
LOCK_CASES = """\
SELECT c.programme_no, c.code, c.merchant_no, c.target, c.given, c.deadline, c.state = 'open'
FROM unnest(%s, %s) AS k(programme_no, code)
JOIN donation_case c ON c.programme_no = k.programme_no AND c.code = k.code
ORDER BY c.programme_no, c.code FOR NO KEY UPDATE OF c"""

UPDATE_CASES = """\
UPDATE donation_case c SET given = k.given
FROM unnest(%s, %s, %s) AS k(programme_no, code, given)
WHERE c.programme_no = k.programme_no AND c.code = k.code"""

INSERT_GIFTS = """\
INSERT INTO gift (bucket, wallet_id, seq, programme_no, case_code, business_date, points, charged)
SELECT * FROM unnest(%s, %s, %s, %s, %s, %s, %s, %s)"""

RETURN_GIFTS = """\
UPDATE gift g SET returned = true
FROM unnest(%s, %s, %s) AS k(bucket, wallet_id, seq)
WHERE g.bucket = k.bucket AND g.wallet_id = k.wallet_id AND g.seq = k.seq"""


def cases_wanted(requests: Sequence[Request], loaded: Loaded) -> set[tuple[int, str]]:
    """(programme_no, code) of the cases that the batch gives to, or takes a gift back from."""
    wanted = {(r.programme_no, r.case) for r in requests if r.case}
    for r in requests:
        if r.original is not None:
            for stored in loaded.originals.get(r.wallet_id, ()):
                if stored.key.kind == Kind.GIFT:
                    wanted.add((stored.programme_no, decode_detail(stored.detail).case))
    return wanted


def lock(wanted: set[tuple[int, str]]) -> Statement:
    """The statement that locks and reads these cases."""
    keys = sorted(wanted)
    return LOCK_CASES, (int2s([key[0] for key in keys]), texts([key[1] for key in keys]))


def keep(rows: Rows, loaded: Loaded) -> None:
    """Put what lock() answered into the batch's values."""
    for programme_no, code, merchant_no, target, given, deadline, is_open in rows:
        case = Case(code, merchant_no, target, given, day_of_date(deadline), is_open)
        loaded.cases[programme_no, code] = case


def writes(decisions: Sequence[Decision], loaded: Loaded) -> list[Statement]:
    """What the gifts of a batch write; nothing for a batch without one."""
    given = [(d.stored, d.gift) for d in decisions if d.gift is not None]
    if not given:
        return []
    cases = sorted({(stored.programme_no, code) for stored, (code, _) in given})
    out: list[Statement] = [
        (
            UPDATE_CASES,
            (
                int2s([case[0] for case in cases]),
                texts([case[1] for case in cases]),
                int8s([loaded.cases[case].given for case in cases]),
            ),
        )
    ]
    new = [d for d in decisions if d.gift is not None and d.gift[1] > 0]
    if new:
        rows = [d.stored for d in new]
        out.append(
            (
                INSERT_GIFTS,
                (
                    int2s([row.key.bucket for row in rows]),
                    int8s([row.wallet_id for row in rows]),
                    int4s([row.seq for row in rows]),
                    int2s([row.programme_no for row in rows]),
                    texts([code for code, _ in _codes(new)]),
                    dates([row.business_day for row in rows]),
                    int8s([_of_kind(d, LotKind.POINTS) for d in new]),
                    int8s([_of_kind(d, LotKind.CHARGED) for d in new]),
                ),
            )
        )
    back = [stored for stored, (_, won) in given if won < 0]
    if back:
        out.append(
            (
                RETURN_GIFTS,
                (
                    int2s([row.key.bucket for row in back]),
                    int8s([row.wallet_id for row in back]),
                    int4s([row.original_seq for row in back]),
                ),
            )
        )
    return out


def _codes(decisions: Iterable[Decision]) -> list[tuple[str, int]]:
    return [d.gift for d in decisions if d.gift is not None]


def _of_kind(decision: Decision, kind: LotKind) -> int:
    return sum([won for _, lot_kind, won in decision.spent if lot_kind == kind])
