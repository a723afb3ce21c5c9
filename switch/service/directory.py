"""Cards and terminals that this process has met, in bounded memory.

What is kept here of a card never changes but by an import, and an import raises the reference epoch, upon
which all of it is forgotten. State and tries of a card are read by the lane, under the wallet's lock.
"""

import asyncio
from collections.abc import Callable

from msgspec.structs import replace

from switch.domain.payment import PaymentKey
from switch.service import metrics
from switch.service.vault import Vault
from switch.store.lookup import CardRef, Lookup, TerminalRow

CARDS_MAX = 500_000
TERMINALS_MAX = 200_000
RELOAD_AFTER_S = 1.0  # a terminal whose MAC fails is read again at most this often


class Directory:
    """Finds cards by PAN and terminals by id."""

    def __init__(self, lookup: Lookup, vault: Vault, epoch: Callable[[], int]) -> None:
        self._lookup = lookup
        self._vault = vault
        self._epoch = epoch
        self._known_epoch = epoch()
        self._cards: dict[bytes, CardRef] = {}
        self._terminals: dict[str, TerminalRow] = {}
        self._loaded_at: dict[str, float] = {}

    async def card(self, pan: str) -> CardRef | None:
        """The card of a PAN, or None. Raises LookupUnavailableError."""
        if self._epoch() != self._known_epoch:
            self._forget()
        key = self._vault.pan_hmac(pan)
        known = self._cards.get(key)
        if known is not None:
            return known
        metrics.CARD_LOOKUPS.inc()
        found = await self._lookup.card(key)
        if found is not None:
            if len(self._cards) >= CARDS_MAX:
                self._cards.clear()
            self._cards[key] = found
        return found

    async def booked(self, key: PaymentKey) -> bool:
        """Whether a payment is stored under this key. Raises LookupUnavailableError."""
        return await self._lookup.booked(key)

    async def terminal(self, terminal_id: str) -> TerminalRow | None:
        """The terminal, or None. Raises LookupUnavailableError."""
        if self._epoch() != self._known_epoch:
            self._forget()
        known = self._terminals.get(terminal_id)
        if known is not None:
            return known
        return await self._load(terminal_id)

    async def reload(self, terminal_id: str) -> TerminalRow | None:
        """The terminal as the books have it now – another process may have changed its keys – or None when
        it was read a moment ago. Raises LookupUnavailableError."""
        last = self._loaded_at.get(terminal_id, float("-inf"))
        if asyncio.get_running_loop().time() - last < RELOAD_AFTER_S:
            return None
        return await self._load(terminal_id)

    def signed(self, terminal_id: str, *, on: bool) -> None:
        """Take over a sign-on or sign-off that has just been written: after a storm of them nobody waits."""
        known = self._terminals.get(terminal_id)
        if known is not None:
            self._terminals[terminal_id] = replace(known, signed_on=on)

    def rekeyed(self, terminal_id: str, tpk: str, tak: str) -> None:
        """Take over session keys that have just been written."""
        known = self._terminals.get(terminal_id)
        if known is not None:
            self._terminals[terminal_id] = replace(known, tpk=tpk, tak=tak)

    async def _load(self, terminal_id: str) -> TerminalRow | None:
        found = await self._lookup.terminal(terminal_id)
        if found is not None:
            if len(self._terminals) >= TERMINALS_MAX:
                self._terminals.clear()
                self._loaded_at.clear()
            self._terminals[terminal_id] = found
            self._loaded_at[terminal_id] = asyncio.get_running_loop().time()
        return found

    def _forget(self) -> None:
        self._known_epoch = self._epoch()
        self._cards.clear()
        self._terminals.clear()
        self._loaded_at.clear()
