"""What a lane promises beside right decisions: exactly once, no harm to others, the open date, recovery."""

import asyncio
from pathlib import Path

import msgspec
import psycopg
import pytest
from sqlalchemy import text

from switch.domain.payment import Kind, PaymentKey, bucket_of
from switch.domain.reasons import BY_NUMBER
from switch.domain.request import OriginalRef, PinCheck, Request
from switch.domain.wallet import Wallet
from switch.service.authorizer import Authorizer, BookingFailedError, BooksUnavailableError, Limits
from switch.service.batch import Answer
from switch.service.holder import ReferenceHolder
from switch.store.reference import load_reference
from tests.integration.authorizer.ground import Ground, ask
from tests.support.postgres import Server
from tests.unit.decide import world

TODAY = 20260629


def members(count: int, won: int = 100_000) -> list[Wallet]:
    return [world.wallet(world.charged(1, won), wallet_id=number) for number in range(1, count + 1)]


def purchase(wallet_id: int, stan: int, amount: int = 1_000, *, merchant: int = world.PLAIN) -> Request:
    return Request(
        key=PaymentKey(bucket_of(wallet_id), TODAY, 120_000, "T0000001", stan, Kind.PURCHASE),
        wallet_id=wallet_id,
        card_no=1,
        programme_no=world.PROGRAMME_NO,
        merchant_no=merchant,
        amount=amount,
        channel="pos",
        transmission="0629030000",
        rrn=f"{stan:012d}",
        approval=f"{stan:06d}",
        content=stan * 7 + amount,
        pin=PinCheck.NONE,
        expiry=None,
        original=None,
    )


def reversal(of: Request, stan: int) -> Request:
    return msgspec.structs.replace(
        of,
        key=PaymentKey(of.key.bucket, TODAY, 120_000, "T0000001", stan, Kind.REVERSAL),
        content=stan * 7,
        original=OriginalRef(of.key.stan, of.transmission, (of.key.kind,), "T0000001", TODAY),
    )


def why(answer: Answer) -> str:
    return BY_NUMBER[answer.stored.reason].name


async def test_twenty_at_once_through_two_programs_book_once(ground: Ground) -> None:
    ground.add(members(1))
    pair = [ground.authorizer(), ground.authorizer()]
    await asyncio.gather(*[one.start() for one in pair])
    request = purchase(1, 1)
    answers = await asyncio.gather(*[pair[n % 2].submit(request) for n in range(20)])
    await asyncio.gather(*[one.stop() for one in pair])
    assert len({msgspec.json.encode(answer.stored) for answer in answers}) == 1
    assert [answer.repeated for answer in answers].count(False) == 1
    assert ground.count() == 1
    assert ground.wallets()[1].lots[1].balance == 99_000


async def test_a_repeat_after_a_restart_gets_the_stored_answer(ground: Ground) -> None:
    ground.add(members(1))
    request = purchase(1, 1)
    told = []
    for _ in range(2):
        authorizer = ground.authorizer()
        await authorizer.start()
        told += await ask(authorizer, [request])
        await authorizer.stop()
    assert [answer.repeated for answer in told] == [False, True]
    assert told[0].stored == told[1].stored


async def test_the_same_key_for_another_card_of_the_bucket_differs_even_in_a_race(ground: Ground) -> None:
    other = next(n for n in range(2, 10_000) if bucket_of(n) == bucket_of(1))
    ground.add([*members(1), world.wallet(world.charged(1, 100_000), wallet_id=other)])
    pair = [ground.authorizer(), ground.authorizer()]
    await asyncio.gather(*[one.start() for one in pair])
    try:
        for stan in range(1, 21):
            one = purchase(1, stan)
            two = msgspec.structs.replace(one, wallet_id=other, content=one.content + 1)
            answers = await asyncio.gather(pair[0].submit(one), pair[1].submit(two))
            assert sorted(answer.differs for answer in answers) == [False, True]
    finally:
        await asyncio.gather(*[one.stop() for one in pair])
    assert ground.count() == 20
    ground.check_books()


async def test_a_poisoned_request_harms_no_other(ground: Ground) -> None:
    ground.add(members(10))
    authorizer = ground.authorizer(lanes=1)
    await authorizer.start()
    requests = [purchase(n % 10 + 1, n) for n in range(1, 50)]
    requests.insert(25, purchase(5, 900, merchant=404))  # a merchant that the reference data do not have
    requests.insert(30, purchase(777, 901))  # a wallet that is not there
    answers = await asyncio.gather(*[authorizer.submit(r) for r in requests], return_exceptions=True)
    assert [type(a) for a in answers if not isinstance(a, Answer)] == [BookingFailedError] * 2
    assert isinstance(answers[25], BookingFailedError)
    assert isinstance(answers[30], BookingFailedError)
    assert ground.count() == 49
    later = await ask(authorizer, [purchase(1, 950)])
    assert why(later[0]) == "approved"
    await authorizer.stop()
    ground.check_books()


async def test_a_payment_its_repeat_its_reversal_and_a_topup_in_one_batch(ground: Ground) -> None:
    ground.add(members(2, won=5_000))
    authorizer = ground.authorizer(lanes=1)
    await authorizer.start()
    topup = purchase(1, 1, 20_000)
    topup = msgspec.structs.replace(topup, key=msgspec.structs.replace(topup.key, kind=Kind.TOPUP))
    spend = purchase(1, 2, 24_000)
    early = purchase(2, 10)
    batch = [topup, spend, spend, reversal(spend, 3), reversal(early, 11), early, spend]
    answers = await ask(authorizer, batch)
    await authorizer.stop()
    assert [why(answer) for answer in answers] == [
        *("approved", "approved", "approved", "approved"),
        *("acknowledged", "reversed_before", "approved"),
    ]
    wallets = ground.wallets()
    assert {no: lot.balance for no, lot in wallets[1].lots.items()} == {1: 5_000, 2: 20_000}
    assert wallets[1].day_spent == 0
    assert wallets[2].lots[1].balance == 5_000
    ground.check_books()


async def test_a_date_that_is_being_closed_is_waited_for_and_the_next_one_used(ground: Ground) -> None:
    ground.add(members(20))
    authorizer = ground.authorizer()
    await authorizer.start()
    before = await ask(authorizer, [purchase(1, 1)])
    with ground.engine.connect() as closer:
        transaction = closer.begin()
        closer.execute(text(f"SELECT pg_advisory_xact_lock({world.PROGRAMME_NO}, {TODAY})"))
        waiting = [authorizer.submit(purchase(n, 100 + n)) for n in range(1, 21)]
        await asyncio.sleep(0.3)
        assert not any(future.done() for future in waiting)
        closer.execute(text("UPDATE programme SET closed_through = '2026-06-29'"))
        transaction.commit()
    after = await asyncio.gather(*waiting)
    await authorizer.stop()
    assert before[0].stored.business_day == TODAY
    assert {answer.stored.business_day for answer in after} == {20260630}
    assert {answer.stored.key.local_day for answer in after} == {TODAY}
    ground.check_books()


async def test_changed_reference_data_hold_from_the_next_batch_on(ground: Ground) -> None:
    ground.add(members(1))
    authorizer = ground.authorizer()
    await authorizer.start()
    first = await ask(authorizer, [purchase(1, 1)])
    ground.bump("UPDATE merchant SET closed = '2026-06-01' WHERE merchant_no = 1")
    second = await ask(authorizer, [purchase(1, 2)])
    ground.bump("UPDATE merchant SET closed = NULL WHERE merchant_no = 1")
    third = await ask(authorizer, [purchase(1, 3)])
    await authorizer.stop()
    assert [why(*a) for a in (first, second, third)] == ["approved", "merchant_closed", "approved"]


async def test_a_card_blocked_by_an_operator_is_refused_in_the_next_batch(ground: Ground) -> None:
    ground.add(members(1))
    authorizer = ground.authorizer()
    await authorizer.start()
    await ask(authorizer, [purchase(1, 1)])
    with ground.engine.begin() as connection:
        connection.execute(text("UPDATE card SET state = 'stolen' WHERE wallet_id = 1 AND card_no = 1"))
    (answer,) = await ask(authorizer, [purchase(1, 2)])
    await authorizer.stop()
    assert why(answer) == "card_stolen"


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_restarted_database_is_waited_for_and_nothing_is_booked_twice(
    private_server: Server, mode: str
) -> None:
    ground = Ground(private_server.migrated())
    ground.add(members(40, won=1_000_000))
    authorizer = ground.authorizer(batch_max=8, give_up_s=30)
    await authorizer.start()
    answers: list[Answer] = []
    stopped = asyncio.Event()

    async def shop(wallet_id: int) -> None:
        stan = wallet_id * 10_000
        while not stopped.is_set():
            stan += 1
            answers.append(await authorizer.submit(purchase(wallet_id, stan, 10)))

    shoppers = [asyncio.create_task(shop(n)) for n in range(1, 41)]
    for _ in range(2):
        await asyncio.sleep(0.25)
        reached = len(answers)
        await asyncio.to_thread(private_server.control, "restart", "-m", mode)
        async with asyncio.timeout(20):
            while len(answers) < reached + 80:  # noqa: ASYNC110 - the shoppers tell nobody
                await asyncio.sleep(0.02)
    stopped.set()
    await asyncio.gather(*shoppers)
    await authorizer.stop()
    stored = ground.stored()
    assert len({answer.stored.key for answer in answers}) == len(answers) == len(stored)
    assert all(stored[answer.stored.key] == answer.stored for answer in answers)
    ground.check_books()
    ground.database.dispose()


async def test_without_a_database_the_answer_is_unavailable_and_later_all_is_well(
    private_server: Server,
) -> None:
    ground = Ground(private_server.migrated())
    ground.add(members(1))
    authorizer = ground.authorizer(give_up_s=0.5)
    await authorizer.start()
    await asyncio.to_thread(private_server.control, "stop", "-m", "fast")
    with pytest.raises(BooksUnavailableError):
        await authorizer.submit(purchase(1, 1))
    await asyncio.to_thread(private_server.start)
    (answer,) = await ask(authorizer, [purchase(1, 1)])
    assert why(answer) == "approved"
    await authorizer.stop()
    ground.database.dispose()


async def test_a_full_queue_refuses_and_a_stopped_lane_too(ground: Ground) -> None:
    ground.add(members(1))
    authorizer = ground.authorizer(lanes=1)
    await authorizer.start()
    lane = authorizer._lanes[0]
    lane._limits = msgspec.structs.replace(lane._limits, queue_max=3)
    waiting = [authorizer.submit(purchase(1, n)) for n in range(1, 4)]
    with pytest.raises(BooksUnavailableError):
        authorizer.submit(purchase(1, 4))
    await authorizer.stop()
    assert [why(await future) for future in waiting] == ["approved"] * 3  # what was queued is finished
    with pytest.raises(BooksUnavailableError):
        authorizer.submit(purchase(1, 5))


async def test_whoever_asked_may_be_gone_before_the_answer(ground: Ground) -> None:
    ground.add(members(1))
    authorizer = ground.authorizer(lanes=1)
    await authorizer.start()
    gone, here = authorizer.submit(purchase(1, 1)), authorizer.submit(purchase(1, 2))
    gone.cancel()
    assert why(await here) == "approved"
    await authorizer.stop()
    assert ground.count() == 2


def test_the_booking_role_cannot_start_without_the_database(tmp_path: Path, ground: Ground) -> None:
    ground.database.conninfo = f"postgresql://dure_app@/none?host={tmp_path}"

    async def start() -> None:
        await ground.authorizer().start()

    with pytest.raises(psycopg.OperationalError):
        asyncio.run(start())


async def test_what_the_database_refuses_harms_no_other_even_on_a_new_connection(ground: Ground) -> None:
    ground.add(members(3))
    with ground.engine.begin() as connection:  # an entry stands where the payment's own is to go
        connection.execute(text("SELECT dure_ensure_day('2026-06-29')"))
        connection.execute(
            text("INSERT INTO entry VALUES (:bucket, '2026-06-29', 2, 2, 1, 1, 1, 101, 201, 5, 1, 0, 0)"),
            {"bucket": bucket_of(2)},
        )
    authorizer = ground.authorizer(lanes=1, give_up_s=1.0)
    await authorizer.start()
    requests = [purchase(1, 1), purchase(2, 2), purchase(3, 3)]
    answers = await asyncio.gather(*[authorizer.submit(r) for r in requests], return_exceptions=True)
    await authorizer.stop()
    assert isinstance(answers[1], BookingFailedError)
    assert [why(answer) for answer in answers if isinstance(answer, Answer)] == ["approved", "approved"]


async def test_a_batch_left_to_itself_that_commits_after_all_is_booked_once(ground: Ground) -> None:
    """Its COMMIT is on the way when the lane gives it up; the retry waits for its wallet and finds it."""
    ground.add(members(1))
    holder = ReferenceHolder(ground.engine, load_reference(ground.engine))
    limits = Limits(batch_s=0.4, give_up_s=6.0)
    authorizer = Authorizer(ground.database.conninfo, holder, ground.now, lanes=1, limits=limits)
    await authorizer.start()
    first = await ask(authorizer, [purchase(1, 1)])
    entry = "SELECT bucket, business_date, wallet_id, seq + 1, line, programme_no, source, debit, credit, won"
    with ground.engine.connect() as connection:  # holds the place of the next payment's entries, for a while
        connection.execute(
            text(f"INSERT INTO entry {entry}, lot_no, merchant_no, funder_no FROM entry WHERE source = 1")
        )
        waiting = authorizer.submit(purchase(1, 2))
        await asyncio.sleep(1.5)
        connection.rollback()
    answer = await waiting
    await authorizer.stop()
    assert (why(first[0]), why(answer), answer.repeated) == ("approved", "approved", True)
    assert ground.count() == 2
    assert ground.wallets()[1].lots[1].balance == 98_000
    ground.check_books()


async def test_a_days_limit_counts_what_was_spent_on_it_however_late_it_is_asked(ground: Ground) -> None:
    """A terminal whose clock is fast must not free the member's limit of today."""

    def on(day: int, stan: int, amount: int) -> Request:
        one = purchase(1, stan, amount)
        key = msgspec.structs.replace(one.key, local_day=day)
        return msgspec.structs.replace(one, key=key)

    ground.add(members(1, 1_000_000))
    authorizer = ground.authorizer()
    await authorizer.start()
    told = []
    for request in (
        on(TODAY, 1, 200_000),
        on(TODAY + 1, 2, 1_000),  # the wallet's latest day is tomorrow from here on
        on(TODAY, 3, 70_001),  # the day's limit is 270,000 won
        on(TODAY, 4, 70_000),
        on(TODAY, 5, 1),
    ):
        told += await ask(authorizer, [request])
    await authorizer.stop()
    assert [why(answer) for answer in told] == [
        "approved", "approved", "over_day_limit", "approved", "over_day_limit",
    ]  # fmt: skip
