"""The recomputation: every won of cashback of a date, again, from the journal and the rules alone.

Three records must tell the same for each payment: what the rules give (the policy version it was judged by,
its basis, the usage before it, the merchant's groups on its day; less what it says that a budget did not
have), the amount the member was told, and the entries per funder and budget. On top, the usage before it must
be the sum of what the wallet did before.

Purchases that hang on a few columns are judged case by case (`verify_plain`), all others one by one
(`verify_exact`); the rules are the same.
"""

from collections.abc import Iterator

from sqlalchemy import text

from settlement.domain.run import Step
from settlement.errors import ControlMismatchError
from settlement.frame import Frame
from settlement.steps import verify_exact, verify_plain, verify_usage
from settlement.steps.verify_exact import MOVING, POSTED, name, window

FAULTS_SHOWN_MAX = 20

_UNPOSTED = text(f"""
    SELECT bucket, wallet_id, seq, local_day, terminal_id, stan, cashback FROM payment
    WHERE programme_no = :programme_no AND business_date = :day AND local_day BETWEEN :first AND :last
      AND cashback <> 0 AND NOT ({POSTED} AND {MOVING}) LIMIT :most
""")  # noqa: S608 (numbers of our own enumerations)


def verify(frame: Frame) -> int:
    """Recompute the date's cashback; returns the number of payments looked at. Call it in a transaction.

    Raises ControlMismatchError that names the first payments that differ, and counts the rest.
    """
    tick = frame.reporter(Step.CREDIT_CASHBACK, 0)
    seen = verify_plain.vouch(frame)
    tick(seen.payments)
    faults: list[str] = []
    count = 0
    for fault in _faults(frame, seen):
        count += 1
        if len(faults) < FAULTS_SHOWN_MAX:
            faults.append(fault)
    if count:
        shown = "; ".join(faults)
        raise ControlMismatchError(
            f"cashback of {frame.day}: {count:,} payments differ from the rules, none is credited: {shown}"
        )
    return seen.payments


def _faults(frame: Frame, seen: verify_plain.Vouched) -> Iterator[str]:
    for fault in verify_exact.faults(frame, seen.suspects):
        if fault is not None:
            yield fault
    if seen.orphans:
        yield from verify_exact.orphans(frame, FAULTS_SHOWN_MAX)
    yield from _declined_with_cashback(frame)
    yield from verify_usage.faults(frame)


def _declined_with_cashback(frame: Frame) -> Iterator[str]:
    for row in frame.connection.execute(_UNPOSTED, {**window(frame), "most": FAULTS_SHOWN_MAX}):
        yield f"{name(row)}: not approved, yet it records cashback of {row.cashback:,}"
