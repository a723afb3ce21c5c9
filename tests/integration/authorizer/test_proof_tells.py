"""The proof against an intruder: each figure of a hold, a counter or a return, changed by hand, is told."""

import pytest
from sqlalchemy import text

from switch.domain.payment import Kind
from switch.service.authorizer import Authorizer
from switch.service.proofs import run
from tests.integration.authorizer.ground import Ground
from tests.integration.authorizer.test_holds import asked, authorizer, tell

__all__ = ["authorizer"]

DAMAGE = [
    ("holds_within_lots", "UPDATE hold SET uses = '[]'"),
    ("holds_equal_preauthorisations", "UPDATE hold SET expires = expires - 1"),
    ("holds_equal_preauthorisations", "UPDATE hold SET expires = expires + 1"),
    (
        "holds_equal_preauthorisations",
        "DELETE FROM hold WHERE wallet_id = 1; UPDATE wallet SET holds = 0 WHERE wallet_id = 1",
    ),
    ("holds_equal_preauthorisations", "UPDATE payment SET outcome = 7 WHERE kind = 6"),
    ("usage_equals_payments", "UPDATE wallet SET month_spent = month_spent - 1 WHERE month > 0"),
    ("usage_equals_payments", "UPDATE wallet SET month_topup = month_topup + 1 WHERE month > 0"),
    ("usage_equals_payments", "UPDATE wallet SET day_spent = 0 WHERE day > 0"),
    ("returns_equal_payments", "UPDATE payment SET returned = 0, outcome = 1 WHERE kind = 1 AND stan = 2"),
    ("returns_equal_payments", "UPDATE payment SET returned = 2001 WHERE kind = 1 AND returned > 0"),
    ("returns_equal_payments", "UPDATE payment SET returned = 700, outcome = 4 WHERE stan = 5"),
]


@pytest.mark.parametrize(("name", "damage"), DAMAGE, ids=[damage for _, damage in DAMAGE])
async def test_damage_is_told(ground: Ground, authorizer: Authorizer, name: str, damage: str) -> None:
    bought = asked(Kind.PURCHASE, 2, 30_000)
    back, again = asked(Kind.REFUND, 5, 700, bought), asked(Kind.REFUND, 6, 1_300, bought)
    undone = asked(Kind.REFUND, 7, 400, bought)
    told = await tell(
        authorizer,
        asked(Kind.PREAUTH, 1, 40_000),
        bought,
        *(back, again, undone),
        asked(Kind.REVERSAL, 8, 400, undone),
        asked(Kind.TOPUP, 9, 5_000),
    )
    assert told == ["approved"] * 7
    assert run(ground.engine).ok
    with ground.database.engine(owner=True).begin() as connection:
        connection.execute(text(damage))
    assert name in {check.name for check in run(ground.engine).checks if check.broken}
