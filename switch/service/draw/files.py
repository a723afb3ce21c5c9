"""What a draw publishes: announcement.json, tickets.csv, result.json; and the seed's own file, a secret."""

import csv
import hashlib
import hmac
import mmap
import os
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec

from switch.domain.draw import Drawn, check_hex
from switch.service.admin import RefusedError

ANNOUNCEMENT, TICKETS, RESULT = "announcement.json", "tickets.csv", "result.json"
HEADER = ("first_ticket", "tickets", "day", "member")
_FILE_BYTES_MAX = 200_000_000
_MEMBER_DIGITS = 16

Told = TypeVar("Told")


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of a draw, published with the commitment before its period is over."""

    programme: str
    name: str
    first_day: date
    last_day: date
    prizes: int
    per_won: int
    min_won: int
    once: bool
    commitment: str


class DrawnTicket(msgspec.Struct, frozen=True):
    """A drawn ticket as it is published: the member anonymous, the card masked."""

    ticket: int
    member: str
    card: str
    prize: int
    cancelled: bool

    def plain(self) -> Drawn:
        """As the draw knows it."""
        return Drawn(self.ticket, self.member, self.prize, self.cancelled)


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome: the revealed seed, the list that it was drawn from, and the tickets in their order."""

    announcement: Announcement
    tickets: int
    list_sha256: str
    seed: str
    drawn: list[DrawnTicket]


def member_token(key: bytes, member_id: str) -> str:
    """A member's id in the list: who has not the draw's key cannot tell whose it is."""
    return hmac.new(key, member_id.encode(), hashlib.sha256).hexdigest()[:_MEMBER_DIGITS]


def read_seed(path: Path) -> str:
    """The seed in a file. Raises RefusedError, DrawError."""
    try:
        with path.open(encoding="ascii") as file:
            seed = file.read(200).strip()
    except (OSError, UnicodeDecodeError):
        raise RefusedError(f"{path} cannot be read: name the file that `draw announce` wrote") from None
    check_hex(seed, f"the seed in {path}")
    return seed


def write_seed(path: Path, seed: str) -> None:
    """Write a new seed for its owner alone to read, durably. Raises RefusedError if the file exists."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(seed + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise RefusedError(f"{path} cannot be written ({error.strerror}): name a new file") from None


def write_json(path: Path, value: Any) -> None:
    """Publish a value; the file is whole or not there. Raises RefusedError."""
    raw = msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
    replace_file(path, lambda file: file.write(raw))


def replace_file(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Write a file beside its place, sync it, and put it there. Raises RefusedError."""
    draft = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise RefusedError(f"{path} cannot be written ({error.strerror}): name another place") from None
    finally:
        draft.unlink(missing_ok=True)


def read_json(path: Path, kind: type[Told]) -> Told:
    """Read a published file. Raises RefusedError."""
    try:
        if path.stat().st_size > _FILE_BYTES_MAX:
            raise RefusedError(f"{path} has more than {_FILE_BYTES_MAX:,} bytes: it is no such file")
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise RefusedError(f"{path} cannot be read ({error.strerror}): check the path") from None
    except msgspec.DecodeError as error:
        raise RefusedError(f"{path} is not what a draw publishes: {error}") from None


class TicketWriter:
    """Writes the list line by line and knows its hash: SHA-256 of the file's bytes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._put(HEADER)

    def _put(self, cells: Iterable[object]) -> None:
        line = ",".join(map(str, cells)).encode("ascii") + b"\n"
        self._hash.update(line)
        self._file.write(line)

    def add(self, first: int, tickets: int, day: date, member: str) -> None:
        """The tickets of one payment."""
        self._put((first, tickets, day.isoformat(), member))

    @property
    def sha256(self) -> str:
        """The hash of what was written, in hex."""
        return self._hash.hexdigest()


class TicketFile:
    """A published list, looked up in its place: it may be larger than memory. Use it as a context."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("rb")
            self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):
            raise RefusedError(f"{path} cannot be read: name the published ticket list") from None
        self.path = path

    def __enter__(self) -> "TicketFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._map.close()
        self._file.close()

    def sha256(self) -> str:
        """The hash of the file's bytes."""
        self._file.seek(0)
        return hashlib.file_digest(self._file, "sha256").hexdigest()

    def check(self) -> tuple[int, list[str]]:
        """Tickets in all, and the first lines that are wrong: numbers must go on from 1 without a gap."""
        problems: list[str] = []
        following = 1
        with self.path.open(encoding="ascii", errors="replace", newline="") as file:
            lines = csv.reader(file)
            if tuple(next(lines, ())) != HEADER:
                return 0, [f"its first line is not {','.join(HEADER)}"]
            for number, cells in enumerate(lines, 2):
                if len(cells) != len(HEADER) or not (_decimal(cells[0]) and _decimal(cells[1])):
                    problems.append(f"line {number} is no line of a ticket list")
                elif int(cells[0]) != following or int(cells[1]) < 1:
                    problems.append(f"line {number} begins with ticket {cells[0]}, not {following}")
                else:
                    following += int(cells[1])
                    continue
                break
        return following - 1, problems

    def member_of(self, ticket: int) -> str:
        """The member of a ticket of a list that check() found right. Raises RefusedError beyond its end."""
        low, high = self._map.find(b"\n") + 1, len(self._map)
        while low < high:  # the last line whose first ticket is not above it lies in low … high
            middle = self._map.rfind(b"\n", 0, (low + high) // 2) + 1
            middle = max(middle, low)
            end = self._map.find(b"\n", middle)
            following = end + 1 if end >= 0 else len(self._map)
            first, tickets, _, member = self._map[middle : following - 1].decode("ascii").split(",")
            if int(first) > ticket:
                high = middle
            elif ticket >= int(first) + int(tickets):
                low = following
            else:
                return member
        raise RefusedError(f"{self.path} has no ticket {ticket}")


def _decimal(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 15
