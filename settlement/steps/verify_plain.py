"""The quick way: purchases whose cashback hangs on a few columns, case by case instead of one by one.

SQL lays each plain purchase beside its entries and counts how often each combination occurs: of what the
rules ask (version, channel, groups, company, basis, usage) and of what is recorded (cashback, won by funder
and budget). The rules – the same `purchase` as the exact way's – then judge each combination once. It vouches
or it does not; what it does not vouch for goes the exact way, which has the last word and the words.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, text

from settlement.domain.recompute import Plain, UntraceableError, Won, keys_of, level, plain
from settlement.frame import Frame
from settlement.steps.sessions import without
from settlement.steps.verify_exact import (
    CHUNK_ROWS,
    GRANTING,
    MOVING,
    NEAR_DAYS,
    PLAIN,
    POSTED,
    Range,
    Suspect,
    window,
)
from switch.domain.granting import Key
from switch.domain.payment import Kind
from switch.domain.wallet import Holder
from switch.ledger.chart import Account

SUSPECTS_MAX = 2_000
"""Combinations to look at one by one; where more do not hold, all of the date's payments go the exact way."""


class Vouched(msgspec.Struct):
    """What the quick way has seen: payments, plain or not; entries without one; combinations in doubt.

    `months` (yyyymm) are those that purchases, plain or not, count in.
    """

    payments: int = 0
    orphans: bool = False
    months: set[int] = msgspec.field(default_factory=set)
    suspects: set[Suspect] | None = msgspec.field(default_factory=set)  # None: too many to name

    def doubt(self, suspect: Suspect) -> None:
        if self.suspects is not None:
            self.suspects.add(suspect)
            if len(self.suspects) > SUSPECTS_MAX:
                self.suspects = None


class _Case(msgspec.Struct, frozen=True):
    """The parts of the statement that hang on the programme's rules."""

    keys: tuple[Key, ...]
    statement: str
    asked: tuple[str, ...]


def vouch(frame: Frame, session: Connection, part: Range) -> Vouched:
    """Look at every payment of the date and at every entry of cashback, of these wallets."""
    case = _case(frame)
    near = timedelta(days=NEAR_DAYS)
    parameters = {
        **window(frame),
        "near_first": frame.day - near,
        "near_last": frame.day + near,
        "asked": list(case.asked),
        "first_bucket": part.first,
        "last_bucket": part.last,
    }
    found = Vouched()
    # Combinations are few, whatever the planner expects: sorting all payments to count them takes most of the
    # time of a large date.
    with without(session, "sort"):
        rows = session.execute(text(case.statement), parameters, execution_options={"yield_per": CHUNK_ROWS})
    for chunk in rows.partitions(CHUNK_ROWS):
        _judge(frame, case.keys, chunk, found)
    return found


def _judge(frame: Frame, keys: Sequence[Key], rows: Sequence[Row[Any]], found: Vouched) -> None:
    for row in rows:
        if row.plain is None:
            found.orphans = True
            continue
        found.payments += row.payments
        if row.month is not None:
            found.months.add(row.month)
        if not row.plain:
            continue
        # After the count and the ten columns of the combination come the keys'.
        booked: Sequence[int | None] = tuple(row)[11:]
        recorded: Won = {key: won for key, won in zip(keys, booked, strict=True) if won is not None}
        counts = len(recorded) == (row.entries or 0)
        if not counts or sum(recorded.values()) != row.cashback or _due(frame, row) != recorded:
            found.doubt((row.policy_no, row.channel, row.basis, row.cashback))


def _due(frame: Frame, row: Row[Any]) -> Won | None:
    terms = frame.facts.terms.get(row.policy_no)
    if terms is None:
        return None
    groups = tuple(row.groups or ())
    case = Plain(row.policy_no, row.channel, groups, row.company, row.basis, row.usage)
    try:
        return plain(case, terms)
    except UntraceableError:
        return None


def _case(frame: Frame) -> _Case:
    terms = frame.facts.terms
    keys = tuple(sorted(set().union(*(keys_of(one) for one in terms.values()))))
    asked = sorted({b.group for one in terms.values() for b in one.policy.bonuses if b.group is not None})
    companies = not all(one.policy.company_cashback for one in terms.values())
    usage = " ".join(
        f"WHEN p.policy_no = {number:d} AND p.usage_before >= {above:d}"
        f"{'' if up_to is None else f' AND p.usage_before + p.basis <= {up_to:d}'} THEN {above:d}"
        for number, one in sorted(terms.items())
        for above, up_to in level(one.policy)
    )
    usage = f"CASE {usage} ELSE p.usage_before END" if usage else "p.usage_before"
    return _Case(keys, _statement(keys, usage, groups=bool(asked), companies=companies), tuple(asked))


def _statement(keys: Sequence[Key], usage: str, *, groups: bool, companies: bool) -> str:
    """One purchase a row, beside its entries by funder and budget; then how often each combination occurs.

    Each key of a purchase is booked by one entry. So the greatest of a key is its only one exactly if the
    entries are as many as the keys that have any; others than `keys` make them more.
    """
    columns = [f"k{place}" for place in range(len(keys))]
    booked = "".join(
        f", max(CASE WHEN funder_no = {funder:d} AND budget_no = {budget:d} THEN"
        f" CASE WHEN debit = {Account.FUNDER_DUE:d} THEN won ELSE -won END END) AS {column}"
        for column, (funder, budget) in zip(columns, keys, strict=True)
    )
    group_join = """
        LEFT JOIN (
            SELECT merchant_no, on_day::date AS local_day,
                   array_agg(DISTINCT group_code ORDER BY group_code) AS groups
            FROM generate_series(CAST(:near_first AS timestamp), CAST(:near_last AS timestamp),
                                 '1 day') AS on_day
            JOIN merchant_group ON valid_from <= on_day AND (valid_to IS NULL OR on_day < valid_to)
            WHERE group_code = ANY(CAST(:asked AS text[]))
            GROUP BY merchant_no, on_day
        ) g ON g.merchant_no = p.merchant_no AND g.local_day = p.local_day"""
    company_join = f"""
        LEFT JOIN (
            SELECT bucket, wallet_id FROM wallet
            WHERE holder = {Holder.COMPANY:d} AND bucket BETWEEN :first_bucket AND :last_bucket
        ) c ON c.bucket = p.bucket AND c.wallet_id = p.wallet_id"""  # noqa: S608 (our own numbers and names)
    judged = f"""
        SELECT p.bucket, p.wallet_id, p.seq, p.policy_no, p.channel, p.basis, p.cashback, {usage} AS usage,
               {"g.groups" if groups else "CAST(NULL AS text[])"} AS groups,
               {"c.wallet_id IS NOT NULL" if companies else "false"} AS company,
               p.local_day BETWEEN :near_first AND :near_last AND {PLAIN} AS plain,
               CASE WHEN p.kind = {Kind.PURCHASE:d} THEN p.usage_month END AS month
        FROM payment p {group_join if groups else ""} {company_join if companies else ""}
        WHERE p.programme_no = :programme_no AND p.business_date = :day
          AND p.local_day BETWEEN :first AND :last AND p.{POSTED} AND p.{MOVING}
          AND p.bucket BETWEEN :first_bucket AND :last_bucket"""  # noqa: S608
    entries = f"""
        SELECT bucket, wallet_id, seq, count(*) AS entries {booked}
        FROM entry
        WHERE programme_no = :programme_no AND business_date = :day AND {GRANTING}
          AND bucket BETWEEN :first_bucket AND :last_bucket
        GROUP BY bucket, wallet_id, seq"""  # noqa: S608
    facts = ("plain", "month", "policy_no", "channel", "groups", "company", "basis", "usage", "cashback")
    combination = ", ".join((*facts, "entries", *columns))
    return f"""
        SELECT count(*) AS payments, {combination}
        FROM ({judged}) p FULL JOIN ({entries}) e USING (bucket, wallet_id, seq)
        GROUP BY {combination}"""  # noqa: S608
