"""Derived unique key per transaction: what TDES (X9.24-1:2009) and AES (X9.24-3:2017) have in common.

A device starts with an initial key that only it and the owner of the base key know. Every transaction has
its own key, named by the counter in the key serial number. The key of a counter is derived from the key of
the same counter without its lowest one bit, so a host finds it in as many steps as the counter has one bits,
which are limited; and a device keeps just the keys that lie ahead, so what it has used cannot be found again.
"""

from collections.abc import Callable
from typing import Final

# A step: the key of a counter from the key of the counter without its lowest one bit.
Step = Callable[[bytes, int], bytes]


class BadSerialNumber(ValueError):
    """No key serial number of this kind, or a counter that no device uses."""


class Scheme:
    """The counter of a method: `bits` wide, with at most `ones_max` one bits."""

    __slots__ = ("bits", "ones_max")

    def __init__(self, bits: int, ones_max: int) -> None:
        self.bits = bits
        self.ones_max = ones_max

    def check(self, counter: int) -> int:
        """The counter. Raises BadSerialNumber if no device uses it: 0, too wide, too many one bits."""
        if not 0 < counter < 1 << self.bits or counter.bit_count() > self.ones_max:
            raise BadSerialNumber("a device uses no such transaction counter")
        return counter

    def following(self, counter: int) -> int:
        """The next counter that a device uses; 0 when there is none: it needs a new initial key."""
        if counter.bit_count() < self.ones_max:
            counter += 1
        else:
            # One more would have too many one bits: on to the next with the lowest bit carried.
            counter += counter & -counter
        return counter if counter < 1 << self.bits else 0

    def transaction_key(self, initial_key: bytes, counter: int, step: Step) -> bytes:
        """The key of a counter, from the initial key. Raises BadSerialNumber."""
        return self.descend(initial_key, self.check(counter), step)

    def descend(self, initial_key: bytes, counter: int, step: Step) -> bytes:
        """As transaction_key, for any counter: some keys have one that no device ever counts to."""
        key, reached = initial_key, 0
        bit = 1 << (self.bits - 1)
        while bit:
            if counter & bit:
                reached |= bit
                key = step(key, reached)
            bit >>= 1
        return key


class FutureKeys:
    """A device's keys: one register a counter bit, each for the next counter whose lowest one bit that is.

    A key is erased once used. Its repr shows the counter only.
    """

    __slots__ = ("_keys", "_scheme", "_step", "counter")

    def __init__(self, scheme: Scheme, initial_key: bytes, step: Step) -> None:
        self._scheme: Final = scheme
        self._step: Final = step
        self.counter = 1
        self._keys: list[bytes] = [step(initial_key, 1 << i) for i in range(scheme.bits)]

    def __repr__(self) -> str:
        return f"FutureKeys(counter={self.counter})"

    def key(self) -> bytes:
        """The key of the present counter. Raises BadSerialNumber when the device has used all of them."""
        if not self.counter:
            raise BadSerialNumber("the device has used all its keys: load a new initial key")
        return self._keys[_lowest(self.counter)]

    def advance(self) -> None:
        """Leaves the present counter for the next; its key is lost, the keys it leads to are kept."""
        key = self.key()
        lowest = _lowest(self.counter)
        if self.counter.bit_count() < self._scheme.ones_max:
            for i in range(lowest):
                self._keys[i] = self._step(key, self.counter | 1 << i)
        self._keys[lowest] = b""
        self.counter = self._scheme.following(self.counter)


def _lowest(counter: int) -> int:
    """The index of the lowest one bit."""
    return (counter & -counter).bit_length() - 1
