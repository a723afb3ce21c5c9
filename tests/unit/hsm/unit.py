"""A unit without a socket: what the client's half writes, the simulator's half answers, the parser reads."""

from collections.abc import Callable
from typing import TypeVar

from msgspec import structs

from hsm_sim.crypto import uses
from hsm_sim.crypto.lmk import TEST_LMK
from hsm_sim.crypto.tdes import odd_parity
from hsm_sim.handlers import answer
from hsm_sim.keys import Keys

R = TypeVar("R")

KEYS = Keys(TEST_LMK)


def clear(first: int, size: int = 16) -> bytes:
    """A key of its own, of odd parity."""
    return odd_parity(bytes((first + 7 * n) % 256 for n in range(size)))


def text(key_type: str, key: bytes, *, algorithm: str = uses.TDES, usage: str | None = None) -> str:
    """The key's text under the test LMK: U, or S and a key block for AES or if a usage is named."""
    if algorithm == uses.TDES and usage is None:
        return TEST_LMK.encrypt(key_type, "U", key)
    header = uses.default_header(key_type, algorithm, uses.EXPORTABLE)
    if usage is not None:
        header = structs.replace(header, usage=usage, mode=uses.MODES_OF_USAGE[usage][0])
    return TEST_LMK.encrypt_block(uses.check_header(header), key)


def ask(request: bytes | str, keys: Keys = KEYS) -> bytes:
    """Error code and body of the reply."""
    raw = request.encode("latin-1") if isinstance(request, str) else request
    reply = answer(keys, b"HEAD" + raw, 4)
    assert reply[:4] == b"HEAD"
    return reply[6:]


def call(request: bytes, parser: Callable[[bytes, bytes], R], keys: Keys = KEYS) -> R:
    """What the client gets."""
    reply = ask(request, keys)
    return parser(reply[:2], reply[2:])
