"""Cards and terminals that this process has met, in bounded memory.

What is kept here of a card never changes but by an import, and an import raises the reference epoch, upon
which all of it is forgotten. State and tries of a card are read by the lane, under the wallet's lock.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime

from msgspec.structs import replace

from switch.domain.payment import PaymentKey
from switch.domain.terminal_batch import last_closed
from switch.service import metrics
from switch.service.vault import Vault, VaultKeeper
from switch.store.lookup import CardRef, Lookup, TerminalRow

CARDS_MAX = 500_000
TERMINALS_MAX = 200_000
RELOAD_AFTER_S = 1.0  # a terminal whose MAC fails is read again at most this often


class Directory:
    """Finds cards by PAN and terminals by id."""

    def __init__(self, lookup: Lookup, keeper: VaultKeeper, epoch: Callable[[], int]) -> None:
        self._lookup = lookup
        self._keeper = keeper
        self._epoch = epoch
        self._known_epoch = epoch()
        self._cards: dict[bytes, CardRef] = {}
        self._terminals: dict[str, TerminalRow] = {}
        self._reloaded_at: dict[str, float] = {}

    async def card(self, pan: str) -> CardRef | None:
        """The card of a PAN, or None. Raises LookupUnavailableError."""
        if self._epoch() != self._known_epoch:
            self._forget()
        vault = self._keeper.vault
        key = vault.pan_hmac(pan)
        known = self._cards.get(key)
        if known is not None:
            return known
        metrics.CARD_LOOKUPS.inc()
        found = await self._found(vault, key, pan)
        if found is None:
            if self._keeper.renew():  # the vault's keys are being rotated
                self._cards.clear()
            if self._keeper.vault is not vault:  # renewed here, or by somebody else meanwhile
                vault = self._keeper.vault
                key = vault.pan_hmac(pan)
                found = await self._found(vault, key, pan)
        if found is not None:
            if len(self._cards) >= CARDS_MAX:
                self._cards.clear()
            self._cards[key] = found
        return found

    async def _found(self, vault: Vault, key: bytes, pan: str) -> CardRef | None:
        """The card in the books, by any version of the index.

        Old versions are asked for first: a rotation adds the new before it takes the old, so that a card is
        found whatever happens between the two questions.
        """
        older = vault.older_hmacs(pan)
        if not older:
            return await self._lookup.card(key)
        answers = await asyncio.gather(*(self._lookup.card(one) for one in (*older, key)))
        return next((one for one in reversed(answers) if one is not None), None)

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
        it was read anew a moment ago. Raises LookupUnavailableError."""
        now = asyncio.get_running_loop().time()
        if now - self._reloaded_at.get(terminal_id, float("-inf")) < RELOAD_AFTER_S:
            return None
        if len(self._reloaded_at) >= TERMINALS_MAX:
            self._reloaded_at.clear()
        self._reloaded_at[terminal_id] = now
        return await self._load(terminal_id)

    def signed(self, terminal_id: str, *, on: bool) -> None:
        """Take over a sign-on or sign-off that has just been written: after a storm of them nobody waits."""
        known = self._terminals.get(terminal_id)
        if known is not None:
            self._terminals[terminal_id] = replace(known, signed_on=on)

    def rekeyed(self, new: TerminalRow) -> None:
        """Take over session keys that have just been written."""
        known = self._terminals.get(new.terminal_id)
        if known is not None:
            self._terminals[new.terminal_id] = replace(
                known,
                tpk=new.tpk,
                tak=new.tak,
                keys_until=new.keys_until,
                keys_seen=new.keys_seen,
                tpk_old=new.tpk_old,
                tak_old=new.tak_old,
                old_until=new.old_until,
            )

    def in_use(self, terminal_id: str, tak: str, old_until: datetime | None) -> None:
        """The terminal has used the set of this MAC key; the one before is good until `old_until`."""
        known = self._terminals.get(terminal_id)
        if known is not None and known.tak == tak:
            self._terminals[terminal_id] = replace(known, keys_seen=True, old_until=old_until)

    def batch_closed(self, terminal_id: str, batch_no: int) -> None:
        """The books have this batch as closed."""
        known = self._terminals.get(terminal_id)
        if known is not None:
            last = last_closed(known.batch_closed, batch_no)
            self._terminals[terminal_id] = replace(known, batch_closed=last)

    def forget(self, terminal_id: str) -> None:
        """Read this terminal anew when it is asked for next."""
        self._terminals.pop(terminal_id, None)

    async def _load(self, terminal_id: str) -> TerminalRow | None:
        found = await self._lookup.terminal(terminal_id)
        if found is not None:
            if len(self._terminals) >= TERMINALS_MAX:
                self._terminals.clear()
            self._terminals[terminal_id] = found
        return found

    def _forget(self) -> None:
        self._known_epoch = self._epoch()
        self._keeper.renew()
        self._cards.clear()
        self._terminals.clear()
        self._reloaded_at.clear()
