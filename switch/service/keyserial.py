"""Key serial numbers of terminals with derived unique keys (ANSI X9.24-1 and X9.24-3). Pure.

A serial number is an identity and a counter, which a terminal raises for every message. A counter is taken
once: a window of the last ones lets messages that overtook each other pass, each of them once.

    dukpt_tdes   20 hex digits: 59 bits of identity, 21 bits of counter
    dukpt_aes    24 hex digits: 64 bits of identity (BDK id, derivation id), 32 bits of counter
"""

from typing import Final

import msgspec

WINDOW: Final = 64  # counters behind the highest that may still come, each once

_LAYOUT: Final = {"dukpt_tdes": (20, 21), "dukpt_aes": (24, 32)}  # mode → hex digits, bits of the counter
_ONES_MAX: Final = {"dukpt_tdes": 10, "dukpt_aes": 16}  # a device leaves counters with more one bits out


class Serial(msgspec.Struct, frozen=True, gc=False):
    """A key serial number taken apart: the initial one (counter zero, in hex) and the counter."""

    initial: str
    counter: int


def split(ksn: str, mode: str) -> Serial | None:
    """The parts of a serial number of this mode; None when it is none."""
    digits, bits = _LAYOUT[mode]
    if len(ksn) != digits:
        return None
    try:
        number = int(ksn, 16) if ksn.isalnum() and ksn.isascii() else -1
    except ValueError:
        return None
    if number < 0:
        return None
    counter = number & ((1 << bits) - 1)
    return Serial(f"{number - counter:0{digits}X}", counter)


def counted(serial: Serial, mode: str) -> bool:
    """Whether a device of this mode ever counts so: never 0, never too many one bits."""
    return 0 < serial.counter.bit_count() <= _ONES_MAX[mode]


def initial_fault(ksn_id: str, mode: str) -> tuple[str, str] | None:
    """What is wrong with a terminal's initial serial number, and what to do; None when it is right."""
    digits, bits = _LAYOUT[mode]
    serial = split(ksn_id, mode)
    if serial is None:
        return "is no initial key serial number", f"write its {digits} hex digits in capitals"
    if serial.counter or serial.initial != ksn_id:
        return "counts already", f"write it with the counter (the last {bits} bits) at zero"
    return None


class Window(msgspec.Struct, gc=False):
    """The counters of one terminal: the highest taken, and which of the WINDOW below it are not free.

    Bit n of `taken` stands for `last - n`. Whatever lies below the window counts as taken.
    """

    initial: str
    last: int
    taken: int = (1 << WINDOW) - 1

    def take(self, counter: int) -> bool:
        """Take a counter; False when it was taken before."""
        ahead = counter - self.last
        if ahead > 0:
            moved = self.taken << ahead if ahead < WINDOW else 0
            self.taken = (moved | 1) & ((1 << WINDOW) - 1)
            self.last = counter
            return True
        if -ahead >= WINDOW or self.taken >> -ahead & 1:
            return False
        self.taken |= 1 << -ahead
        return True
