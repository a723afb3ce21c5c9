"""Which rows of which table belong to one programme: the list that export, import and proof go by.

Tables are named, not imported: the night's program keeps tables of its own in the same database. A table
that stands neither here nor among those left out stops an export, so that a new one cannot be forgotten.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from sqlalchemy import Connection, text

from switch.service.admin import RefusedError

_OWN = "t.programme_no = {0}"
_BY_MERCHANT = "t.merchant_no IN (SELECT merchant_no FROM public.merchant WHERE programme_no = {0})"
_BY_WALLET = (
    "(t.bucket, t.wallet_id) IN (SELECT bucket, wallet_id FROM public.wallet WHERE programme_no = {0})"
)
_BY_TERMINAL = (
    "t.terminal_id IN (SELECT terminal_id FROM public.terminal JOIN public.merchant USING (merchant_no)"
    " WHERE programme_no = {0})"
)


def _by(column: str, table: str) -> str:
    return f"t.{column} IN (SELECT {column} FROM public.{table} WHERE programme_no = {{0}})"  # noqa: S608


class Part(msgspec.Struct, frozen=True):
    """A table, the condition for a programme's rows, and the day column that it is partitioned by."""

    table: str
    rows: str
    by_day: str = ""


PARTS: Final = (
    # In the order in which rows can be put back: what others name comes first.
    Part("programme", _OWN),
    Part("funder", _OWN),
    Part("policy", _OWN),
    Part("campaign", _OWN),
    Part("budget", _OWN),
    Part("budget_month", _by("budget_no", "budget")),
    Part("budget_slot", _by("budget_no", "budget")),
    Part("budget_change", _OWN),
    Part("merchant", _OWN),
    Part("merchant_sales", _BY_MERCHANT),
    Part("merchant_group", _BY_MERCHANT),
    Part("merchant_fact", _BY_MERCHANT),
    Part("terminal", _BY_MERCHANT),
    Part("terminal_state", _BY_TERMINAL),
    Part("terminal_config", _BY_TERMINAL),
    Part("key_warning", _BY_TERMINAL),
    Part("wallet", _OWN),
    Part("member", _OWN),
    Part("card", _BY_WALLET),
    Part("card_index", _BY_WALLET),
    Part("hotlist", _BY_WALLET),
    Part("lot", _BY_WALLET),
    Part("hold", _BY_WALLET),
    Part("usage_month", _BY_WALLET),
    Part("campaign_use", _BY_WALLET),
    Part("tombstone", _BY_WALLET),
    Part("payment", _OWN, "local_day"),
    Part("entry", _OWN, "business_date"),
    Part("house_entry", _OWN),
    Part("archived_date", _OWN),
    Part("opening_entry", _OWN),
    Part("opening_wallet", _BY_WALLET),
    Part("opening_usage", _BY_WALLET),
    Part("opening_budget", _by("budget_no", "budget")),
    Part("funding", _OWN),
    Part("topup_reference", _OWN),
    Part("act", _OWN),
    Part("expiry", _OWN),
    Part("expiry_mark", _OWN),
    Part("business_day", _OWN),
    Part("credit_mark", _OWN),
    Part("terminal_batch", _OWN),
    Part("terminal_batch_detail", _BY_TERMINAL),
    Part("terminal_batch_difference", _BY_TERMINAL),
    Part("outbox", _BY_TERMINAL),
    Part("donation_case", _OWN),
    Part("gift", _OWN),
    Part("donation_receipt", _OWN),
    Part("prize_draw", _OWN),
    Part("draw_ticket", _by("draw_no", "prize_draw")),
    Part("draw_result", _by("draw_no", "prize_draw")),
    Part("correction", _OWN),
    Part("correction_line", _by("correction_no", "correction")),
    Part("shadow", _OWN),
    Part("shadow_mark", _by("shadow_no", "shadow")),
    Part("shadow_result", _by("shadow_no", "shadow")),
    Part("shadow_day", _by("shadow_no", "shadow")),
    Part("shadow_pool", _by("shadow_no", "shadow")),
    Part("watch_flag", _OWN),
    Part("watch_evidence", _OWN),
    Part("watch_stop", _OWN),
    Part("watch_mark", _OWN),
    Part("settlement_run", _OWN),
    Part("settlement_step", _OWN),
    Part("merchant_net", _OWN),
    Part("payout", _OWN),
    Part("house_transfer", _OWN),
    Part("bank_file", _OWN),
    Part("bank_file_line", _OWN),
    Part("file_approval", _OWN),
    Part("file_delivery", _OWN),
    Part("payout_event", _OWN),
    Part("bank_statement", _OWN),
    Part("bank_entry", _OWN),
    Part("funding_stop", _OWN),
    Part("funding_night", _OWN),
    Part("funder_prepayment", _OWN),
    Part("merchant_hold", _OWN),
    Part("merchant_subsidy", _OWN),
    Part("fee_rebate", _OWN),
)

LEFT_OUT: Final[Mapping[str, str]] = {
    "control": "the installation's own: epoch, mark of a simulation, version of the vault",
    "alembic_version": "the schema's revision, which stands in the manifest",
    "archived_day": "the installation's files of old days, of all programmes together; their sums go along",
    "inbound_file": "the installation's log of what banks sent; what became of it stands with each payout",
    "operator": "people who work at this installation",
    "settlement_audit": "what they did, chained over all programmes; an auditor's bundle has its copy",
    "key_audit": "acts on the installation's keys, which stay with the installation that they were done in",
}


class Shape(msgspec.Struct, frozen=True):
    """A table as the database has it: (column, type) in order, and the columns of its key."""

    columns: tuple[tuple[str, str], ...]
    order: tuple[str, ...]


_TABLES = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
"""
_COLUMNS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY c.relname, a.attnum
"""
_KEYS = """
    SELECT c.relname, a.attname
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid,
         LATERAL unnest(i.indkey::int[]) WITH ORDINALITY AS k(attnum, place)
         JOIN pg_attribute a ON a.attnum = k.attnum
    WHERE i.indisprimary AND a.attrelid = c.oid AND c.relnamespace = 'public'::regnamespace
      AND NOT c.relispartition
    ORDER BY c.relname, k.place
"""


def strangers(connection: Connection) -> list[str]:
    """Tables that the list does not know, and tables of the list that the database does not have."""
    there = set(connection.scalars(text(_TABLES)))
    return sorted(there ^ ({part.table for part in PARTS} | LEFT_OUT.keys()))


def shapes(connection: Connection) -> dict[str, Shape]:
    """The tables of the list as the database has them. Raises RefusedError where the list lacks one."""
    unknown = strangers(connection)
    if unknown:
        raise RefusedError(
            f"the database and this program differ in the table {unknown[0]}: use the program of the"
            " database's version, or run `dure-switch migrate`"
        )
    columns: dict[str, list[tuple[str, str]]] = {}
    for table, name, kind in connection.execute(text(_COLUMNS)):
        columns.setdefault(table, []).append((name, kind))
    keys: dict[str, list[str]] = {}
    for table, name in connection.execute(text(_KEYS)):
        keys.setdefault(table, []).append(name)
    return {part.table: Shape(tuple(columns[part.table]), tuple(keys[part.table])) for part in PARTS}


def only(connection: Connection, programme_no: int) -> None:
    """Let every table's plain name mean one programme's rows of it, for the rest of the transaction.

    Temporary views stand before the tables in the search path; they go with the transaction if it is rolled
    back, and at the latest with `everything`. So the same statements of the proof judge one programme.
    """
    for part in PARTS:
        rows = part.rows.format(programme_no)
        connection.exec_driver_sql(
            f"CREATE TEMPORARY VIEW {part.table} AS SELECT t.* FROM public.{part.table} t WHERE {rows}"  # noqa: S608
        )


def everything(connection: Connection) -> None:
    """Take the views of `only` away again."""
    names = ", ".join(f"pg_temp.{part.table}" for part in PARTS)
    connection.exec_driver_sql(f"DROP VIEW {names}")
