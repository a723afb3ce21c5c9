"""Fees given back after a re-classification: proposed by one person, approved by another, paid by a run.

For each date the rate that was charged is held against the class as known today: the one valid on the date
(it may have come late) and the first one after it. The lower one counts. What was given back before counts as
not charged, so a date is never rebated twice for the same class.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, insert, text

from settlement.domain.rebate import rebate
from settlement.errors import UsageError
from settlement.people.audit import note
from settlement.people.identity import Actor
from settlement.reference import Facts
from settlement.store.schema_merchants import fee_rebate
from switch.domain.programme import Policy

CHUNK_ROWS = 2_000
SPAN_DAYS_MAX = 1_100  # three years: fees of longer ago are a matter for more than a command
LOCK_SPACE = 0x52454241  # "REBA": one proposal at a time

_OVERCHARGED = text("""
    WITH segment AS (
        SELECT * FROM unnest(CAST(:numbers AS int[]), CAST(:firsts AS date[]), CAST(:lasts AS date[]),
                             CAST(:defaults AS int[])) AS s(segment, first, last, default_ppm)
    ), class AS (
        SELECT * FROM unnest(CAST(:of AS int[]), CAST(:up_to AS bigint[]), CAST(:rates AS int[]))
            AS c(segment, up_to, rate_ppm)
    )
    SELECT * FROM (
        SELECT n.merchant_no, n.business_date, n.cycle, n.sales - n.refunds AS net, s.segment,
               coalesce(r.due_ppm, n.fee_rate_ppm) AS charged_ppm, coalesce(r.rebate_no, 0) AS rebate_no,
               (SELECT min(coalesce((SELECT c.rate_ppm FROM class c
                                     WHERE c.segment = s.segment AND a.annual_sales <= c.up_to
                                     ORDER BY c.up_to LIMIT 1), s.default_ppm))
                FROM ((SELECT annual_sales FROM merchant_sales
                       WHERE merchant_no = n.merchant_no AND valid_from <= n.business_date
                       ORDER BY valid_from DESC LIMIT 1)
                      UNION ALL
                      (SELECT annual_sales FROM merchant_sales
                       WHERE merchant_no = n.merchant_no AND valid_from > n.business_date
                       ORDER BY valid_from LIMIT 1)) a) AS due_ppm
        FROM segment s JOIN merchant_net n ON n.business_date BETWEEN s.first AND s.last
        LEFT JOIN LATERAL (
            SELECT due_ppm, rebate_no FROM fee_rebate f
            WHERE f.programme_no = n.programme_no AND f.merchant_no = n.merchant_no
              AND f.business_date = n.business_date AND f.cycle = n.cycle
            ORDER BY rebate_no DESC LIMIT 1) r ON true
        WHERE n.programme_no = :programme_no AND n.fee_rate_ppm > 0 AND n.sales <> n.refunds
    ) found WHERE due_ppm < charged_ppm ORDER BY merchant_no, business_date, cycle
""")
_WAITING = text("""
    SELECT m.merchant_id, m.name, count(*) AS dates, min(f.business_date) AS first,
           max(f.business_date) AS last, sum(f.won)::bigint AS won, sum(f.vat)::bigint AS vat, f.proposed_by
    FROM fee_rebate f JOIN merchant m USING (merchant_no)
    WHERE f.programme_no = :programme_no AND f.approved_at IS NULL
    GROUP BY m.merchant_id, m.name, f.proposed_by ORDER BY m.merchant_id, f.proposed_by
""")
_APPROVE = text("""
    WITH approved AS (
        UPDATE fee_rebate SET approved_by = :actor, approved_at = :at
        WHERE programme_no = :programme_no AND approved_at IS NULL AND lower(proposed_by) <> lower(:actor)
          AND (CAST(:merchant_no AS int) IS NULL OR merchant_no = :merchant_no)
        RETURNING won, vat, merchant_no)
    SELECT count(*) AS dates, count(DISTINCT merchant_no) AS merchants,
           coalesce(sum(won + vat), 0)::bigint AS won FROM approved
""")


class Proposal(msgspec.Struct, frozen=True):
    """What is proposed for one merchant: fee and tax in won, over so many dates."""

    merchant: str
    name: str
    dates: int
    first: date
    last: date
    won: int
    vat: int
    proposed_by: str


class Sum(msgspec.Struct, frozen=True):
    """Merchants, dates and won (fee and tax) of one act."""

    merchants: int = 0
    dates: int = 0
    won: int = 0


def propose(
    connection: Connection, facts: Facts, since: date, until: date, actor: Actor, at: datetime
) -> Sum:
    """Propose what was charged too much on the dates `since` to `until`, in the caller's transaction.

    A merchant whose dates come to nothing, or to less, is left out: nobody is charged afterwards. Raises
    UsageError for a span that is none.
    """
    if not since <= until <= since + timedelta(days=SPAN_DAYS_MAX):
        raise UsageError(
            f"{since} to {until}: name the first date and the last, {SPAN_DAYS_MAX} days at most"
        )
    connection.execute(
        text("SELECT pg_advisory_xact_lock(:space, :programme_no)"),
        {"space": LOCK_SPACE, "programme_no": facts.programme_no},
    )
    segments = list(_segments(facts, since, until))
    if not segments:
        raise UsageError(f"programme {facts.programme_id} had no policy yet on {until}")
    result = connection.execute(
        _OVERCHARGED, _parameters(facts, segments), execution_options={"yield_per": CHUNK_ROWS}
    )
    vat_ppm = [policy.fee_vat_ppm for _, _, policy in segments]
    merchants = dates = won = 0
    waiting: list[dict[str, Any]] = []
    for _, rows in groupby(result, key=lambda row: row.merchant_no):
        own = list(_of_merchant(facts, rows, vat_ppm, actor, at))
        total = sum(row["won"] + row["vat"] for row in own)
        if total <= 0:
            continue
        merchants, dates, won = merchants + 1, dates + len(own), won + total
        waiting += own
        if len(waiting) >= CHUNK_ROWS:
            connection.execute(insert(fee_rebate), waiting)
            waiting = []
    if waiting:
        connection.execute(insert(fee_rebate), waiting)
    found = Sum(merchants, dates, won)
    if dates:
        detail = {"since": str(since), "until": str(until), **msgspec.structs.asdict(found)}
        note(connection, at, actor.name, "rebate:propose", facts.programme_id, detail)
    return found


def waiting_for_approval(connection: Connection, facts: Facts) -> list[Proposal]:
    """What is proposed and not approved, by merchant."""
    rows = connection.execute(_WAITING, {"programme_no": facts.programme_no})
    return [Proposal(*row) for row in rows]


def approve(
    connection: Connection,
    facts: Facts,
    won: int,
    actor: Actor,
    at: datetime,
    *,
    merchant_no: int | None = None,
) -> Sum:
    """Approve what others have proposed, of all merchants or of one; the next run pays it.

    `won` is the sum (fee and tax) that the approver has seen. Raises UsageError if it is another.
    """
    done = connection.execute(
        _APPROVE,
        {"programme_no": facts.programme_no, "actor": actor.name, "at": at, "merchant_no": merchant_no},
    ).one()
    if not done.dates:
        raise UsageError("no rebate of another person's waits for approval: `rebate list` shows what waits")
    if done.won != won:
        raise UsageError(f"what waits comes to {done.won:,} won, not to {won:,}: look at `rebate list` again")
    found = Sum(done.merchants, done.dates, done.won)
    note(connection, at, actor.name, "rebate:approve", facts.programme_id, msgspec.structs.asdict(found))
    return found


def _segments(facts: Facts, since: date, until: date) -> Iterator[tuple[date, date, Policy]]:
    """The span cut where a policy version begins: first date, last date, and the policy of both."""
    first, policy = since, None
    for offset in range((until - since).days + 1):
        day = since + timedelta(days=offset)
        try:
            found = facts.policy_of(day)
        except UsageError:  # before the programme's first version nothing was charged
            first = day + timedelta(days=1)
            continue
        if policy is not None and found is not policy:
            yield first, day - timedelta(days=1), policy
            first = day
        policy = found
    if policy is not None:
        yield first, until, policy


def _parameters(facts: Facts, segments: list[tuple[date, date, Policy]]) -> dict[str, object]:
    classes = [
        (number, one.up_to, one.rate_ppm)
        for number, (_, _, policy) in enumerate(segments)
        for one in policy.fee_classes
    ]
    return {
        "programme_no": facts.programme_no,
        "numbers": list(range(len(segments))),
        "firsts": [first for first, _, _ in segments],
        "lasts": [last for _, last, _ in segments],
        "defaults": [policy.fee_default_ppm for _, _, policy in segments],
        "of": [number for number, _, _ in classes],
        "up_to": [up_to for _, up_to, _ in classes],
        "rates": [rate for _, _, rate in classes],
    }


def _of_merchant(
    facts: Facts, rows: Iterator[Row[Any]], vat_ppm: list[int], actor: Actor, at: datetime
) -> Iterator[dict[str, Any]]:
    for row in rows:
        won, vat = rebate(row.net, row.charged_ppm, row.due_ppm, vat_ppm[row.segment])
        if not won:
            continue
        yield {
            "programme_no": facts.programme_no,
            "merchant_no": row.merchant_no,
            "business_date": row.business_date,
            "cycle": row.cycle,
            "rebate_no": row.rebate_no + 1,
            "net": row.net,
            "charged_ppm": row.charged_ppm,
            "due_ppm": row.due_ppm,
            "won": won,
            "vat": vat,
            "proposed_by": actor.name,
            "proposed_at": at,
        }
