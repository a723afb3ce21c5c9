"""The terminal estate over MQTT, sans-IO: topics, and what may stand in a message.

    pos/v1/{tid}/state     up     QoS 1, retained; the last will says {"up":0,"sess":n}
    pos/v1/{tid}/tele/#    up     QoS 0
    pos/v1/{tid}/ack       up     QoS 1
    pos/v1/{tid}/cfg       down   QoS 1, retained
    pos/v1/{tid}/cmd/{id}  down   QoS 1
    pos/v1/{tid}/notify    down   QoS 1, expires after NOTICE_EXPIRY_S
    pos/v1/all/hotlist     down   QoS 1, retained: what changed since version `base`
    pos/v1/all/hotlist/full/{part}  down, QoS 1, retained: the whole list as of `base`

What terminals send is read strictly and bounded: it comes from outside. No card number is ever in it.
"""

import re
from enum import StrEnum
from typing import TypeVar

import msgspec

ROOT = "pos/v1"
PAYLOAD_MAX = 1_024  # bytes of a message from a terminal
NOTICE_EXPIRY_S = 60
COMMAND_EXPIRY_S = 300
TELE_READINGS_MAX = 16
NOT_ACKED_MAX = 64  # messages that a terminal may owe acks for; it remembers at least ten times as many ids
HOTLIST_TOPIC = f"{ROOT}/all/hotlist"
HOTLIST_STEP = 500  # a list is told whole as of every version that this divides, and the rest as changes
HOTLIST_PART = 2_000  # entries in one part of the whole list
ENTRY_BYTES = 8
UP_TOPICS = (f"{ROOT}/+/state", f"{ROOT}/+/ack", f"{ROOT}/+/tele/#")

_T = TypeVar("_T")
_TERMINAL = re.compile(r"[0-9A-Za-z]{8}")
_READING = re.compile(r"[a-z][a-z0-9_]{0,15}")


class EstateError(ValueError):
    """A topic or payload that is none of the estate's. Holds nothing of its content."""


class Result(StrEnum):
    """What a terminal says of a message: done, had already, will never do, not now (send it again)."""

    OK = "ok"
    DUPLICATE = "dup"
    REFUSED = "refused"
    BUSY = "busy"


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A terminal that is there (up 1) or gone (0), in its session; the versions that it has."""

    up: int
    sess: int
    cfg: int = 0
    hot: int = 0


class Ack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The application's own acknowledgement of a message, by its id."""

    id: str
    result: Result


class Sound(msgspec.Struct, frozen=True):
    """A payment told to a soundbox. `age` is seconds since it was booked: an old one is noted, not called."""

    id: str
    type: str
    won: int
    at: str
    tid: str
    stan: int
    rrn: str
    age: int


class Command(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that a terminal is to do; `until` (yyyymmddhhmmss UTC) where it has an end."""

    id: str
    do: str
    until: str = ""


class Config(msgspec.Struct, frozen=True):
    """The configuration a terminal is to have: version, SHA-256 of the document's bytes, the document."""

    id: str
    v: int
    sha256: str
    doc: str


class HotDelta(msgspec.Struct, frozen=True):
    """What changed since version `base`: entries as hex; `parts` is how many the whole list as of `base` has.

    `k` is the check value of the key under which entries are made: HMAC-SHA256 of the card number, cut to
    ENTRY_BYTES.
    """

    v: int
    base: int
    k: str
    parts: int
    add: tuple[str, ...]
    remove: tuple[str, ...]


class HotPart(msgspec.Struct, frozen=True):
    """One part of the whole list as of version `v`."""

    v: int
    k: str
    part: int
    parts: int
    list: tuple[str, ...]


_state = msgspec.json.Decoder(State, strict=True)
_ack = msgspec.json.Decoder(Ack, strict=True)
_tele = msgspec.json.Decoder(dict[str, int], strict=True)
_encode = msgspec.json.Encoder().encode


def topic(terminal_id: str, leaf: str) -> str:
    """The topic of one terminal, e.g. topic("T0000001", "notify")."""
    return f"{ROOT}/{terminal_id}/{leaf}"


def part_topic(part: int) -> str:
    """The topic of a part of the whole hot list, from 0."""
    return f"{HOTLIST_TOPIC}/full/{part}"


def sender_of(name: str) -> tuple[str, str]:
    """(terminal id, leaf) of a topic that terminals write: state, ack or tele. Raises EstateError."""
    parts = name.split("/", 4)
    if len(parts) < 4 or "/".join(parts[:2]) != ROOT or not _TERMINAL.fullmatch(parts[2]):
        raise EstateError("no topic of a terminal")
    if parts[3] not in ("state", "ack", "tele") or (parts[3] != "tele" and len(parts) > 4):
        raise EstateError("no topic that a terminal writes")
    return parts[2], parts[3]


def encode(message: msgspec.Struct) -> bytes:
    """The payload of a message (JSON)."""
    return _encode(message)


def read_state(payload: bytes) -> State:
    """A terminal's state. Raises EstateError."""
    state = _read(_state, payload)
    if state.up not in (0, 1) or not all(0 <= n < 2**53 for n in (state.sess, state.hot)):
        raise EstateError("a number out of range")
    if not 0 <= state.cfg < 2**31:
        raise EstateError("a number out of range")
    return state


def read_ack(payload: bytes) -> Ack:
    """A terminal's ack. Raises EstateError."""
    return _read(_ack, payload)


def read_tele(payload: bytes) -> dict[str, int]:
    """A terminal's readings, name → number below a thousand million: no room for anything secret.

    Raises EstateError.
    """
    readings = _read(_tele, payload)
    if len(readings) > TELE_READINGS_MAX or not all(_READING.fullmatch(name) for name in readings):
        raise EstateError("no readings")
    if not all(abs(value) < 1_000_000_000 for value in readings.values()):
        raise EstateError("a number out of range")
    return readings


def _read(decoder: "msgspec.json.Decoder[_T]", payload: bytes) -> _T:
    if len(payload) > PAYLOAD_MAX:
        raise EstateError("too long")
    try:
        return decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise EstateError("illegible") from None  # its own text may quote what was sent
