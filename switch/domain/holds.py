"""Holds: what open pre-authorisations keep of a wallet's lots.

A hold moves no money: it names lots and won that nothing but its own completion may spend. Everything that
spends or takes asks here first. A hold counts until its last valid day, by the business date and never by a
message's own date: one that is dated tomorrow frees nothing early.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from switch.domain.wallet import Hold, Wallet

Uses = tuple[tuple[int, int, int], ...]
"""(lot_no, kind, won) in spending order."""

HOLDS_MAX = 100
"""Open holds of one wallet: every payment of it reads them all, so holds of one won may not pile up."""


def held_of(wallet: Wallet, today: int, changed: Iterable[Hold] = (), but: int = 0) -> dict[int, int] | None:
    """Won by lot that open holds keep on `today`, with `changed` holds as they will be; None for nothing.

    `but` leaves one hold out, by its number.
    """
    if not wallet.held and not changed:
        return None
    open_holds = {seq: hold for seq, hold in wallet.held.items() if hold.expires >= today and seq != but}
    for hold in changed:
        open_holds[hold.seq] = hold
    held: dict[int, int] = {}
    for hold in open_holds.values():
        for lot_no, _, won in hold.uses:
            held[lot_no] = held.get(lot_no, 0) + won
    return held or None


def open_hold(wallet: Wallet, seq: int, today: int) -> Hold | None:
    """The hold of the 0100 with this posting number, unless it is closed or has expired."""
    hold = wallet.held.get(seq)
    return hold if hold is not None and hold.expires >= today else None


def holds_open(wallet: Wallet, today: int) -> int:
    """How many holds of the wallet have not expired."""
    return sum([hold.expires >= today for hold in wallet.held.values()])


def held_in(wallet: Wallet, today: int, *, day: int = 0, month: int = 0) -> int:
    """Won that open holds of a local day (yyyymmdd) or month (yyyymm) keep: limits count them as spent."""
    return sum(
        [
            hold.won
            for hold in wallet.held.values()
            if hold.expires >= today and day in (0, hold.local_day) and month in (0, hold.local_day // 100)
        ]
    )


def head(uses: Uses, won: int) -> Uses:
    """The first won of a hold's lots, in spending order."""
    taken: list[tuple[int, int, int]] = []
    for lot_no, kind, most in uses:
        part = min(most, won)
        if part:
            taken.append((lot_no, kind, part))
            won -= part
    return tuple(taken)


def shrunk(hold: Hold, won: int) -> tuple[Hold, Uses]:
    """(the hold without its last `won`, the lots that they are of): the reverse of the spending order."""
    kept = head(hold.uses, hold.won - won)
    left = {lot_no: part for lot_no, _, part in kept}
    freed = [(lot_no, kind, part - left.get(lot_no, 0)) for lot_no, kind, part in hold.uses]
    return replace(hold, won=hold.won - won, uses=kept), tuple([use for use in freed if use[2]])


def grown(hold: Hold, uses: Uses) -> Hold:
    """The hold with more won; a lot that it has already keeps its place in the order."""
    parts = {lot_no: (lot_no, kind, won) for lot_no, kind, won in hold.uses}
    for lot_no, kind, won in uses:
        before = parts[lot_no][2] if lot_no in parts else 0
        parts[lot_no] = (lot_no, kind, before + won)
    return replace(hold, won=hold.won + sum([won for _, _, won in uses]), uses=tuple(parts.values()))


def closed(hold: Hold) -> Hold:
    """The hold with nothing left in it: whoever carries it out removes it."""
    return replace(hold, won=0, uses=())


def expired(wallet: Wallet, today: int, changed: Iterable[Hold]) -> tuple[Hold, ...]:
    """The holds whose last day has passed, closed, but for those that are changed anyway."""
    known = {hold.seq for hold in changed}
    return tuple(
        [closed(hold) for seq, hold in wallet.held.items() if hold.expires < today and seq not in known]
    )
