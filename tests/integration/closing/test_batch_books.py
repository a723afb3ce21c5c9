"""The books' side of a batch close alone: many at once, two processes, a database that goes away."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime

import psycopg
import pytest
from sqlalchemy import text

from switch.domain.payment import Kind
from switch.domain.terminal_batch import State, Totals
from switch.store import batches as batch_books
from switch.store.batches import Asked, BatchBooks, Detail
from switch.store.engine import conninfo
from switch.store.lookup import LookupUnavailableError
from tests.support.postgres import Database, Server, database, private_server

__all__ = ["database", "private_server"]

TERMINALS = 120
DAY = date(2026, 11, 18)
NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)
FILLED = """\
INSERT INTO payment (bucket, local_day, local_time, terminal_id, stan, kind, wallet_id, seq, card_no,
    merchant_no, programme_no, policy_no, business_date, transmission, content, amount, approved, outcome,
    reason, approval, rrn, channel, basis, usage_month, usage_before, cashback, ledger_after, available_after,
    returned, original_seq, detail, batch_no)
SELECT t % 7, :day, 120000 + p, 'T' || t, p, :kind, t, p, 1, 1, 1, 1, :day, '1118030000', 0, 1000, 1000, 1, 0,
    '000000', '', 'pos', 0, 202611, 0, 0, 0, 0, 0, 0, '', 1
FROM generate_series(1, :terminals) AS t, generate_series(1, :payments) AS p"""


def fill(database: Database, *, payments: int = 3) -> str:
    """TERMINALS with payments of 1,000 won each in batch 1; returns the address of the booking role."""
    with database.engine(owner=True).begin() as connection:
        connection.execute(text("SELECT dure_ensure_day(:day)"), {"day": DAY})
        connection.execute(
            text(
                "INSERT INTO terminal (terminal_id, merchant_no, state, tmk, tmk_kcv) "
                "SELECT 'T' || t, 1, 'active', '', '' FROM generate_series(1, :n) AS t"
            ),
            {"n": TERMINALS},
        )
        connection.execute(
            text(FILLED),
            {"day": DAY, "kind": int(Kind.PURCHASE), "terminals": TERMINALS, "payments": payments},
        )
    return conninfo(database.engine().url)


@pytest.fixture
async def books(database: Database) -> AsyncIterator[BatchBooks]:
    made = BatchBooks(fill(database))
    yield made
    await made.stop()


def asked(terminal: int, told: Totals, batch_no: int = 1) -> Asked:
    return Asked(
        terminal_id=f"T{terminal}",
        batch_no=batch_no,
        programme_no=1,
        merchant_no=1,
        told=told,
        business_day=20261118,
        at=NOW,
        since=date(2026, 10, 18),
    )


RIGHT = Totals(debits=3, debit_won=3_000)
WRONG = Totals(debits=2, debit_won=2_000)


async def test_an_evening_of_closes_at_once(books: BatchBooks, database: Database) -> None:
    closed = await asyncio.gather(*(books.close(asked(one, RIGHT)) for one in range(1, TERMINALS + 1)))
    assert {one.batch.state for one in closed} == {State.CLOSED}
    with database.engine().connect() as connection:
        told = connection.execute(
            text("SELECT count(*), sum(host_debit_won), min(batch_closed) FROM terminal_batch JOIN terminal "
                 "USING (terminal_id)")
        ).one()  # fmt: skip
        assert tuple(told) == (TERMINALS, TERMINALS * 3_000, 1)


async def test_one_terminal_closing_over_two_processes_closes_once(
    books: BatchBooks, database: Database
) -> None:
    other = BatchBooks(conninfo(database.engine().url))
    both = await asyncio.gather(
        *(one.close(asked(1, told)) for told in (RIGHT, WRONG) for one in (books, other) for _ in range(5))
    )
    # Whoever told the right totals first closed it; the wrong ones came before that or too late.
    ends = {(one.batch.state, one.differs) for one in both}
    assert (State.CLOSED, False) in ends
    assert ends <= {(State.CLOSED, False), (State.CLOSED, True), (State.OPEN_DIFFERS, False)}
    assert (await other.close(asked(1, RIGHT))).batch.state is State.CLOSED
    await other.stop()


def detail(stan: int, *, amount: int = 1_000, batch_no: int = 1) -> Detail:
    return Detail(
        terminal_id="T1",
        batch_no=batch_no,
        mti="0200",
        stan=stan,
        transmission="1118030000",
        processing="000000",
        local_mmdd=1118,
        local_time=120_000 + stan,
        amount=amount,
        rrn="",
        approval="",
    )


async def test_details_are_taken_once_in_any_order_and_to_a_bound(
    books: BatchBooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await books.add(detail(1), last=False) == "unasked"
    await books.close(asked(1, WRONG))
    told = await asyncio.gather(*(books.add(detail(1 + n % 2), last=n == 0) for n in range(12)))
    assert set(told) == {"kept"}
    assert await books.add(detail(1, amount=999), last=False) == "differs"
    monkeypatch.setattr(batch_books, "DETAILS_MAX", 2)
    assert await books.add(detail(9), last=False) == "unasked"
    closed = await books.close(asked(1, WRONG))
    assert (closed.batch.state, closed.batch.differences) == (State.CLOSED_DIFFERS, 1)
    assert await books.add(detail(9), last=False) == "closed"
    assert await books.add(detail(1), last=True) == "kept"  # a repeat of what was told in time


async def test_an_older_batch_never_lowers_the_mark(books: BatchBooks, database: Database) -> None:
    assert (await books.close(asked(2, Totals(), batch_no=7))).batch.is_closed
    assert (await books.close(asked(2, RIGHT))).batch.is_closed
    with database.engine().connect() as connection:
        query = text("SELECT batch_closed FROM terminal WHERE terminal_id = 'T2'")
        assert connection.execute(query).scalar_one() == 7


async def test_a_terminals_payments_are_found_without_reading_the_day(database: Database) -> None:
    address = fill(database, payments=50)
    async with await psycopg.AsyncConnection.connect(address) as connection:
        await connection.execute("SET enable_seqscan = off")
        plan = await connection.execute(
            "EXPLAIN " + batch_books._RECORDS, ("T1", DAY, 1, [1, 2, 7], int(Kind.REVERSAL))
        )
        shown = "\n".join(row[0] for row in await plan.fetchall())
    assert "terminal_id_local_time_stan_idx" in shown
    assert "Seq Scan" not in shown


async def test_a_database_that_goes_away_and_comes_back(private_server: Server) -> None:
    own = private_server.migrated()
    books = BatchBooks(fill(own))
    assert (await books.close(asked(1, RIGHT))).batch.is_closed
    await asyncio.to_thread(private_server.control, "stop", "-m", "immediate")
    with pytest.raises(LookupUnavailableError):
        await books.close(asked(2, RIGHT))
    await asyncio.to_thread(private_server.start)
    assert (await books.close(asked(2, RIGHT))).batch.is_closed
    assert (await books.close(asked(1, RIGHT))).batch.is_closed
    await books.stop()


async def test_a_database_that_hangs_delays_nobody_for_longer_than_the_bound(
    books: BatchBooks, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_books, "_TIMEOUT_S", 0.4)
    with database.engine().connect() as connection:
        connection.execute(text("SELECT 1 FROM terminal WHERE terminal_id = 'T3' FOR UPDATE"))
        loop = asyncio.get_running_loop()
        started = loop.time()
        told = await asyncio.gather(*(books.close(asked(3, RIGHT)) for _ in range(6)), return_exceptions=True)
        assert loop.time() - started < 2
        assert {type(one) for one in told} == {LookupUnavailableError}
        connection.rollback()
    assert (await books.close(asked(3, RIGHT))).batch.is_closed
