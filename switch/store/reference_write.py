"""Reference data as operators change it: programmes, policies, funders, merchants."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, delete, func, insert, select, text, update

from switch.domain.calendar import date_of_day, day_of_date
from switch.domain.programme import Programme
from switch.domain.programme_file import from_canonical
from switch.store.bulk import chunks, copy_rows
from switch.store.schema import funder, merchant, merchant_group, merchant_sales, policy, programme


class ProgrammeAt(msgspec.Struct, frozen=True):
    """A stored programme: its rules, its numbers, and the last business date that is closed."""

    programme_no: int
    sha256: str
    programme: Programme
    closed_through: date | None
    applied_at: datetime
    funder_numbers: dict[str, int]


class MerchantAt(msgspec.Struct, frozen=True):
    """A stored merchant: number, programme, plain columns by name, dated facts (days yyyymmdd)."""

    merchant_no: int
    programme_no: int
    facts: dict[str, Any]
    sales: dict[int, int]
    groups: tuple[tuple[str, int, int], ...]


MERCHANT_FACTS = (
    "name",
    "category",
    "region",
    "head_region",
    "size",
    "channels",
    "opened",
    "business_no",
    "bank_code",
    "account_no",
    "account_holder",
    "payout_days",
)


def find_programmes(connection: Connection) -> dict[str, ProgrammeAt]:
    """All programmes by id."""
    numbers: dict[int, dict[str, int]] = {}
    for row in connection.execute(select(funder.c.programme_no, funder.c.funder_id, funder.c.funder_no)):
        numbers.setdefault(row[0], {})[row[1]] = row[2]
    columns = programme.c
    rows = connection.execute(
        select(
            columns.programme_id,
            columns.programme_no,
            columns.sha256,
            columns.document,
            columns.closed_through,
            columns.applied_at,
        ).order_by(columns.programme_no)
    )
    return {
        row.programme_id: ProgrammeAt(
            row.programme_no,
            row.sha256,
            from_canonical(row.document.encode()),
            row.closed_through,
            row.applied_at,
            numbers.get(row.programme_no, {}),
        )
        for row in rows
    }


def funder_numbers(connection: Connection, programme_no: int) -> dict[str, int]:
    """funder_no by funder id, as they stand in this transaction."""
    rows = connection.execute(
        select(funder.c.funder_id, funder.c.funder_no).where(funder.c.programme_no == programme_no)
    )
    return {row[0]: row[1] for row in rows}


def next_number(connection: Connection, table: Table, column: str) -> int:
    """One more than the highest number in use; call under lock_administration."""
    return int(connection.scalar(select(func.coalesce(func.max(table.c[column]), 0))) or 0) + 1


def put_row(connection: Connection, table: Table, key: dict[str, Any], values: dict[str, Any]) -> None:
    """Change the row with this key, or add it."""
    matches = [table.c[name] == value for name, value in key.items()]
    if not connection.execute(update(table).where(*matches).values(**values)).rowcount:
        connection.execute(insert(table).values(**key, **values))


def policies_of(connection: Connection, programme_no: int) -> dict[str, tuple[int, str]]:
    """(policy_no, sha256) by version."""
    rows = connection.execute(
        select(policy.c.version, policy.c.policy_no, policy.c.sha256).where(
            policy.c.programme_no == programme_no
        )
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def policy_in_use(connection: Connection, policy_no: int) -> bool:
    """Whether some payment was judged by this policy. Looks through the payments: for rare changes only.

    Where dates have left the database since it took effect, payments may have left with them.
    """
    found = text(
        "SELECT EXISTS (SELECT FROM payment WHERE policy_no = :policy_no) OR EXISTS ("
        " SELECT FROM policy p JOIN archived_date a ON a.programme_no = p.programme_no"
        " AND a.business_date >= p.effective_from::date WHERE p.policy_no = :policy_no)"
    )
    return bool(connection.scalar(found, {"policy_no": policy_no}))


def payments_since(connection: Connection, programme_no: int, day: date) -> bool:
    """Whether a payment of the programme has this local day or a later one."""
    found = text(
        "SELECT EXISTS (SELECT FROM payment WHERE programme_no = :programme_no AND local_day >= :day)"
    )
    return bool(connection.scalar(found, {"programme_no": programme_no, "day": day}))


def find_merchant_numbers(connection: Connection, merchant_ids: Iterable[str]) -> dict[str, int]:
    """merchant_no by merchant id, for those that are known."""
    found: dict[str, int] = {}
    for chunk in chunks(merchant_ids):
        rows = connection.execute(
            select(merchant.c.merchant_id, merchant.c.merchant_no).where(
                merchant.c.merchant_id == func.any(chunk)
            )
        )
        found.update((row[0], row[1]) for row in rows)
    return found


def find_merchants(connection: Connection, merchant_ids: Iterable[str]) -> dict[str, MerchantAt]:
    """Stored merchants by merchant id, for those that are known."""
    found: dict[str, MerchantAt] = {}
    for chunk in chunks(merchant_ids):
        rows = connection.execute(select(merchant).where(merchant.c.merchant_id == func.any(chunk))).all()
        numbers = [row.merchant_no for row in rows]
        sales: dict[int, dict[int, int]] = {}
        for row in connection.execute(
            select(merchant_sales).where(merchant_sales.c.merchant_no == func.any(numbers))
        ):
            sales.setdefault(row.merchant_no, {})[day_of_date(row.valid_from)] = row.annual_sales
        groups: dict[int, list[tuple[str, int, int]]] = {}
        for row in connection.execute(
            select(merchant_group).where(merchant_group.c.merchant_no == func.any(numbers))
        ):
            end = day_of_date(row.valid_to) if row.valid_to else 0
            groups.setdefault(row.merchant_no, []).append((row.group_code, day_of_date(row.valid_from), end))
        for row in rows:
            facts = {name: row._mapping[name] for name in MERCHANT_FACTS}  # noqa: SLF001 - its public name
            facts["channels"] = tuple(facts["channels"])
            found[row.merchant_id] = MerchantAt(
                row.merchant_no,
                row.programme_no,
                facts,
                sales.get(row.merchant_no, {}),
                tuple(sorted(groups.get(row.merchant_no, []))),
            )
    return found


def add_merchants(connection: Connection, rows: Sequence[tuple[int, str, int, dict[str, Any]]]) -> None:
    """Store (merchant_no, merchant_id, programme_no, facts)."""
    copy_rows(
        connection,
        "merchant",
        ("merchant_no", "merchant_id", "programme_no", *MERCHANT_FACTS),
        (
            (number, merchant_id, programme_no, *(_plain(facts[name]) for name in MERCHANT_FACTS))
            for number, merchant_id, programme_no, facts in rows
        ),
    )


def change_merchant(connection: Connection, merchant_no: int, facts: dict[str, Any]) -> None:
    """Give a merchant new plain facts."""
    values = {name: _plain(value) for name, value in facts.items()}
    connection.execute(update(merchant).where(merchant.c.merchant_no == merchant_no).values(**values))


def put_sales(connection: Connection, rows: Sequence[tuple[int, int, int]]) -> None:
    """Store (merchant_no, valid_from yyyymmdd, annual sales), in place of what stood for that day."""
    for chunk in chunks(rows):
        # Arrays, not a list of pairs: of tens of thousands of pairs the server's parser runs out of stack.
        connection.execute(
            text(
                "DELETE FROM merchant_sales s"
                " USING unnest(CAST(:numbers AS integer[]), CAST(:days AS date[])) k(merchant_no, valid_from)"
                " WHERE s.merchant_no = k.merchant_no AND s.valid_from = k.valid_from"
            ),
            {"numbers": [row[0] for row in chunk], "days": [date_of_day(row[1]) for row in chunk]},
        )
    copy_rows(
        connection,
        "merchant_sales",
        ("merchant_no", "valid_from", "annual_sales"),
        ((number, date_of_day(day), won) for number, day, won in rows),
    )


def put_groups(connection: Connection, groups: dict[int, tuple[tuple[str, int, int], ...]]) -> None:
    """Store the dated groups of merchants, in place of all that stood for them."""
    for chunk in chunks(groups):
        connection.execute(delete(merchant_group).where(merchant_group.c.merchant_no == func.any(chunk)))
    copy_rows(
        connection,
        "merchant_group",
        ("merchant_no", "group_code", "valid_from", "valid_to"),
        (
            (number, code, date_of_day(start), date_of_day(end) if end else None)
            for number, dated in groups.items()
            for code, start, end in dated
        ),
    )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
