"""The recomputation: every won of cashback of a date, again, from the journal and the rules alone.

Three records must tell the same for each payment: what the rules give (the policy version it was judged by,
its basis, the usage before it, the merchant's groups on its day; less what it says that a budget did not
have), the amount the member was told, and the entries per funder and budget. On top, the usage before it must
be the sum of what the wallet did before.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import Any

import msgspec
from sqlalchemy import Row, text

from settlement.domain.recompute import (
    Rated,
    UntraceableError,
    Won,
    granted_again,
    purchase,
    taken_back,
)
from settlement.domain.run import Step
from settlement.errors import ControlMismatchError
from settlement.frame import Frame
from switch.domain.calendar import date_of_day, day_of_date
from switch.domain.decision import NO_DETAIL, Detail, decode_detail
from switch.domain.payment import Kind, Outcome
from switch.domain.request import Terms
from switch.domain.wallet import Holder
from switch.ledger.chart import Account
from switch.ledger.journal import Source
from switch.store.dayhash import LOOKAHEAD_DAYS, payment_window

CHUNK_ROWS = 2_000
FAULTS_SHOWN_MAX = 20

_POSTED = f"outcome IN ({Outcome.APPROVED:d}, {Outcome.RETURNED_PARTLY:d}, {Outcome.RETURNED:d})"
_MOVING = f"kind IN ({Kind.PURCHASE:d}, {Kind.REFUND:d}, {Kind.REVERSAL:d}, {Kind.VOID:d})"

_RETURNS = (Kind.REFUND, Kind.REVERSAL, Kind.VOID)

_PAYMENT = f"""p.kind, p.bucket, p.wallet_id, p.seq, p.local_day, p.local_time, p.terminal_id, p.stan,
           p.merchant_no, p.policy_no, p.channel, p.approved, p.basis, p.usage_before, p.original_seq,
           p.detail, w.holder = {Holder.COMPANY:d} AS company"""
_RATED = text(f"""
    SELECT {_PAYMENT}, p.cashback, e.bucket AS e_bucket, e.wallet_id AS e_wallet_id, e.seq AS e_seq,
           e.funders, e.budgets, e.wons
    FROM (SELECT * FROM payment
          WHERE programme_no = :programme_no AND business_date = :day
            AND local_day BETWEEN :first AND :last AND {_POSTED} AND {_MOVING}) p
    LEFT JOIN wallet w ON w.bucket = p.bucket AND w.wallet_id = p.wallet_id
    FULL JOIN (
        SELECT bucket, wallet_id, seq, array_agg(funder_no) AS funders, array_agg(budget_no) AS budgets,
               array_agg(CASE WHEN debit = {Account.FUNDER_DUE:d} THEN won ELSE -won END) AS wons
        FROM entry
        WHERE programme_no = :programme_no AND business_date = :day AND source = {Source.PAYMENT:d}
          AND ((debit = {Account.FUNDER_DUE:d} AND credit = {Account.CASHBACK_ACCRUED:d})
            OR (debit = {Account.CASHBACK_ACCRUED:d} AND credit = {Account.FUNDER_DUE:d}))
        GROUP BY bucket, wallet_id, seq
    ) e ON e.bucket = p.bucket AND e.wallet_id = p.wallet_id AND e.seq = p.seq
    ORDER BY coalesce(p.bucket, e.bucket), coalesce(p.wallet_id, e.wallet_id), coalesce(p.seq, e.seq)
""")  # noqa: S608 (numbers of our own enumerations)
_UNPOSTED = text(f"""
    SELECT bucket, wallet_id, seq, local_day, terminal_id, stan, cashback FROM payment
    WHERE programme_no = :programme_no AND business_date = :day AND local_day BETWEEN :first AND :last
      AND cashback <> 0 AND NOT ({_POSTED} AND {_MOVING}) LIMIT :most
""")  # noqa: S608
_ORIGINALS = text(f"""
    SELECT {_PAYMENT}
    FROM unnest(CAST(:buckets AS smallint[]), CAST(:wallets AS bigint[]), CAST(:seqs AS integer[]),
                CAST(:days AS date[])) AS k(bucket, wallet_id, seq, local_day)
    JOIN payment p ON p.bucket = k.bucket AND p.wallet_id = k.wallet_id AND p.seq = k.seq
                  AND p.local_day = k.local_day
    JOIN wallet w ON w.bucket = p.bucket AND w.wallet_id = p.wallet_id
    WHERE p.local_day BETWEEN :first AND :last AND p.{_POSTED}
""")  # noqa: S608
# Sums of the months before this date come from one hashed pass; the window runs over this date only.
_USAGE = text(f"""
    WITH today AS MATERIALIZED (
        SELECT bucket, wallet_id, seq, usage_month, kind, basis, usage_before, local_day, terminal_id, stan
        FROM payment
        WHERE programme_no = :programme_no AND business_date = :day AND local_day BETWEEN :first AND :last
          AND {_POSTED} AND {_MOVING}
    ), earlier AS (
        SELECT bucket, wallet_id, usage_month, sum(basis)::bigint AS basis FROM payment
        WHERE programme_no = :programme_no AND business_date < :day AND {_POSTED} AND {_MOVING}
          AND usage_month IN (SELECT usage_month FROM today WHERE kind = {Kind.PURCHASE:d})
          AND business_date >= :since AND local_day BETWEEN :first AND :last
        GROUP BY bucket, wallet_id, usage_month
    )
    SELECT t.* FROM (
        SELECT today.*, coalesce(sum(basis) OVER (
            PARTITION BY bucket, wallet_id, usage_month ORDER BY seq
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)::bigint AS so_far
        FROM today
    ) t LEFT JOIN earlier e USING (bucket, wallet_id, usage_month)
    WHERE t.kind = {Kind.PURCHASE:d} AND t.usage_before <> coalesce(e.basis, 0) + t.so_far
    ORDER BY bucket, wallet_id, seq LIMIT :most
""")  # noqa: S608
_USAGE_EXACT = text(f"""
    SELECT coalesce(sum(basis), 0)::bigint FROM payment
    WHERE bucket = :bucket AND wallet_id = :wallet_id AND seq < :seq AND usage_month = :usage_month
      AND business_date >= :since AND local_day BETWEEN :first AND :last AND {_POSTED} AND {_MOVING}
""")  # noqa: S608
_MONTHS = text(f"""
    SELECT min(usage_month) FROM payment
    WHERE programme_no = :programme_no AND business_date = :day AND local_day BETWEEN :first AND :last
      AND kind = {Kind.PURCHASE:d} AND {_POSTED}
""")  # noqa: S608


_Behind = tuple[Row[Any], Row[Any] | None]
"""The purchase behind a return; the refund or void that was undone, where the return is its reversal."""


def verify(frame: Frame) -> int:
    """Recompute the date's cashback; returns the number of payments looked at.

    Raises ControlMismatchError that names the first payments that differ, and counts the rest.
    """
    faults: list[str] = []
    count = looked_at = 0
    tick = frame.reporter(Step.CREDIT_CASHBACK, 0)
    for rows in _chunks(frame):
        looked_at += len(rows)
        for fault in _check(frame, rows):
            count += 1
            if len(faults) < FAULTS_SHOWN_MAX:
                faults.append(fault)
        tick(looked_at)
    for fault in (*_declined_with_cashback(frame), *_wrong_usage(frame)):
        count += 1
        faults.append(fault)
    if count:
        shown = "; ".join(faults[:FAULTS_SHOWN_MAX])
        raise ControlMismatchError(
            f"cashback of {frame.day}: {count:,} payments differ from the rules, none is credited: {shown}"
        )
    return looked_at


def _window(frame: Frame) -> dict[str, object]:
    first, last = payment_window(frame.day)
    return {**frame.of_day(), "first": first, "last": last}


def _chunks(frame: Frame) -> Iterator[Sequence[Row[Any]]]:
    result = frame.connection.execute(_RATED, _window(frame), execution_options={"yield_per": CHUNK_ROWS})
    yield from result.partitions(CHUNK_ROWS)


def _check(frame: Frame, rows: Sequence[Row[Any]]) -> Iterator[str]:
    roots = _roots(frame, [row for row in rows if row.kind in _RETURNS])
    for row in rows:
        if row.kind is None:
            yield f"wallet {row.e_wallet_id} posting {row.e_seq}: entries of cashback without a payment"
            continue
        keys = list(zip(row.funders, row.budgets, strict=True)) if row.funders else []
        booked: Won = dict(zip(keys, row.wons, strict=True)) if keys else {}
        if len(booked) != len(keys):
            yield f"{_name(row)}: a funder's budget appears twice in its entries"
            continue
        try:
            due = _due(frame, row, roots)
        except UntraceableError as error:
            yield f"{_name(row)}: {error}"
            continue
        total = sum(due.values())
        if row.cashback != total:
            yield f"{_name(row)}: the rules give {total:,}, recorded is {row.cashback:,}"
        elif booked != due:
            yield f"{_name(row)}: entries by funder {_won_by(frame, booked)}, due {_won_by(frame, due)}"


def _due(frame: Frame, row: Row[Any], roots: dict[tuple[int, int, int], _Behind]) -> Won:
    """Won by funder and budget that the rules give; negative for a return."""
    if row.kind == Kind.PURCHASE:
        return purchase(_rated(frame, row), _terms(frame, row))
    root, undone = roots.get((row.bucket, row.wallet_id, row.seq), (None, None))
    detail = _detail(row)
    if not row.basis and (root is None or detail.basis_left is None):
        return {}
    if root is None or detail.basis_left is None:
        raise UntraceableError("its original purchase is not to be found")
    before, after = detail.basis_left
    fits = after - before == row.basis and min(before, after) >= 0 and max(before, after) <= root.basis
    if not fits or (row.usage_before, row.policy_no) != (root.usage_before, root.policy_no):
        raise UntraceableError(f"its basis {row.basis:,} ({before:,} to {after:,}) does not fit its original")
    if undone is None:
        return taken_back(_rated(frame, root), _terms(frame, root), detail, before, after)
    return granted_again(_rated(frame, root), _terms(frame, root), detail, _detail(undone), before, after)


def _rated(frame: Frame, row: Row[Any]) -> Rated:
    return Rated(
        amount=row.approved,
        basis=row.basis,
        usage_before=row.usage_before,
        moment=day_of_date(row.local_day) * 1_000_000 + row.local_time,
        channel=row.channel,
        groups=frame.facts.groups_on(row.merchant_no, row.local_day),
        company=bool(row.company),
        detail=_detail(row),
    )


def _terms(frame: Frame, row: Row[Any]) -> Terms:
    terms = frame.facts.terms.get(row.policy_no)
    if terms is None:
        raise UntraceableError(f"its policy {row.policy_no} is not the programme's")
    return terms


def _detail(row: Row[Any]) -> Detail:
    try:
        return decode_detail(row.detail.encode())
    except msgspec.DecodeError:
        return NO_DETAIL  # unreadable is untraceable


def _roots(frame: Frame, returns: list[Row[Any]]) -> dict[tuple[int, int, int], _Behind]:
    """For each return the purchase behind it; through the refund or void, where one was reversed."""
    found: dict[tuple[int, int, int], _Behind] = {}
    wanted: list[tuple[Row[Any], Row[Any], Row[Any] | None]] = [
        (row, row, None) for row in returns if row.original_seq
    ]
    for _ in range(2):
        if not wanted:
            break
        originals = {
            (o.bucket, o.wallet_id, o.seq): o for o in _originals(frame, [of for _, of, _ in wanted])
        }
        onward: list[tuple[Row[Any], Row[Any], Row[Any] | None]] = []
        for row, of, undone in wanted:
            original = originals.get((of.bucket, of.wallet_id, of.original_seq))
            if original is None:
                continue
            if original.kind in (Kind.REFUND, Kind.VOID):
                onward.append((row, original, original))
            elif original.kind == Kind.PURCHASE:
                found[(row.bucket, row.wallet_id, row.seq)] = (original, undone)
        wanted = onward
    return found


def _originals(frame: Frame, rows: Iterable[Row[Any]]) -> Iterable[Row[Any]]:
    keys: list[tuple[int, int, int, date]] = []
    for row in rows:
        original = _detail(row).original
        if original is not None:
            day = date_of_day(original["day"])
            keys.append((row.bucket, row.wallet_id, row.original_seq, day))
    if not keys:
        return ()
    buckets, wallets, seqs, days = (list(column) for column in zip(*keys, strict=True))
    parameters = {"buckets": buckets, "wallets": wallets, "seqs": seqs, "days": days}
    return frame.connection.execute(_ORIGINALS, {**parameters, "first": min(days), "last": max(days)}).all()


def _declined_with_cashback(frame: Frame) -> Iterator[str]:
    for row in frame.connection.execute(_UNPOSTED, {**_window(frame), "most": FAULTS_SHOWN_MAX}):
        yield f"{_name(row)}: not approved, yet it records cashback of {row.cashback:,}"


def _wrong_usage(frame: Frame) -> Iterator[str]:
    window = _window(frame)
    month = frame.connection.execute(_MONTHS, window).scalar()
    if month is None:
        return
    # A return counts in its original's month, whatever day its terminal holds it to be: so the month is found
    # by business dates. The month's first payment can be booked that much earlier, if its clock was ahead.
    since = date_of_day(month * 100 + 1) - timedelta(days=LOOKAHEAD_DAYS)
    bounds = {"since": since, "first": window["first"], "last": window["last"]}
    rows = frame.connection.execute(_USAGE, {**window, **bounds, "most": 1_000}).all()
    for row in rows:
        # A wallet may have posted on the next date already when a slower lane posted on this one, so what
        # the quick pass finds is asked again by posting number alone.
        wallet = {"bucket": row.bucket, "wallet_id": row.wallet_id, "seq": row.seq}
        exact = frame.connection.execute(
            _USAGE_EXACT, {**wallet, "usage_month": row.usage_month, **bounds}
        ).scalar_one()
        if exact != row.usage_before:
            yield f"{_name(row)}: usage before it is {exact:,}, recorded {row.usage_before:,}"


def _name(row: Row[Any]) -> str:
    key = f"{row.terminal_id}/{row.stan:06d} of {row.local_day}"
    return f"payment {key} (wallet {row.wallet_id} posting {row.seq})"


def _won_by(frame: Frame, won: Won) -> str:
    shares = (
        f"{frame.facts.funder_id.get(no, no)}{f' (budget {budget})' if budget else ''} {amount:,}"
        for (no, budget), amount in sorted(won.items())
    )
    return ", ".join(shares) or "none"
