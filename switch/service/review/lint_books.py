"""What the linter of programme files asks the books: who bears a name today, and what last month cost."""

from datetime import date, datetime, timedelta

from sqlalchemy import Connection, text

from switch.domain.calendar import SEOUL
from switch.domain.lint_finding import Facts
from switch.ledger.chart import Account
from switch.store.reference_write import ProgrammeAt

_GROUPS = text("""
    SELECT g.group_code, count(*) FROM merchant_group g JOIN merchant m USING (merchant_no)
    WHERE m.programme_no = :programme_no AND g.valid_from <= :today
      AND (g.valid_to IS NULL OR g.valid_to > :today) GROUP BY 1
""")
_CATEGORIES = text("SELECT category, count(*) FROM merchant WHERE programme_no = :programme_no GROUP BY 1")
_TAGS = text("""
    SELECT place, count(*) FROM wallet CROSS JOIN generate_series(0, CAST(:last_place AS integer)) AS place
    WHERE programme_no = :programme_no AND (tags >> place) & 1 = 1 GROUP BY 1
""")
_BURNED = text(f"""
    SELECT coalesce(b.code, 'cashback') AS code, f.funder_id,
           sum(CASE WHEN e.debit = {Account.FUNDER_DUE:d} THEN e.won ELSE -e.won END)::bigint AS won
    FROM entry e JOIN funder f ON f.funder_no = e.funder_no
    LEFT JOIN budget b ON b.budget_no = e.budget_no AND e.budget_no > 0
    WHERE e.programme_no = :programme_no AND e.business_date BETWEEN :first AND :last
      AND ((e.debit = {Account.FUNDER_DUE:d} AND e.credit = {Account.CASHBACK_ACCRUED:d})
        OR (e.debit = {Account.CASHBACK_ACCRUED:d} AND e.credit = {Account.FUNDER_DUE:d}))
    GROUP BY 1, 2
""")  # noqa: S608 (numbers of our own enumeration)


def facts_of(connection: Connection, at: ProgrammeAt, now: datetime) -> Facts:
    """What the books say of a programme in force. Reads a month of entries: not for every minute."""
    today: date = now.astimezone(SEOUL).date()
    last = today.replace(day=1) - timedelta(days=1)
    of = {"programme_no": at.programme_no}
    tags = at.programme.member_tags
    bears = {row[0]: row[1] for row in connection.execute(_TAGS, {**of, "last_place": len(tags) - 1})}
    burned = connection.execute(_BURNED, {**of, "first": last.replace(day=1), "last": last})
    return Facts(
        groups={row[0]: row[1] for row in connection.execute(_GROUPS, {**of, "today": today})},
        tags={tag: bears.get(place, 0) for place, tag in enumerate(tags)},
        categories={row[0]: row[1] for row in connection.execute(_CATEGORIES, of)},
        burned={(row.code, row.funder_id): row.won for row in burned},
    )
