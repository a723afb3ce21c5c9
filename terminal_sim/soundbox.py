"""A soundbox as a machine of its own, sans-IO: what it makes of messages, and what it answers.

It calls out a payment once, however often its message comes; an old one is noted without a sound. It keeps a
hot list by whole parts and changes, and refuses what it cannot check. `take` is given what came and returns
what is to be published; whoever runs it moves the bytes (see soundbox_line).
"""

import hashlib
import hmac
from collections import OrderedDict
from typing import NamedTuple

import msgspec

from switch.wire.estate import (
    ENTRY_BYTES,
    HOTLIST_TOPIC,
    NOT_ACKED_MAX,
    NOTICE_EXPIRY_S,
    Ack,
    Command,
    Config,
    HotDelta,
    HotPart,
    Result,
    Sound,
    State,
    encode,
    topic,
)

REMEMBERED = 16 * NOT_ACKED_MAX  # ids: far more than the switch has under way for one terminal

_sound = msgspec.json.Decoder(Sound)
_command = msgspec.json.Decoder(Command)
_config = msgspec.json.Decoder(Config)
_delta = msgspec.json.Decoder(HotDelta)
_part = msgspec.json.Decoder(HotPart)


class Publish(NamedTuple):
    """Something that the soundbox wants published, QoS 1."""

    topic: str
    payload: bytes
    retain: bool = False


class Soundbox:
    """One terminal on MQTT. `hot_key` opens the hot list; without one the list is left alone."""

    def __init__(self, terminal_id: str, hot_key: bytes | None = None) -> None:
        self.terminal_id = terminal_id
        self.called: list[Sound] = []  # said aloud
        self.noted: list[Sound] = []  # too old to be said
        self.commands: list[Command] = []
        self.config: Config | None = None
        self.repeats = 0
        self.session = 0
        self.hot_version = 0
        self.hot: set[str] = set()
        self._hot_key = hot_key
        self._hot_base = 0
        self._parts: dict[int, HotPart] = {}
        self._delta: HotDelta | None = None
        self._had: OrderedDict[str, None] = OrderedDict()

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """The topics that it listens to."""
        mine = [topic(self.terminal_id, leaf) for leaf in ("cfg", "cmd/+", "notify")]
        return (*mine, f"{HOTLIST_TOPIC}/#")

    def last_will(self, session: int) -> Publish:
        """What the broker is to say when the line breaks. `session` is higher each time, e.g. the second."""
        self.session = session
        return Publish(self._topic("state"), encode(State(up=0, sess=session)), retain=True)

    def hello(self) -> Publish:
        """What it says when it is there."""
        version = self.config.v if self.config else 0
        state = State(up=1, sess=self.session, cfg=version, hot=self.hot_version)
        return Publish(self._topic("state"), encode(state), retain=True)

    def goodbye(self) -> Publish:
        """What it says before it goes of its own accord."""
        return Publish(self._topic("state"), encode(State(up=0, sess=self.session)), retain=True)

    def take(self, name: str, payload: bytes) -> list[Publish]:
        """A message that came; returns what to publish. What it cannot read is nothing to it."""
        try:
            if name == self._topic("notify"):
                return self._notice(_sound.decode(payload))
            if name.startswith(self._topic("cmd/")):
                return self._command(_command.decode(payload))
            if name == self._topic("cfg"):
                return self._configure(_config.decode(payload))
            if name == HOTLIST_TOPIC:
                self._delta = _delta.decode(payload)
                return self._list()
            if name.startswith(f"{HOTLIST_TOPIC}/full/") and payload:
                part = _part.decode(payload)
                self._parts[part.part] = part
                return self._list()
        except msgspec.MsgspecError:
            pass
        return []

    def refuses(self, pan: str) -> bool:
        """Whether the card is on the hot list that it has."""
        if self._hot_key is None:
            return False
        return hmac.digest(self._hot_key, pan.encode(), "sha256")[:ENTRY_BYTES].hex() in self.hot

    def _topic(self, leaf: str) -> str:
        return topic(self.terminal_id, leaf)

    def _ack(self, event: str, result: Result) -> Publish:
        return Publish(self._topic("ack"), encode(Ack(event, result)))

    def _is_new(self, event: str) -> bool:
        """Whether an id comes for the first time."""
        if event in self._had:
            self._had.move_to_end(event)
            self.repeats += 1
            return False
        self._had[event] = None
        if len(self._had) > REMEMBERED:
            self._had.popitem(last=False)
        return True

    def _notice(self, sound: Sound) -> list[Publish]:
        if not self._is_new(sound.id):
            return [self._ack(sound.id, Result.DUPLICATE)]
        (self.called if sound.age < NOTICE_EXPIRY_S else self.noted).append(sound)
        return [self._ack(sound.id, Result.OK)]

    def _command(self, command: Command) -> list[Publish]:
        if not self._is_new(command.id):
            return [self._ack(command.id, Result.DUPLICATE)]
        self.commands.append(command)
        return [self._ack(command.id, Result.OK)]

    def _configure(self, config: Config) -> list[Publish]:
        if hashlib.sha256(config.doc.encode()).hexdigest() != config.sha256:
            return [self._ack(config.id, Result.REFUSED)]
        known = self.config
        if known is not None and config.v <= known.v:
            return [self._ack(config.id, Result.DUPLICATE)]
        self.config = config
        return [self._ack(config.id, Result.OK), self.hello()]

    def _list(self) -> list[Publish]:
        """Bring the list to the version of the last change, if all that it needs is there."""
        delta = self._delta
        if delta is None or self._hot_key is None or delta.k != key_check(self._hot_key):
            return []
        if delta.v == self.hot_version and delta.base == self._hot_base:
            return []
        if self.hot_version < delta.base or self.hot_version > delta.v:
            parts = [self._parts.get(number) for number in range(delta.parts)]
            whole = [part for part in parts if part and part.v == delta.base and part.k == delta.k]
            if len(whole) != delta.parts:
                return []
            self.hot = {entry for part in whole for entry in part.list}
        self.hot |= set(delta.add)
        self.hot -= set(delta.remove)
        self.hot_version, self._hot_base = delta.v, delta.base
        self._parts.clear()
        return [self.hello()]


def key_check(key: bytes) -> str:
    """The check value of a hot-list key."""
    return hashlib.sha256(b"dure hot list check" + key).hexdigest()[:8]


def read_hot_key(text: str) -> bytes:
    """The key in a file of `dure-switch hotlist key`. Raises ValueError."""
    for line in text.splitlines():
        if line and not line.startswith("#"):
            return bytes.fromhex(line)
    raise ValueError("holds no key: write one with `dure-switch hotlist key FILE`")
