"""The exact way: one payment after the other, with its explanation, its original and its entries at hand.

Whatever is not plain goes it – returns, grants that fell short, campaigns' windows – and whatever the quick
way (`verify_plain`) could not vouch for.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, text

from settlement.domain.recompute import (
    Rated,
    UntraceableError,
    Won,
    granted_again,
    purchase,
    taken_back,
)
from settlement.frame import Frame
from settlement.steps.sessions import without
from switch.domain.calendar import date_of_day, day_of_date
from switch.domain.decision import NO_DETAIL, Detail, decode_detail
from switch.domain.payment import Kind, Outcome
from switch.domain.request import Terms
from switch.domain.wallet import Holder
from switch.ledger.chart import Account
from switch.ledger.journal import Source
from switch.store.dayhash import payment_window

CHUNK_ROWS = 2_000

POSTED = f"outcome IN ({Outcome.APPROVED:d}, {Outcome.RETURNED_PARTLY:d}, {Outcome.RETURNED:d})"
MOVING = f"kind IN ({Kind.PURCHASE:d}, {Kind.REFUND:d}, {Kind.REVERSAL:d}, {Kind.VOID:d})"
GRANTING = (
    f"source = {Source.PAYMENT:d}"
    f" AND ((debit = {Account.FUNDER_DUE:d} AND credit = {Account.CASHBACK_ACCRUED:d})"
    f" OR (debit = {Account.CASHBACK_ACCRUED:d} AND credit = {Account.FUNDER_DUE:d}))"
)
"""Entries that promise cashback, or take it back."""
PLAIN = (
    f"p.kind = {Kind.PURCHASE:d} AND p.basis >= 0 AND p.usage_before >= 0"
    " AND strpos(p.detail, '\"missed\"') = 0 AND strpos(p.detail, '\"campaign\"') = 0"
    " AND strpos(p.detail, chr(92)) = 0"
)
"""A purchase that its columns alone tell the cashback of: no budget fell short, no campaign's window counted.

Its explanation is searched for the words, and must spell them without a backslash. That is sound: what is
plain is held to all that the rules give, so a word that is hidden can only fail.
"""
_RETURNS = (Kind.REFUND, Kind.REVERSAL, Kind.VOID)
_RETURNS_SQL = f"({', '.join(str(int(kind)) for kind in _RETURNS)})"
NEAR_DAYS = 1
"""A payment has its local day at most so far from the business date, but for the rare one: what is searched
for among all of a date's is searched for on these days."""


class _Original(msgspec.Struct):
    """A payment of the same date that a return names: the columns that a judgement asks for."""

    bucket: int
    wallet_id: int
    seq: int
    company: bool
    kind: int
    local_day: date
    local_time: int
    merchant_no: int
    policy_no: int
    channel: str
    approved: int
    basis: int
    usage_before: int
    original_seq: int
    detail: str


_PAYMENT = f"""p.kind, p.bucket, p.wallet_id, p.seq, p.local_day, p.local_time, p.terminal_id, p.stan,
           p.merchant_no, p.policy_no, p.channel, p.approved, p.basis, p.usage_before, p.original_seq,
           p.detail, w.holder = {Holder.COMPANY:d} AS company"""
_ORIGINALS = text(f"""
    SELECT {_PAYMENT}
    FROM unnest(CAST(:buckets AS smallint[]), CAST(:wallets AS bigint[]), CAST(:seqs AS integer[]),
                CAST(:days AS date[])) AS k(bucket, wallet_id, seq, local_day)
    JOIN payment p ON p.bucket = k.bucket AND p.wallet_id = k.wallet_id AND p.seq = k.seq
                  AND p.local_day = k.local_day
    JOIN wallet w ON w.bucket = p.bucket AND w.wallet_id = p.wallet_id
    WHERE p.local_day BETWEEN :first AND :last AND p.{POSTED}
""")  # noqa: S608
_JUDGED = f"""FROM payment p WHERE p.programme_no = :programme_no AND p.business_date = :day
           AND p.local_day BETWEEN :first AND :last AND p.{POSTED} AND p.{MOVING}"""
# The date is read in the order of its pages and what is wanted is picked from it. Looked up one by one, the
# entries and originals of a large date are hundreds of thousands of reads all over the disk.
_OF_ORIGINAL = _Original.__struct_fields__[4:]  # the others are those of the return
_EXACT = text(f"""
    WITH judged AS MATERIALIZED (
        SELECT * {_JUDGED} AND p.bucket BETWEEN :first_bucket AND :last_bucket AND (
            :unplain AND NOT ({PLAIN}) OR :everything AND {PLAIN}
            OR {PLAIN} AND (p.policy_no, p.channel, p.basis, p.cashback) IN (
                SELECT * FROM unnest(CAST(:policies AS integer[]), CAST(:channels AS text[]),
                                     CAST(:bases AS bigint[]), CAST(:cashbacks AS bigint[]))))),
    booked AS (
        SELECT bucket, wallet_id, seq, array_agg(funder_no) AS funders, array_agg(budget_no) AS budgets,
               array_agg(CASE WHEN debit = {Account.FUNDER_DUE:d} THEN won ELSE -won END) AS wons
        FROM (SELECT bucket, wallet_id, seq FROM judged) j JOIN (
            SELECT bucket, wallet_id, seq, funder_no, budget_no, debit, won FROM entry
            WHERE programme_no = :programme_no AND business_date = :day AND {GRANTING}
              AND bucket BETWEEN :first_bucket AND :last_bucket) e USING (bucket, wallet_id, seq)
        GROUP BY bucket, wallet_id, seq)
    SELECT {_PAYMENT}, p.cashback, e.funders, e.budgets, e.wons,
           {", ".join(f"o.{column} AS o_{column}" for column in _OF_ORIGINAL)}
    FROM judged p
    LEFT JOIN wallet w ON w.bucket = p.bucket AND w.wallet_id = p.wallet_id
    LEFT JOIN booked e ON e.bucket = p.bucket AND e.wallet_id = p.wallet_id AND e.seq = p.seq
    LEFT JOIN payment o ON o.bucket = p.bucket AND o.wallet_id = p.wallet_id AND o.seq = p.original_seq
         AND p.kind IN {_RETURNS_SQL} AND o.programme_no = :programme_no AND o.business_date = :day
         AND o.local_day BETWEEN :near_first AND :near_last
         AND o.bucket BETWEEN :first_bucket AND :last_bucket AND o.{POSTED}
    ORDER BY p.bucket, p.wallet_id, p.seq
""")  # noqa: S608 (numbers of our own enumerations)
_ORPHANS = text(f"""
    SELECT bucket, wallet_id, seq FROM entry e
    WHERE programme_no = :programme_no AND business_date = :day AND {GRANTING}
      AND NOT EXISTS (SELECT {_JUDGED}
                      AND p.bucket = e.bucket AND p.wallet_id = e.wallet_id AND p.seq = e.seq)
    GROUP BY bucket, wallet_id, seq ORDER BY bucket, wallet_id, seq LIMIT :most
""")  # noqa: S608

Suspect = tuple[int, str, int, int]
"""(policy_no, channel, basis, cashback) of purchases that the quick way does not vouch for."""
_Behind = tuple[Any, Any | None]
"""The purchase behind a return; the refund or void that was undone, where the return is its reversal."""


def window(frame: Frame) -> dict[str, object]:
    """Parameters of a query for the date's payments."""
    first, last = payment_window(frame.day)
    return {**frame.of_day(), "first": first, "last": last}


class Range(msgspec.Struct, frozen=True):
    """The wallets that one session judges: first and last bucket."""

    first: int
    last: int


def unplain(frame: Frame, session: Connection, part: Range) -> Iterator[str | None]:
    """Judge what is not plain, payment by payment, in the order of wallets.

    Yields None for a payment that stands, else what is wrong with it.
    """
    return _faults(frame, session, part, (), unplain=True, everything=False)


def doubted(
    frame: Frame, session: Connection, part: Range, suspects: Iterable[Suspect] | None
) -> Iterator[str | None]:
    """Likewise those plain purchases that the quick way does not vouch for (None: all of them)."""
    found = tuple(suspects or ())
    return _faults(frame, session, part, found, unplain=False, everything=suspects is None)


def _faults(
    frame: Frame,
    session: Connection,
    part: Range,
    suspects: Sequence[Suspect],
    *,
    unplain: bool,
    everything: bool,
) -> Iterator[str | None]:
    policies, channels, bases, cashbacks = zip(*suspects, strict=True) if suspects else ((), (), (), ())
    near = timedelta(days=NEAR_DAYS)
    wanted = {
        "near_first": frame.day - near,
        "near_last": frame.day + near,
        "first_bucket": part.first,
        "last_bucket": part.last,
        "unplain": unplain,
        "everything": everything,
        "policies": list(policies),
        "channels": list(channels),
        "bases": list(bases),
        "cashbacks": list(cashbacks),
    }
    options = {"yield_per": CHUNK_ROWS}
    with without(session, "nestloop"):  # that would be looking up one by one
        result = session.execute(_EXACT, {**window(frame), **wanted}, execution_options=options)
    for rows in result.partitions(CHUNK_ROWS):
        roots = _roots(session, [row for row in rows if row.kind in _RETURNS])
        for row in rows:
            yield _fault(frame, row, roots)


def orphans(frame: Frame, most: int) -> Iterator[str]:
    """Entries of cashback that no payment of the date stands behind."""
    for row in frame.connection.execute(_ORPHANS, {**window(frame), "most": most}):
        yield f"wallet {row.wallet_id} posting {row.seq}: entries of cashback without a payment"


def _fault(frame: Frame, row: Row[Any], roots: dict[tuple[int, int, int], _Behind]) -> str | None:
    keys = list(zip(row.funders, row.budgets, strict=True)) if row.funders else []
    booked: Won = dict(zip(keys, row.wons, strict=True)) if keys else {}
    if len(booked) != len(keys):
        return f"{name(row)}: a funder's budget appears twice in its entries"
    try:
        due = _due(frame, row, roots)
    except ValueError as error:  # untraceable, or won that no rule rates
        return f"{name(row)}: {error}"
    total = sum(due.values())
    if row.cashback != total:
        return f"{name(row)}: the rules give {total:,}, recorded is {row.cashback:,}"
    if booked != due:
        return f"{name(row)}: entries by funder {_won_by(frame, booked)}, due {_won_by(frame, due)}"
    return None


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


def _rated(frame: Frame, row: Any) -> Rated:
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


def _terms(frame: Frame, row: Any) -> Terms:
    terms = frame.facts.terms.get(row.policy_no)
    if terms is None:
        raise UntraceableError(f"its policy {row.policy_no} is not the programme's")
    return terms


def _detail(row: Any) -> Detail:
    try:
        return decode_detail(row.detail.encode())
    except msgspec.DecodeError:
        return NO_DETAIL  # unreadable is untraceable


def _roots(session: Connection, returns: list[Row[Any]]) -> dict[tuple[int, int, int], _Behind]:
    """For each return the purchase behind it; through the refund or void, where one was reversed."""
    found: dict[tuple[int, int, int], _Behind] = {}
    wanted: list[tuple[Any, Any, Any | None]] = [(row, row, None) for row in returns if row.original_seq]
    originals: dict[tuple[int, int, int], Any] = {
        (o.bucket, o.wallet_id, o.seq): o for row in returns if (o := _of_the_date(row)) is not None
    }
    for _ in range(2):
        if not wanted:
            break
        away = [of for _, of, _ in wanted if (of.bucket, of.wallet_id, of.original_seq) not in originals]
        originals.update({(o.bucket, o.wallet_id, o.seq): o for o in _originals(session, away)})
        onward: list[tuple[Any, Any, Any | None]] = []
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


def _of_the_date(row: Row[Any]) -> _Original | None:
    """What a return names, where it is of the same date and lies on the day that the return says."""
    named = _detail(row).original
    if row.o_kind is None or named is None or date_of_day(named["day"]) != row.o_local_day:
        return None
    values = (getattr(row, f"o_{column}") for column in _OF_ORIGINAL)
    return _Original(row.bucket, row.wallet_id, row.original_seq, bool(row.company), *values)


def _originals(session: Connection, rows: Iterable[Any]) -> Iterable[Row[Any]]:
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
    return session.execute(_ORIGINALS, {**parameters, "first": min(days), "last": max(days)}).all()


def name(row: Row[Any]) -> str:
    """A payment as faults name it."""
    key = f"{row.terminal_id}/{row.stan:06d} of {row.local_day}"
    return f"payment {key} (wallet {row.wallet_id} posting {row.seq})"


def _won_by(frame: Frame, won: Won) -> str:
    shares = (
        f"{frame.facts.funder_id.get(no, no)}{f' (budget {budget})' if budget else ''} {amount:,}"
        for (no, budget), amount in sorted(won.items())
    )
    return ", ".join(shares) or "none"
