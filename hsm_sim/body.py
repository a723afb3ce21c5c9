"""Reads the body of a host command field by field; anything wrong is a CommandRefused."""

from typing import Final

INVALID_INPUT: Final = "15"
DATA_LENGTH: Final = "80"
_KEY_CHARACTERS: Final = {"U": 33, "X": 33, "Z": 17}


class CommandRefused(Exception):
    """The command gets an error code (two characters) and no result."""

    def __init__(self, code: str) -> None:
        super().__init__(f"refused with error {code}")
        self.code = code


class Body:
    """A cursor over a body. Its repr never shows the content."""

    __slots__ = ("_at", "_text")

    def __init__(self, body: bytes) -> None:
        """Raises CommandRefused 15 if the body is not ASCII."""
        try:
            self._text = body.decode("ascii")
        except UnicodeDecodeError:
            raise CommandRefused(INVALID_INPUT) from None
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._text) - self._at

    def peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def take(self, length: int) -> str:
        if length < 0 or length > self.left:
            raise CommandRefused(INVALID_INPUT)
        start = self._at
        self._at = start + length
        return self._text[start : self._at]

    def digits(self, length: int, code: str = INVALID_INPUT) -> str:
        field = self.take(length)
        if not field.isdigit():
            raise CommandRefused(code)
        return field

    def hex_bytes(self, digits: int) -> bytes:
        field = self.take(digits)
        try:
            data = bytes.fromhex(field)
        except ValueError:
            raise CommandRefused(INVALID_INPUT) from None
        if len(data) * 2 != digits:  # fromhex skips blanks
            raise CommandRefused(INVALID_INPUT)
        return data

    def key(self) -> str:
        """A key text: U or X + 32, Z + 16, or 16 hex digits. Its content is judged when it is decrypted."""
        return self.take(_KEY_CHARACTERS.get(self.peek(), 16))

    def key_pair(self) -> str:
        """A PVK or CVK: a key text, or the older form of 32 hex digits, which is X without its letter."""
        return self.key() if self.peek() in _KEY_CHARACTERS else "X" + self.take(32)

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
