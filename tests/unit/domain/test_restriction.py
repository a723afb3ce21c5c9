from typing import Any

import msgspec
import pytest

from switch.domain.merchant import Merchant
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
    annual_sales=((20250101, 3_000_000_000), (20250701, 3_000_000_001)),
    groups=(("traditional_market", 20250601, 0),),
)


def restriction(**conditions: Any) -> Restriction:
    kinds = conditions.pop("lot_kinds", ("charged", "points"))
    code = conditions.pop("code", "r")
    return Restriction(code=code, lot_kinds=kinds, reason_ko="사유", reason_en="reason", **conditions)


def refused(
    rule: Restriction, *, lot_kind: str = "charged", day: int = 20250301, channel: str = "pos", **change: Any
) -> bool:
    merchant = msgspec.structs.replace(SHOP, **change)
    return bool(refusals(policy(restrictions=(rule,)), merchant, lot_kind, day, channel))


@pytest.mark.parametrize(
    ("conditions", "hit", "miss"),
    [
        ({"categories": ("gambling", "nightlife")}, {"category": "nightlife"}, {"category": "bakery"}),
        ({"sizes": ("large", "ssm")}, {"size": "ssm"}, {"size": "small"}),
        ({"regions_not_in": ("incheon_seo",)}, {"region": "gimpo"}, {"region": "incheon_seo"}),
        ({"head_regions_not_in": ("incheon_seo",)}, {"head_region": "seoul"}, {"region": "gimpo"}),
        ({"sales_over": 3_000_000_000}, {"day": 20250701}, {"day": 20250630}),
        ({"channels": ("online",)}, {"channel": "online"}, {"channel": "mall"}),
        ({"groups": ("traditional_market",)}, {"day": 20250601}, {"day": 20250531}),
        (
            {"sizes": ("ssm",), "except_groups": ("traditional_market",)},
            {"size": "ssm", "day": 20250531},
            {"size": "ssm", "day": 20250601},
        ),
        (
            {"sizes": ("ssm",), "categories": ("supermarket",)},
            {"size": "ssm", "category": "supermarket"},
            {"size": "ssm", "category": "bakery"},
        ),
        (
            {"sizes": ("ssm",), "lot_kinds": ("charged",)},
            {"size": "ssm"},
            {"size": "ssm", "lot_kind": "points"},
        ),
    ],
)
def test_each_condition(conditions: dict[str, Any], hit: dict[str, Any], miss: dict[str, Any]) -> None:
    assert refused(restriction(**conditions), **hit)
    assert not refused(restriction(**conditions), **miss)


def test_a_merchant_without_known_sales_is_not_over_any() -> None:
    assert not refused(restriction(sales_over=1), annual_sales=())


def test_every_reason_is_named_in_the_policys_order() -> None:
    rules = (
        restriction(code="ssm", sizes=("ssm",)),
        restriction(code="gambling", categories=("gambling",)),
        restriction(code="outside", regions_not_in=("daejeon",)),
    )
    shop = msgspec.structs.replace(SHOP, size="ssm")
    found = refusals(policy(restrictions=rules), shop, "charged", 20250301, "pos")
    assert [rule.code for rule in found] == ["ssm", "outside"]


def test_without_restrictions_everything_is_allowed() -> None:
    assert refusals(policy(), SHOP, "charged", 20250301, "pos") == ()
