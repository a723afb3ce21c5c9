"""Refund of charged money and gifts as pure rules: the edges, and what holds for every wallet."""

from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switch.domain.acts import gift, refundable
from switch.domain.calendar import SEOUL
from switch.domain.programme import Policy
from switch.domain.wallet import Lot, LotKind, Wallet

TODAY = 20260615


def policy(days: int = 7, after: int = 600_000) -> Policy:
    return Policy(
        programme_id="town",
        version="1",
        effective_from=datetime(2026, 1, 1, tzinfo=SEOUL),
        funder_order=("city",),
        tiers=(),
        fee_classes=(),
        fee_default_ppm=0,
        withdraw_days=days,
        withdraw_after=after,
    )


def wallet(lots: list[Lot]) -> Wallet:
    numbered = {lot.lot_no: lot for lot in lots}
    empty = (0,) * 10
    return Wallet(1, 1, 1, True, False, *empty, 0, 1, lots=numbered, past={}, cards={})


@pytest.mark.parametrize(
    ("granted", "balance", "opened", "won", "to_spend"),
    [
        (10_000, 10_000, 20260608, 10_000, 0),  # the seventh day after
        (10_000, 10_000, 20260607, 0, 6_000),
        (10_000, 9_999, 20260615, 0, 5_999),  # used: the days help no more
        (10_000, 4_000, 20260101, 4_000, 0),
        (10_000, 4_001, 20260101, 0, 1),
        (9_999, 4_000, 20260101, 0, 1),  # 60 % of it are 5,999.4: 6,000 must be spent
        (9_999, 3_999, 20260101, 3_999, 0),
        (10_000, 0, 20260615, 0, 0),
    ],
)
def test_what_may_be_paid_back(granted: int, balance: int, opened: int, won: int, to_spend: int) -> None:
    lot = Lot(1, LotKind.CHARGED, 0, balance, granted, opened, 20310101)
    found = refundable(lot, 0, policy(), TODAY, given=False)
    assert (found.won, found.to_spend) == (won, to_spend)
    assert bool(found.why) == (not won)


def test_who_may_never_have_it_back() -> None:
    lot = Lot(1, LotKind.CHARGED, 0, 5_000, 5_000, TODAY, 20310101)
    assert "gift" in refundable(lot, 0, policy(), TODAY, given=True).why
    assert "held" in refundable(lot, 1, policy(), TODAY, given=False).why
    assert refundable(lot, 0, policy(), TODAY, given=False).until == 20260622
    lot.kind = LotKind.GRANT
    assert "not charged" in refundable(lot, 0, policy(), TODAY, given=False).why


LOTS = st.lists(
    st.builds(
        lambda kind, funder, won, expires: (kind, funder, won, expires),
        st.sampled_from([LotKind.CHARGED, LotKind.POINTS]),
        st.integers(0, 2),
        st.integers(0, 50),
        st.sampled_from([0, 20260614, 20260615, 20260616, 20310101]),
    ),
    max_size=6,
)


@given(LOTS, st.integers(1, 120), st.lists(st.integers(0, 30), min_size=6, max_size=6))
@settings(max_examples=150, print_blob=True)
def test_a_gift_takes_only_what_may_go_and_never_outlives_its_lots(
    lots: list[tuple[LotKind, int, int, int]], won: int, holding: list[int]
) -> None:
    made = [
        Lot(number, kind, funder, won_in, won_in, 20260101, expires)
        for number, (kind, funder, won_in, expires) in enumerate(lots, 1)
    ]
    held = {lot.lot_no: min(holding[lot.lot_no - 1], lot.balance) for lot in made}
    found = gift(wallet(made), LotKind.POINTS, won, TODAY, held)
    by_number = {lot.lot_no: lot for lot in made}
    assert sum(part for _, part in found.taken) + found.missing == won
    assert sum(part for _, part, _ in found.opened) == won - found.missing
    for lot_no, part in found.taken:
        lot = by_number[lot_no]
        assert lot.kind == LotKind.POINTS
        assert lot.valid_on(TODAY)
        assert 0 < part <= lot.balance - held[lot_no]
    for funder, part, expires in found.opened:
        sources = [by_number[number] for number, _ in found.taken if by_number[number].funder_no == funder]
        assert part == sum(taken for number, taken in found.taken if by_number[number].funder_no == funder)
        assert (expires or 99_999_999) == min(lot.expires or 99_999_999 for lot in sources)
    free = sum(
        lot.balance - held[lot.lot_no] for lot in made if lot.kind == LotKind.POINTS and lot.valid_on(TODAY)
    )
    assert found.missing == max(won - free, 0)
