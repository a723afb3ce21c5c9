"""Network management (0800): sign-on, sign-off, echo, session keys.

New session keys are made inside the HSM and leave it only under the LMK (for the books) and under the
terminal's own master key (for the terminal, in DE48).
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import structlog
from msgspec.structs import replace

from switch.hsm.client import HsmClient
from switch.hsm.commands import HsmRefused
from switch.service.directory import TERMINALS_MAX, Directory
from switch.service.keyring import Session
from switch.service.refused import RefusedError
from switch.store.lookup import Lookup, LookupUnavailableError, TerminalRow
from switch.wire.message import Message
from switch.wire.private import TAG_MAC_KEY, TAG_MAC_KEY_CHECK, TAG_PIN_KEY, TAG_PIN_KEY_CHECK
from switch.wire.request import Network, reply_fields

PIN_KEY = "002"  # payShield key type codes
MAC_KEY = "003"
TAG_KEYS_UNTIL: Final = "KX"  # end of the session keys, yyyymmddhhmmss UTC
EXPORT_SCHEME: Final = {"block": "R", "x917": "X"}  # how session keys reach the terminal
_EXCHANGES_MAX: Final = 3  # two processes that give keys to one terminal at a time
AGAIN_AFTER: Final = timedelta(seconds=10)
"""Whoever asks sooner gets the same answer: an exchange needs no MAC, so a stranger may ask in anybody's
name, and must not be able to use up the HSM or to fill the key audit."""
ANSWERS_MAX: Final = 10_000

log = structlog.get_logger()


class _Offer(msgspec.Struct, frozen=True):
    """An answer to a key exchange: how, and under which master key, which MAC key was told, and when."""

    keys: tuple[str, str, str | None]
    at: datetime
    private: dict[str, str]

    def __repr__(self) -> str:
        return f"_Offer({self.at})"

    def still(self, terminal: TerminalRow, now: datetime) -> bool:
        """Whether the answer still fits the terminal and is young."""
        return self.keys == _keys_of(terminal) and timedelta() <= now - self.at < AGAIN_AFTER


class NetworkDesk:
    """Answers 0800 messages."""

    def __init__(
        self,
        hsm: HsmClient,
        lookup: Lookup,
        directory: Directory,
        now: Callable[[], datetime],
        *,
        session_hours: int,
        grace_s: int,
    ) -> None:
        """`session_hours`: hours for which a new set of session keys is good; `grace_s`: see Keyring."""
        self._hsm = hsm
        self._lookup = lookup
        self._directory = directory
        self._now = now
        self._valid = timedelta(hours=session_hours)
        self._grace = timedelta(seconds=grace_s)
        self._lately: dict[str, _Offer] = {}
        self._signed_off: dict[str, tuple[str, int]] = {}  # DE7 and STAN
        self._running: dict[str, asyncio.Task[dict[str, str]]] = {}

    async def answer(
        self, message: Message, request: Network, terminal: TerminalRow, session: Session | None = None
    ) -> dict[int, str]:
        """The reply's fields. `session` is of the message's MAC, None when it has none.

        Raises RefusedError, HsmUnavailable, HsmRefused, LookupUnavailableError.
        """
        if request.function == "key_exchange":
            return reply_fields(message, code="00", private=await self._exchanged(terminal))
        if request.function in ("sign_off", "cutover") and session is None and _has_keys(terminal):
            raise RefusedError("mac_failure")  # whoever has keys must show that it is who it says
        if request.function in ("sign_on", "sign_off"):
            on = request.function == "sign_on"
            if not on and not self._is_new(request):
                return reply_fields(message, code="00")
            await self._lookup.save_sign(terminal.terminal_id, self._now() if on else None)
            self._directory.signed(terminal.terminal_id, on=on)
            if not on:
                self._remember(request)
        return reply_fields(message, code="00")

    def _is_new(self, request: Network) -> bool:
        """Whether a sign-off is later than the last one of its terminal: a copy that somebody has kept closes
        no shop. (The last ones are known to this process only: after a restart one copy may pass.)"""
        last = self._signed_off.get(request.terminal_id)
        told = (request.transmission, request.stan)
        return last is None or told > last or (last[0][:2] == "12" and told[0][:2] == "01")

    def _remember(self, request: Network) -> None:
        self._signed_off.pop(request.terminal_id, None)
        if len(self._signed_off) >= TERMINALS_MAX:
            del self._signed_off[next(iter(self._signed_off))]
        self._signed_off[request.terminal_id] = (request.transmission, request.stan)

    async def _exchanged(self, terminal: TerminalRow) -> dict[str, str]:
        """Whoever asks in one terminal's name at the same time gets the same answer."""
        name = terminal.terminal_id
        running = self._running.get(name)
        if running is None:
            running = self._running[name] = asyncio.create_task(self._exchange(terminal))
            running.add_done_callback(lambda _: self._running.pop(name, None))
        return await asyncio.shield(running)

    async def _exchange(self, terminal: TerminalRow) -> dict[str, str]:
        """Session keys for the terminal, as its DE48 tells them."""
        if terminal.key_mode != "session":
            raise RefusedError("invalid_transaction")  # its keys are derived: there is nothing to exchange
        for _ in range(_EXCHANGES_MAX):
            now = self._now()
            waits = terminal.tpk and terminal.tak and not terminal.keys_seen
            offer = self._lately.get(terminal.terminal_id)
            if waits and offer is not None and offer.still(terminal, now):
                fresh = await self._lookup.terminal(terminal.terminal_id)
                # Another process may have seen this set in use, or have given another one since.
                if fresh is not None and fresh.active and not fresh.keys_seen and offer.still(fresh, now):
                    return offer.private
                self._lately.pop(terminal.terminal_id, None)
            refusal: HsmRefused | None = None
            try:
                if waits and terminal.keys_until is not None and terminal.keys_until > now:
                    private = await self._again(terminal, terminal.tpk or "", terminal.tak or "", now)
                else:
                    private = await self._anew(terminal, now)
            except HsmRefused as refused:  # its master key may have been loaded anew, under another LMK too
                private, refusal = None, refused
            if private is not None:
                return private
            fresh = await self._lookup.terminal(terminal.terminal_id)
            if fresh is None or not fresh.active:
                raise RefusedError("terminal_not_permitted")
            if refusal is not None and _keys_of(fresh) == _keys_of(terminal):
                raise refusal
            self._directory.rekeyed(fresh)
            terminal = fresh
        log.warning("keys of a terminal change again and again", terminal=terminal.terminal_id)
        raise LookupUnavailableError("the terminal's keys change again and again")

    async def _anew(self, terminal: TerminalRow, now: datetime) -> dict[str, str] | None:
        """A new set; None when another process was faster."""
        scheme = EXPORT_SCHEME[terminal.key_form]
        tpk, tak = await asyncio.gather(
            self._hsm.generate_key(PIN_KEY, under_tmk=terminal.tmk, exported_scheme=scheme),
            self._hsm.generate_key(MAC_KEY, under_tmk=terminal.tmk, exported_scheme=scheme),
        )
        new = self._with_set(terminal, tpk.lmk, tak.lmk, now)
        if not await self._lookup.give_keys(new, terminal, now, f"PIN {tpk.kcv}, MAC {tak.kcv}"):
            return None
        private = _told(tpk.exported or "", tak.exported or "", tpk.kcv, tak.kcv, new.keys_until)
        return self._given(new, now, private)

    async def _again(
        self, terminal: TerminalRow, tpk_lmk: str, tak_lmk: str, now: datetime
    ) -> dict[str, str] | None:
        """The set that was offered and not used yet, with a new end; None when another process was faster."""
        scheme = EXPORT_SCHEME[terminal.key_form]
        tpk, tak = await asyncio.gather(
            self._hsm.export_key(PIN_KEY, tpk_lmk, under=terminal.tmk, under_tmk=True, scheme=scheme),
            self._hsm.export_key(MAC_KEY, tak_lmk, under=terminal.tmk, under_tmk=True, scheme=scheme),
        )
        same = replace(terminal, keys_until=now + self._valid)
        detail = f"PIN {tpk.check_value}, MAC {tak.check_value}"
        if not await self._lookup.offer_keys(same, now, detail):
            return None
        private = _told(tpk.key, tak.key, tpk.check_value, tak.check_value, same.keys_until)
        return self._given(same, now, private)

    def _given(self, terminal: TerminalRow, now: datetime, private: dict[str, str]) -> dict[str, str]:
        """Take over what has been written, and keep the answer for whoever asks again at once."""
        self._directory.rekeyed(terminal)
        self._lately.pop(terminal.terminal_id, None)
        if len(self._lately) >= ANSWERS_MAX:
            del self._lately[next(iter(self._lately))]
        self._lately[terminal.terminal_id] = _Offer(_keys_of(terminal), now, private)
        return private

    def _with_set(self, terminal: TerminalRow, tpk: str, tak: str, now: datetime) -> TerminalRow:
        """The terminal with a new set, and before it the one that it may still hold."""
        if terminal.keys_seen:
            end = terminal.keys_until
            tpk_old, tak_old = terminal.tpk, terminal.tak
            if end is None:
                old_until: datetime | None = now + self._valid
            else:
                old_until = max(end, now + self._grace) if end > now else None
        else:  # what was offered and never used has ended: the set before it, if it is good, stays
            tpk_old, tak_old, old_until = terminal.tpk_old, terminal.tak_old, terminal.old_until
        if old_until is None or old_until <= now:
            tpk_old = tak_old = old_until = None
        return replace(
            terminal, tpk=tpk, tak=tak, keys_until=now + self._valid, keys_seen=False,
            tpk_old=tpk_old, tak_old=tak_old, old_until=old_until,
        )  # fmt: skip


def _keys_of(terminal: TerminalRow) -> tuple[str, str, str | None]:
    return terminal.key_form, terminal.tmk, terminal.tak


def _has_keys(terminal: TerminalRow) -> bool:
    return terminal.key_mode != "session" or terminal.tak is not None


def _told(tpk: str, tak: str, tpk_check: str, tak_check: str, until: datetime | None) -> dict[str, str]:
    private = {
        TAG_PIN_KEY: tpk,
        TAG_MAC_KEY: tak,
        TAG_PIN_KEY_CHECK: tpk_check[:6],
        TAG_MAC_KEY_CHECK: tak_check[:6],
    }
    if until is not None:
        private[TAG_KEYS_UNTIL] = until.astimezone(UTC).strftime("%Y%m%d%H%M%S")
    return private
