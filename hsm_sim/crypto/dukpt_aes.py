"""DUKPT with AES: ANSI X9.24-3:2017 clause 6.

The key serial number has 12 bytes: 8 that name the initial key (4 the base key, 4 the device) and a 32-bit
counter. Every key comes from AES over a block of data that says what the key is for and how long it is.
"""

from enum import IntEnum
from typing import Final

from hsm_sim.crypto.aes import BLOCK_BYTES, KEY_BYTES, encrypt_once
from hsm_sim.crypto.dukpt import BadSerialNumber, FutureKeys, Scheme

KSN_BYTES: Final = 12
INITIAL_KEY_ID_BYTES: Final = 8
COUNTER_BITS: Final = 32
SCHEME: Final = Scheme(COUNTER_BITS, ones_max=16)

_VERSION: Final = 1
# The algorithm indicator of AES with 16, 24 and 32 bytes of key.
_ALGORITHM: Final = {16: 2, 24: 3, 32: 4}
_UPDATE_COUNTER: Final = 0xFFFFFFFF


class Usage(IntEnum):
    """What a derived key is for (X9.24-3 table 2). Directions are the device's: it generates requests."""

    KEY_ENCRYPTION = 0x0002
    PIN_ENCRYPTION = 0x1000
    MAC_GENERATION = 0x2000
    MAC_VERIFICATION = 0x2001
    MAC_BOTH_WAYS = 0x2002
    DATA_ENCRYPTION = 0x3000
    DATA_DECRYPTION = 0x3001
    DATA_BOTH_WAYS = 0x3002
    DERIVATION = 0x8000
    INITIAL_KEY = 0x8001


class TransactionKeys:
    """The working keys of one key serial number, in the length of its base key unless told otherwise."""

    __slots__ = ("mac_request", "mac_response", "pin")

    def __init__(self, transaction_key: bytes, ksn: bytes, size: int | None = None) -> None:
        """`size` in bytes: 16, 24 or 32, never above the transaction key's own."""
        self.pin = working_key(transaction_key, ksn, Usage.PIN_ENCRYPTION, size)
        self.mac_request = working_key(transaction_key, ksn, Usage.MAC_GENERATION, size)
        self.mac_response = working_key(transaction_key, ksn, Usage.MAC_VERIFICATION, size)

    def __repr__(self) -> str:
        return "TransactionKeys()"


def initial_key(bdk: bytes, initial_key_id: bytes) -> bytes:
    """The key a device is loaded with, as long as the base key (16, 24 or 32 bytes). Raises ValueError."""
    if len(initial_key_id) != INITIAL_KEY_ID_BYTES:
        raise BadSerialNumber(f"an initial key id has {INITIAL_KEY_ID_BYTES} bytes")
    return _derive(bdk, Usage.INITIAL_KEY, len(bdk), initial_key_id)


def transaction_key(initial: bytes, ksn: bytes) -> bytes:
    """The derivation key of a serial number, from the device's initial key. Raises BadSerialNumber."""
    device, counter = _device(ksn), counter_of(ksn)
    return SCHEME.transaction_key(initial, counter, lambda key, reached: _step(key, device, reached))


def working_key(transaction_key_: bytes, ksn: bytes, usage: Usage, size: int | None = None) -> bytes:
    """A key for one use, `size` bytes long. Raises ValueError if its source is shorter than that."""
    wanted = len(transaction_key_) if size is None else size
    if wanted > len(transaction_key_):
        raise ValueError("a key is never derived from a shorter one")
    return _derive(transaction_key_, usage, wanted, _device(ksn) + ksn[INITIAL_KEY_ID_BYTES:])


def update_key(initial: bytes, initial_key_id: bytes, size: int | None = None) -> bytes:
    """The key under which a device is sent its next initial key: that of a counter beyond all others."""
    ksn = initial_key_id + _UPDATE_COUNTER.to_bytes(4)
    device = _device(ksn)
    last = SCHEME.descend(initial, _UPDATE_COUNTER, lambda key, reached: _step(key, device, reached))
    return working_key(last, ksn, Usage.KEY_ENCRYPTION, size)


def counter_of(ksn: bytes) -> int:
    """The transaction counter of a serial number. Raises BadSerialNumber on a wrong length."""
    _check(ksn)
    return int.from_bytes(ksn[INITIAL_KEY_ID_BYTES:])


class Device:
    """The key state of a terminal: `ksn` and `keys` of the present transaction, then `advance`."""

    __slots__ = ("_future", "_name", "_size")

    def __init__(self, initial: bytes, initial_key_id: bytes, size: int | None = None) -> None:
        """`initial` is what `initial_key` gives for this id; `size` of working keys as in working_key."""
        self._name = initial_key_id
        self._size = size
        device = initial_key_id[4:]
        self._future = FutureKeys(SCHEME, initial, lambda key, reached: _step(key, device, reached))

    def __repr__(self) -> str:
        return f"Device(counter={self._future.counter})"

    @property
    def ksn(self) -> bytes:
        """The key serial number of the present transaction."""
        return self._name + self._future.counter.to_bytes(4)

    @property
    def keys(self) -> TransactionKeys:
        """The working keys of the present transaction. Raises BadSerialNumber when all are used."""
        return TransactionKeys(self._future.key(), self.ksn, self._size)

    def advance(self) -> None:
        """Goes on to the next transaction; the present keys are lost."""
        self._future.advance()


def _step(key: bytes, device: bytes, reached: int) -> bytes:
    return _derive(key, Usage.DERIVATION, len(key), device + reached.to_bytes(4))


def _derive(key: bytes, usage: Usage, size: int, tail: bytes) -> bytes:
    """The derivation function of clause 6.2: one AES block a 16 bytes of key wanted."""
    if len(key) not in KEY_BYTES or size not in KEY_BYTES:
        raise ValueError("an AES key has 16, 24 or 32 bytes")
    head = usage.to_bytes(2) + _ALGORITHM[size].to_bytes(2) + (size * 8).to_bytes(2)
    blocks = -(-size // BLOCK_BYTES)
    data = b"".join(bytes((_VERSION, number)) + head + tail for number in range(1, blocks + 1))
    return encrypt_once(key, data)[:size]


def _device(ksn: bytes) -> bytes:
    _check(ksn)
    return ksn[4:INITIAL_KEY_ID_BYTES]


def _check(ksn: bytes) -> None:
    if len(ksn) != KSN_BYTES:
        raise BadSerialNumber(f"an AES key serial number has {KSN_BYTES} bytes")
