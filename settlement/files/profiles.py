"""The forms in which a file can leave: ISO 20022's pain.001, and fixed-width records by a layout."""

from collections.abc import Callable, Iterable
from functools import cache
from importlib.resources import files
from typing import BinaryIO

import msgspec

from settlement.files import pain001
from settlement.files.fixed import Fixed
from settlement.files.fixed_layout import LayoutError, parse
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
    """There is no such form, or its layout cannot be used. The text is one line."""


PAIN001 = Profile(pain001.NAME, pain001.SUFFIX, pain001.write, pain001.check)
SAMPLES = ("kr-bulk-sample",)


@cache
def packaged(name: str) -> Profile:
    """A form that the program brings. Raises ProfileError."""
    if name == PAIN001.name:
        return PAIN001
    if name in SAMPLES:
        return by_layout(files("settlement.files").joinpath(f"layouts/{name}.toml").read_text("utf-8"), name)
    known = ", ".join((PAIN001.name, *SAMPLES))
    raise ProfileError(f"files.profile {name!r} is not known: {known}, or the path of a layout (*.toml)")


def by_layout(text: str, where: str) -> Profile:
    """The form that a layout describes; `where` is named if it cannot be used. Raises ProfileError."""
    try:
        layout = parse(text)
    except LayoutError as error:
        raise ProfileError(f"layout {where}: {error}") from None
    fixed = Fixed(layout)
    return Profile(layout.name, layout.suffix, fixed.write, fixed.check)
