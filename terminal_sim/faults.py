"""What goes wrong between a terminal and its switch: named faults, and how likely each is.

Pure. Every draw comes from one seeded generator, so that a run can be played again. What a good terminal
does after a fault stands in `terminal_sim.estate`.
"""

import random
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

PPM: Final = 1_000_000
DECIMALS: Final = 6
DELAY_MS_MAX: Final = 1_500
SKEW_MINUTES_MAX: Final = 20
OFFLINE_PAYMENTS_MAX: Final = 8


class Fault(StrEnum):
    """One thing that can go wrong with a message."""

    DROP = "drop"  # the request is lost on the way
    DELAY = "delay"  # it leaves late
    DUPLICATE = "duplicate"  # the network delivers it twice
    TRUNCATE = "truncate"  # half a frame, then the line breaks
    CORRUPT_MAC = "corrupt_mac"  # one bit of the MAC is flipped
    LATE = "late"  # the answer comes after the terminal's patience
    DEAF = "deaf"  # the line breaks before the answer is heard
    STORM = "storm"  # all lines break, every terminal comes back at once
    OFFLINE = "offline"  # the terminal approves by itself for a while, then tells
    CLOCK_SKEW = "clock_skew"  # its clock is wrong
    BATCH_MISMATCH = "batch_mismatch"  # its totals are wrong at the close


ABOUT: Final = {
    Fault.DROP: "the request is lost: the terminal waits in vain, then reverses",
    Fault.DELAY: f"the request leaves up to {DELAY_MS_MAX:,} ms late",
    Fault.DUPLICATE: "the request arrives twice",
    Fault.TRUNCATE: "half a frame, then the line breaks: reconnect and repeat",
    Fault.CORRUPT_MAC: "one bit of the MAC is wrong: refused, new keys, paid anew",
    Fault.LATE: "the answer is too late: the terminal reverses at once",
    Fault.DEAF: "the line breaks before the answer: reconnect and repeat",
    Fault.STORM: "all lines break; every terminal reconnects and signs on at once",
    Fault.OFFLINE: f"up to {OFFLINE_PAYMENTS_MAX} payments are made offline and told later",
    Fault.CLOCK_SKEW: f"the terminal's clock is up to {SKEW_MINUTES_MAX} minutes wrong",
    Fault.BATCH_MISMATCH: "the terminal's totals are wrong at the batch close: upload and repeat",
}


class FaultPlan:
    """Probabilities in millionths, one draw a message. `FaultPlan.read(["drop=0.01"], seed)`."""

    def __init__(self, ppm: dict[Fault, int], seed: int) -> None:
        """Raises ValueError when a probability is out of range, or all together are more than certain."""
        if any(not 0 <= part <= PPM for part in ppm.values()) or sum(ppm.values()) > PPM:
            raise ValueError("fault probabilities are 0 to 1, and together not more than 1")
        self.ppm = {fault: part for fault, part in ppm.items() if part}
        self.seed = seed
        self.random = random.Random(f"faults/{seed}")

    @classmethod
    def read(cls, given: Sequence[str], seed: int) -> "FaultPlan":
        """From "name=probability" texts. Raises ValueError telling what to write."""
        return cls({Fault(name): part for name, part in chances(given, tuple(Fault)).items()}, seed)

    def draw(self) -> Fault | None:
        """What goes wrong with the next message; mostly nothing."""
        at = self.random.randrange(PPM)
        for fault, part in self.ppm.items():
            if fault is Fault.BATCH_MISMATCH:
                continue
            if at < part:
                return fault
            at -= part
        return None

    def batch_is_wrong(self) -> bool:
        """Whether the totals of this batch close shall be wrong."""
        return self.random.randrange(PPM) < self.ppm.get(Fault.BATCH_MISMATCH, 0)

    def delay_ms(self) -> int:
        return self.random.randrange(1, DELAY_MS_MAX + 1)

    def skew_minutes(self) -> int:
        """Wrong by this much, never by nothing."""
        return self.random.choice((-1, 1)) * self.random.randrange(1, SKEW_MINUTES_MAX + 1)


def chances(given: Sequence[str], known: Sequence[str]) -> dict[str, int]:
    """Millionths by name, from "name=probability" texts. Raises ValueError telling what to write."""
    found: dict[str, int] = {}
    for text in given:
        name, _, probability = (part.strip() for part in text.partition("="))
        if name not in known:
            raise ValueError(f"{text}: there is no {name}; known are {', '.join(known)}")
        if name in found:
            raise ValueError(f"{text}: {name} stands twice")
        found[name] = _millionths(probability, text)
    return found


def _millionths(probability: str, text: str) -> int:
    """0 to 1 with up to six decimals, exactly."""
    whole, _, part = probability.partition(".")
    digits = whole + part
    if not (digits.isascii() and digits.isdecimal()) or len(part) > DECIMALS or len(whole) > 1:
        raise ValueError(f"{text}: write name=probability, 0 to 1 with up to six decimals, such as drop=0.01")
    return int(whole or "0") * PPM + int(part.ljust(DECIMALS, "0"))


def flip_mac(payload: bytes) -> bytes:
    """The message with the last bit of its MAC wrong. In both dialects the MAC ends the message; a hex digit
    stays a hex digit of the same case."""
    last = payload[-1:]
    if last in b"0123456789ABCDEF":
        wrong = f"{int(last, 16) ^ 1:X}".encode()
        return payload[:-1] + wrong
    return payload[:-1] + bytes((last[0] ^ 1,))
