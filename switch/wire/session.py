"""The state of one connection, at either end, without the connection.

The switch's end (`Session`). A connection is OPEN until somebody wants it gone: then it is DRAINING while
answers are owed, and CLOSED. New work is taken only when OPEN and below the bound; answers are sent while
OPEN or DRAINING. A frame that lies about its length, or a message that cannot be read, leaves nothing to wait
for: answers already owed could be answers to anything, so the connection is CLOSED at once. What was booked
stays booked; the terminal repeats.

    state     | request            | answered               | drain                  | bad frame, lost
    ----------+--------------------+------------------------+------------------------+----------------
    OPEN      | OPEN, taken/busy   | OPEN                   | DRAINING, or CLOSED    | CLOSED
              |                    |                        | when nothing is owed   |
    DRAINING  | DRAINING, refused  | DRAINING, or CLOSED    | DRAINING               | CLOSED
              |                    | when nothing is owed   |                        |
    CLOSED    | refused            | CLOSED (not sent)      | CLOSED                 | CLOSED

The terminal's end (`Pending`). Replies come in any order, so each is matched by what the switch must echo:
the class of the MTI, the STAN and the terminal. A reply that matches nothing (late, unasked) is not an answer
to anything.

Times are seconds of a monotonic clock, given by the caller.
"""

from enum import IntEnum
from typing import Final, Generic, TypeVar

IN_FLIGHT_MAX: Final = 256
TERMINALS_MAX: Final = 4096


class State(IntEnum):
    """Where a connection stands; it goes only downwards."""

    OPEN = 0
    DRAINING = 1
    CLOSED = 2


class Admission(IntEnum):
    """TAKEN:

    an answer is owed. BUSY: above the bound, read no more until one is answered. REFUSED: drop it.
    """

    TAKEN = 0
    BUSY = 1
    REFUSED = 2


class Session:
    """One connection as the switch sees it."""

    __slots__ = ("_terminals", "in_flight", "in_flight_max", "state", "terminals_max")

    def __init__(self, in_flight_max: int = IN_FLIGHT_MAX, terminals_max: int = TERMINALS_MAX) -> None:
        """Both bounds are at least 1:

        requests without an answer, terminals signed on through this connection.
        """
        if in_flight_max < 1 or terminals_max < 1:
            raise ValueError("in_flight_max and terminals_max must be at least 1")
        self.in_flight_max = in_flight_max
        self.terminals_max = terminals_max
        self.in_flight = 0
        self.state = State.OPEN
        self._terminals: set[str] = set()

    @property
    def full(self) -> bool:
        """Whether the bound is reached: the shell stops reading, and TCP holds the sender back."""
        return self.in_flight >= self.in_flight_max

    @property
    def terminals(self) -> frozenset[str]:
        """The terminals signed on through this connection."""
        return frozenset(self._terminals)

    def request(self) -> Admission:
        """A message has come. TAKEN counts it in flight; `answered` must follow once, answer sent or not."""
        if self.state is not State.OPEN:
            return Admission.REFUSED
        if self.in_flight >= self.in_flight_max:
            return Admission.BUSY
        self.in_flight += 1
        return Admission.TAKEN

    def answered(self) -> bool:
        """One taken message is done.

        True when its answer may be sent. Raises ValueError when none was owed.
        """
        if self.in_flight < 1:
            raise ValueError("more answers than requests")
        self.in_flight -= 1
        may_send = self.state is not State.CLOSED
        if self.state is State.DRAINING and self.in_flight == 0:
            self.state = State.CLOSED
        return may_send

    def drain(self) -> None:
        """Take no new work; close when the last answer is sent."""
        if self.state is State.OPEN:
            self.state = State.DRAINING if self.in_flight else State.CLOSED

    def lost(self) -> frozenset[str]:
        """The connection is gone, or must go now. Gives the terminals that were signed on through it."""
        self.state = State.CLOSED
        gone = frozenset(self._terminals)
        self._terminals.clear()
        return gone

    def sign_on(self, terminal_id: str) -> bool:
        """Note a terminal. False when the bound of terminals on one connection is reached."""
        if terminal_id not in self._terminals and len(self._terminals) >= self.terminals_max:
            return False
        self._terminals.add(terminal_id)
        return True

    def sign_off(self, terminal_id: str) -> None:
        self._terminals.discard(terminal_id)

    def signed_on(self, terminal_id: str) -> bool:
        return terminal_id in self._terminals


class SignOns:
    """Which session speaks for a terminal. The newest wins, and the older one forgets it."""

    __slots__ = ("_sessions",)

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def sign_on(self, terminal_id: str, session: Session) -> bool:
        """False when the session may carry no further terminal; the older session then keeps it."""
        if not session.sign_on(terminal_id):
            return False
        older = self._sessions.get(terminal_id)
        if older is not None and older is not session:
            older.sign_off(terminal_id)
        self._sessions[terminal_id] = session
        return True

    def sign_off(self, terminal_id: str, session: Session) -> None:
        """Only the session that speaks for a terminal can sign it off."""
        session.sign_off(terminal_id)
        if self._sessions.get(terminal_id) is session:
            del self._sessions[terminal_id]

    def lost(self, session: Session) -> None:
        """A connection is gone: what was signed on through it is signed on no more."""
        for terminal_id in session.lost():
            if self._sessions.get(terminal_id) is session:
                del self._sessions[terminal_id]

    def session_of(self, terminal_id: str) -> Session | None:
        return self._sessions.get(terminal_id)


def match_key(mti: str, stan: str, terminal_id: str) -> str:
    """What a request and its reply have in common: the class of the MTI (its second digit), DE11, DE41."""
    return mti[1] + stan + terminal_id


Waiter = TypeVar("Waiter")


class Pending(Generic[Waiter]):
    """Requests that wait for replies, at a terminal's end of the connection. Bounded."""

    __slots__ = ("_waiting", "in_flight_max")

    def __init__(self, in_flight_max: int = TERMINALS_MAX) -> None:
        self.in_flight_max = in_flight_max
        self._waiting: dict[str, tuple[float, Waiter]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def expect(self, key: str, deadline_s: float, waiter: Waiter) -> None:
        """Wait for the reply to `key`. Raises ValueError when it is waited for already, or too many are."""
        if key in self._waiting:
            raise ValueError("a request with this STAN is on its way; wait for it, or take the next STAN")
        if len(self._waiting) >= self.in_flight_max:
            raise ValueError(f"{self.in_flight_max} requests are on their way, the bound of this connection")
        self._waiting[key] = (deadline_s, waiter)

    def match(self, key: str) -> Waiter | None:
        """Who waits for this reply; None when nobody does (any more)."""
        entry = self._waiting.pop(key, None)
        return None if entry is None else entry[1]

    def expired(self, now_s: float) -> list[Waiter]:
        """Those whose deadline has come, no longer waiting.

        Costs a look at each: call it a few times a second.
        """
        late = [key for key, (deadline_s, _) in self._waiting.items() if deadline_s <= now_s]
        return [self._waiting.pop(key)[1] for key in late]

    def abandon(self) -> list[Waiter]:
        """Everybody that waits: the connection is gone."""
        waiters = [waiter for _, waiter in self._waiting.values()]
        self._waiting.clear()
        return waiters
