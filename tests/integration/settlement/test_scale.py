"""A large date is shared by sessions and judged case by case: the same faults, the same books."""

from collections.abc import Callable, Iterator
from datetime import date, datetime
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from settlement.domain.bankdays import CalendarFacts
from settlement.domain.credit import credit
from settlement.frame import Frame, Silent
from settlement.pipeline import run
from settlement.reference import Facts
from settlement.settings import Settings
from settlement.steps import credit_cashback, sessions
from settlement.steps.credit_wallets import credit_buckets
from settlement.steps.verify_exact import Range, doubted, unplain
from settlement.steps.verify_plain import Vouched, vouch
from settlement.store.runs import Run, RunKey
from switch.clock import open_clock
from switch.domain.calendar import SEOUL
from switch.domain.payment import BUCKETS, bucket_of
from switch.domain.wallet import Lot, LotKind
from switch.ledger.chart import Account
from switch.store.dayhash import day_digest
from tests.integration.settlement.books import Books

SettingsAt = Callable[..., Settings]
D = date(2026, 11, 20)
OPEN = date(2026, 11, 21)
NEXT = "2026-11-21T00:30:00+09:00"
EXPIRES = 20311130

TAMPERINGS = {
    "UPDATE payment SET cashback = cashback + 1 WHERE wallet_id = 7 AND seq = 2": "the rules give 5,000",
    "UPDATE entry SET funder_no = 13 WHERE funder_no = 12 AND wallet_id = 7 AND seq = 2": (
        "a funder's budget appears twice"
    ),
    "UPDATE entry SET funder_no = 14 WHERE funder_no = 12 AND wallet_id = 7 AND seq = 2": "entries by funder",
    "DELETE FROM entry WHERE funder_no = 12 AND wallet_id = 7 AND seq = 2": "entries by funder",
    "DELETE FROM entry WHERE funder_no > 0 AND wallet_id = 7 AND seq = 2": "entries by funder none",
    "INSERT INTO entry SELECT bucket, business_date, wallet_id, seq, 9, programme_no, source, debit, credit,"
    " 1, 0, 0, 14, 0 FROM entry WHERE funder_no = 12 AND wallet_id = 7 AND seq = 2": "entries by funder",
    "INSERT INTO entry SELECT bucket, business_date, wallet_id, 77, 1, programme_no, source, debit, credit,"
    " won, 0, 0, funder_no, 0 FROM entry WHERE funder_no = 12 AND wallet_id = 7 AND seq = 2": (
        "posting 77: entries of cashback without a payment"
    ),
    "UPDATE payment SET usage_before = usage_before + 1 WHERE wallet_id = 7 AND seq = 2": (
        "usage before it is 0"
    ),
    "UPDATE entry SET debit = credit, credit = debit WHERE funder_no = 12 AND wallet_id = 7 AND seq = 2": (
        "entries by funder"
    ),
    "UPDATE entry SET budget_no = 1 WHERE funder_no = 12 AND wallet_id = 7 AND seq = 2": "entries by funder",
    "UPDATE merchant_group SET valid_from = '2026-11-21'": "the rules give 1,000",
    "UPDATE payment SET detail = '{\"missed\": [[11, 0, 1]]}' WHERE wallet_id = 7 AND seq = 2": (
        "were not due"
    ),
    "UPDATE payment SET basis = -50000 WHERE wallet_id = 7 AND seq = 2": "cashback needs 0 won or more",
}
"""What somebody may do to plain purchases, and what the night says of it."""


@pytest.fixture
def _shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every date counts as a large one. (All other tests' dates are small: there one session does it all.)"""
    monkeypatch.setattr(sessions, "APART_FROM", 0)
    monkeypatch.setattr(credit_cashback, "APART_FROM", 0)


def _town(owner: Engine) -> Books:
    """Two wallets in the two halves of the buckets; plain purchases, one over a tier's end, and a refund."""
    books = Books(owner)
    shop, market = books.merchant(1), books.merchant(2, group="traditional_market")
    first, second = books.wallet(7, D), books.wallet(8, D)
    assert (bucket_of(7) < BUCKETS // 2) != (bucket_of(8) < BUCKETS // 2)
    books.buy(first, shop, 50_000, D)
    books.buy(first, shop, 270_000, D)
    books.buy(second, market, 10_000, D)
    books.refund(books.buy(second, shop, 20_000, D), 5_000, D)
    return books


@pytest.mark.usefixtures("_shared")
@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_what_differs_is_told_as_ever(
    owner: Engine, engine: Engine, settings_at: SettingsAt, tampering: str
) -> None:
    _town(owner)
    with owner.begin() as connection:
        assert connection.execute(text(tampering)).rowcount
    [programme] = run(engine, settings_at(NEXT)).programmes
    assert TAMPERINGS[tampering] in programme.problem
    with owner.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM entry WHERE source = 3")).scalar_one() == 0


@pytest.mark.usefixtures("_shared")
def test_sessions_apart_leave_the_same_books(owner: Engine, engine: Engine, settings_at: SettingsAt) -> None:
    _town(owner)
    [foreseen] = run(engine, settings_at(NEXT), dry_run=True).programmes
    [programme] = run(engine, settings_at(NEXT)).programmes
    assert (programme.problem, programme.day, programme.credit) == ("", foreseen.day, foreseen.credit)
    assert programme.day is not None
    with owner.connect() as connection:
        assert programme.day.entries == day_digest(connection, 1, D).entries
        lots = connection.execute(
            text("SELECT wallet_id, balance, expires FROM lot WHERE kind = 2 ORDER BY wallet_id")
        ).all()
        marks = connection.execute(text("SELECT count(*), min(credited_through) FROM credit_mark")).one()
    assert [tuple(row) for row in lots] == [(7, 5_000 + 25_000 + 1_400, EXPIRES), (8, 1_300 + 1_500, EXPIRES)]
    assert tuple(marks) == (BUCKETS, D)


@pytest.mark.usefixtures("_shared")
def test_a_session_that_fails_stops_the_credit_and_the_next_run_ends_it(
    owner: Engine, engine: Engine, settings_at: SettingsAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    _town(owner)

    def failing(frame: Frame, session: Connection, buckets: list[int], booked_on: date) -> None:
        if bucket_of(8) in buckets:
            raise RuntimeError("the machine burns")
        credit_buckets(frame, session, buckets, booked_on)

    with monkeypatch.context() as patch:
        patch.setattr(credit_cashback, "credit_buckets", failing)
        with pytest.raises(RuntimeError, match="burns"):
            run(engine, settings_at(NEXT))
    with owner.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM lot WHERE kind = 2")).scalar_one() <= 1
    [programme] = run(engine, settings_at(NEXT)).programmes
    assert programme.problem == ""
    assert programme.credit is not None
    assert programme.credit.credited == 31_400 + 2_800
    with owner.connect() as connection:
        assert connection.execute(text("SELECT sum(won) FROM entry WHERE source = 3")).scalar_one() == 34_200


@pytest.fixture
def books(owner: Engine) -> Books:
    """A programme with a member and a shop."""
    made = Books(owner)
    made.merchant(1)
    return made


@pytest.fixture
def frame(books: Books, engine: Engine, settings_at: SettingsAt) -> Iterator[Frame]:
    """A run of D as its steps see it."""
    with engine.connect() as connection:
        with connection.begin():
            facts = Facts(connection, books.no)
            connection.execute(text("SELECT dure_ensure_day(:day)"), {"day": OPEN})
        made = settings_at(NEXT)
        clock = open_clock("simulated", made.clock.file, simulation=True)
        of_day = Run(RunKey(books.no, D), datetime(2026, 11, 21, tzinfo=SEOUL), CalendarFacts("none", ()))
        yield Frame(connection, facts, of_day, made, clock, Silent())


def test_plain_purchases_are_vouched_for_and_nothing_else(owner: Engine, books: Books, frame: Frame) -> None:
    """A quick way that vouched for nothing would hide behind the exact one."""
    member = books.wallet(7, D)
    paid = [books.buy(member, 1, won, D) for won in (50_000, 290_000, 900_000)]
    books.refund(paid[0], 10_000, D)
    whole = Range(0, BUCKETS - 1)
    with frame.connection.begin():
        assert vouch(frame, frame.connection, whole) == Vouched(payments=4, months={202611})
        assert list(unplain(frame, frame.connection, whole)) == [None]
    with owner.begin() as connection:
        connection.execute(text("UPDATE payment SET cashback = cashback + 1 WHERE seq = 2"))
        connection.execute(text("DELETE FROM payment WHERE seq = 3"))
    with frame.connection.begin():
        seen = vouch(frame, frame.connection, whole)
        assert seen.suspects == {(1, "pos", 50_000, 5_001)}
        assert seen.orphans
        [fault] = doubted(frame, frame.connection, whole, seen.suspects)
        assert fault is not None
        assert "the rules give 5,000, recorded is 5,001" in fault


NUMBERS = count(1_000)
WALLET = st.tuples(
    st.integers(-3_000, 3_000).filter(bool),  # net
    st.sampled_from([0, 0, 0, 500, 5_000]),  # owed
    st.lists(
        st.tuples(st.integers(0, 2_000), st.sampled_from([EXPIRES, EXPIRES, 20301130, 20201130])), max_size=3
    ),
)


@given(wallets=st.lists(WALLET, min_size=1, max_size=6))
@settings(
    max_examples=25,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_sets_and_single_wallets_are_credited_alike(
    owner: Engine, frame: Frame, wallets: list[tuple[int, int, list[tuple[int, int]]]]
) -> None:
    numbers = [next(NUMBERS) for _ in wallets]
    nets = []
    with owner.begin() as connection:
        connection.execute(text("DELETE FROM credit_mark"))
        for number, (net, owed, lots) in zip(numbers, wallets, strict=True):
            where = {"bucket": bucket_of(number), "wallet": number}
            nets.append({**where, "net": net})
            connection.execute(
                text(
                    "INSERT INTO wallet (bucket, wallet_id, programme_no, points_on, seq, lot_seq,"
                    " receivable) VALUES (:bucket, :wallet, 1, true, 5, :lots, :owed)"
                ),
                {**where, "lots": len(lots), "owed": owed},
            )
            for lot_no, (balance, expires) in enumerate(lots, 1):
                connection.execute(
                    text(
                        "INSERT INTO lot VALUES"
                        " (:bucket, :wallet, :lot, 2, 0, :won, :won, 20260101, :expires)"
                    ),
                    {**where, "lot": lot_no, "won": balance, "expires": expires},
                )
    session = frame.connection
    with session.begin():
        session.execute(text("DROP TABLE IF EXISTS pg_temp.credit_net"))
        session.execute(
            text("CREATE TEMPORARY TABLE credit_net (bucket smallint, wallet_id bigint, net bigint)")
        )
        session.execute(text("INSERT INTO credit_net VALUES (:bucket, :wallet, :net)"), nets)
    credit_buckets(frame, session, sorted({row["bucket"] for row in nets}), OPEN)
    with owner.connect() as connection:
        for number, (net, owed, lots) in zip(numbers, wallets, strict=True):
            assert _stands(connection, number) == _wanted(net, owed, lots)


def _wanted(net: int, owed: int, lots: list[tuple[int, int]]) -> dict[str, Any]:
    """The wallet as `credit` leaves it."""
    held = {
        lot_no: Lot(lot_no, LotKind.POINTS, 0, won, won, 20260101, expires)
        for lot_no, (won, expires) in enumerate(lots, 1)
    }
    booked = credit(
        net, receivable=owed, lots=list(held.values()), lot_seq=len(lots), expires=EXPIRES, booked_on=20261121
    )
    for lot_no, won in booked.lot_changes:
        held[lot_no].balance += won
        held[lot_no].granted += max(won, 0)
    if booked.new_lot:
        held[booked.new_lot.lot_no] = booked.new_lot
    return {
        "wallet": (6, len(held), booked.receivable),
        "lots": [(n, one.balance, one.granted, one.opened, one.expires) for n, one in sorted(held.items())],
        "entries": [
            (6, line, int(one.debit), int(one.credit), one.won, one.lot_no)
            for line, one in enumerate(booked.entries)
        ],
    }


def _stands(connection: Connection, number: int) -> dict[str, Any]:
    where = {"wallet": number}

    def rows(query: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in connection.execute(text(query), where)]

    [wallet] = rows("SELECT seq, lot_seq, receivable FROM wallet WHERE wallet_id = :wallet")
    return {
        "wallet": wallet,
        "lots": rows(
            "SELECT lot_no, balance, granted, opened, expires FROM lot WHERE wallet_id = :wallet ORDER BY 1"
        ),
        "entries": rows(
            "SELECT seq, line, debit, credit, won, lot_no FROM entry WHERE wallet_id = :wallet ORDER BY line"
        ),
    }


def test_a_bucket_that_is_credited_is_left_alone(owner: Engine, frame: Frame) -> None:
    """Two sessions that both believe that they run the night meet at the bucket's mark."""
    where = {"bucket": bucket_of(7), "wallet": 7}
    with owner.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO wallet (bucket, wallet_id, programme_no, points_on)"
                " VALUES (:bucket, :wallet, 1, true)"
            ),
            where,
        )
    session = frame.connection
    with session.begin():
        session.execute(
            text(
                "CREATE TEMPORARY TABLE credit_net AS"
                " SELECT bucket, wallet_id, 100::bigint AS net FROM wallet"
            )
        )
    for _ in range(2):
        credit_buckets(frame, session, [bucket_of(7)], OPEN)
    with owner.connect() as connection:
        assert connection.execute(text("SELECT sum(balance), max(lot_no) FROM lot")).one() == (100, 1)
        found = connection.execute(text("SELECT debit, credit, won FROM entry")).all()
    assert [tuple(row) for row in found] == [(int(Account.CASHBACK_ACCRUED), int(Account.POINTS), 100)]


def test_batches_are_bounded_by_wallets_and_by_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credit_cashback, "WALLETS_AT_ONCE", 10)
    monkeypatch.setattr(credit_cashback, "BUCKETS_AT_ONCE", 3)
    work = [(0, 4), (1, 6), (2, 1), (3, 1), (4, 1), (5, 1), (6, 99), (7, 1)]
    assert list(credit_cashback._batches(work)) == [[0, 1], [2, 3, 4], [5], [6], [7]]
