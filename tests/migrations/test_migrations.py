"""The migrations build what the tables of the programs say, on an empty database and on one with data."""

from collections.abc import Iterator
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, MetaData, create_engine, inspect, text
from sqlalchemy.exc import IntegrityError, ProgrammingError

import switch.store.schema_donations  # noqa: F401 - tables
from settlement.store import schema as settlement_tables
from settlement.store import schema_archive, schema_bank, schema_merchants, schema_people  # noqa: F401 - tables
from switch.store import (  # noqa: F401 - tables
    schema,
    schema_acts,
    schema_facts,
    schema_messages,
    schema_programme,
    schema_review,
    schema_shadow,
    schema_terminal,
    schema_watch,
)
from switch.store.migrate import mark, missing_revisions, upgrade
from tests.support.postgres import Database, Server, shared_server

INSERT_ONLY = (
    *("entry", "house_entry", "business_day", "tombstone", "funding", "card_index", "member"),
    *("terminal_batch_detail", "terminal_batch_difference", "key_audit", "act", "budget_change"),
)


@pytest.fixture
def server() -> Server:
    return shared_server()


@pytest.fixture
def empty(server: Server) -> Iterator[Database]:
    """A database without any revision."""
    own = server.create()
    yield own
    server.drop(own)


@pytest.fixture
def migrated(server: Server) -> Iterator[Database]:
    own = server.migrated()
    yield own
    server.drop(own)


def all_tables() -> MetaData:
    """The tables of both programs in one."""
    both = MetaData()
    seen = {id(schema.metadata): schema.metadata}
    for value in vars(settlement_tables).values():
        if isinstance(value, MetaData):
            seen[id(value)] = value
    for metadata in seen.values():
        for table in metadata.tables.values():
            if table.name not in both.tables:
                table.to_metadata(both)
    return both


def differences(engine: Engine) -> list[object]:
    """What the database has otherwise than the programs' tables; daily partitions are no tables of theirs."""
    partitions = ("payment_2", "entry_2")

    def wanted(name: str | None, kind: str, _: object) -> bool:
        return not (kind == "table" and name is not None and name.startswith(partitions))

    with engine.connect() as connection:
        options = {"include_name": wanted, "compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        found: list[object] = compare_metadata(context, all_tables())
        # Foreign keys are the database's own guard of the settlement: its program declares none.
        return [one for one in found if "alembic_version" not in str(one) and "remove_fk" not in str(one)]


def test_an_empty_database_becomes_what_the_programs_say(empty: Database) -> None:
    engine = empty.engine(owner=True)
    assert missing_revisions(engine) == [
        "0001",
        "0002",
        "0003",
        "0004",
        "0005",
        "0006",
        *("0007", "0008", "0009", "0010", "0011", "0012"),
        *("0013", "0014", "0015", "0016"),
    ]
    upgrade(engine)
    assert missing_revisions(engine) == []
    assert differences(engine) == []


def test_the_comparison_would_tell_a_column_that_is_missing_and_one_too_many(migrated: Database) -> None:
    engine = migrated.engine(owner=True)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE wallet DROP COLUMN receivable"))
        connection.execute(text("ALTER TABLE lot ADD COLUMN colour text"))
    told = str(differences(engine))
    assert "receivable" in told
    assert "colour" in told


def test_checks_of_the_tables_are_in_the_database_by_name(migrated: Database) -> None:
    inspector = inspect(migrated.engine(owner=True))
    for table in schema.metadata.tables.values():
        wanted = {str(one.name) for one in table.constraints if type(one).__name__ == "CheckConstraint"}
        assert {one["name"] for one in inspector.get_check_constraints(table.name)} == wanted, table.name


def test_a_second_upgrade_changes_nothing(migrated: Database) -> None:
    engine = migrated.engine(owner=True)
    upgrade(engine)
    mark(engine, simulation=False)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT reference_epoch, simulation FROM control")).all() == [
            (1, True)
        ]


def test_data_of_the_first_revision_come_through_to_the_newest(empty: Database) -> None:
    engine = empty.engine(owner=True)
    upgrade(engine, "0001")
    mark(engine, simulation=True)
    tables = ("programme", "wallet", "lot", "entry", "payment", "house_entry", "business_day", "credit_mark")
    with empty.engine().begin() as connection:
        for statement in DATA:
            connection.execute(text(statement))
    before = contents(engine, tables)
    assert all(before.values())
    upgrade(engine)
    after = contents(engine, tables)  # with columns that have come since, at the end of each row
    assert {
        name: [row[: len(old)] for row, old in zip(after[name], rows, strict=True)]
        for name, rows in before.items()
    } == before
    assert differences(engine) == []


def contents(engine: Engine, tables: tuple[str, ...]) -> dict[str, list[tuple[Any, ...]]]:
    with engine.connect() as connection:
        return {
            name: [tuple(row) for row in connection.execute(text(f"SELECT * FROM {name}"))] for name in tables
        }


@pytest.mark.parametrize("table", INSERT_ONLY)
@pytest.mark.parametrize("deed", ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}", "TRUNCATE {0}"])
def test_the_booking_role_cannot_rewrite_history(migrated: Database, table: str, deed: str) -> None:
    column = schema.metadata.tables[table].columns.keys()[-1]
    with pytest.raises(ProgrammingError, match="permission denied"), migrated.engine().begin() as connection:
        connection.execute(text(deed.format(table, column)))


def test_nor_in_a_days_partition_nor_drop_it_nor_make_it_their_own(migrated: Database) -> None:
    engine = migrated.engine()
    with engine.begin() as connection:
        connection.execute(text("SELECT dure_ensure_day('2026-06-29')"))
    for deed in (
        "UPDATE entry_20260629 SET won = 1",
        "DELETE FROM entry_20260629",
        "DROP TABLE entry_20260629",
        "DELETE FROM payment_20260629",
        "ALTER TABLE entry DETACH PARTITION entry_20260629",
        "DELETE FROM payment",
        "DELETE FROM lot",
        "CREATE TABLE mine (x int)",
    ):
        with pytest.raises(ProgrammingError), engine.begin() as connection:
            connection.execute(text(deed))


def test_the_database_refuses_what_the_code_would_never_write(migrated: Database) -> None:
    engine = create_engine(migrated.url)
    good = "(1, '2026-06-29', 1, 1, {line}, 1, 1, {debit}, {credit}, {won}, 1, 0, 0)"
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT dure_ensure_day('2026-06-29')"))
        for line, (debit, credit, won) in enumerate([(201, 201, 5), (101, 201, 0), (101, 201, -5)], 1):
            row = good.format(line=line, debit=debit, credit=credit, won=won)
            with pytest.raises(IntegrityError, match="entry_balanced"), engine.begin() as connection:
                connection.execute(text(f"INSERT INTO entry VALUES {row}"))
        with pytest.raises(IntegrityError, match="lot_balance"), engine.begin() as connection:
            connection.execute(text("INSERT INTO lot VALUES (1, 1, 1, 1, 0, -1, 5, 20260601, 0)"))
    finally:
        engine.dispose()


DATA = (
    "SELECT dure_ensure_day('2026-06-29')",
    "INSERT INTO programme VALUES (1, 'seoro', '서로', '{}', '', '2026-01-01T00:00+09', '2026-06-28')",
    "INSERT INTO wallet (bucket, wallet_id, programme_no, points_on, seq) VALUES (7, 1, 1, true, 2)",
    "INSERT INTO lot VALUES (7, 1, 1, 1, 0, 9000, 10000, 20260629, 20310629)",
    "INSERT INTO entry VALUES (7, '2026-06-29', 1, 1, 1, 1, 2, 101, 201, 10000, 1, 0, 0)",
    "INSERT INTO entry VALUES (7, '2026-06-29', 1, 2, 1, 1, 1, 201, 221, 1000, 1, 1, 0)",
    """INSERT INTO payment VALUES (7, '2026-06-29', 120000, 'T0000001', 1, 1, 1, 2, 1, 1, 1, 1, '2026-06-29',
        '0629030000', 1, 1000, 1000, 1, 0, '000001', '000000000001', 'pos', 1000, 202606, 0, 0, 9000, 9000,
        0, 0, '{}')""",
    "INSERT INTO house_entry VALUES (1, '2026-06-29', 'pay_merchants:2026-06-29:1', 1, 221, 301, 9, 1, 0)",
    "INSERT INTO business_day VALUES (1, '2026-06-28', '2026-06-29T00:10+09', 0, 0, 0, '', 'ab')",
    "INSERT INTO credit_mark VALUES (1, 7, '2026-06-28')",
)
