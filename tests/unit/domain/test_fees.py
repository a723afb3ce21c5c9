import pytest

from switch.domain.fees import fee, fee_rate
from tests.unit.domain.samples import policy


def test_the_fee_is_floored_once_on_the_days_net() -> None:
    """Worked example 6, first half: per item the floors would give 6 + 19 + 50 = 75."""
    net = 4_500 + 12_900 + 33_350
    assert fee(net, 1_500) == 76
    assert net - fee(net, 1_500) == 50_674


def test_a_negative_net_gets_the_fee_back_and_is_carried() -> None:
    """Worked example 6, second half."""
    net = 30_000 - 200_000
    carried = net - fee(net, 9_000)
    assert carried == -168_470
    assert carried + 500_000 - fee(500_000, 9_000) == 327_030


def test_the_fee_of_an_earlier_months_cancel() -> None:
    """Worked example 4: at 1.00 % the next payout falls by 198,000."""
    assert -200_000 - fee(-200_000, 10_000) == -198_000


def test_a_negative_net_is_floored_in_size() -> None:
    assert fee(-999, 1_500) == -1
    assert fee(-666, 1_500) == 0


@pytest.mark.parametrize(
    ("annual_sales", "rate_ppm"),
    [
        (0, 1_500),
        (300_000_000, 1_500),
        (300_000_001, 7_500),
        (500_000_000, 7_500),
        (1_000_000_000, 9_000),
        (3_000_000_000, 11_500),
        (3_000_000_001, 15_000),
        (None, 15_000),
    ],
)
def test_the_class_by_annual_sales(annual_sales: int | None, rate_ppm: int) -> None:
    assert fee_rate(policy(), annual_sales) == rate_ppm
