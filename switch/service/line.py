"""What the desk knows of a connection: how it writes, for whom it may speak, and for whom it speaks now.

A terminal speaks on one line at a time: the newest that has shown an authenticated message of it which never
came before. Its older line is no longer answered for it, and is closed when it spoke for nobody else: a
terminal that has dialled again does not listen there any more, and whoever does is not it.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from switch.domain.calendar import moment_of
from switch.wire.dialect import Codec

TERMINALS_MAX: Final = 200_000
"""Claims remembered at once. Beyond, the oldest is forgotten, as if that terminal had not spoken yet."""


class Speakers:
    """Which line speaks for which terminal; one for all lines of a process."""

    __slots__ = ("_lines", "_most")

    def __init__(self, most: int = TERMINALS_MAX) -> None:
        self._lines: dict[str, Line] = {}
        self._most = most

    def __len__(self) -> int:
        return len(self._lines)

    def claim(self, terminal_id: str, line: "Line") -> bool:
        """Whether `line` speaks for the terminal from now on; no when a newer line does."""
        before = self._lines.get(terminal_id)
        if before is line:
            return True
        if before is not None:
            if before.number > line.number:
                return False
            del self._lines[terminal_id]  # the newest claim stands last
            before.lose(terminal_id)
        elif len(self._lines) >= self._most:
            oldest = next(iter(self._lines))
            self._lines.pop(oldest).forget(oldest)
        self._lines[terminal_id] = line
        return True

    def leaves_room(self, terminal_id: str, line: "Line") -> bool:
        """Whether no line newer than this one speaks for the terminal."""
        speaking = self._lines.get(terminal_id)
        return speaking is None or speaking.number <= line.number

    def leave(self, terminal_ids: Iterable[str], line: "Line") -> None:
        """The line has ended: the terminals it spoke for may speak on any other."""
        for terminal_id in terminal_ids:
            if self._lines.get(terminal_id) is line:
                del self._lines[terminal_id]


class Line:
    """One connection. `number` grows with every connection of the process; `opened_at` is aware."""

    __slots__ = (
        "_on_superseded", "_permitted", "_speakers", "_terminals", "codec", "number", "opened", "opened_at"
    )  # fmt: skip

    def __init__(
        self,
        *,
        codec: Codec,
        number: int,
        opened_at: datetime,
        speakers: Speakers,
        permitted: tuple[str, ...] | None = None,
        on_superseded: Callable[[], None] = lambda: None,
    ) -> None:
        """`permitted`: terminal ids of the client certificate, each may end in `*`; None when the listener
        binds no one. `on_superseded` is called when the line has lost the last terminal it spoke for."""
        self.codec = codec
        self.number = number
        self.opened_at = opened_at
        self.opened = moment_of(opened_at)  # comparable with a payment's own day and time
        self._speakers = speakers
        self._permitted = permitted
        self._on_superseded = on_superseded
        self._terminals: set[str] = set()

    def permits(self, terminal_id: str) -> bool:
        """Whether the line's certificate covers this terminal."""
        if self._permitted is None:
            return True
        name = terminal_id.rstrip()  # DE41 is filled with blanks, a certificate's name is not
        return any(name.startswith(one[:-1]) if one.endswith("*") else name == one for one in self._permitted)

    def may_speak(self, terminal_id: str) -> bool:
        """Whether no newer line speaks for the terminal; else its message must be refused
        (session_superseded)."""
        return terminal_id in self._terminals or self._speakers.leaves_room(terminal_id, self)

    def claim(self, terminal_id: str) -> bool:
        """Say, after an authenticated message that never came before, that this line speaks for the terminal.

        One that came before proves nobody: whoever has overheard it may send it again over a newer line.
        False when a newer line does.
        """
        if terminal_id in self._terminals:
            return True
        if not self._speakers.claim(terminal_id, self):
            return False
        self._terminals.add(terminal_id)
        return True

    def lose(self, terminal_id: str) -> None:
        """A newer line speaks for the terminal now."""
        self.forget(terminal_id)
        if not self._terminals:
            self._on_superseded()

    def forget(self, terminal_id: str) -> None:
        """This line's claim is no longer remembered."""
        self._terminals.discard(terminal_id)

    def end(self) -> None:
        """The connection is gone."""
        self._speakers.leave(self._terminals, self)
        self._terminals.clear()
