"""An advice (0220) that bears the key of a declined payment (0200) is never lost in silence."""

from msgspec.structs import replace

from switch.domain.payment import Kind, Outcome, PaymentKey
from switch.domain.request import OriginalRef, PinCheck, Request
from tests.unit.decide import world
from tests.unit.decide.books import Books

DAY = 20260629


def asked(won: int) -> tuple[Books, Request]:
    books = Books({1: world.wallet(world.charged(1, 50_000))}, world.reference())
    key = PaymentKey(books.wallets[1].bucket, DAY, 120_000, "T1", 1, Kind.PURCHASE)
    return books, Request(
        key=key,
        wallet_id=1,
        card_no=1,
        programme_no=world.PROGRAMME_NO,
        merchant_no=world.PLAIN,
        amount=won,
        channel="pos",
        transmission="0629030000",
        rrn="1" * 12,
        approval="111111",
        content=1,
        pin=PinCheck.NONE,
        expiry=None,
        original=None,
    )


def test_the_refusal_is_no_answer_to_it() -> None:
    books, online = asked(60_000)
    assert books.request(online, DAY).stored.outcome == Outcome.DECLINED
    told = books.request(replace(online, advice=True), DAY)
    assert (told.repeated, told.differs) == (True, True)
    assert books.request(online, DAY).differs is False


def test_one_that_was_approved_is_told_once_more_and_booked_once() -> None:
    books, online = asked(30_000)
    assert books.request(online, DAY).stored.approved == 30_000
    told = books.request(replace(online, advice=True), DAY)
    assert (told.repeated, told.differs, told.stored.approved) == (True, False, 30_000)
    assert books.wallets[1].lots[1].balance == 20_000


def test_an_advice_that_its_reversal_stopped_gets_its_answer_again() -> None:
    books, online = asked(30_000)
    advice = replace(online, advice=True)
    back = replace(
        online,
        key=replace(online.key, stan=2, kind=Kind.REVERSAL),
        content=2,
        original=OriginalRef(1, online.transmission, (Kind.PURCHASE,), "T1", DAY),
    )
    books.request(back, DAY)
    assert books.request(advice, DAY).stored.outcome == Outcome.DECLINED
    assert books.request(advice, DAY).differs is False
