"""The one place that speaks MQTT: a connection to the broker, from connecting to its breaking.

A broker's PUBACK is not what counts: it may forbid a message and still say that it has it. `publish` tells
whether it took the messages from us, so that we need not send them again at once; only the ack of the
terminal's own application says that they arrived.
"""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import msgspec
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from switch.service import outbox_metrics as metrics
from switch.settings import ConfigError, Mqtt

RECEIVED_MAX = 10_000  # messages of terminals that wait to be read; beyond it the newest are dropped
IN_FLIGHT_MAX = 100  # QoS 1 messages that the broker has not confirmed
KEEPALIVE_S = 30
_PROTOCOL = {"5": aiomqtt.ProtocolVersion.V5, "3.1.1": aiomqtt.ProtocolVersion.V311}


class BrokerUnavailableError(Exception):
    """The broker is away, or the connection to it broke. Holds the kind of error only."""


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """A message to publish with QoS 1; `expiry_s` 0 never expires."""

    topic: str
    payload: bytes
    retain: bool = False
    expiry_s: int = 0


class Incoming(msgspec.Struct, frozen=True, gc=False):
    """A message that a terminal published."""

    topic: str
    payload: bytes


class Broker:
    """How to reach the broker. Raises ConfigError at once for files that cannot be used."""

    def __init__(self, settings: Mqtt) -> None:
        if not settings.host:
            raise ConfigError("mqtt.host is not set: name the broker that terminals listen to")
        self._settings = settings
        self._tls = _tls(settings) if settings.tls else None
        self._password = _password(settings.password_file) if settings.password_file else None

    @property
    def name(self) -> str:
        """Where it is, for people."""
        return f"{self._settings.host}:{self._settings.port}"

    @asynccontextmanager
    async def session(self, topics: Sequence[str], *, beside: bool = False) -> AsyncIterator["Session"]:
        """Connect and subscribe; `beside` another connection of ours if the broker lets us.

        Raises BrokerUnavailableError, at the start or from within.
        """
        mine = self._settings
        client = aiomqtt.Client(
            mine.host,
            mine.port,
            identifier=f"{mine.client_id}-beside" if beside else mine.client_id,
            username=mine.username or None,
            password=self._password,
            protocol=_PROTOCOL[mine.protocol],
            tls_context=self._tls,
            timeout=mine.timeout_s,
            keepalive=KEEPALIVE_S,
            max_queued_incoming_messages=RECEIVED_MAX,
            max_inflight_messages=IN_FLIGHT_MAX,
            clean_session=None if mine.protocol == "5" else True,
        )
        client.pending_calls_threshold = RECEIVED_MAX  # we bound them ourselves
        try:
            async with contextlib.AsyncExitStack() as stack:
                await stack.enter_async_context(client)
                session = Session(client, mine.protocol == "5")
                reading = asyncio.create_task(session.read(), name="mqtt-read")
                stack.push_async_callback(_ended, reading)
                if topics:
                    await client.subscribe([(topic, 1) for topic in topics])
                yield session
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            raise BrokerUnavailableError(type(error).__name__) from None


class Session:
    """A connection that is there; once it has broken, `publish` and `wait` raise BrokerUnavailableError."""

    def __init__(self, client: aiomqtt.Client, expiring: bool) -> None:
        self._client = client
        self._expiring = expiring  # MQTT 5 alone knows the expiry of a message
        self._received: deque[Incoming] = deque()
        self._something = asyncio.Event()
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def read(self) -> None:
        """Take what terminals publish until the connection breaks."""
        try:
            async for message in self._client.messages:
                payload = message.payload
                if len(self._received) >= RECEIVED_MAX:
                    metrics.REFUSED.inc("overflow")
                elif isinstance(payload, bytes | bytearray):
                    self._received.append(Incoming(str(message.topic), bytes(payload)))
                    self._something.set()
        except aiomqtt.MqttError:
            self._broken.set_result(None)
            self._something.set()

    def take(self, most: int) -> list[Incoming]:
        """At most so many of the messages that have come."""
        count = min(most, len(self._received))
        return [self._received.popleft() for _ in range(count)]

    async def wait(self, seconds: float) -> None:
        """Until something has come, or so long. Raises BrokerUnavailableError."""
        if not self._received:
            self._something.clear()
            if not self._broken.done():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._something.wait()
        if self._broken.done() and not self._received:
            raise BrokerUnavailableError("disconnected")

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Hand messages to the broker, all of them confirmed. Raises BrokerUnavailableError if any is not."""
        for start in range(0, len(messages), IN_FLIGHT_MAX):
            sending = [
                asyncio.ensure_future(self._publish(one)) for one in messages[start : start + IN_FLIGHT_MAX]
            ]
            try:
                # A line that breaks confirms nothing more: there is no time-out to be waited for.
                everything = asyncio.gather(*sending, return_exceptions=True)
                await asyncio.wait((everything, self._broken), return_when=asyncio.FIRST_COMPLETED)
                if self._broken.done():
                    raise BrokerUnavailableError("disconnected")
            finally:
                for one in sending:
                    one.cancel()
                results = await asyncio.gather(*sending, return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    raise BrokerUnavailableError(type(result).__name__)

    async def _publish(self, message: Outgoing) -> None:
        properties = None
        if message.expiry_s and self._expiring:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.MessageExpiryInterval = message.expiry_s
        await self._client.publish(
            message.topic, message.payload, qos=1, retain=message.retain, properties=properties
        )


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _tls(settings: Mqtt) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.cert_file:
            context.load_cert_chain(settings.cert_file, settings.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"mqtt: ca_file, cert_file or key_file cannot be used ({type(error).__name__}): check that they"
            " are PEM files that this user may read"
        ) from None
    return context


def _password(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: mqtt.password_file: cannot be read ({type(error).__name__}): put the password there,"
            " mode 0600"
        ) from None
