"""Whole runs on a real PostgreSQL: what is booked, what is emitted, and what is refused."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from lxml import etree
from sqlalchemy import Engine, text

from settlement.domain.run import Step
from settlement.errors import ConfigurationError, UsageError
from settlement.pipeline import run
from settlement.settings import Settings
from settlement.store.runs import LOCK_SPACE
from switch.store.dayhash import GENESIS, chain, day_digest
from tests.integration.settlement.books import Books

SettingsAt = Callable[..., Settings]
D = date(2026, 11, 20)  # a Friday
NEXT = "2026-11-21T00:30:00+09:00"
N = "{urn:iso:std:iso:20022:tech:xsd:pain.001.001.09}"


def _one(engine: Engine, query: str) -> tuple[object, ...]:
    with engine.connect() as connection:
        return tuple(connection.execute(text(query)).one())


def _all(engine: Engine, query: str) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def _dump(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    tables = (
        "entry",
        "house_entry",
        "lot",
        "wallet",
        "merchant_net",
        "payout",
        "business_day",
        "credit_mark",
    )
    return {table: _all(engine, f"SELECT * FROM {table} AS row ORDER BY row::text") for table in tables} | {
        "step": _all(
            engine, "SELECT step, state, ended_at, outcome, booked_on FROM settlement_step ORDER BY 1"
        )
    }


def _bytes(outbox: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(outbox.iterdir())}


def test_a_day_from_payments_to_the_bank_file(owner: Engine, engine: Engine, settings_at: SettingsAt) -> None:
    books = Books(owner)
    shop, market = books.merchant(1), books.merchant(2, group="traditional_market")
    member = books.wallet(7, D)
    books.buy(member, shop, 270_000, D)
    books.buy(member, shop, 260_000, D)  # worked example 1: 18,800
    books.buy(books.wallet(8, D), market, 10_000, D)  # 10 % and the market's 3 %
    settings = settings_at(NEXT)

    report = run(engine, settings)

    [seoro] = report.programmes
    assert (report.exit_code, seoro.business_date, seoro.problem) == (0, D, "")
    assert seoro.credit is not None
    assert seoro.pay is not None
    assert seoro.emit is not None
    assert seoro.credit.credited == 27_000 + 18_800 + 1_300
    assert {share.funder: share.granted for share in seoro.credit.cashback} == {
        "national": 10_800 + 10_400 + 400,
        "city": 5_400 + 5_200 + 200 + 300,
        "district": 10_800 + 3_200 + 400,
    }
    fee_shop, fee_market = 530_000 * 1_500 // 1_000_000, 15
    assert seoro.pay.fees == fee_shop + fee_market
    assert seoro.pay.paid == 540_000 - fee_shop - fee_market
    assert _all(
        owner, "SELECT wallet_id, lot_no, balance, granted, opened, expires FROM lot WHERE kind = 2"
    ) == [
        (7, 2, 45_800, 45_800, 20261121, 20311130),
        (8, 2, 1_300, 1_300, 20261121, 20311130),
    ]
    assert _one(owner, "SELECT count(*), min(business_date) FROM entry WHERE source = 3") == (
        2,
        date(2026, 11, 21),
    )
    assert _one(owner, "SELECT count(*), min(credited_through) FROM credit_mark") == (1024, D)

    [file] = seoro.emit.files
    assert file.pay_on == date(2026, 11, 24)  # Friday, T+2 bank days
    root = etree.parse(str(settings.files.outbox / file.name)).getroot()
    amounts = [int(found.text) for found in root.iter(f"{N}InstdAmt")]
    assert amounts == [530_000 - fee_shop, 10_000 - fee_market]
    assert root.findtext(f".//{N}CreDtTm") == NEXT
    assert sorted(_bytes(settings.files.outbox)) == [file.name, f"{file.name}.done", f"{file.name}.sha256"]
    summed = (settings.files.outbox / f"{file.name}.sha256").read_text()
    assert summed == f"{file.sha256}  {file.name}\n"


def test_the_closed_date_is_chained_and_can_be_recomputed(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    books = Books(owner)
    books.buy(books.wallet(7, D), books.merchant(1), 50_000, D)
    run(engine, settings_at(NEXT))
    run(engine, settings_at("2026-11-22T00:30:00+09:00"))
    days = _all(owner, "SELECT business_date, previous_sha256, sha256, payments FROM business_day ORDER BY 1")
    assert [row[0] for row in days] == [D, date(2026, 11, 21)]
    with owner.connect() as connection:
        first = day_digest(connection, 1, D)
        second = day_digest(connection, 1, date(2026, 11, 21))
    assert days[0][1:3] == (GENESIS, chain(GENESIS, first))
    assert days[1][1:3] == (days[0][2], chain(str(days[0][2]), second))
    assert (days[0][3], second.entries) == (2, 3)  # top-up and purchase; a credit, a fee and a payout
    with owner.begin() as connection:
        connection.execute(text("UPDATE entry SET won = won + 1 WHERE line = 1 AND source = 1"))
        assert day_digest(connection, 1, D).sha256 != first.sha256


def test_running_twice_changes_nothing(owner: Engine, engine: Engine, settings_at: SettingsAt) -> None:
    books = Books(owner)
    books.buy(books.wallet(7, D), books.merchant(1), 50_000, D)
    first = run(engine, settings_at(NEXT))
    before, files = _dump(owner), _bytes(settings_at(NEXT).files.outbox)
    later = settings_at("2026-11-21T09:00:00+09:00")
    second = run(engine, later, D)
    assert (second.exit_code, second.programmes[0].already_done) == (0, True)
    assert second.programmes[0].emit == first.programmes[0].emit
    assert (_dump(owner), _bytes(later.files.outbox)) == (before, files)


@pytest.mark.parametrize(("day", "word"), [(date(2026, 11, 21), "open"), (date(2027, 1, 1), "future")])
def test_an_open_or_future_date_is_refused(
    owner: Engine, engine: Engine, settings_at: SettingsAt, day: date, word: str
) -> None:
    Books(owner)
    report = run(engine, settings_at(NEXT), day)
    assert report.exit_code == 2
    assert word in report.programmes[0].problem
    assert _one(owner, "SELECT count(*) FROM settlement_run") == (0,)


def test_an_earlier_date_comes_first(owner: Engine, engine: Engine, settings_at: SettingsAt) -> None:
    books = Books(owner)
    member, shop = books.wallet(7, date(2026, 11, 19)), books.merchant(1)
    books.buy(member, shop, 50_000, date(2026, 11, 19))
    report = run(engine, settings_at(NEXT), D)
    assert (report.exit_code, report.programmes[0].problem) == (
        2,
        "business date 2026-11-19 has postings and is not closed: settle 2026-11-19 first",
    )
    run(engine, settings_at(NEXT), date(2026, 11, 19), until=Step.CREDIT_CASHBACK)
    report = run(engine, settings_at(NEXT), D)
    assert "the run of 2026-11-19 is not finished" in report.programmes[0].problem
    assert run(engine, settings_at(NEXT), date(2026, 11, 19)).exit_code == 0
    assert run(engine, settings_at(NEXT), D).exit_code == 0


def test_nothing_is_booked_on_a_closed_date_while_it_closes(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    Books(owner)
    with owner.begin() as lane:  # a lane in the middle of a commit on D
        lane.execute(text("SELECT pg_advisory_xact_lock_shared(1, 20261120)"))
        with engine.connect() as connection, connection.begin():
            connection.execute(text("SET LOCAL lock_timeout = '100ms'"))
            with pytest.raises(Exception, match="lock timeout"):
                connection.execute(text("SELECT pg_advisory_xact_lock(1, 20261120)"))
    assert run(engine, settings_at(NEXT)).exit_code == 0


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE payment SET cashback = cashback + 1 WHERE kind = 1",
        "UPDATE entry SET won = won + 1 WHERE funder_no = 12",
        "UPDATE entry SET funder_no = 13 WHERE funder_no = 12 AND seq = 2",
        "UPDATE payment SET usage_before = usage_before + 300000 WHERE seq = 3",
        "UPDATE payment SET basis = basis + 1000 WHERE seq = 2",
        "UPDATE payment SET policy_no = 99 WHERE seq = 2",
        "UPDATE payment SET outcome = 2 WHERE seq = 3",
    ],
)
def test_tampered_cashback_stops_the_run_and_names_the_payment(
    owner: Engine, engine: Engine, settings_at: SettingsAt, tampering: str
) -> None:
    books = Books(owner)
    member, shop = books.wallet(7, D), books.merchant(1)
    books.buy(member, shop, 50_000, D)
    books.buy(member, shop, 30_000, D)
    with owner.begin() as connection:
        connection.execute(text(tampering))
    settings = settings_at(NEXT)
    report = run(engine, settings)
    assert report.exit_code == 4
    assert "wallet 7 posting" in report.programmes[0].problem
    assert not settings.files.outbox.exists()
    assert _one(owner, "SELECT count(*) FROM entry WHERE source = 3") == (0,)
    assert _all(owner, "SELECT step, state FROM settlement_step ORDER BY 1") == [
        ("close_day", "done"),
        ("credit_cashback", "refused"),
        ("expire_lots", "done"),
    ]
    assert run(engine, settings).exit_code == 4


def test_usage_is_checked_against_the_whole_month(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    books = Books(owner)
    before = date(2026, 11, 19)
    member, shop = books.wallet(7, before), books.merchant(1)
    books.buy(member, shop, 250_000, before)
    books.buy(member, shop, 100_000, D)
    assert run(engine, settings_at("2026-11-20T00:30:00+09:00")).exit_code == 0
    assert run(engine, settings_at(NEXT)).exit_code == 0
    books.buy(member, shop, 10_000, date(2026, 11, 21), usage_before=0)  # rated as if the month were young
    report = run(engine, settings_at("2026-11-22T00:30:00+09:00"))
    assert report.exit_code == 4
    assert "usage before it is 350,000, recorded 0" in report.programmes[0].problem


def test_a_negative_net_is_carried_over_days_and_never_paid(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    """Worked example 6, with a day without trade in between."""
    books = Books(owner)
    start = date(2026, 11, 15)
    shop = books.merchant(1, 900_000_000)  # 0.90 %
    member = books.wallet(7, start)
    paid = books.buy(member, shop, 200_000, start)
    run(engine, settings_at("2026-11-16T00:30:00+09:00"))
    books.buy(member, shop, 30_000, date(2026, 11, 16))
    books.refund(paid, 200_000, date(2026, 11, 16), credited=True)
    second = run(engine, settings_at("2026-11-17T00:30:00+09:00")).programmes[0]
    assert second.problem == ""
    assert second.pay is not None
    assert (second.pay.payouts, second.pay.carried, second.pay.fees) == (0, -168_470, -1_530)
    assert second.emit is not None
    assert second.emit.files == ()
    third = run(engine, settings_at("2026-11-18T00:30:00+09:00")).programmes[0]
    assert third.pay is not None
    assert (third.pay.payouts, third.pay.carried) == (0, -168_470)
    books.buy(member, shop, 500_000, date(2026, 11, 18))
    fourth = run(engine, settings_at("2026-11-19T00:30:00+09:00")).programmes[0]
    assert fourth.problem == ""
    assert fourth.pay is not None
    assert (fourth.pay.paid, fourth.pay.carried) == (327_030, 0)


def test_cashback_taken_back_before_it_was_credited_is_netted(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    books = Books(owner)
    member, shop = books.wallet(7, D), books.merchant(1)
    paid = books.buy(member, shop, 10_005, D)
    books.refund(paid, 5_009, D)  # rule 7: 1,000 granted, 501 taken back
    assert run(engine, settings_at(NEXT)).exit_code == 0
    assert _one(owner, "SELECT balance FROM lot WHERE kind = 2") == (499,)


def test_cashback_spent_before_it_is_taken_back_becomes_a_receivable_that_the_next_credit_pays(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    books = Books(owner)
    d1, d2 = date(2026, 11, 18), date(2026, 11, 19)
    member, shop = books.wallet(7, d1), books.merchant(1)
    paid = books.buy(member, shop, 100_000, d1)
    books.refund(paid, 100_000, d2)  # before the night had credited the 10,000
    run(engine, settings_at("2026-11-19T00:30:00+09:00"))
    books.buy(member, books.merchant(2), 10_000, d2, points=(2, 9_000))  # 9,000 of them are spent
    report = run(engine, settings_at("2026-11-20T00:30:00+09:00"))
    assert report.programmes[0].problem == ""
    # −10,000 and +100 on d2: 1,000 points are left to take, 8,900 are owed.
    assert _one(owner, "SELECT balance, (SELECT receivable FROM wallet) FROM lot WHERE kind = 2") == (
        0,
        8_900,
    )
    books.buy(member, shop, 100_000, D)
    report = run(engine, settings_at(NEXT))
    assert report.programmes[0].problem == ""
    assert _one(owner, "SELECT balance, (SELECT receivable FROM wallet) FROM lot WHERE kind = 2") == (
        1_100,
        0,
    )


def test_returns_are_recomputed_from_their_original_purchase(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    """A refund on the date, one after the credit, and a refund that was itself reversed; market and tiers."""
    books = Books(owner)
    earlier = date(2026, 11, 19)
    member, market = books.wallet(7, earlier), books.merchant(1, group="traditional_market")
    old = books.buy(member, market, 290_007, earlier)
    assert run(engine, settings_at("2026-11-20T00:30:00+09:00")).exit_code == 0
    split = books.buy(member, market, 250_003, D)  # over two boundaries
    first = books.refund(split, 33_331, D)
    books.undo_refund(split, first, 33_331, D)
    books.refund(split, 111_111, D)
    books.refund(old, 100_001, D, credited=True)
    report = run(engine, settings_at(NEXT))
    assert report.programmes[0].problem == ""


def test_a_return_that_a_wrong_clock_dates_before_the_months_first_stops_no_night(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    books = Books(owner)
    first = date(2026, 12, 1)
    member, shop = books.wallet(7, first), books.merchant(1)
    paid = books.buy(member, shop, 100_000, first)
    books.refund(paid, 100_000, first, local_day=date(2026, 11, 29))
    books.buy(member, shop, 10_000, first)
    assert run(engine, settings_at("2026-12-02T00:30:00+09:00")).programmes[0].problem == ""
    books.buy(member, shop, 20_000, date(2026, 12, 2))
    assert run(engine, settings_at("2026-12-03T00:30:00+09:00")).programmes[0].problem == ""


def test_a_tampered_return_is_found(owner: Engine, engine: Engine, settings_at: SettingsAt) -> None:
    books = Books(owner)
    paid = books.buy(books.wallet(7, D), books.merchant(1), 50_000, D)
    books.refund(paid, 10_000, D)
    with owner.begin() as connection:
        connection.execute(
            text("""UPDATE payment SET detail = replace(detail, '50000', '49000') WHERE kind = 2""")
        )
    report = run(engine, settings_at(NEXT))
    assert report.exit_code == 4
    assert "does not fit its original" in report.programmes[0].problem


def test_each_bank_day_has_its_file_and_holidays_move_it(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    """Worked example 7: 23 January 2025, T+2 over Seollal is the 31st."""
    books = Books(owner)
    day = date(2025, 1, 23)
    member = books.wallet(7, day)
    books.buy(member, books.merchant(1), 50_000, day)
    books.buy(member, books.merchant(2, payout_days=3), 50_000, day)
    settings = settings_at("2025-01-24T00:30:00+09:00", calendar={"extra_closed": ["2025-02-03"]})
    [seoro] = run(engine, settings).programmes
    assert seoro.emit is not None
    assert [file.pay_on for file in seoro.emit.files] == [date(2025, 1, 31), date(2025, 2, 4)]
    assert '"2025-01-27"' in str(_one(owner, "SELECT calendar FROM settlement_run")[0])


def test_a_date_that_is_settled_late_is_not_paid_on_a_day_that_is_over(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    books = Books(owner)
    books.buy(books.wallet(7, D), books.merchant(1), 10_000, D)  # a Friday: T+2 is Tuesday the 24th
    report = run(engine, settings_at("2026-11-28T10:00:00+09:00"), D).programmes[0]  # a Saturday
    assert report.problem == ""
    assert _all(owner, "SELECT pay_on FROM payout") == [(date(2026, 11, 30),)]


def test_a_merchant_without_account_is_held_and_paid_later(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    books = Books(owner)
    books.buy(books.wallet(7, D), books.merchant(1, account=""), 50_000, D)
    report = run(engine, settings_at(NEXT))
    assert report.exit_code == 3
    assert "M00001: 49,925 won held" in report.programmes[0].exceptions[0]
    with owner.begin() as connection:
        connection.execute(text("UPDATE merchant SET account_no = '1'"))
    report = run(engine, settings_at("2026-11-22T00:30:00+09:00"))
    assert report.exit_code == 0
    assert report.programmes[0].pay is not None
    assert report.programmes[0].pay.paid == 49_925


def test_dry_run_shows_who_gets_how_much_when_and_writes_nothing(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    books = Books(owner)
    books.buy(books.wallet(7, D), books.merchant(1), 50_000, D)
    before, settings = _dump(owner), settings_at(NEXT)
    report = run(engine, settings, dry_run=True)
    assert report.exit_code == 0
    [line] = report.programmes[0].preview
    assert (line.merchant, line.fee, line.paid, line.pay_on) == ("M00001", 75, 49_925, date(2026, 11, 24))
    assert _dump(owner) == before
    assert _one(owner, "SELECT count(*) FROM settlement_run") == (0,)
    assert not settings.files.outbox.exists()
    wet = run(engine, settings).programmes[0]
    assert (wet.day, wet.credit, wet.pay) == (
        report.programmes[0].day,
        report.programmes[0].credit,
        report.programmes[0].pay,
    )


@pytest.mark.parametrize(
    ("tampering", "what"),
    [
        ("UPDATE payout SET won = won - 1", "payouts against"),
        ("UPDATE house_entry SET won = won + 1 WHERE credit = 231", "payouts against"),
        ("UPDATE merchant_net SET sales = sales + 1, fee = fee + 1", "netting against"),
        ("UPDATE lot SET balance = balance + 1 WHERE kind = 1", "lots against"),
        ("DELETE FROM entry WHERE source = 3", "lots against"),
    ],
)
def test_books_that_do_not_hold_together_emit_nothing(
    owner: Engine, engine: Engine, settings_at: SettingsAt, tampering: str, what: str
) -> None:
    books = Books(owner)
    books.buy(books.wallet(7, D), books.merchant(1), 50_000, D)
    settings = settings_at(NEXT)
    assert run(engine, settings, until=Step.PAY_MERCHANTS).exit_code == 0
    with owner.begin() as connection:
        connection.execute(text(tampering))
    report = run(engine, settings)
    assert report.exit_code == 4
    assert what in report.programmes[0].problem
    assert list(settings.files.outbox.iterdir()) == []


def test_another_file_under_the_same_name_is_never_overwritten(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    books = Books(owner)
    books.buy(books.wallet(7, D), books.merchant(1), 50_000, D)
    settings = settings_at(NEXT)
    settings.files.outbox.mkdir()
    name = "seoro_20261120_01_000001_pay20261124.pain.001.xml"
    (settings.files.outbox / name).write_text("something else")
    report = run(engine, settings)
    assert report.exit_code == 4
    assert (settings.files.outbox / name).read_text() == "something else"
    (settings.files.outbox / name).unlink()
    assert run(engine, settings).exit_code == 0
    (settings.files.outbox / name).write_text("changed afterwards")
    assert run(engine, settings).exit_code == 4


def test_programmes_are_settled_apart(owner: Engine, engine: Engine, settings_at: SettingsAt) -> None:
    one, two = Books(owner, "seoro", 1), Books(owner, "ontong", 2)
    one.buy(one.wallet(7, D), one.merchant(1), 50_000, D, cashback=1)
    two.buy(two.wallet(8, D), two.merchant(2), 40_000, D)
    report = run(engine, settings_at(NEXT))
    assert {each.programme: each.code for each in report.programmes} == {"ontong": 0, "seoro": 4}
    assert report.exit_code == 4
    with pytest.raises(UsageError, match="nowhere"):
        run(engine, settings_at(NEXT), programme="nowhere")


def test_the_simulated_clock_needs_a_simulation(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    with owner.begin() as connection:
        connection.execute(text("UPDATE control SET simulation = false"))
    with pytest.raises(ConfigurationError, match="simulat"):
        run(engine, settings_at(NEXT))


def test_a_second_run_at_the_same_time_is_told_to_come_back(
    owner: Engine, engine: Engine, settings_at: SettingsAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    Books(owner)
    monkeypatch.setattr("settlement.store.runs.LOCK_WAIT_S", 1)
    with owner.connect() as other:
        other.execute(text("SELECT pg_advisory_lock(:space, 1)"), {"space": LOCK_SPACE})
        report = run(engine, settings_at(NEXT))
    assert report.exit_code == 75


def test_the_programs_role_cannot_rewrite_the_nights_records(owner: Engine, engine: Engine) -> None:
    for statement in (
        "UPDATE payout SET won = 1",
        "UPDATE merchant_net SET fee = 0",
        "DELETE FROM settlement_run",
    ):
        with engine.connect() as connection, pytest.raises(Exception, match="permission denied"):
            connection.execute(text(statement))
