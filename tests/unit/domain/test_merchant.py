from switch.domain.merchant import Merchant

SHOP = Merchant(
    merchant_no=7,
    merchant_id="M0000007",
    programme_id="seoro",
    name="서구떡집",
    category="bakery",
    region="incheon_seo",
    head_region="incheon_seo",
    annual_sales=((20250101, 250_000_000), (20250731, 600_000_000)),
    groups=(("traditional_market", 20250201, 20250701), ("social_enterprise", 20250601, 0)),
    opened_day=20250115,
    closed_day=20260101,
)


def test_groups_are_those_of_the_day() -> None:
    assert SHOP.groups_on(20250131) == frozenset()
    assert SHOP.groups_on(20250201) == {"traditional_market"}
    assert SHOP.groups_on(20250630) == {"traditional_market", "social_enterprise"}
    assert SHOP.groups_on(20250701) == {"social_enterprise"}


def test_annual_sales_are_those_of_the_day_or_unknown() -> None:
    assert SHOP.annual_sales_on(20241231) is None
    assert SHOP.annual_sales_on(20250730) == 250_000_000
    assert SHOP.annual_sales_on(20250731) == 600_000_000


def test_a_merchant_trades_from_opening_until_before_closing() -> None:
    assert [SHOP.is_open_on(day) for day in (20250114, 20250115, 20251231, 20260101)] == [
        False,
        True,
        True,
        False,
    ]
