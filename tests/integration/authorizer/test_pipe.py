"""The lane's pipeline after what goes wrong: a statement that fails, a trip that is given up."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
from psycopg import AsyncConnection

from switch.store.arrays import int4s
from switch.store.pipe import Pipe, Statement
from tests.integration.authorizer.ground import Ground

SUM = "SELECT sum(k.n)::int FROM unnest(%s) AS k(n)"
COUNT = "SELECT count(*)::int FROM unnest(%s) AS k(n)"
FAULT = "SELECT 1 / (k.n - k.n) FROM unnest(%s) AS k(n)"
UNKNOWN = "SELECT n FROM no_such_table"


@pytest.fixture
async def pipe(ground: Ground) -> AsyncIterator[Pipe]:
    made = Pipe(await AsyncConnection.connect(ground.database.conninfo, autocommit=True))
    yield made
    await made.close()


@pytest.mark.parametrize("wrong", [(FAULT, (int4s([1]),)), (UNKNOWN, ())])
async def test_a_failed_statement_spoils_its_own_trip_only(pipe: Pipe, wrong: Statement) -> None:
    numbers = (int4s([1, 2, 3]),)
    for _ in range(3):
        with pytest.raises((psycopg.errors.DivisionByZero, psycopg.errors.UndefinedTable)):
            await pipe.trip((("BEGIN", ()), (SUM, numbers), wrong, (COUNT, numbers)))
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            await pipe.trip(((COUNT, numbers),))
        assert await pipe.trip((("ROLLBACK", ()), (COUNT, numbers), (SUM, numbers))) == [(), [(3,)], [(6,)]]
    assert not pipe.broken


async def test_more_than_the_sockets_hold_goes_through_both_ways(pipe: Pipe) -> None:
    many = (int4s(list(range(1_000_000))),)
    answers = await pipe.trip([("SELECT k.n FROM unnest(%s) AS k(n)", many), (COUNT, many)] * 3)
    assert [len(rows) for rows in answers] == [1_000_000, 1] * 3


async def test_a_connection_that_the_server_ends_is_told_and_known(pipe: Pipe, ground: Ground) -> None:
    ((pid,),) = (await pipe.trip((("SELECT pg_backend_pid()", ()),)))[0]
    waiting = asyncio.create_task(pipe.trip((("SELECT 1 FROM pg_sleep(20)", ()), (SUM, (int4s([1]),)))))
    await asyncio.sleep(0.2)
    with ground.engine.begin() as connection:
        connection.exec_driver_sql(f"SELECT pg_terminate_backend({pid})")
    with pytest.raises(psycopg.OperationalError):
        await asyncio.wait_for(waiting, 5)
    with pytest.raises(psycopg.OperationalError):
        await asyncio.wait_for(pipe.trip(((SUM, (int4s([1]),)),)), 5)
    assert pipe.broken
