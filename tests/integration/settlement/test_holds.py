"""The night beside holds and voids: held points stay, voids are recomputed as refunds are."""

from collections.abc import Callable
from datetime import date

from sqlalchemy import Engine, text

from settlement.pipeline import run
from settlement.settings import Settings
from switch.domain.payment import Kind, bucket_of
from tests.integration.settlement.books import Books

SettingsAt = Callable[[str], Settings]
D1, D2 = date(2026, 11, 18), date(2026, 11, 19)


def test_points_that_a_hold_keeps_are_not_taken_back_at_night(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    books = Books(owner)
    member, shop = books.wallet(7, D1), books.merchant(1)
    paid = books.buy(member, shop, 100_000, D1)
    assert run(engine, settings_at("2026-11-19T00:30:00+09:00")).exit_code == 0  # 10,000 points
    with owner.begin() as connection:
        where = {"bucket": bucket_of(member), "wallet": member}
        connection.execute(
            text("INSERT INTO hold VALUES (:bucket, :wallet, 99, '2026-11-19', 20261126, 6500, :uses)"),
            {**where, "uses": "[[2, 2, 6500]]"},
        )
        connection.execute(
            text("UPDATE wallet SET holds = 1 WHERE bucket = :bucket AND wallet_id = :wallet"), where
        )
    books.refund(paid, 100_000, D2)  # 10,000 to be taken back, by the night
    report = run(engine, settings_at("2026-11-20T00:30:00+09:00"))
    assert report.programmes[0].problem == ""
    with owner.connect() as connection:
        left = connection.execute(
            text("SELECT balance, (SELECT receivable FROM wallet) FROM lot WHERE kind = 2")
        ).one()
    assert tuple(left) == (6_500, 6_500)


def test_voids_and_their_reversals_are_recomputed(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    books = Books(owner)
    member, market = books.wallet(7, D1), books.merchant(1, group="traditional_market")
    gone = books.buy(member, market, 250_003, D1)
    books.refund(gone, 250_003, D1, kind=Kind.VOID)
    back = books.buy(member, market, 333_331, D1)
    void = books.refund(back, 333_331, D1, kind=Kind.VOID)
    books.undo_refund(back, void, 333_331, D1)
    report = run(engine, settings_at("2026-11-19T00:30:00+09:00"))
    assert report.programmes[0].problem == ""


def test_a_tampered_void_is_found(owner: Engine, engine: Engine, settings_at: SettingsAt) -> None:
    books = Books(owner)
    gone = books.buy(books.wallet(7, D1), books.merchant(1), 50_000, D1)
    books.refund(gone, 50_000, D1, kind=Kind.VOID)
    with owner.begin() as connection:
        connection.execute(text("UPDATE payment SET cashback = cashback - 1 WHERE kind = 7"))
    report = run(engine, settings_at("2026-11-19T00:30:00+09:00"))
    assert "the rules give -5,000, recorded is -5,001" in report.programmes[0].problem
