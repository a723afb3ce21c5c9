"""The nightly credit of one wallet."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settlement.domain.credit import credit
from switch.domain.wallet import Lot, LotKind, points_expiry
from switch.ledger.chart import Account

EXPIRES = 20311130


def _lot(number: int, balance: int, expires: int = EXPIRES, funder_no: int = 0) -> Lot:
    return Lot(number, LotKind.POINTS, funder_no, balance, balance, 20261101, expires)


@pytest.mark.parametrize(
    ("day", "months", "expires"),
    [(20261120, 60, 20311130), (20261231, 2, 20270228), (20240131, 1, 20240229), (20261101, 12, 20271130)],
)
def test_points_end_with_a_month(day: int, months: int, expires: int) -> None:
    assert points_expiry(day, months) == expires


def test_points_of_one_month_share_a_lot() -> None:
    lots = [_lot(2, 5, 20311031), _lot(3, 7), _lot(4, 9, funder_no=1)]
    booked = credit(100, receivable=0, lots=lots, lot_seq=4, expires=EXPIRES, booked_on=20261121)
    assert booked.lot_changes == ((3, 100),)
    assert booked.new_lot is None


def test_a_new_month_opens_a_lot() -> None:
    booked = credit(
        100, receivable=0, lots=[_lot(2, 5, 20311031)], lot_seq=2, expires=EXPIRES, booked_on=20261121
    )
    assert booked.new_lot == Lot(3, LotKind.POINTS, 0, 100, 100, 20261121, EXPIRES)
    assert [(entry.credit, entry.lot_no) for entry in booked.entries] == [(Account.POINTS, 3)]


def test_a_debt_is_paid_first() -> None:
    booked = credit(100, receivable=30, lots=[], lot_seq=1, expires=EXPIRES, booked_on=20261121)
    assert [(entry.credit, entry.won) for entry in booked.entries] == [
        (Account.MEMBER_RECEIVABLE, 30),
        (Account.POINTS, 70),
    ]
    assert booked.receivable == 0
    all_of_it = credit(100, receivable=250, lots=[], lot_seq=1, expires=EXPIRES, booked_on=20261121)
    assert (all_of_it.receivable, all_of_it.new_lot) == (150, None)


def test_what_is_taken_comes_from_the_earliest_expiry_then_is_owed() -> None:
    lots = [_lot(2, 50, 0), _lot(3, 40, 20311130), _lot(4, 30, 20301130), _lot(5, 99, 20261120)]
    booked = credit(-100, receivable=7, lots=lots, lot_seq=5, expires=EXPIRES, booked_on=20261121)
    assert booked.lot_changes == ((4, -30), (3, -40), (2, -30))
    assert booked.receivable == 7
    owing = credit(-150, receivable=7, lots=lots, lot_seq=5, expires=EXPIRES, booked_on=20261121)
    assert owing.receivable == 37
    assert owing.entries[-1].debit == Account.MEMBER_RECEIVABLE


def test_nothing_is_no_posting() -> None:
    with pytest.raises(ValueError, match="nothing to book"):
        credit(0, receivable=0, lots=[], lot_seq=1, expires=EXPIRES, booked_on=20261121)


@settings(print_blob=True)
@given(
    net=st.integers(-10_000, 10_000).filter(bool),
    receivable=st.integers(0, 5_000),
    balances=st.lists(st.integers(0, 4_000), max_size=4),
)
def test_a_credit_moves_exactly_its_net(net: int, receivable: int, balances: list[int]) -> None:
    lots = [_lot(number, balance, 20300131 + number) for number, balance in enumerate(balances, 2)]
    booked = credit(net, receivable=receivable, lots=lots, lot_seq=9, expires=EXPIRES, booked_on=20261121)
    out = sum(entry.won for entry in booked.entries if entry.debit == Account.CASHBACK_ACCRUED)
    back = sum(entry.won for entry in booked.entries if entry.credit == Account.CASHBACK_ACCRUED)
    assert out - back == net
    changes = dict(booked.lot_changes)
    new = booked.new_lot.balance if booked.new_lot else 0
    assert sum(changes.values()) + new + receivable - booked.receivable == net
    assert all(lot.balance + changes.get(lot.lot_no, 0) >= 0 for lot in lots)
    assert booked.receivable >= 0
