"""What the city's report counts, from closed dates only: set-based, so that memory does not grow with them.

Everything here is a sum of the journal's entries by business date, net of what was taken back, or of the
nets of merchants' runs; nothing is estimated.
"""

# ruff: noqa: S608 (queries are built from numbers of our own enumerations)

from collections import defaultdict
from datetime import date
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from settlement.errors import ControlMismatchError, UsageError
from settlement.papers.period import Period
from settlement.reference import Facts
from settlement.store.runs import closed_through
from switch.ledger.chart import LOT_ACCOUNT, Account
from switch.ledger.journal import Source

_PAYABLE = int(Account.MERCHANT_PAYABLE)
_MOVED = text("""
    SELECT business_date, source, debit, credit, funder_no, budget_no, sum(won)::bigint, count(*)
    FROM entry WHERE programme_no = :programme_no AND business_date BETWEEN :first AND :through
    GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6
""")
_TRADE = f"""
    SELECT business_date, merchant_no, coalesce(sum(won) FILTER (WHERE credit = {_PAYABLE}), 0) AS sales,
           coalesce(sum(won) FILTER (WHERE debit = {_PAYABLE}), 0) AS refunds
    FROM entry WHERE programme_no = :programme_no AND business_date BETWEEN :first AND :through
      AND {_PAYABLE} IN (debit, credit)
    GROUP BY business_date, merchant_no
"""
# What a merchant was on the date: the last of its dated facts, or what it began with.
_BY_FACT = text(f"""
    WITH traded AS ({_TRADE}), placed AS (
        SELECT t.*, coalesce(f.region, m.region) AS region, coalesce(f.category, m.category) AS category,
               coalesce(f.size, m.size) AS size
        FROM traded t JOIN merchant m USING (merchant_no) LEFT JOIN LATERAL (
            SELECT region, category, size FROM merchant_fact x
            WHERE x.merchant_no = t.merchant_no AND x.valid_from <= t.business_date
            ORDER BY x.valid_from DESC LIMIT 1) f ON true)
    SELECT CASE WHEN GROUPING(region) = 0 THEN 'region' WHEN GROUPING(category) = 0 THEN 'category'
                WHEN GROUPING(size) = 0 THEN 'size' ELSE 'all' END AS dimension,
           coalesce(region, category, size, '') AS value, sum(sales)::bigint, sum(refunds)::bigint,
           count(DISTINCT merchant_no)
    FROM placed GROUP BY GROUPING SETS ((region), (category), (size), ())
""")
_BY_GROUP = text(f"""
    WITH traded AS ({_TRADE})
    SELECT g.group_code, sum(sales)::bigint, sum(refunds)::bigint, count(DISTINCT merchant_no)
    FROM traded JOIN merchant_group g USING (merchant_no)
    WHERE g.valid_from <= business_date AND (g.valid_to IS NULL OR business_date < g.valid_to)
    GROUP BY g.group_code
""")
_BY_CHANNEL = text(f"""
    SELECT coalesce(p.channel, ''), coalesce(sum(e.won) FILTER (WHERE e.credit = {_PAYABLE}), 0)::bigint,
           coalesce(sum(e.won) FILTER (WHERE e.debit = {_PAYABLE}), 0)::bigint,
           count(DISTINCT e.merchant_no)
    FROM entry e LEFT JOIN payment p ON p.bucket = e.bucket AND p.wallet_id = e.wallet_id AND p.seq = e.seq
        AND p.local_day BETWEEN CAST(:first AS date) - 366 AND CAST(:through AS date) + 2
    WHERE e.programme_no = :programme_no AND e.business_date BETWEEN :first AND :through
      AND {_PAYABLE} IN (e.debit, e.credit)
    GROUP BY 1
""")
_COUNTS = text(f"""
    SELECT (SELECT count(*) FROM member WHERE programme_no = :programme_no) AS members,
           (SELECT count(DISTINCT wallet_id) FROM entry WHERE programme_no = :programme_no
            AND business_date BETWEEN :first AND :through AND credit = {_PAYABLE}
            AND source = {Source.PAYMENT:d}) AS wallets,
           (SELECT count(*) FROM merchant WHERE programme_no = :programme_no AND opened <= :through
            AND (closed IS NULL OR closed > :through)) AS merchants
""")
_ISSUING = f"""
    sum(CASE WHEN debit IN ({Account.SAFEGUARDED:d}, {Account.FUNDER_DUE:d}) THEN won ELSE -won END)::bigint
    FROM {{table}} WHERE programme_no = :programme_no AND (
        (debit, credit) IN (({Account.SAFEGUARDED:d}, {Account.CARD_MONEY:d}),
                            ({Account.CARD_MONEY:d}, {Account.SAFEGUARDED:d}))
        OR source <> {Source.CORRECTION:d} AND (debit, credit) IN (
            ({Account.FUNDER_DUE:d}, {Account.GRANTS:d}), ({Account.GRANTS:d}, {Account.FUNDER_DUE:d}),
            ({Account.FUNDER_DUE:d}, {Account.COUPONS:d}), ({Account.COUPONS:d}, {Account.FUNDER_DUE:d}),
            ({Account.FUNDER_DUE:d}, {Account.POINTS:d}), ({Account.POINTS:d}, {Account.FUNDER_DUE:d})))
"""
_ISSUED = text(f"""
    SELECT business_date, {_ISSUING.format(table="entry")} AND business_date <= :through GROUP BY 1 ORDER BY 1
""")
# What the dates that have been archived came to in all.
_ISSUED_BEFORE = text(f"SELECT {_ISSUING.format(table='opening_entry')}")
_POT = text("""
    SELECT budget_no, sum(CASE WHEN debit = :due THEN won ELSE -won END)::bigint
    FROM entry WHERE programme_no = :programme_no AND business_date <= :through
      AND budget_no = ANY(:budgets) AND :due IN (debit, credit)
    GROUP BY 1
""")
_AWAY = text("""
    SELECT max(business_date) FROM archived_date
    WHERE programme_no = :programme_no AND business_date <= :through
""")
_NETS = text("""
    SELECT coalesce(sum(sales), 0)::bigint AS sales, coalesce(sum(refunds), 0)::bigint AS refunds,
           coalesce(sum(fee), 0)::bigint AS fee, coalesce(sum(vat), 0)::bigint AS vat,
           coalesce(sum(rebate), 0)::bigint AS rebate, coalesce(sum(rebate_vat), 0)::bigint AS rebate_vat,
           coalesce(sum(subsidy), 0)::bigint AS subsidy, coalesce(sum(reserved), 0)::bigint AS reserved,
           coalesce(sum(released), 0)::bigint AS released, coalesce(sum(rounding), 0)::bigint AS rounding,
           coalesce(sum(paid), 0)::bigint AS paid, max(business_date) AS settled_through
    FROM merchant_net WHERE programme_no = :programme_no AND business_date BETWEEN :first AND :through
""")
_STANDING = text("""
    SELECT coalesce(sum(carried_out) FILTER (WHERE carried_out < 0), 0)::bigint AS owed,
           count(*) FILTER (WHERE carried_out < 0) AS owing,
           coalesce(sum(carried_out) FILTER (WHERE carried_out > 0), 0)::bigint AS held,
           count(*) FILTER (WHERE carried_out > 0) AS holding, coalesce(sum(reserve), 0)::bigint AS reserve
    FROM merchant_net WHERE programme_no = :programme_no AND (business_date, cycle) = (
        SELECT business_date, cycle FROM settlement_step WHERE programme_no = :programme_no
        AND business_date <= :through AND step = 'pay_merchants' AND state = 'done'
        ORDER BY business_date DESC, cycle DESC LIMIT 1)
""")
_PREPAID = text(f"""
    SELECT f.funder_no, coalesce((
               SELECT sum(CASE WHEN credit = {Account.FUNDER_PREPAID:d} THEN won ELSE -won END)
               FROM house_entry h WHERE h.programme_no = f.programme_no AND h.funder_no = f.funder_no
               AND business_date <= :through AND {Account.FUNDER_PREPAID:d} IN (debit, credit)), 0)::bigint,
           (SELECT count(*) FROM funding_stop s WHERE s.programme_no = f.programme_no
            AND s.funder_no = f.funder_no AND business_date <= :through AND credited_by IS NULL),
           coalesce((SELECT sum(won) FROM funding_stop s WHERE s.programme_no = f.programme_no
            AND s.funder_no = f.funder_no AND business_date <= :through AND credited_by IS NULL), 0)::bigint
    FROM funder f WHERE f.programme_no = :programme_no ORDER BY f.funder_no
""")
_AMOUNTS = text("SELECT budget_no, month, amount FROM budget_month WHERE budget_no = ANY(:budgets)")
_BUDGETS = text("SELECT budget_no, code, funder_no FROM budget WHERE programme_no = :programme_no")

LOTS = {int(account): kind for kind, account in LOT_ACCOUNT.items()}


class Trade(msgspec.Struct, frozen=True):
    """Sales and refunds (won) of one value of a dimension, and how many merchants had any."""

    value: str
    sales: int
    refunds: int
    merchants: int


class Standing(msgspec.Struct, frozen=True):
    """A funder: left of what it has paid in ahead; dates and won of cashback that wait for its money."""

    funder: str
    prepaid: int
    stopped: int
    stopped_won: int


class City(msgspec.Struct, frozen=True):
    """All figures of a period of one programme, through `through`. `moved` is won and entries by (business
    date, source, debit, credit, funder_no, budget_no)."""

    period: Period
    through: date
    moved: dict[tuple[date, int, int, int, int, int], tuple[int, int]]
    by: dict[str, list[Trade]]
    members: int
    wallets: int
    merchants: int
    issued: dict[date, int]
    issued_before: int
    archived_through: date | None
    pots: dict[int, int]
    budgets: dict[tuple[str, int], int]
    amounts: dict[tuple[int, int], int]
    nets: dict[str, Any]
    standing: dict[str, Any]
    funders: list[Standing]

    def won(self, debit: Account, credit: Account, *, corrections: bool | None = None) -> int:
        """Won moved between two accounts; with or without corrections of cashback, or both (None)."""
        return sum(
            won
            for (_, source, one, other, *_), (won, _) in self.moved.items()
            if (one, other) == (debit, credit) and corrections in (None, source == Source.CORRECTION)
        )


def read_city(connection: Connection, facts: Facts, period: Period, until: date | None) -> City:
    """Read the figures of a period up to `until`, of closed dates. Raises UsageError where there are none,
    ControlMismatchError where entries have been archived or merchants' trade is not what wallets paid."""
    closed = closed_through(connection, facts.programme_no)
    through = min(one for one in (period.last, until, closed) if one is not None)
    if closed is None or through < period.first:
        raise UsageError(f"no date from {period.first} on is closed yet: the report counts closed dates only")
    at = {"programme_no": facts.programme_no, "first": period.first, "through": through}
    away = connection.execute(_AWAY, at).scalar()
    if away is not None and away >= period.first:
        raise ControlMismatchError(f"{away} has been archived: restore it first, or choose a later period")
    moved = {tuple(row[:6]): (row[6], row[7]) for row in connection.execute(_MOVED, at)}
    by = _trade(connection, at)
    counts = connection.execute(_COUNTS, at).one()
    budgets = {(row.code, row.funder_no): row.budget_no for row in connection.execute(_BUDGETS, at)}
    numbers = {**at, "budgets": list(budgets.values()), "due": int(Account.FUNDER_DUE)}
    return City(
        period=period,
        through=through,
        moved=moved,
        by=by,
        members=counts.members,
        wallets=counts.wallets,
        merchants=counts.merchants,
        issued={day: won for day, won in connection.execute(_ISSUED, at)},  # noqa: C416 (rows)
        issued_before=connection.execute(_ISSUED_BEFORE, at).scalar() or 0,
        archived_through=away,
        pots={number: won for number, won in connection.execute(_POT, numbers)},  # noqa: C416
        budgets=budgets,
        amounts={(row.budget_no, row.month): row.amount for row in connection.execute(_AMOUNTS, numbers)},
        nets=dict(connection.execute(_NETS, at).mappings().one()),
        standing=dict(connection.execute(_STANDING, at).mappings().one()),
        funders=[
            Standing(facts.funder_id[number], *rest)
            for number, *rest in connection.execute(_PREPAID, at)
            if number in facts.funder_id
        ],
    )


def _trade(connection: Connection, at: dict[str, Any]) -> dict[str, list[Trade]]:
    found: dict[str, list[Trade]] = defaultdict(list)
    for dimension, *row in connection.execute(_BY_FACT, at):
        found[dimension].append(Trade(*row))
    found["group"] = [Trade(*row) for row in connection.execute(_BY_GROUP, at)]
    found["channel"] = [Trade(*row) for row in connection.execute(_BY_CHANNEL, at)]
    for rows in found.values():
        rows.sort(key=lambda one: (one.refunds - one.sales, one.value))
    for dimension in ("region", "category", "size", "channel"):
        for name in ("sales", "refunds"):
            parts = sum(getattr(one, name) for one in found[dimension])
            whole = sum(getattr(one, name) for one in found["all"])
            if parts != whole:
                raise ControlMismatchError(
                    f"{name} by {dimension} come to {parts:,} won, in all they are {whole:,}: run dure-switch"
                    " proof"
                )
    return found
