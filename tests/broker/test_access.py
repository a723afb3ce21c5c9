"""Who may what at the broker: certificates and ACL. Mosquitto refuses in silence, so the effect is tried."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest

from switch.service.estate import send_command
from terminal_sim.soundbox import Soundbox
from tests.support.brokers import Mosquitto
from tests.support.estate import BOXES, Estate, ids, until


@asynccontextmanager
async def client(broker: Mosquitto, tls: ssl.SSLContext, name: str = "any") -> AsyncIterator[aiomqtt.Client]:
    async with aiomqtt.Client("127.0.0.1", broker.port, identifier=name, tls_context=tls, timeout=1.5) as one:
        yield one


async def heard(one: aiomqtt.Client, seconds: float = 0.6) -> list[tuple[str, bytes]]:
    """Everything that comes within so long."""
    found: list[tuple[str, bytes]] = []
    try:
        async with asyncio.timeout(seconds):
            async for message in one.messages:
                assert isinstance(message.payload, bytes)
                found.append((str(message.topic), message.payload))
    except TimeoutError:
        pass
    return found


async def test_a_terminal_reads_only_its_own(estate: Estate, broker: Mosquitto) -> None:
    spy = broker.tls("SPY00001")
    assert spy is not None
    async with estate.publishing(), client(broker, spy) as one:
        granted = await one.subscribe([("pos/v1/#", 1), (f"pos/v1/{BOXES[0]}/notify", 1)])
        assert all(getattr(code, "value", code) < 128 for code in granted), "granted, it says"
        async with estate.listening(Soundbox(BOXES[0])):
            await estate.pay(3)
            await until(lambda: estate.waiting() == 3)
        topics = {name for name, _ in await heard(one)}
    assert topics
    assert all(name.startswith("pos/v1/all/hotlist") for name in topics), topics


async def test_a_terminal_writes_only_as_itself(estate: Estate, broker: Mosquitto) -> None:
    await estate.pay(1)
    event = str(estate.scalar(f"SELECT event_id FROM outbox WHERE terminal_id = '{BOXES[0]}'"))
    liar = broker.tls(BOXES[1])
    assert liar is not None
    ack = f'{{"id":"{event}","result":"ok"}}'.encode()
    async with estate.publishing(), client(broker, liar) as one:
        await one.publish(f"pos/v1/{BOXES[0]}/ack", ack, qos=1)  # no error tells that it was dropped
        await one.publish(f"pos/v1/{BOXES[0]}/state", b'{"up":0,"sess":99}', qos=1)
        await one.publish("pos/v1/all/hotlist", b"{}", qos=1, retain=True)
        await one.publish(f"pos/v1/{BOXES[0]}/notify", b"{}", qos=1)
        await asyncio.sleep(0.3)
        assert estate.scalar(f"SELECT count(*) FROM outbox WHERE terminal_id = '{BOXES[0]}'") == 1
        assert estate.scalar("SELECT count(*) FROM terminal_state") == 0
        await one.publish(f"pos/v1/{BOXES[1]}/ack", ack, qos=1)  # its own copy of the same event
        await until(lambda: estate.waiting() == 1)
    assert estate.scalar("SELECT terminal_id FROM outbox") == BOXES[0]


async def test_nobody_pushes_another_off_its_line(estate: Estate, broker: Mosquitto) -> None:
    """The client id is the certificate's name, whatever a client calls itself."""
    box, thief = Soundbox(BOXES[0]), broker.tls(BOXES[1])
    assert thief is not None
    async with estate.publishing(), estate.listening(box), client(broker, thief, BOXES[0]):
        await estate.pay(1)
        await until(lambda: len(box.called) == 1)


async def test_without_a_good_certificate_nobody_comes_in(broker: Mosquitto, tmp_path: Path) -> None:
    nobody = ssl.create_default_context(cafile=str(broker.authority.file))
    with pytest.raises(aiomqtt.MqttError):
        async with client(broker, nobody):
            pytest.fail("without a certificate")
    other = Mosquitto(tmp_path / "other").tls(BOXES[0])
    assert other is not None
    other.load_verify_locations(broker.authority.file)
    with pytest.raises(aiomqtt.MqttError):
        async with client(broker, other):
            pytest.fail("with a certificate of another authority")


async def test_a_revoked_certificate_is_refused(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "mosquitto")
    lost = broker.authority.issue("LOST0001")
    broker.authority.revoke(lost[0], file="crl.pem")
    await broker.start()
    try:
        async with client(broker, broker.authority.client_context(broker.authority.issue("GOOD0001"))):
            pass
        with pytest.raises(aiomqtt.MqttError):
            async with client(broker, broker.authority.client_context(lost)):
                pytest.fail("with a revoked certificate")
    finally:
        await broker.stop()


async def test_a_notice_expires_at_the_broker_and_is_told_again_all_the_same(
    estate: Estate, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MQTT 5: what a terminal's queue at the broker holds for too long is not called out late."""
    monkeypatch.setattr("switch.service.notices.NOTICE_EXPIRY_S", 1)
    monkeypatch.setattr("switch.service.notices.COMMAND_EXPIRY_S", 60)
    tls = broker.tls(BOXES[0])
    assert tls is not None

    def away() -> aiomqtt.Client:
        return aiomqtt.Client(
            "127.0.0.1", broker.port, tls_context=tls, clean_session=False, identifier=BOXES[0]
        )

    async with away() as one:
        await one.subscribe([(f"pos/v1/{BOXES[0]}/{leaf}", 1) for leaf in ("notify", "cmd/+")])
    send_command(estate.ground.engine, BOXES[0], "report_state", estate.ground.now())
    await estate.pay(1)
    async with estate.publishing():
        await until(lambda: estate.scalar("SELECT count(*) FROM outbox WHERE tries > 0") == 3)
    await asyncio.sleep(2.5)  # Mosquitto counts whole seconds
    async with away() as one:
        kinds = {name.split("/")[3] for name, _ in await heard(one)}
    assert kinds == {"cmd"}, "the command is still there, the notice is not"
    box = Soundbox(BOXES[0])
    async with estate.publishing(), estate.listening(box):
        await until(lambda: len(ids(box)) == 1 and len(box.commands) == 1)
