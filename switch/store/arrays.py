"""Columns of values as PostgreSQL's binary arrays, packed in one go.

A batch goes to the server as one array a column (`unnest`). Packing them here costs a tenth of a
microsecond a value; lists of Python objects cost ten times that. Layout: array_send in PostgreSQL's
src/backend/utils/adt/arrayfuncs.c – dimensions, flags, element type, length, lower bound, then each
element with its length in front.
"""

from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from itertools import chain
from struct import Struct
from typing import ClassVar

from psycopg import pq
from psycopg.abc import AdaptContext
from psycopg.adapt import Buffer, Dumper

_HEADER = Struct(">5i")
_EPOCH = date(2000, 1, 1).toordinal()
_LENGTH = [Struct(">i").pack(n) for n in range(4096)]


class Packed:
    """A parameter in PostgreSQL's binary form, ready to be sent; `oid` is its type's."""

    __slots__ = ("raw",)
    oid: ClassVar[int]

    def __init__(self, raw: bytes) -> None:
        self.raw = raw


class Int2s(Packed):
    """smallint[]"""

    __slots__ = ()
    oid = 1005


class Int4s(Packed):
    """integer[]"""

    __slots__ = ()
    oid = 1007


class Int8s(Packed):
    """bigint[]"""

    __slots__ = ()
    oid = 1016


class Dates(Packed):
    """date[]"""

    __slots__ = ()
    oid = 1182


class Texts(Packed):
    """text[]"""

    __slots__ = ()
    oid = 1009


class Byteas(Packed):
    """bytea[]"""

    __slots__ = ()
    oid = 1001


class Bools(Packed):
    """boolean[]"""

    __slots__ = ()
    oid = 1000


class Day(Packed):
    """date"""

    __slots__ = ()
    oid = 1082


@lru_cache(maxsize=4096)
def _struct(code: str, count: int) -> Struct:
    return Struct(">5i" + f"i{code}" * count)


def _fixed(code: str, size: int, oid: int, values: Sequence[int]) -> bytes:
    count = len(values)
    if not count:
        return Struct(">3i").pack(0, 0, oid)
    cells = [size] * (2 * count)
    cells[1::2] = values
    return _struct(code, count).pack(1, 0, oid, count, 1, *cells)


def int2s(values: Sequence[int]) -> Int2s:
    """smallint[] of these values."""
    return Int2s(_fixed("h", 2, 21, values))


def int4s(values: Sequence[int]) -> Int4s:
    """integer[] of these values."""
    return Int4s(_fixed("i", 4, 23, values))


def int8s(values: Sequence[int]) -> Int8s:
    """bigint[] of these values."""
    return Int8s(_fixed("q", 8, 20, values))


def bools(values: Sequence[bool]) -> Bools:
    """boolean[] of these values."""
    return Bools(_fixed("?", 1, 16, values))


@lru_cache(maxsize=4096)
def days_since_2000(day: int) -> int:
    """PostgreSQL's number of a day given as yyyymmdd."""
    return date(day // 10_000, day // 100 % 100, day % 100).toordinal() - _EPOCH


def dates(days: Sequence[int]) -> Dates:
    """date[] of days given as yyyymmdd."""
    return Dates(_fixed("i", 4, 1082, [days_since_2000(day) for day in days]))


def day(number: int) -> Day:
    """A single date, from yyyymmdd."""
    return Day(Struct(">i").pack(days_since_2000(number)))


def _variable(oid: int, values: Sequence[bytes]) -> bytes:
    if not values:
        return Struct(">3i").pack(0, 0, oid)
    head = _HEADER.pack(1, 0, oid, len(values), 1)
    try:
        cells = chain.from_iterable([(_LENGTH[len(value)], value) for value in values])
        return head + b"".join(cells)
    except IndexError:
        wide = Struct(">i")
        return head + b"".join([wide.pack(len(value)) + value for value in values])


def texts(values: Sequence[str]) -> Texts:
    """text[] of these strings."""
    return Texts(_variable(25, [value.encode() for value in values]))


def raw_texts(values: Sequence[bytes]) -> Texts:
    """text[] of strings that are UTF-8 already."""
    return Texts(_variable(25, values))


def byteas(values: Sequence[bytes]) -> Byteas:
    """bytea[] of these bytes."""
    return Byteas(_variable(17, values))


class _ByteasDumper(Dumper):
    format = pq.Format.BINARY
    oid = Byteas.oid

    def dump(self, obj: Byteas) -> Buffer:
        return obj.raw


def register(connection: AdaptContext) -> None:
    """Teach a connection that uses cursors to take bytea arrays (the lane's uses none: see pipe)."""
    connection.adapters.register_dumper(Byteas, _ByteasDumper)
