"""What every language of an explanation has: the same sentences, and how it writes money, rates and days."""

import re
from collections.abc import Callable, Mapping

import msgspec

from switch.domain.money import PPM


class Why(msgspec.Struct, frozen=True):
    """What is said of one reason: why it is so, what would have made it pass, and that with its figures.

    `figures` may name {limit}, {used}, {short} and is said where the limit or what is short is known.
    """

    why: str
    cure: str = ""
    figures: str = ""


class Words(msgspec.Struct, frozen=True):
    """One language. `text` has sentences by name with {fields}; the others tell names, money and time.

    `party` picks its part of a funder's name that is written in two languages: 국비 (national government).
    """

    text: Mapping[str, str]
    reasons: Mapping[str, Why]
    names: Mapping[str, str]
    won: Callable[[int], str]
    day: Callable[[int], str]
    month: Callable[[int], str]
    moment: Callable[[int], str]
    party: Callable[[str], str]

    def say(self, name: str, /, **fields: object) -> str:
        """One sentence. KeyError for a sentence or a field that the language does not have."""
        return self.text[name].format(**fields)

    def name(self, word: str) -> str:
        """A kind, channel or state in this language; the word itself where it has none."""
        return self.names.get(word, word)


def plain(won: int) -> str:
    """Digits with separators, the sign in front."""
    return f"{won:,}"


def rate_text(ppm: int) -> str:
    """A rate as percent, exact: 100_000 ppm is "10 %", 1_500 "0.15 %"."""
    whole, rest = divmod(ppm, 10_000)
    return f"{whole}.{rest:04d}".rstrip("0").rstrip(".") + " %"


def exact_share(basis: int, rate_ppm: int) -> str:
    """basis × rate in won with all its decimals, without a float."""
    whole, rest = divmod(basis * rate_ppm, PPM)
    return f"{whole:,}" + (f".{rest:06d}".rstrip("0") if rest else "")


def clock_of(moment: int) -> str:
    """hh:mm:ss of a moment (yyyymmddhhmmss)."""
    return f"{moment // 10_000 % 100:02d}:{moment // 100 % 100:02d}:{moment % 100:02d}"


_TWO_NAMES = re.compile(r"(.+?) *\(([^()]+)\)")


def outer_name(name: str) -> str:
    """What stands before the brackets of a name, or all of it."""
    parts = _TWO_NAMES.fullmatch(name)
    return parts[1] if parts else name


def inner_name(name: str) -> str:
    """What stands within the brackets of a name, or all of it."""
    parts = _TWO_NAMES.fullmatch(name)
    return parts[2] if parts else name
