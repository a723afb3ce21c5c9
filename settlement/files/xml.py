"""Reads XML that strangers have sent: nothing in it may cost more than its own size, or reach outside of it.

Every byte passes a first reader (expat) that knows no document types and counts, before a second one
(libxml2) validates it against the published schema and hands out its parts, each let go at once. So entities,
external references, depth, size of a text, encodings and cut-off files are refused where they begin.
"""

from collections.abc import Callable, Container, Iterator
from functools import cache
from importlib.resources import files
from typing import Any, BinaryIO
from xml.parsers import expat

from lxml import etree

FILE_BYTES_MAX = 200_000_000
DEPTH_MAX = 40
TEXT_CHARS_MAX = 10_000
"""Of one text between two tags, of one attribute, of one name. The longest of the formats has 2,000."""
ATTRIBUTES_MAX = 16
NAMESPACES_MAX = 64
"""In force at one place: each name is looked up among all of them."""
TOKEN_BYTES_MAX = 200_000
ELEMENTS_MAX = 8_000_000
KEPT_MAX = 2_000_000
"""Elements, attributes and namespaces that the second reader has to keep at once: less than 1 GB of memory.
A statement's entry for 50,000 payments has about 1,000,000.
"""
READ_BYTES = 1 << 16

_COMPRESSED = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff", b"\x00<", b"<\x00")


class UnsafeXmlError(ValueError):
    """A file that is not read: the text says what it has that no bank's answer has, and what to ask for."""


class _Guard:
    """The first reader. `feed` raises UnsafeXmlError as soon as something is beyond what a file may have."""

    def __init__(self, released: Container[str] = ()) -> None:
        """`released`: names (namespace, blank, name) of what the second reader lets go at its end."""
        self.root = ""
        self._released = released
        self._depth = 0
        self._elements = 0
        self._kept = 0
        self._kept_before: list[int] = []
        self._namespaces = 0
        self._text: list[int] = [0]
        self._fed = 0
        parser = expat.ParserCreate("UTF-8", " ")
        parser.buffer_text = False
        parser.StartDoctypeDeclHandler = self._doctype
        parser.EntityDeclHandler = self._entity
        parser.XmlDeclHandler = self._declaration
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartNamespaceDeclHandler = self._namespace
        parser.EndNamespaceDeclHandler = self._namespace_ends
        parser.CharacterDataHandler = self._characters
        parser.ProcessingInstructionHandler = self._instruction
        self._parser = parser

    def feed(self, data: bytes, *, last: bool = False) -> None:
        if self._fed == 0 and data.startswith(_COMPRESSED):
            raise UnsafeXmlError("is compressed: ask the bank for plain XML")
        if self._fed == 0 and data.startswith(_UTF_16):
            raise UnsafeXmlError("is in UTF-16: ask the bank for UTF-8")
        self._fed += len(data)
        try:
            self._parser.Parse(data, last)
        except expat.ExpatError as error:
            if last and self._depth:
                raise UnsafeXmlError(
                    f"is cut off after {self._fed:,} bytes: ask the bank for the whole file"
                ) from None
            what = expat.errors.messages[error.code]
            raise UnsafeXmlError(f"is no well-formed XML in UTF-8: {what}, line {error.lineno}") from None
        if self._fed - max(self._parser.CurrentByteIndex, 0) > TOKEN_BYTES_MAX + len(data):
            raise UnsafeXmlError(f"has one piece of more than {TOKEN_BYTES_MAX:,} bytes: no answer has")

    def _doctype(self, *_: object) -> None:
        raise UnsafeXmlError("has a document type (DOCTYPE): no bank's answer has; nothing of it was read")

    def _entity(self, *_: object) -> None:
        raise UnsafeXmlError("defines entities: no bank's answer does; nothing of it was read")

    def _instruction(self, *_: object) -> None:
        raise UnsafeXmlError("has a processing instruction: no bank's answer has; nothing of it was read")

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.upper() not in ("UTF-8", "US-ASCII"):
            raise UnsafeXmlError(f"is in {encoding[:40]}: ask the bank for UTF-8")

    def _namespace(self, *_: object) -> None:
        self._namespaces += 1
        self._kept += 1
        if self._namespaces > NAMESPACES_MAX:
            raise UnsafeXmlError(f"declares more than {NAMESPACES_MAX} namespaces at once: no answer does")

    def _namespace_ends(self, _prefix: str | None) -> None:
        self._namespaces -= 1

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        self.root = self.root or name
        if self._depth > DEPTH_MAX:
            raise UnsafeXmlError(f"is nested more than {DEPTH_MAX} deep: no answer is")
        if self._elements > ELEMENTS_MAX:
            raise UnsafeXmlError(f"has more than {ELEMENTS_MAX:,} elements: ask the bank for smaller files")
        if len(attributes) > ATTRIBUTES_MAX:
            raise UnsafeXmlError(f"has an element with more than {ATTRIBUTES_MAX} attributes: no answer has")
        if len(name) > TEXT_CHARS_MAX or any(
            len(key) + len(value) > TEXT_CHARS_MAX for key, value in attributes.items()
        ):
            raise UnsafeXmlError(f"has a name or an attribute of more than {TEXT_CHARS_MAX:,} characters")
        self._kept_before.append(self._kept)
        self._kept += 1 + len(attributes)
        if self._kept > KEPT_MAX:
            raise UnsafeXmlError(f"has one part of more than {KEPT_MAX:,} elements: ask for smaller files")
        self._text.append(0)

    def _end(self, name: str) -> None:
        self._depth -= 1
        before = self._kept_before.pop()
        if name in self._released:
            self._kept = before + 1  # emptied, it may stay
        self._text.pop()
        if self._text:
            self._text[-1] = 0  # what stands between two children counts alone: thousands may be indented

    def _characters(self, text: str) -> None:
        self._text[-1] += len(text)
        if self._text[-1] > TEXT_CHARS_MAX:
            raise UnsafeXmlError(f"has a text of more than {TEXT_CHARS_MAX:,} characters: no answer has")


class _Watched:
    """A source whose bytes have passed the guard before the next reader gets them."""

    def __init__(self, source: BinaryIO, released: Container[str]) -> None:
        self._source = source
        self._guard = _Guard(released)
        self._over = False

    def read(self, size: int = READ_BYTES) -> bytes:
        data = self._source.read(min(size, READ_BYTES) if size > 0 else READ_BYTES)
        if not self._over:
            self._guard.feed(data, last=not data)
        self._over = not data
        return data


def check_size(size: int) -> None:
    """Raise UnsafeXmlError for a file of more bytes than is ever opened."""
    if size > FILE_BYTES_MAX:
        raise UnsafeXmlError(
            f"has {size:,} bytes, at most {FILE_BYTES_MAX:,} are read: ask the bank for smaller files"
        )


def root_of(source: BinaryIO) -> tuple[str, str]:
    """Namespace and name of the outermost element, read from the beginning. Raises UnsafeXmlError."""
    guard = _Guard()
    while not guard.root:
        data = source.read(READ_BYTES)
        guard.feed(data, last=not data)
        if not data:
            break
    source.seek(0)
    namespace, _, name = guard.root.rpartition(" ")
    return namespace, name


@cache
def _schema(name: str) -> Any:
    xsd = files("settlement.files").joinpath(f"xsd/{name}.xsd").read_bytes()
    return etree.XMLSchema(etree.fromstring(xsd))


def parts(
    source: BinaryIO, namespace: str, wanted: frozenset[str], schema: str = ""
) -> Iterator[tuple[str, Any]]:
    """The wanted elements of a message as (name, element), innermost first, each emptied after its turn.

    What is wanted inside a wanted element is gone from it when its own turn comes. `schema` names the XSD
    that the message is validated against on the way; a fault may be told only at the end, so nothing may be
    acted upon before the last part. Raises UnsafeXmlError.
    """
    prefix = f"{{{namespace}}}"
    tags = {f"{prefix}{name}": name for name in wanted}
    options = {"schema": _schema(schema)} if schema else {}
    try:
        events = etree.iterparse(
            _Watched(source, {f"{namespace} {name}" for name in wanted}),
            events=("end",),
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=False,
            remove_comments=True,
            remove_pis=True,
            encoding="UTF-8",
            **options,
        )
        for _, element in events:
            name = tags.get(element.tag)
            if name is None:
                continue
            yield name, element
            _let_go(element)
    except etree.XMLSyntaxError as error:
        what = f"valid {schema}" if schema else "well-formed XML"
        raise UnsafeXmlError(f"is not {what}: {_plain(error, prefix)}") from None


def _let_go(element: Any) -> None:
    element.clear()
    parent = element.getparent()
    if parent is not None:
        while (before := element.getprevious()) is not None and before.tag == element.tag:
            parent.remove(before)


def _plain(error: etree.XMLSyntaxError, prefix: str) -> str:
    return str(error.msg or error).replace(prefix, "")[:300]


def text_at(namespace: str) -> Callable[[Any, str], str]:
    """A function that gives the text below an element at a path of plain names, "" where there is none."""

    def find(element: Any, path: str) -> str:
        found = element.find("/".join(f"{{{namespace}}}{name}" for name in path.split("/")))
        return (found.text or "").strip() if found is not None else ""

    return find


def all_at(namespace: str) -> Callable[[Any, str], list[Any]]:
    """A function that gives all elements below one at a path of plain names."""

    def find(element: Any, path: str) -> list[Any]:
        return list(element.findall("/".join(f"{{{namespace}}}{name}" for name in path.split("/"))))

    return find


def count_of(text: str, what: str) -> int | None:
    """A count, None where there is none. Raises UnsafeXmlError."""
    if text and not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise UnsafeXmlError(f"{what} is {text[:40]!r}, which is no count")
    return int(text) if text else None


def won_of(text: str, currency: str, what: str) -> int:
    """Whole won above or equal 0. Raises UnsafeXmlError for another currency, a fraction, a sign."""
    whole, dot, rest = text.partition(".")
    if currency != "KRW":
        raise UnsafeXmlError(f"{what} is in {currency or 'no currency'}: only won (KRW) are booked")
    if not whole.isascii() or not whole.isdigit() or len(whole) > 15 or (dot and rest.strip("0")):
        raise UnsafeXmlError(f"{what} is {text[:40]!r}: only whole won can be booked")
    return int(whole)
