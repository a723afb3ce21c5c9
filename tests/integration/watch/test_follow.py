"""The watch on the stream: what it flags, once, whatever comes late or is killed; whom it stops."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from switch.domain.payment import Kind
from switch.service.watch import follow
from switch.service.watch.follow import NotLeadingError
from switch.service.watch.review import judge
from switch.service.watch.scan import scan
from switch.store.watch_stops import Stopped, stops_of
from tests.integration.watch.beat import TODAY, Beat
from tests.unit.decide import world

MARKET = world.MARKET


async def test_what_the_stream_finds_is_written_once_with_its_payments(beat: Beat) -> None:
    watch = beat.follower()
    await beat.pay(beat.payment(1, 200_000, 115_950), beat.payment(2, 299_999, 115_951))
    assert watch.look() == 2
    assert beat.flags() == []
    await beat.pay(beat.payment(1, 100_000, 115_958, shop=MARKET))
    assert (watch.look(), watch.look()) == (1, 0)
    (flag,) = beat.flags()
    assert (flag["detector"], flag["wallet_id"], flag["state"], flag["payments"]) == ("much", 1, "open", 2)
    assert flag["figures"] == '{"won":300000,"count":2}'
    await beat.pay(beat.payment(1, 50_000, 115_959))
    watch.look()
    (flag,) = beat.flags()  # more of the same is the same flag
    assert (flag["figures"], flag["payments"]) == ('{"won":350000,"count":3}', 3)
    before = beat.written()
    watch.stop()
    again = beat.follower()  # killed and started: everything is read again, nothing is written again
    again.look()
    assert beat.written() == before
    beat.check_books()
    again.stop()


async def test_a_kill_between_any_two_steps_loses_and_doubles_nothing(
    beat: Beat, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = follow.write_hits
    for number, deed in enumerate(("before", "after", "commit")):
        watch = beat.follower()
        await beat.pay(beat.payment(number + 1, 400_000, 115_900))

        def killed(*arguments: object, deed: str = deed) -> object:
            if deed != "before":
                written(*arguments)  # type: ignore[arg-type]
            raise KeyboardInterrupt

        if deed != "commit":
            monkeypatch.setattr(follow, "write_hits", killed)
            with pytest.raises(KeyboardInterrupt):
                watch.look()  # the transaction goes with it
            monkeypatch.setattr(follow, "write_hits", written)
            assert len(beat.flags()) == number
        else:
            watch.look()
        watch.stop()
        second = beat.follower()
        second.look()
        assert [one["wallet_id"] for one in beat.flags()] == list(range(1, number + 2))
        assert [one["payments"] for one in beat.flags()] == [1] * (number + 1)
        second.stop()


async def test_what_comes_late_is_found_by_the_sweep_and_a_date_is_settled_after_it(beat: Beat) -> None:
    watch = beat.follower()
    beat.time += timedelta(minutes=10)
    watch.look()
    await beat.pay(beat.payment(3, 350_000, 113_000))  # printed half an hour before it came
    beat.time += timedelta(minutes=1)
    assert watch.look() == 0
    beat.time += timedelta(minutes=5)
    assert watch.look() == 1
    assert [one["wallet_id"] for one in beat.flags()] == [3]
    assert beat._rows("SELECT settled_through::text AS day FROM watch_mark") == [{"day": "2026-06-28"}]
    beat.set_day(20260630)
    watch.look()
    assert beat._rows("SELECT settled_through::text AS day FROM watch_mark") == [{"day": "2026-06-29"}]
    watch.stop()
    with beat.engine.begin() as connection:  # whatever was settled is history: only `scan` goes back there
        connection.execute(text("UPDATE watch_flag SET detector = 'other'"))
    second = beat.follower()
    second.look()
    assert len(beat.flags()) == 1
    yesterday = beat.time.date() - timedelta(days=1)
    assert scan(beat.engine, "test", yesterday, beat.time.date(), beat.time).opened == {"much": 1}
    second.stop()


async def test_one_watches_the_others_stand_by(beat: Beat) -> None:
    first = beat.follower()
    with pytest.raises(NotLeadingError):
        beat.follower()
    first.stop()
    beat.follower().stop()


async def test_rules_that_change_hold_from_the_next_look_on(beat: Beat) -> None:
    watch = beat.follower()
    await beat.pay(beat.payment(1, 250_000, 115_900))
    watch.look()
    assert beat.flags() == []
    beat.bump("""UPDATE programme SET document = replace(document, '"won"\\:300000', '"won"\\:250000')""")
    watch.look()
    assert [one["wallet_id"] for one in beat.flags()] == [1]
    watch.stop()


async def test_a_rule_that_declines_stops_the_member_until_its_day_or_until_it_is_cleared(beat: Beat) -> None:
    watch = beat.follower()
    three = [beat.payment(4, 30_000 + n, 115_900 + n) for n in range(3)]
    await beat.pay(*three)
    watch.look()
    ((stop,), (flag,)) = (beat.stops(), beat.flags())
    assert (stop["wallet_id"], stop["until_day"], flag["detector"]) == (4, 20260701, "again")
    declined, other, back, asked = await beat.told(
        [
            beat.payment(4, 1_000, 115_910),
            beat.payment(5, 1_000, 115_911),
            beat.payment(4, 30_000, 115_912, kind=Kind.REFUND, of=three[0]),
            beat.payment(4, 0, 115_913, kind=Kind.INQUIRY),
        ]
    )
    assert [one.stored.reason for one in (declined, other, back, asked)] == [80, 0, 0, 0]
    beat.set_day(20260701)
    assert await beat.pay(beat.payment(4, 1_000, 120_000, day=20260701)) == ["stopped_by_watch"]
    beat.set_day(20260702)
    assert await beat.pay(beat.payment(4, 1_000, 120_000, day=20260702)) == ["approved"]
    with beat.engine.connect() as connection:
        assert stops_of(connection, 1, 4, world.PLAIN, TODAY) == [Stopped(1, 1, 20260701)]
        assert stops_of(connection, 1, 4, world.PLAIN, 20260702) == []
    beat.set_day(TODAY)
    judge(beat.engine, "test", 1, "cleared", "kim", "a birthday", beat.time)
    assert await beat.pay(beat.payment(4, 1_000, 120_100)) == ["approved"]
    watch.look()  # a flag that was judged stays as it was judged
    assert [(one["state"], one["judged_by"]) for one in beat.flags()] == [("cleared", "kim")]
    beat.check_books()
    watch.stop()


async def test_a_shop_is_stopped_in_every_running_switch_at_once(beat: Beat) -> None:
    watch = beat.follower()
    authorizer = beat.authorizer()
    await authorizer.start()
    for number in range(9):
        one = beat.payment(number % 3 + 1, 1_000 * 4 ** (number // 3), 115_900 + number, shop=MARKET)
        await authorizer.submit(one)
    watch.look()
    answer = await authorizer.submit(beat.payment(3, 1_000, 115_930, shop=MARKET))
    elsewhere = await authorizer.submit(beat.payment(3, 1_000, 115_931))
    assert (answer.stored.reason, elsewhere.stored.reason) == (80, 0)
    (flag,) = beat.flags()
    assert (flag["detector"], flag["merchant_no"], flag["payments"]) == ("busy", MARKET, 9)
    judge(beat.engine, "test", 1, "cleared", "kim", "market day", beat.time)
    answer = await authorizer.submit(beat.payment(3, 1_000, 115_932, shop=MARKET))
    assert answer.stored.reason == 0
    await authorizer.stop()
    beat.check_books()
    watch.stop()


async def test_history_gives_the_same_flags_and_a_second_look_none(beat: Beat) -> None:
    watch = beat.follower()
    beat.time -= timedelta(hours=1)
    for member in range(1, 6):
        await beat.pay(*[beat.payment(member, 90_000 + n, 103_000 + member * 100 + n) for n in range(4)])
    beat.time += timedelta(hours=1)
    await beat.pay(beat.payment(6, 320_000, 115_930))
    watch.look()
    watch._sweep_at = 0
    watch.look()
    streamed = [(one["detector"], one["wallet_id"], one["merchant_no"]) for one in beat.flags()]
    today = beat.time.date()
    assert scan(beat.engine, "test", today, today, beat.time).opened == {}
    with beat.engine.begin() as connection:
        for table in ("watch_flag", "watch_stop"):
            connection.execute(text(f"UPDATE {table} SET programme_no = 9"))
    done = scan(beat.engine, "test", today, today, beat.time)
    assert sum(done.opened.values()) == len(streamed)
    found = [one for one in beat.flags() if one["programme_no"] == 1]
    assert sorted((f["detector"], f["wallet_id"], f["merchant_no"]) for f in found) == sorted(streamed)
    assert ("busy", 0, world.PLAIN) in streamed
    assert scan(beat.engine, "test", today, today, beat.time).opened == {}
    watch.stop()
