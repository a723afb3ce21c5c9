"""Fixed-width records in CP949: a header, one record a payment, a trailer with counts and sums.

Written and read back by the same layout, in one bounded pass each; the reader takes nothing on trust that the
writer did: lengths, kinds and order of records, sequence numbers, digits, counts and sums are counted anew.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import zip_longest
from typing import BinaryIO

from settlement.files.fixed_layout import ENCODING, Field, Layout
from settlement.files.orders import ControlError, Order, OrderError, Party, Transfer, masked, printable

Value = str | int
_CHUNK = 1_000


class Fixed:
    """The form that one layout describes."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def write(self, sink: BinaryIO, order: Order, transfers: Iterable[Transfer]) -> None:
        """Write the records. Raises OrderError for a value that its field cannot hold."""
        head = _head(order)
        sink.write(self._record(self._layout.header, head))
        parts: list[bytes] = []
        for sequence, transfer in enumerate(transfers, 1):
            parts.append(self._record(self._layout.data, _data(transfer, sequence, head["remittance"])))
            if len(parts) == _CHUNK:
                sink.write(b"".join(parts))
                parts.clear()
        sink.write(b"".join([*parts, self._record(self._layout.trailer, head)]))

    def check(self, source: BinaryIO, order: Order, transfers: Iterable[Transfer]) -> None:
        """Hold a whole finished file against what it must say. Raises ControlError."""
        head = _head(order)
        seen: set[str] = set()
        won = 0
        for found, due in zip_longest(self._payments(source, head), _numbered(transfers)):
            if found is None:
                missing = due[1]
                raise ControlError(
                    f"payout {missing.end_to_end_id} of {missing.won:,} won is missing in the file"
                )
            name = str(found["end_to_end_id"])
            if due is None:
                raise ControlError(f"the file pays {name}, which is none of its payouts")
            self._hold(self._layout.data, found, _data(due[1], due[0], head["remittance"]))
            if name in seen:
                raise ControlError(f"EndToEndId {name} appears twice")
            seen.add(name)
            won += int(found["won"])
        if (len(seen), won) != (order.count, order.won):
            raise ControlError(
                f"the file pays {len(seen):,} × {won:,} won, frozen are {order.count:,} × {order.won:,}"
            )

    def _payments(self, source: BinaryIO, head: dict[str, Value]) -> Iterator[dict[str, Value]]:
        kinds = 0
        for kind, values in records(source, self._layout):
            if kind == "data":
                yield values
                continue
            self._hold(self._layout.header if kind == "header" else self._layout.trailer, values, head)
            kinds += 1
        if kinds != 2:
            raise ControlError("the file is cut off: it has no trailer")

    def _record(self, fields: tuple[Field, ...], values: dict[str, Value]) -> bytes:
        return b"".join([*(self._filled(field, values) for field in fields), self._layout.end])

    def _filled(self, field: Field, values: dict[str, Value]) -> bytes:
        if field.constant is not None:
            return field.constant.encode().ljust(field.bytes)
        value = self._said(field, values[field.field])
        if isinstance(value, int):
            filled = b"%0*d" % (field.bytes, value)
        else:
            filled = value.encode(ENCODING).ljust(field.bytes)
        if len(filled) > field.bytes:
            shown = masked(str(value)) if field.digits or "account" in field.field else value
            raise OrderError(f"{field.field} {shown} does not fit into the {field.bytes} bytes it has")
        return filled

    def _said(self, field: Field, value: Value) -> Value:
        """A value as its field can say it."""
        if isinstance(value, int):
            return value
        if field.digits:
            value = value.replace("-", "")
        if field.cut:
            return fitted(value, field.bytes, self._layout.replacement)
        if field.field.endswith("_name") or field.field == "remittance":
            return fitted(value, 4 * len(value), self._layout.replacement)
        return value

    def _hold(self, fields: tuple[Field, ...], found: dict[str, Value], due: dict[str, Value]) -> None:
        for field in fields:
            if field.constant is not None:
                continue
            wanted = self._said(field, due[field.field])
            if found[field.field] != wanted:
                about = f"{due['end_to_end_id']}: " if "end_to_end_id" in due else ""
                said = [masked(str(one)) if "account" in field.field else one
                        for one in (found[field.field], wanted)]  # fmt: skip
                raise ControlError(f"{about}{field.field} in the file is {said[0]}, it must be {said[1]}")


@lru_cache(maxsize=4_096)
def fitted(text: str, most: int, replacement: str = "?") -> str:
    """A text that takes at most `most` bytes of CP949, cut between characters.

    What CP949 does not have stands as its base letter, if that is ASCII, else as `replacement`.
    """
    whole = unicodedata.normalize("NFC", text)
    try:
        if len(whole.encode(ENCODING)) <= most:  # nearly every text
            return whole.rstrip()
    except UnicodeEncodeError:
        pass
    kept: list[str] = []
    left = most
    for character in whole:
        told = _told(character, replacement)
        left -= len(told.encode(ENCODING))
        if left < 0:
            break
        kept.append(told)
    return "".join(kept).rstrip()


def _told(character: str, replacement: str) -> str:
    try:
        character.encode(ENCODING)
    except UnicodeEncodeError:
        base = unicodedata.normalize("NFKD", character)[0]
        return base if base.isascii() and base.isprintable() else replacement
    return character


def _head(order: Order) -> dict[str, Value]:
    made = order.created_at
    return {
        "message_id": order.message_id,
        "payment_information_id": order.payment_information_id,
        "created_on": int(made.strftime("%Y%m%d")),
        "created_at": int(made.strftime("%H%M%S")),
        "pay_on": int(order.pay_on.strftime("%Y%m%d")),
        "debtor_name": printable(order.debtor.name),
        "debtor_account": order.debtor.account,
        "debtor_bank": order.debtor.bank,
        "remittance": printable(order.remittance),
        "count": order.count,
        "won": order.won,
        "records": order.count + 2,
    }


def _data(transfer: Transfer, sequence: int, remittance: Value) -> dict[str, Value]:
    payee: Party = transfer.payee
    return {
        "sequence": sequence,
        "end_to_end_id": transfer.end_to_end_id,
        "won": transfer.won,
        "payee_name": printable(payee.name),
        "payee_account": payee.account,
        "payee_bank": payee.bank,
        "remittance": remittance,
    }


def _numbered(transfers: Iterable[Transfer]) -> Iterator[tuple[int, Transfer]]:
    return enumerate(transfers, 1)


def records(source: BinaryIO, layout: Layout) -> Iterator[tuple[str, dict[str, Value]]]:
    """The records of a file as (header | data | trailer, values), their form and order checked.

    Raises ControlError for a record of another length or kind, in a wrong place, with anything in a number
    but digits, or with bytes that are no CP949.
    """
    size = layout.record_bytes + len(layout.end)
    kinds = {
        str(fields[0].constant).ljust(fields[0].bytes).encode(): (kind, fields)
        for kind, fields in (("header", layout.header), ("data", layout.data), ("trailer", layout.trailer))
    }
    mark = layout.header[0].bytes
    number, before = 0, ""
    while record := source.read(size):
        number += 1
        if len(record) != size or not record.endswith(layout.end):
            raise ControlError(f"record {number} is not {layout.record_bytes} bytes and a line end long")
        kind, fields = kinds.get(record[:mark], ("", ()))
        if kind not in _FOLLOWS[before]:
            raise ControlError(f"record {number} is a {kind or 'stranger'}, out of its place")
        before = kind
        yield kind, _values(record, fields, number)
    if before != "trailer":
        raise ControlError("the file is cut off: it has no trailer")


_FOLLOWS = {
    "": {"header"},
    "header": {"data", "trailer"},
    "data": {"data", "trailer"},
    "trailer": set[str](),
}


def _values(record: bytes, fields: tuple[Field, ...], number: int) -> dict[str, Value]:
    values: dict[str, Value] = {}
    at = 0
    for field in fields:
        raw = record[at : at + field.bytes]
        at += field.bytes
        if field.constant is not None:
            if raw != field.constant.encode().ljust(field.bytes):
                raise ControlError(f"record {number}: {field.field} is not the constant that it has to be")
        elif field.number:
            if not raw.isdigit():
                raise ControlError(f"record {number}: {field.field} has something else than digits")
            values[field.field] = int(raw)
        else:
            try:
                values[field.field] = raw.decode(ENCODING).rstrip(" ")
            except UnicodeDecodeError:
                raise ControlError(f"record {number}: {field.field} is no CP949 text") from None
    return values
