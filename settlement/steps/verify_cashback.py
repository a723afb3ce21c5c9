"""The recomputation: every won of cashback of a date, again, from the journal and the rules alone.

Three records must tell the same for each payment: what the rules give (the policy version it was judged by,
its basis, the usage before it, the merchant's groups on its day; less what it says that a budget did not
have), the amount the member was told, and the entries per funder and budget. On top, the usage before it must
be the sum of what the wallet did before.

Purchases that hang on a few columns are judged case by case (`verify_plain`), all others one by one
(`verify_exact`); the rules are the same.
"""

from collections.abc import Iterable
from functools import partial

import msgspec
from sqlalchemy import Connection, text

from settlement.domain.run import Step
from settlement.errors import ControlMismatchError
from settlement.frame import Frame
from settlement.steps import close_day, verify_exact, verify_plain, verify_usage
from settlement.steps.sessions import read_apart
from settlement.steps.verify_exact import MOVING, POSTED, Range, name, window

FAULTS_SHOWN_MAX = 20

_UNPOSTED = text(f"""
    SELECT bucket, wallet_id, seq, local_day, terminal_id, stan, cashback FROM payment
    WHERE programme_no = :programme_no AND business_date = :day AND local_day BETWEEN :first AND :last
      AND cashback <> 0 AND NOT ({POSTED} AND {MOVING}) LIMIT :most
""")  # noqa: S608 (numbers of our own enumerations)


class _Found(msgspec.Struct):
    """What has been looked at, and what is wrong: how many payments, and the first of them in words."""

    payments: int = 0
    wrong: int = 0
    shown: list[str] = []
    orphans: bool = False

    def add(self, fault: str | None) -> None:
        if fault is not None:
            self.wrong += 1
            if len(self.shown) < FAULTS_SHOWN_MAX:
                self.shown.append(fault)


def verify(frame: Frame) -> int:
    """Recompute the date's cashback; returns the number of payments looked at. Call it in a transaction.

    Raises ControlMismatchError that names the first payments that differ, and counts the rest.
    """
    tick = frame.reporter(Step.CREDIT_CASHBACK, 0)
    whole = _Found()
    for part in read_apart(frame.connection, close_day.entries(frame), partial(_part, frame)):
        whole.payments += part.payments
        whole.orphans |= part.orphans
        whole.wrong += part.wrong - len(part.shown)
        for fault in part.shown:
            whole.add(fault)
    tick(whole.payments)
    if whole.orphans:
        for fault in verify_exact.orphans(frame, FAULTS_SHOWN_MAX):
            whole.add(fault)
    for row in frame.connection.execute(_UNPOSTED, {**window(frame), "most": FAULTS_SHOWN_MAX}):
        whole.add(f"{name(row)}: not approved, yet it records cashback of {row.cashback:,}")
    if whole.wrong:
        raise ControlMismatchError(
            f"cashback of {frame.day}: {whole.wrong:,} payments differ from the rules, none is credited:"
            f" {'; '.join(whole.shown)}"
        )
    return whole.payments


def _part(frame: Frame, session: Connection, first: int, last: int) -> _Found:
    """The wallets of some buckets, in one session."""
    part, found = Range(first, last), _Found()
    # Judging one by one is this program's work, the rest the database's: sessions do them in opposite orders.
    if not first:
        _add(found, verify_exact.unplain(frame, session, part))
    seen = verify_plain.vouch(frame, session, part)
    found.payments, found.orphans = seen.payments, seen.orphans
    if seen.suspects is None or seen.suspects:
        _add(found, verify_exact.doubted(frame, session, part, seen.suspects))
    _add(found, verify_usage.faults(frame, session, part, seen.months))
    if first:
        _add(found, verify_exact.unplain(frame, session, part))
    return found


def _add(found: _Found, faults: Iterable[str | None]) -> None:
    for fault in faults:
        found.add(fault)
