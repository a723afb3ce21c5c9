"""Coupons, grants and merchants that change, in the books: which accounts they move, and what is stored."""

from datetime import date

import msgspec
from msgspec.structs import replace
from sqlalchemy import insert

from switch.domain.decision import decode_detail
from switch.domain.payment import Kind, PaymentKey
from switch.domain.request import OriginalRef, Request, Stored
from switch.domain.wallet import Wallet
from switch.ledger.chart import Account
from switch.store.schema_facts import merchant_fact
from tests.integration.authorizer.ground import Ground, ask
from tests.integration.authorizer.test_lanes import TODAY, purchase, why
from tests.support.postgres import Database
from tests.unit.decide import world
from tests.unit.decide.sequences import LIMITS
from tests.unit.decide.test_spending import CAMPAIGNS, ORDER, PERCENT, RELIEF, SCHOOL, coupon, grant

LATER = 20260702


def _ground(database: Database) -> Ground:
    one = world.programme(LIMITS)
    policies = tuple(replace(version, spending_order=ORDER) for version in one.policies)
    # The numbers of campaigns are those of test_spending: they are numbered in this order.
    assert list(CAMPAIGNS) == [1, 2, 3, 4, 5]
    return Ground(database, replace(one, policies=policies, campaigns=tuple(CAMPAIGNS.values())))


def _members() -> list[Wallet]:
    first = world.wallet(
        coupon(1, PERCENT, expires=20260630),
        grant(2, SCHOOL, 50_000),
        grant(3, RELIEF, 2_000, funder=world.DISTRICT),
        world.charged(4, 50_000),
        wallet_id=1,
    )
    second = world.wallet(grant(1, SCHOOL, 50_000), world.charged(2, 3_000), wallet_id=2)
    return [first, second]


def _at(request: Request, day: int, stan: int, amount: int = 0) -> Request:
    key = PaymentKey(request.key.bucket, day, 120_000, "T0000001", stan, request.key.kind)
    return replace(request, key=key, content=stan, amount=amount or request.amount)


def _refund(of: Stored, day: int, stan: int, amount: int) -> Request:
    ref = OriginalRef(of.key.stan, of.transmission, (Kind.PURCHASE,), "T0000001", of.key.local_day)
    back = replace(purchase(of.wallet_id, stan, amount), original=ref)
    return replace(
        back, key=PaymentKey(of.key.bucket, day, 120_000, "T0000001", stan, Kind.REFUND), content=stan
    )


async def test_coupons_grants_and_dated_shops_in_the_books(database: Database) -> None:
    ground = _ground(database)
    ground.add(_members())
    with ground.engine.begin() as connection:
        connection.execute(
            insert(merchant_fact).values(
                merchant_no=world.PLAIN, valid_from=date(2026, 7, 1), category="bookshop", size="small",
                region="seo", head_region="seo",
            )
        )  # fmt: skip
    authorizer = ground.authorizer()
    await authorizer.start()
    try:
        bought, refused = await ask(authorizer, [purchase(1, 1, 20_000), purchase(2, 2, 4_000)])
        assert decode_detail(bought.stored.detail).uses == ((1, 6_000), (3, 2_000), (4, 12_000))
        assert decode_detail(bought.stored.detail).passed_over == ((SCHOOL, 0),)
        assert (why(refused), decode_detail(refused.stored.detail).rules) == (
            "merchant_restricted",
            ("campaign:school",),
        )
        assert _moved(ground) == {
            (Account.COUPONS, Account.MERCHANT_PAYABLE, 6_000),
            (Account.GRANTS, Account.MERCHANT_PAYABLE, 2_000),
            (Account.CARD_MONEY, Account.MERCHANT_PAYABLE, 12_000),
        }
        # The shop sells books from 1 July on; a payment that comes late is judged by its own day.
        ground.set_day(LATER)
        books, late = await ask(
            authorizer, [_at(purchase(2, 3), LATER, 3, 4_000), _at(purchase(2, 4), TODAY, 4, 4_000)]
        )
        assert (why(books), decode_detail(books.stored.detail).uses) == ("approved", ((1, 4_000),))
        assert why(late) == "merchant_restricted"
        # All of it comes back after the coupon has expired: its part goes to the funder.
        (back,) = await ask(authorizer, [_refund(bought.stored, LATER, 5, 20_000)])
        assert why(back) == "approved"
        wallets = ground.wallets()
        assert {lot.lot_no: lot.balance for lot in wallets[1].lots.values()} == {
            1: 3_000,
            2: 50_000,
            3: 2_000,
            4: 50_000,
        }
        assert decode_detail(back.stored.detail).treasury == ((world.CITY, 6_000),)
        assert wallets[1].usage_of(202606).spent == 0
        ground.check_books()
        again = ground.authorizer()
        await again.start()
        try:
            (told,) = await ask(again, [purchase(2, 2, 4_000)])
        finally:
            await again.stop()
        assert told.repeated
        assert msgspec.json.encode(told.stored) == msgspec.json.encode(refused.stored)
    finally:
        await authorizer.stop()


def _moved(ground: Ground) -> set[tuple[Account, Account, int]]:
    """Entries between lots and merchants."""
    lots = {Account.COUPONS, Account.GRANTS, Account.CARD_MONEY, Account.POINTS}
    return {
        (line.entry.debit, line.entry.credit, line.entry.won)
        for line in ground.lines()
        if line.entry.debit in lots
    }
