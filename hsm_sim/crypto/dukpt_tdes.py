"""DUKPT with triple DES: ANSI X9.24-1:2009 annex A (X9.24-3:2017 annex C).

The key serial number has 80 bits: 59 that name the device (its base key, then itself) and a 21-bit counter.
A transaction key is never used itself; each use has a variant of it.
"""

from typing import Final

from hsm_sim.crypto.dukpt import BadSerialNumber, FutureKeys, Scheme
from hsm_sim.crypto.tdes import DOUBLE_KEY_BYTES, Tdes, ecb_encryptor, xor8

KSN_BYTES: Final = 10
COUNTER_BITS: Final = 21
SCHEME: Final = Scheme(COUNTER_BITS, ones_max=10)

_COUNTER_MASK: Final = (1 << COUNTER_BITS) - 1
_OTHER_HALF: Final = bytes.fromhex("C0C0C0C000000000")
_PIN: Final = bytes.fromhex("00000000000000FF") * 2
_MAC_REQUEST: Final = bytes.fromhex("000000000000FF00") * 2
_MAC_RESPONSE: Final = bytes.fromhex("00000000FF000000") * 2


class TransactionKeys:
    """The working keys of one key serial number."""

    __slots__ = ("mac_request", "mac_response", "pin")

    def __init__(self, transaction_key: bytes) -> None:
        self.pin = _xor16(transaction_key, _PIN)
        self.mac_request = _xor16(transaction_key, _MAC_REQUEST)
        self.mac_response = _xor16(transaction_key, _MAC_RESPONSE)

    def __repr__(self) -> str:
        return "TransactionKeys()"


def initial_key(bdk: bytes, ksn: bytes) -> bytes:
    """The key a device is loaded with. `bdk` 16 bytes, `ksn` 10; its counter does not matter.

    Raises ValueError on other lengths.
    """
    if len(bdk) != DOUBLE_KEY_BYTES:
        raise ValueError(f"a TDES base key has {DOUBLE_KEY_BYTES} bytes")
    device = _without_counter(ksn)[:8]
    other = _xor16(bdk, _OTHER_HALF * 2)
    return Tdes(bdk).encrypt(device) + Tdes(other).encrypt(device)


def transaction_key(initial: bytes, ksn: bytes) -> bytes:
    """The transaction key of a serial number, from the device's initial key. Raises BadSerialNumber."""
    device, counter = _without_counter(ksn), counter_of(ksn)
    return SCHEME.transaction_key(initial, counter, lambda key, reached: _step(key, device, reached))


def counter_of(ksn: bytes) -> int:
    """The transaction counter of a serial number. Raises BadSerialNumber on a wrong length."""
    _check(ksn)
    return int.from_bytes(ksn) & _COUNTER_MASK


class Device:
    """The key state of a terminal: `ksn` and `keys` of the present transaction, then `advance`."""

    __slots__ = ("_future", "_name")

    def __init__(self, initial: bytes, ksn: bytes) -> None:
        """`initial` is what `initial_key` gives for this serial number, whose counter is taken as 0."""
        self._name = name = _without_counter(ksn)
        self._future = FutureKeys(SCHEME, initial, lambda key, reached: _step(key, name, reached))

    def __repr__(self) -> str:
        return f"Device(counter={self._future.counter})"

    @property
    def ksn(self) -> bytes:
        """The key serial number of the present transaction."""
        return (int.from_bytes(self._name) | self._future.counter).to_bytes(KSN_BYTES)

    @property
    def keys(self) -> TransactionKeys:
        """The working keys of the present transaction. Raises BadSerialNumber when all are used."""
        return TransactionKeys(self._future.key())

    def advance(self) -> None:
        """Goes on to the next transaction; the present keys are lost."""
        self._future.advance()


def _step(key: bytes, device: bytes, reached: int) -> bytes:
    """The non-reversible key generation process: 64 bits of the serial number through both halves."""
    register = (int.from_bytes(device) | reached).to_bytes(KSN_BYTES)[2:]
    return _half(_xor16(key, _OTHER_HALF * 2), register) + _half(key, register)


def _half(key: bytes, register: bytes) -> bytes:
    left, right = key[:8], key[8:]
    return xor8(ecb_encryptor(left).update(xor8(register, right)), right)


def _without_counter(ksn: bytes) -> bytes:
    _check(ksn)
    return (int.from_bytes(ksn) & ~_COUNTER_MASK).to_bytes(KSN_BYTES)


def _check(ksn: bytes) -> None:
    if len(ksn) != KSN_BYTES:
        raise BadSerialNumber(f"a TDES key serial number has {KSN_BYTES} bytes")


def _xor16(a: bytes, b: bytes) -> bytes:
    return (int.from_bytes(a) ^ int.from_bytes(b)).to_bytes(DOUBLE_KEY_BYTES)
