"""The forms in which a file can leave: ISO 20022's pain.001, and fixed-width records by a layout."""

from collections.abc import Callable, Iterable
from typing import BinaryIO

import msgspec

from settlement.files import pain001
from settlement.files.orders import Order, Transfer

Write = Callable[[BinaryIO, Order, Iterable[Transfer]], None]


class Profile(msgspec.Struct, frozen=True):
    """One form. `suffix` ends a file's name; `write` makes the bytes of an order, the same ones each time;
    `check` reads a finished file back and raises ControlError where it is not what was ordered."""

    name: str
    suffix: str
    write: Write
    check: Write


class ProfileError(ValueError):
    """There is no such form, or its layout cannot be used."""


PAIN001 = Profile(pain001.NAME, pain001.SUFFIX, pain001.write, pain001.check)


def packaged(name: str) -> Profile:
    """A form that the program brings. Raises ProfileError."""
    if name == PAIN001.name:
        return PAIN001
    raise ProfileError(f"files.profile {name!r} is not known: {PAIN001.name}, or the path of a layout (TOML)")
