"""The prize draw: how many tickets a payment has, and which tickets win. Anyone can repeat it.

Before the period is over the operator publishes the commitment, SHA-256 of a seed that stays secret. After
it, the ticket list is fixed and its SHA-256 published. Then the seed is revealed, and the winners follow from
both: nobody can choose the seed after the list is known, nor the list without the seed's keeper.

    number(i) = the first 15 hex digits of SHA-256("SEED:LIST:i"), i = 1, 2, 3, …      (60 bits)
    ticket(i) = number(i) mod T + 1; numbers from the largest multiple of T on are passed over

SEED and LIST are 64 hex digits in small letters, T the number of tickets. A ticket comes into the draw once.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence

import msgspec

SPACE = 1 << 60
"""How many values a number of the draw can have."""
TICKETS_MAX = 1 << 40
"""More tickets than any period has; at most a millionth of the numbers is passed over."""
PRIZES_MAX = 100_000
DRAWS_MAX = 1_000_000
"""Numbers that one draw takes at most: few members may hold nearly all tickets, and win once each."""

_HEX = re.compile(r"[0-9a-f]{64}").fullmatch


class DrawError(ValueError):
    """A seed, hash or count that no draw can be made from: one line with what to do."""


class Rules(msgspec.Struct, frozen=True):
    """What earns tickets: one for each whole `per_won` won that stands of a payment, or (0) one a payment.

    Less than `min_won` (won) earns none.
    """

    per_won: int = 0
    min_won: int = 0

    def tickets(self, won: int) -> int:
        """Tickets of a payment of which `won` stands."""
        if won <= 0 or won < self.min_won:
            return 0
        return won // self.per_won if self.per_won else 1


class Drawn(msgspec.Struct, frozen=True):
    """One ticket as it came out. `prize` 1, 2, 3 …; 0 where its payment had lost it (`cancelled`)."""

    ticket: int
    member: str
    prize: int
    cancelled: bool = False


def commitment(seed: str) -> str:
    """What is published of a seed: SHA-256 of its 64 hex digits, as text. Raises DrawError."""
    check_hex(seed, "the seed")
    return hashlib.sha256(seed.encode("ascii")).hexdigest()


def check_hex(text: str, what: str) -> None:
    """Raises DrawError unless the text is 64 hex digits in small letters. It is not quoted."""
    if not _HEX(text):
        raise DrawError(f"{what} must be 64 hex digits in small letters")


def tickets_drawn(seed: str, list_sha256: str, tickets: int) -> Iterator[int]:
    """Ticket numbers 1 … tickets in the order of the draw, each once, without end but for their number.

    Raises DrawError on anything that is no seed, hash or count.
    """
    check_hex(seed, "the seed")
    check_hex(list_sha256, "the hash of the ticket list")
    if not 1 <= tickets <= TICKETS_MAX:
        raise DrawError(f"a draw has 1 to {TICKETS_MAX:,} tickets, not {tickets:,}")
    head = hashlib.sha256(f"{seed}:{list_sha256}:".encode("ascii"))
    limit = SPACE - SPACE % tickets
    seen: set[int] = set()
    turn = 0
    while len(seen) < tickets and turn < DRAWS_MAX:
        turn += 1
        digest = head.copy()
        digest.update(str(turn).encode("ascii"))
        number = int(digest.hexdigest()[:15], 16)
        if number >= limit:
            continue
        ticket = number % tickets + 1
        if ticket not in seen:
            seen.add(ticket)
            yield ticket


def draw(
    order: Iterator[int],
    prizes: int,
    *,
    once: bool,
    member_of: Callable[[int], str],
    cancelled: Callable[[int], bool],
) -> list[Drawn]:
    """Give the prizes out: to the tickets in their order, passing over what is not to win.

    `once`: a member who has won is passed over without a word. A ticket that its payment has lost since the
    list was fixed (`cancelled`) is noted, and the next one takes its place.
    """
    found: list[Drawn] = []
    winners: set[str] = set()
    given = 0
    while given < prizes:
        ticket = next(order, 0)
        if not ticket:
            break
        member = member_of(ticket)
        if once and member in winners:
            continue
        if cancelled(ticket):
            found.append(Drawn(ticket, member, 0, cancelled=True))
            continue
        given += 1
        winners.add(member)
        found.append(Drawn(ticket, member, given))
    return found


def differences(
    told: Sequence[Drawn],
    order: Iterator[int],
    prizes: int,
    *,
    once: bool,
    member_of: Callable[[int], str],
) -> list[str]:
    """What a published result has otherwise than the draw repeated; nothing when it is right.

    Which tickets were cancelled is taken from the result: that alone cannot be seen from published files.
    """
    gone = {one.ticket for one in told if one.cancelled}
    again = draw(order, prizes, once=once, member_of=member_of, cancelled=gone.__contains__)
    out = [
        f"place {place}: told is {_words(one)}; drawn was {_words(other)}"
        for place, (one, other) in enumerate(zip(told, again, strict=False), 1)
        if one != other
    ]
    if len(told) != len(again):
        out.append(f"{len(told):,} tickets are told, {len(again):,} were drawn")
    return out


def _words(one: Drawn) -> str:
    return f"ticket {one.ticket} of {one.member}, {'cancelled' if one.cancelled else f'prize {one.prize}'}"
