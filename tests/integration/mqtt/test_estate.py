"""Terminals' states, configurations, commands and key warnings; and what is none of the estate's."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import aiomqtt
import pytest
from sqlalchemy import text

from switch.service.admin import NotFoundError, RefusedError
from switch.service.estate import estate as listed
from switch.service.estate import send_command, set_config, set_soundbox
from terminal_sim.soundbox import Soundbox
from tests.support.estate import BOXES, Estate, ended, until


def client(estate: Estate, **more: object) -> aiomqtt.Client:
    return aiomqtt.Client("127.0.0.1", estate.broker.port, timeout=3, **more)  # type: ignore[arg-type]


def state(estate: Estate) -> tuple[bool, int] | None:
    with estate.ground.engine.connect() as connection:
        row = connection.execute(
            text(f"SELECT up, session FROM terminal_state WHERE terminal_id = '{BOXES[0]}'")
        ).first()
    return (row[0], row[1]) if row is not None else None


async def test_a_last_will_counts_for_its_own_session_only(estate: Estate) -> None:
    name = f"pos/v1/{BOXES[0]}/state"
    async with estate.publishing(), client(estate) as one:
        for payload, expected in (
            (b'{"up":1,"sess":7,"cfg":3,"hot":12}', (True, 7)),
            (b'{"up":1,"sess":8}', (True, 8)),
        ):
            await one.publish(name, payload, qos=1, retain=True)
            await until(lambda wanted=expected: state(estate) == wanted)  # type: ignore[misc]
        await one.publish(name, b'{"up":0,"sess":7}', qos=1)
        await one.publish(f"pos/v1/{BOXES[1]}/state", b'{"up":1,"sess":1}', qos=1)
        await until(lambda: estate.scalar("SELECT count(*) FROM terminal_state") == 2)
        assert state(estate) == (True, 8)
        await one.publish(name, b'{"up":0,"sess":8}', qos=1)
        await until(lambda: state(estate) == (False, 8))
        await one.publish(f"pos/v1/{BOXES[0]}/tele/power", b'{"battery":71,"rssi":-80}', qos=0)
        wanted = '{"battery":71,"rssi":-80}'
        query = "SELECT tele FROM terminal_state WHERE session = 8"
        await until(lambda: estate.scalar(query) == wanted)
    (gone,) = listed(estate.ground.engine, gone_only=True, most=10)
    assert (gone.terminal, gone.up, gone.soundbox) == (BOXES[0], False, True)
    assert len(listed(estate.ground.engine, gone_only=False, most=10)) == 2


async def test_the_broker_tells_of_a_line_that_breaks(estate: Estate) -> None:
    will = aiomqtt.Will(f"pos/v1/{BOXES[0]}/state", b'{"up":0,"sess":3}', 1, retain=True)
    async with estate.publishing():
        try:
            async with client(estate, will=will) as one:
                await one.publish(f"pos/v1/{BOXES[0]}/state", b'{"up":1,"sess":3}', qos=1, retain=True)
                await until(lambda: state(estate) == (True, 3))
                one._client.socket().shutdown(2)
                await until(lambda: state(estate) == (False, 3))
        except aiomqtt.MqttError:
            pass


async def test_what_is_none_of_the_estates_harms_nothing(estate: Estate) -> None:
    await estate.pay(1)
    event = str(estate.scalar(f"SELECT event_id FROM outbox WHERE terminal_id = '{BOXES[0]}'"))
    mine, other = f"pos/v1/{BOXES[0]}", f"pos/v1/{BOXES[1]}"
    junk: list[tuple[str, bytes]] = [
        (f"{mine}/ack", b""),
        (f"{mine}/ack", b"\xff\xfe"),
        (f"{mine}/ack", b"[" * 600),
        (f"{mine}/ack", b'{"id":"' + b"f" * 2_000 + b'","result":"ok"}'),
        (f"{mine}/ack", b'{"id":"' + event.encode() + b'","result":"maybe"}'),
        (f"{mine}/ack", b'{"id":"' + event.encode() + b'","result":"busy"}'),
        (f"{mine}/ack", b'{"id":"zzz","result":"ok"}'),
        (f"{mine}/ack", b'{"id":"' + b"0" * 27 + b'","result":"ok"}'),
        (f"{mine}/ack", b'{"id":5,"result":"ok"}'),
        (f"{mine}/state", b'{"up":2,"sess":1}'),
        (f"{mine}/state", b'{"up":1,"sess":-1}'),
        (f"{mine}/state", b'{"up":1,"sess":1e400}'),
        (f"{mine}/state", b'{"up":1,"sess":1,"pan":"9410610000000019"}'),
        (f"{mine}/tele/x", b'{"pan":9410610000000019}'),
        (f"{mine}/tele/x", b'{"note":"9410610000000019"}'),
        ("pos/v1/NOBODY01/state", b'{"up":1,"sess":1}'),
        ("pos/v1/NOBODY01/ack", b'{"id":"' + event.encode() + b'","result":"ok"}'),
        ("pos/v1/x/state", b'{"up":1,"sess":1}'),
    ]  # fmt: skip
    async with estate.publishing(), client(estate) as one:
        for name, payload in junk:
            await one.publish(name, payload, qos=1)
        await one.publish(f"{other}/state", b'{"up":1,"sess":1}', qos=1)
        await until(lambda: estate.scalar("SELECT count(*) FROM terminal_state") == 1)
        assert estate.waiting() == 2
        await one.publish(f"{mine}/ack", b'{"id":"' + event.encode() + b'","result":"refused"}', qos=1)
        await until(lambda: estate.waiting() == 1)


async def test_a_configuration_reaches_who_comes_later_and_a_new_one_replaces_it(
    estate: Estate, tmp_path: Path
) -> None:
    file = tmp_path / "terminal.json"
    engine, now = estate.ground.engine, estate.ground.now()
    file.write_text('{"volume": 7, "language": "ko"}')
    assert set_config(engine, [BOXES[0], BOXES[1]], file, now) == {BOXES[0]: 1, BOXES[1]: 1}
    assert set_config(engine, [BOXES[0]], file, now) == {BOXES[0]: 1}, "the same again is no new version"
    box = Soundbox(BOXES[0])
    async with estate.publishing(), estate.listening(box):
        await until(lambda: box.config is not None)
        assert box.config is not None
        assert json.loads(box.config.doc) == {"volume": 7, "language": "ko"}
        file.write_text('{"volume": 3}')
        assert set_config(engine, [BOXES[0]], file, now) == {BOXES[0]: 2}
        await until(lambda: box.config is not None and box.config.v == 2)
        query = f"SELECT config_version FROM terminal_state WHERE terminal_id = '{BOXES[0]}'"
        await until(lambda: estate.scalar(query) == 2)
        await until(lambda: estate.waiting() == 1)
        await estate.broker.stop()  # and forgets all that it retained
        await estate.broker.start()
        fresh = Soundbox(BOXES[1])
        async with estate.listening(fresh):
            await until(lambda: fresh.config is not None)
        await until(lambda: estate.waiting() == 0)
    for broken in ("[1]", "{", '{"a":"' + "x" * 20_000 + '"}'):
        file.write_text(broken)
        with pytest.raises(RefusedError):
            set_config(engine, [BOXES[0]], file, now)
    with pytest.raises(NotFoundError):
        send_command(engine, "NOBODY01", "restart", now)
    with pytest.raises(RefusedError):
        send_command(engine, BOXES[0], "dance", now)


async def test_a_terminal_is_warned_once_of_each_end_of_its_keys(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("switch.service.notices_push.KEYS_EVERY_S", 0.05)
    soon = estate.ground.now() + timedelta(minutes=30)
    later = estate.ground.now() + timedelta(hours=5)
    for name, end in ((BOXES[0], soon), (BOXES[1], later)):
        estate.execute(f"UPDATE terminal SET keys_until = '{end.isoformat()}' WHERE terminal_id = '{name}'")
    box, other = Soundbox(BOXES[0]), Soundbox(BOXES[1])
    async with estate.publishing(), estate.listening(box, other):
        await until(lambda: len(box.commands) == 1)
        await until(lambda: estate.waiting() == 0)
        await asyncio.sleep(0.3)
        end = soon + timedelta(minutes=5)
        estate.execute(
            f"UPDATE terminal SET keys_until = '{end.isoformat()}' WHERE terminal_id = '{BOXES[0]}'"
        )
        await until(lambda: len(box.commands) == 2)
        await until(lambda: estate.waiting() == 0)
    assert [one.do for one in box.commands] == ["exchange_keys", "exchange_keys"]
    assert box.commands[0].until == "20260629033000"
    assert other.commands == []


async def test_one_leads_and_the_next_takes_over(estate: Estate) -> None:
    box = Soundbox(BOXES[0])
    first = asyncio.create_task(estate.publisher().run())
    async with estate.listening(box, stubborn=True):
        await estate.pay(5)
        await until(lambda: len(box.called) == 5)
        second = asyncio.create_task(estate.publisher().run())
        try:
            await asyncio.sleep(0.2)
            await ended(first)
            await estate.pay(5)
            await until(lambda: len(box.called) == 10)
        finally:
            await ended(second)
    assert box.repeats == 0


async def test_the_publisher_outlives_its_database_connection(estate: Estate) -> None:
    box = Soundbox(BOXES[0])
    async with estate.publishing() as task, estate.listening(box, stubborn=True):
        await estate.pay(3)
        await until(lambda: len(box.called) == 3)
        owner = estate.ground.database.engine(owner=True)

        def killed() -> int:
            """Connections cut; the publisher's is known by what it has asked last: not always this."""
            with owner.connect() as connection:
                return int(
                    connection.execute(
                        text(
                            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                            " AND query LIKE '%%FROM outbox WHERE due_at%%'"
                        )
                    ).scalar_one()
                )

        await until(lambda: killed() >= 1)
        await estate.pay(3)
        await until(lambda: len(box.called) == 6)
        assert not task.done()


async def test_a_soundbox_that_is_switched_off_hears_no_more(estate: Estate) -> None:
    await estate.pay(2)
    assert estate.waiting() == 4
    assert set_soundbox(estate.ground.engine, BOXES[0], on=False)
    assert not set_soundbox(estate.ground.engine, BOXES[0], on=False)
    assert estate.waiting() == 2
    await estate.pay(2)
    assert estate.scalar(f"SELECT count(*) FROM outbox WHERE terminal_id = '{BOXES[0]}'") == 0
    assert set_soundbox(estate.ground.engine, BOXES[1], on=False)
    await estate.pay(2)
    assert estate.waiting() == 0
    with pytest.raises(NotFoundError):
        set_soundbox(estate.ground.engine, "NOBODY01", on=True)


async def test_messages_that_nobody_wants_are_dropped_after_keep_days(estate: Estate) -> None:
    await estate.pay(3)
    estate.execute("UPDATE outbox SET created_at = now() - interval '31 days' WHERE terminal_id = 'SB000001'")
    async with estate.publishing():
        await until(lambda: estate.waiting() == 3)
