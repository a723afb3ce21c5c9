"""Moves the bytes of a soundbox: one connection to the broker, with its last will."""

import asyncio
import contextlib
import ssl
import time

import aiomqtt

from terminal_sim.soundbox import Publish, Soundbox

QUIET_S = 2.0  # for one answer of the broker


async def run_soundbox(
    box: Soundbox,
    host: str,
    port: int,
    *,
    tls: ssl.SSLContext | None = None,
    session: int = 0,
    ready: "asyncio.Event | None" = None,
    acks: bool = True,
) -> None:
    """Be there until cancelled, or until the line breaks: then raises aiomqtt.MqttError.

    `session` 0 takes the present second. `ready` is set when it listens; without `acks` it stays silent,
    as a broken application does.
    """
    will = box.last_will(session or int(time.time()))
    client = aiomqtt.Client(
        host,
        port,
        identifier=box.terminal_id,
        protocol=aiomqtt.ProtocolVersion.V311,
        clean_session=True,
        will=aiomqtt.Will(will.topic, will.payload, 1, will.retain),
        tls_context=tls,
        timeout=QUIET_S,
    )
    async with client:
        await client.subscribe([(name, 1) for name in box.subscriptions])
        await _publish(client, box.hello())
        if ready is not None:
            ready.set()
        try:
            async for message in client.messages:
                if isinstance(message.payload, bytes):
                    for answer in box.take(str(message.topic), message.payload):
                        if acks:
                            await _publish(client, answer)
        except asyncio.CancelledError:
            with contextlib.suppress(aiomqtt.MqttError):
                await _publish(client, box.goodbye())  # no last will is sent for who goes in good order
            raise


async def _publish(client: aiomqtt.Client, one: Publish) -> None:
    await client.publish(one.topic, one.payload, qos=1, retain=one.retain)
