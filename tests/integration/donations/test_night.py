"""The night after gifts: the donation merchant gets every won, given by message or by command."""

from datetime import date
from pathlib import Path

import msgspec
from sqlalchemy import text

from switch.domain.payment import Kind
from switch.service.giving.cases import case_views
from switch.service.giving.receipts import write_receipts
from switch.store.reference import load_reference
from tests.integration.authorizer.ground import OPENING_DAY, Ground, ask
from tests.integration.authorizer.test_real_nights import settle
from tests.integration.donations.conftest import SHARE, message, reversal
from tests.integration.donations.test_gifts import case, give, opened
from tests.unit.decide import world

TUESDAY, WEDNESDAY = 20260630, 20260701
NETS = text(
    "SELECT business_date, merchant_no, sales, refunds, fee, paid, carried_out FROM merchant_net"
    " ORDER BY 1, 2"
)


async def test_gifts_reach_their_merchant_whole(ground: Ground, tmp_path: Path) -> None:
    with ground.database.engine(owner=True).begin() as connection:
        connection.execute(text("UPDATE merchant SET account_no = '110-222-333333', account_holder = '나눔'"))
        for number, policy in enumerate(ground_policies(ground), 1):
            connection.execute(
                text("UPDATE policy SET document = :document WHERE policy_no = :number"),
                {"document": policy, "number": number},
            )
    opened(ground, case("NIGHT"))
    lane = ground.authorizer(lanes=1)
    await lane.start()
    kept, undone = (message(Kind.GIFT, number, 12_000, case="NIGHT") for number in (1, 2))
    await ask(lane, [kept, undone, message(Kind.PURCHASE, 3, 20_000, merchant=world.PLAIN)])
    give(ground, "M4", "NIGHT", 5_000, "night-1", "charged")
    ground.set_day(TUESDAY)
    settle(ground, tmp_path, OPENING_DAY)
    settle(ground, tmp_path, 20260629)
    await ask(lane, [reversal(undone)])  # a day later: its merchant gives it back
    await lane.stop()
    ground.set_day(WEDNESDAY)
    settle(ground, tmp_path, TUESDAY)
    with ground.engine.connect() as connection:
        nets = [tuple(row) for row in connection.execute(NETS)]
    monday, tuesday = date(2026, 6, 29), date(2026, 6, 30)
    assert nets == [
        (monday, world.PLAIN, 20_000, 0, 200, 19_800, 0),
        (monday, SHARE, 29_000, 0, 0, 29_000, 0),
        (tuesday, SHARE, 0, 12_000, 0, 0, -12_000),
    ]
    (one,) = case_views(ground.engine, "test", "NIGHT")
    assert (one.given, one.returned) == (17_000, 1)
    done = write_receipts(ground.engine, "test", monday, tuesday, "", tmp_path / "receipts.csv")
    assert (done.receipts, done.won, done.open) == (2, 17_000, 0)


def ground_policies(ground: Ground) -> list[str]:
    """The documents of the policies in force, as the settlement reads them."""
    reference = load_reference(ground.engine)
    return [msgspec.json.encode(policy).decode() for _, (_, policy) in sorted(reference.policies.items())]
