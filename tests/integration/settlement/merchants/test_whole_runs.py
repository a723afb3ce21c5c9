"""Merchants' money through whole runs: previewed, paid, paid again by a later cycle, proved."""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

from sqlalchemy import Engine, text

from settlement.desk import holds, subsidies
from settlement.pipeline import run
from settlement.reference import Facts
from settlement.report import as_text
from settlement.settings import Settings
from switch.service.proofs import run as prove
from switch.service.proofs_bank import CHECKS
from tests.integration.settlement.books import Books
from tests.integration.settlement.merchants.nights import CHECKER, MAKER

D = date(2026, 11, 20)  # a Friday
NIGHT, NOON = "2026-11-21T00:30:00+09:00", "2026-11-21T12:00:00+09:00"
AT = datetime.fromisoformat(NOON)

SettingsAt = Callable[..., Settings]


def test_a_released_hold_is_paid_the_same_day_and_no_won_is_lost(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    books = Books(owner)
    held, kept = books.merchant(1), books.merchant(2)
    member = books.wallet(7, D)
    books.buy(member, held, 50_000, D)
    books.buy(member, kept, 100_000, D)
    with engine.connect() as connection, connection.begin():
        holds.place(connection, "M00001", "complaints", MAKER, AT)
        holds.place(connection, "M00002", "new shop", MAKER, AT, rate_ppm=100_000, max_won=1_000_000)
        gifts = [subsidies.Subsidy("g-1", "M00002", "city", 5_000, "market day")]
        subsidies.add(connection, Facts(connection, 1), Path("gifts.csv"), gifts, MAKER, AT)
        subsidies.approve(connection, Facts(connection, 1), 5_000, CHECKER, AT)

    dry = run(engine, settings_at(NIGHT), dry_run=True)
    page = as_text(dry)
    assert all(len(line) <= 120 for line in page.splitlines())
    assert "kept" in page
    assert "subsidy" in page
    assert "carries 49,925, payouts are held" in page
    assert "tax" not in page  # a column that is 0 for all

    night = run(engine, settings_at(NIGHT))
    [seoro] = night.programmes
    assert seoro.problem == ""
    assert seoro.pay is not None
    assert (seoro.pay.paid, seoro.pay.held, seoro.pay.reserved) == (
        100_000 - 150 + 5_000 - 10_000,
        49_925,
        10_000,
    )
    assert dry.programmes[0].pay == seoro.pay

    with engine.connect() as connection, connection.begin():
        holds.release(connection, "M00001", holds.HOLD, MAKER, AT)
        holds.release(connection, "M00002", holds.RESERVE, MAKER, AT)
    noon = run(engine, settings_at(NOON), D, again=True)
    [seoro] = noon.programmes
    assert seoro.problem == ""
    assert seoro.pay is not None
    assert (seoro.cycle, seoro.pay.sold, seoro.pay.paid, seoro.pay.released) == (2, 0, 59_925, 10_000)
    assert seoro.emit is not None
    assert sum(file.won for file in seoro.emit.files) == 59_925
    of_merchants = {name for name, _, _ in CHECKS}
    checks = [check for check in prove(owner).checks if check.name in of_merchants]
    assert len(checks) == len(of_merchants)
    assert [check.name for check in checks if check.broken] == []
    payable = "SELECT sum(CASE WHEN credit = 221 THEN won WHEN debit = 221 THEN -won ELSE 0 END) FROM"
    with owner.connect() as connection:
        sold = connection.execute(text(f"{payable} entry")).scalar_one()
        booked = connection.execute(text(f"{payable} house_entry")).scalar_one()
    assert sold + booked == 0


def test_a_holiday_between_two_runs_moves_the_file_into_a_new_one(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    books = Books(owner)
    books.buy(books.wallet(7, D), books.merchant(1), 50_000, D)
    first = run(engine, settings_at(NIGHT)).programmes[0]
    assert first.emit is not None
    [old] = first.emit.files
    assert old.pay_on == date(2026, 11, 24)
    later = settings_at("2026-11-22T00:30:00+09:00", calendar={"extra_closed": [date(2026, 11, 24)]})
    second = run(engine, later).programmes[0]
    assert second.problem == ""
    assert second.emit is not None
    [new] = second.emit.files
    assert (new.pay_on, new.won, new.name != old.name) == (date(2026, 11, 25), old.won, True)
    assert any("moved from 2026-11-24 to 2026-11-25" in line for line in second.exceptions)
    outbox = sorted(path.name for path in later.files.outbox.iterdir())
    assert outbox == [new.name, f"{new.name}.done", f"{new.name}.sha256"]
