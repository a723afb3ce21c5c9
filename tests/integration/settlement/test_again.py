"""A later cycle of a date that is over: refused before anything of it stands, and the next nights go on."""

from collections.abc import Callable
from datetime import date

from sqlalchemy import Engine, text

from settlement.pipeline import run
from settlement.settings import Settings
from tests.integration.settlement.books import Books

D, NEXT, THIRD = date(2026, 11, 18), date(2026, 11, 19), date(2026, 11, 20)
MORNING = {day: f"2026-11-{day.day + 1}T00:30:00+09:00" for day in (D, NEXT, THIRD)}


def test_a_cycle_of_a_date_before_the_last_one_is_refused_and_stops_no_later_night(
    owner: Engine, engine: Engine, settings_at: Callable[..., Settings]
) -> None:
    books = Books(owner)
    wallet, shop = books.wallet(7, D), books.merchant(1)
    for day in (D, NEXT):
        books.buy(wallet, shop, 10_000, day)
        assert run(engine, settings_at(MORNING[day]), day).programmes[0].code == 0
    settings = settings_at(MORNING[NEXT])
    for dry_run in (True, False):
        [told] = run(engine, settings, D, again=True, dry_run=dry_run).programmes
        assert (told.code, "pay again with the latest date" in told.problem) == (2, True), told
    with engine.connect() as connection:
        assert connection.execute(text("SELECT max(cycle) FROM settlement_run")).scalar() == 1
    books.buy(wallet, shop, 10_000, THIRD)
    [told] = run(engine, settings_at(MORNING[THIRD]), THIRD).programmes
    assert (told.code, told.problem) == (0, "")
