"""The list of tables that a programme's export goes by is the whole schema, and its conditions work."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, text

from switch.service.admin import RefusedError
from switch.service.transfer.tables import LEFT_OUT, PARTS, everything, only, shapes, strangers
from tests.support.postgres import shared_server


@pytest.fixture
def connection() -> Iterator[Connection]:
    database = shared_server().migrated()
    with database.engine(owner=True).connect() as one, one.begin():
        yield one
    shared_server().drop(database)


def test_every_table_is_either_exported_or_left_out_for_a_reason(connection: Connection) -> None:
    assert strangers(connection) == []
    assert all(LEFT_OUT.values())
    assert len({part.table for part in PARTS} | LEFT_OUT.keys()) == len(PARTS) + len(LEFT_OUT)


def test_a_new_table_that_nobody_listed_stops_an_export(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE forgotten (programme_no smallint PRIMARY KEY)"))
    assert strangers(connection) == ["forgotten"]
    with pytest.raises(RefusedError, match="forgotten"):
        shapes(connection)


def test_every_table_has_a_key_to_be_ordered_by_and_no_number_of_the_databases_own(
    connection: Connection,
) -> None:
    assert all(shape.order for shape in shapes(connection).values())
    own = connection.scalars(
        text(
            "SELECT table_name FROM information_schema.columns WHERE table_schema = 'public'"
            " AND (is_identity = 'YES' OR column_default LIKE 'nextval%')"
        )
    )
    assert set(own) <= LEFT_OUT.keys(), "an import would have to set the sequence"


def test_the_booking_role_may_read_and_fill_every_table(connection: Connection) -> None:
    for part in PARTS:
        for right in ("SELECT", "INSERT"):
            query = text("SELECT has_table_privilege('dure_app', :table, :right)")
            assert connection.scalar(query, {"table": part.table, "right": right}), (part.table, right)


def test_a_table_with_a_programme_is_asked_for_it(connection: Connection) -> None:
    for part in PARTS:
        columns = {name for name, _ in shapes(connection)[part.table].columns}
        assert ("programme_no" in columns) == (part.rows == "t.programme_no = {0}"), part.table


def test_partitioned_tables_are_exported_by_day(connection: Connection) -> None:
    query = "SELECT relname FROM pg_class WHERE relkind = 'p' AND relnamespace = 'public'::regnamespace"
    assert set(connection.scalars(text(query))) == {part.table for part in PARTS if part.by_day}


def test_names_mean_one_programmes_rows_and_then_all_again(connection: Connection) -> None:
    for number in (1, 2):
        connection.execute(
            text("INSERT INTO wallet (bucket, wallet_id, programme_no, points_on) VALUES (:n, :n, :n, true)"),
            {"n": number},
        )
        connection.execute(
            text(
                "INSERT INTO lot (bucket, wallet_id, lot_no, kind, balance, granted, opened)"
                " VALUES (:n, :n, 1, 1, 100, 100, 20260101)"
            ),
            {"n": number},
        )
    only(connection, 2)
    for table in ("wallet", "lot"):
        assert connection.scalars(text(f"SELECT wallet_id FROM {table}")).all() == [2]
    for part in PARTS:
        connection.scalar(text(f"SELECT count(*) FROM {part.table}"))
    everything(connection)
    assert connection.scalar(text("SELECT count(*) FROM lot")) == 2
