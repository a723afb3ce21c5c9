"""Reads the body of a host command field by field; anything wrong is a CommandRefused."""

from typing import Final

INVALID_INPUT: Final = "15"
DATA_LENGTH: Final = "80"
_KEY_CHARACTERS: Final = {"U": 33, "X": 33, "Z": 17}
# Forms of a key that is a block: under the LMK, under a ZMK or TMK.
_BLOCKS: Final = "SR"
_HEX: Final = frozenset("0123456789ABCDEF")


class CommandRefused(Exception):
    """The command gets an error code (two characters) and no result."""

    def __init__(self, code: str) -> None:
        super().__init__(f"refused with error {code}")
        self.code = code


class Body:
    """A cursor over a body. Its repr never shows the content."""

    __slots__ = ("_at", "_text")

    def __init__(self, body: bytes) -> None:
        # A character a byte, so that binary fields may stand among the texts.
        self._text = body.decode("latin-1")
        self._at = 0

    @property
    def left(self) -> int:
        """How many bytes are still to be read."""
        return len(self._text) - self._at

    def take(self, length: int) -> str:
        """The next characters. Raises CommandRefused 15 if there are fewer or they are not ASCII."""
        start = self._at
        field = self._text[start : start + length]
        if len(field) != length or not field.isascii():
            raise CommandRefused(INVALID_INPUT)
        self._at = start + length
        return field

    def raw(self, length: int) -> bytes:
        """The next bytes as they are. Raises CommandRefused 15 if there are fewer."""
        start = self._at
        field = self._text[start : start + length]
        if len(field) != length:
            raise CommandRefused(INVALID_INPUT)
        self._at = start + length
        return field.encode("latin-1")

    def peek(self) -> str:
        """The next character without reading it; empty at the end."""
        return self._text[self._at : self._at + 1]

    def digits(self, length: int, code: str = INVALID_INPUT) -> str:
        """So many decimal digits. Raises CommandRefused with the code."""
        field = self.take(length)
        if not field.isdigit():
            raise CommandRefused(code)
        return field

    def hex_digits(self, count: int) -> str:
        """So many hex digits, of any number, in upper case."""
        field = self.take(count).upper()
        if not set(field) <= _HEX:
            raise CommandRefused(INVALID_INPUT)
        return field

    def hex_bytes(self, digits: int) -> bytes:
        """The bytes of so many hex digits."""
        field = self.take(digits)
        try:
            data = bytes.fromhex(field)
        except ValueError:
            raise CommandRefused(INVALID_INPUT) from None
        if len(data) * 2 != digits:  # fromhex skips blanks
            raise CommandRefused(INVALID_INPUT)
        return data

    def key(self) -> str:
        """A key text: U or X + 32, Z + 16, 16 hex digits, or S or R and a key block, which says its length.

        Its content is judged when it is decrypted.
        """
        first = self.peek()
        if first and first in _BLOCKS:
            length = self._text[self._at + 2 : self._at + 6]
            if len(length) != 4 or not (length.isascii() and length.isdigit()):
                raise CommandRefused(INVALID_INPUT)
            return self.take(1 + int(length))
        return self.take(_KEY_CHARACTERS.get(first, 16))

    def key_pair(self) -> str:
        """A PVK, CVK, BDK and the like: a key text, or the older 32 hex digits: X without its letter."""
        first = self.peek()
        if first in _KEY_CHARACTERS or (first and first in _BLOCKS):
            return self.key()
        return "X" + self.take(32)

    def until(self, delimiter: str) -> str:
        """What stands before the delimiter, which is skipped."""
        end = self._text.find(delimiter, self._at)
        if end < 0:
            raise CommandRefused(INVALID_INPUT)
        field = self.take(end - self._at)
        self._at += 1
        return field

    def skip(self, delimiter: str) -> bool:
        """Skips the delimiter if it is next; says whether it was."""
        if self.peek() != delimiter:
            return False
        self._at += 1
        return True

    def end(self) -> None:
        """Raises CommandRefused 15 if anything is left: a field was longer than this command knows."""
        if self.left:
            raise CommandRefused(INVALID_INPUT)
