"""Fixed-width records as data: which field stands where in a header, a payment and a trailer.

A layout is a TOML text; layouts/kr-bulk-sample.toml says how one is written. It is judged as a whole before
anything is written by it: a layout that cannot carry what a payment needs is refused with one line.
"""

import re
import tomllib
from typing import Annotated, Literal

import msgspec

LAYOUT_BYTES_MAX = 100_000
ENCODING = "cp949"

HEAD_NUMBERS = frozenset({"created_on", "created_at", "pay_on", "count", "won", "records"})
HEAD_TEXTS = frozenset(
    {"message_id", "payment_information_id", "debtor_name", "debtor_account", "debtor_bank", "remittance"}
)
DATA_NUMBERS = frozenset({"sequence", "won"})
DATA_TEXTS = frozenset({"end_to_end_id", "payee_name", "payee_account", "payee_bank", "remittance"})
NUMBERS = HEAD_NUMBERS | DATA_NUMBERS

_NEEDED = {
    "header": {"message_id", "pay_on", "debtor_account", "debtor_bank"},
    "data": {"sequence", "end_to_end_id", "won", "payee_account", "payee_bank", "payee_name"},
    "trailer": {"count", "won"},
}
_CUT = frozenset({"debtor_name", "payee_name", "remittance"})
_DIGITS = frozenset({"debtor_account", "payee_account"})
_WIDTH_MIN = {"end_to_end_id": 35, "payment_information_id": 35, "message_id": 32,
              "created_on": 8, "pay_on": 8, "created_at": 6, "payee_name": 10, "debtor_name": 10}  # fmt: skip
_WIDTH_EXACT = frozenset({"created_on", "pay_on", "created_at"})
_WIDTH_NUMBER_MAX = 18
_SUFFIX = re.compile(r"(\.[A-Za-z0-9-]{1,20}){1,3}")
_ENDS = {"crlf": b"\r\n", "lf": b"\n", "none": b""}

_Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_-]{1,40}$")]


class LayoutError(ValueError):
    """A layout that files cannot be written by. The text is one line and names the record and the field."""


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One field of a record; `bytes` is its width, `constant` its text where it always holds the same."""

    field: _Name
    bytes: Annotated[int, msgspec.Meta(ge=1, le=2_000)]
    constant: str | None = msgspec.field(name="is", default=None)
    cut: bool = False
    digits: bool = False

    @property
    def number(self) -> bool:
        """Whether it stands right, with zeros before it."""
        return self.constant is None and self.field in NUMBERS


Fields = Annotated[tuple[Field, ...], msgspec.Meta(min_length=1, max_length=200)]


class Layout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The three kinds of record of a form, each `record_bytes` bytes and a line end long."""

    name: _Name
    suffix: str
    record_bytes: Annotated[int, msgspec.Meta(ge=60, le=2_000)]
    header: Fields
    data: Fields
    trailer: Fields
    line_end: Literal["crlf", "lf", "none"] = "crlf"
    replacement: str = "?"

    @property
    def end(self) -> bytes:
        """The bytes after each record."""
        return _ENDS[self.line_end]


def parse(text: str) -> Layout:
    """Read and judge a layout. Raises LayoutError."""
    try:
        layout = msgspec.convert(tomllib.loads(text), Layout)
    except tomllib.TOMLDecodeError as error:
        raise LayoutError(f"{error}: correct the TOML there") from None
    except msgspec.ValidationError as error:
        raise LayoutError(f"{error}: see kr-bulk-sample.toml for how a layout is written") from None
    if not _SUFFIX.fullmatch(layout.suffix):
        raise LayoutError(f'suffix {layout.suffix!r} is no end of a file name, such as ".kr-bulk.dat"')
    if len(layout.replacement) != 1 or not (" " <= layout.replacement <= "~"):
        raise LayoutError(f"replacement {layout.replacement!r} must be one printable ASCII character")
    for record, fields in (("header", layout.header), ("data", layout.data), ("trailer", layout.trailer)):
        _judge(record, fields, layout.record_bytes)
    marks = [record[0].constant for record in (layout.header, layout.data, layout.trailer)]
    widths = {record[0].bytes for record in (layout.header, layout.data, layout.trailer)}
    if len(set(marks)) != 3 or len(widths) != 1:
        raise LayoutError("the first fields of header, data and trailer must tell the records apart")
    return layout


def _judge(record: str, fields: tuple[Field, ...], record_bytes: int) -> None:
    if fields[0].constant is None:
        raise LayoutError(f"{record}: its first field must be a constant that names the kind of record")
    known = DATA_NUMBERS | DATA_TEXTS if record == "data" else HEAD_NUMBERS | HEAD_TEXTS
    values = [field.field for field in fields if field.constant is None]
    for field in fields:
        _judge_field(record, field, known)
    total = sum(field.bytes for field in fields)
    if total != record_bytes:
        raise LayoutError(f"{record}: its fields come to {total} bytes, record_bytes is {record_bytes}")
    twice = {name for name in values if values.count(name) > 1}
    if twice:
        raise LayoutError(f"{record}: {min(twice)} stands there twice")
    lacking = _NEEDED[record] - set(values)
    if lacking:
        raise LayoutError(f"{record}: lacks {', '.join(sorted(lacking))}")


def _judge_field(record: str, field: Field, known: frozenset[str]) -> None:
    where = f"{record}, {field.field}"
    if field.constant is not None:
        if not field.constant.isascii() or len(field.constant) > field.bytes:
            raise LayoutError(f"{where}: its constant must be ASCII of at most {field.bytes} bytes")
        return
    if field.field not in known:
        raise LayoutError(f'{where}: is no value there; a constant has is = "…"')
    if field.cut and field.field not in _CUT:
        raise LayoutError(f"{where}: must not be cut; only names and remittance texts may")
    if field.digits and field.field not in _DIGITS:
        raise LayoutError(f"{where}: digits = true is for account numbers")
    least = _WIDTH_MIN.get(field.field, 1)
    if field.bytes < least or (field.field in _WIDTH_EXACT and field.bytes != least):
        raise LayoutError(f"{where}: needs {least} bytes, has {field.bytes}")
    if field.number and field.bytes > _WIDTH_NUMBER_MAX:
        raise LayoutError(f"{where}: a number has at most {_WIDTH_NUMBER_MAX} bytes")
