from msgspec.structs import replace

from switch.domain.campaign import Where
from switch.domain.merchant import Facts, Merchant
from switch.domain.programme import Restriction
from switch.domain.restriction import refusals
from tests.unit.domain.samples import policy

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


MOVED = replace(
    SHOP,
    facts=(
        Facts(20250401, "bakery", "large", "incheon_seo", "seoul"),
        Facts(20250901, "nightlife", "large", "incheon_namdong", "seoul"),
    ),
)


def test_a_merchant_is_on_each_day_what_it_was_then() -> None:
    def told(day: int) -> tuple[str, str, str, str]:
        on = MOVED.on(day)
        return on.category, on.size, on.region, on.head_region

    assert told(20250331) == ("bakery", "small", "incheon_seo", "incheon_seo")
    assert told(20250401) == ("bakery", "large", "incheon_seo", "seoul")
    assert told(20250831) == ("bakery", "large", "incheon_seo", "seoul")
    assert told(20250901) == ("nightlife", "large", "incheon_namdong", "seoul")
    assert MOVED.on(20250901).groups == MOVED.groups
    assert MOVED.on(20250901).on(20250401) == MOVED.on(20250401)
    assert SHOP.on(20250401) is SHOP


def test_rules_and_campaigns_go_by_what_a_merchant_is_on_the_payments_day() -> None:
    rule = Restriction(
        code="large", lot_kinds=("charged",), sizes=("large",), reason_ko="대형", reason_en="large"
    )
    rules = policy(restrictions=(rule,))
    assert refusals(rules, MOVED, "charged", 20250331, "pos") == ()
    assert refusals(rules, MOVED, "charged", 20250401, "pos") == (rule,)
    here = Where(regions=("incheon_seo",))
    assert here.covers(MOVED.on(20250831), (), "pos")
    assert not here.covers(MOVED.on(20250901), (), "pos")
