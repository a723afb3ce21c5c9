"""Terminals' keys at work: who sent a message, under which keys, and what protects the answer.

A terminal with session keys has up to two sets, so that no lost message locks it out:

    newest set     what the last key exchange offered; in use once a message has come under it
    set before     good until the newest is seen in use and then for the grace period, else until its own end

An exchange offers a new set only in place of one that was seen in use. One that was offered and not used yet
is offered again, however often the terminal asks: it holds one of the two, whichever answers were lost.

A terminal with derived unique keys (ANSI X9.24) has a key for every message, named by its serial number.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog

from switch.domain.request import PinCheck
from switch.hsm.client import HsmClient
from switch.hsm.commands import PinResult
from switch.service import metrics
from switch.service.directory import Directory
from switch.service.keymarks import KeyMarks
from switch.service.refused import RefusedError
from switch.store.lookup import CardRef, TerminalRow

log = structlog.get_logger()

PIN_FORMATS: Final = {"0": "01", "3": "47", "4": "48"}  # ISO 9564-1 format → payShield's code


class Session(msgspec.Struct, frozen=True, gc=False):
    """Who sent a message, and the keys (under the LMK) that it was sent under."""

    terminal: TerminalRow
    tak: str
    tpks: tuple[str, ...]  # PIN keys: of the set that made the MAC, then of the other one if it is good

    def __repr__(self) -> str:
        return f"Session({self.terminal.terminal_id})"


class Keyring:
    """Verifies and makes MACs, and verifies PINs, under the keys of terminals. One per process."""

    def __init__(
        self,
        hsm: HsmClient,
        directory: Directory,
        marks: KeyMarks,
        now: Callable[[], datetime],
        *,
        grace_s: int,
    ) -> None:
        """`grace_s`: seconds for which a set stays good once the terminal has used the next one."""
        self._hsm = hsm
        self._directory = directory
        self._marks = marks
        self._now = now
        self._grace = timedelta(seconds=grace_s)

    async def open(
        self,
        terminal: TerminalRow,
        covered: bytes,
        mac: str | None,
        ksn: str | None = None,
        *,
        repeat: bool = False,
        ended: bool = False,
    ) -> Session:
        """Whose message this is, by its MAC (16 hex digits) over `covered`.

        `ended` takes a MAC under keys whose time is over, as a key exchange does. Raises RefusedError
        (mac_failure, terminal_not_permitted), HsmUnavailable, HsmRefused, LookupUnavailableError.
        """
        if mac is not None and ksn is None:
            session = await self._session(terminal, covered, mac, ended)
            if session is not None:
                return session
            # Another process may have given it other keys.
            fresh = await self._directory.reload(terminal.terminal_id)
            if fresh is not None and (fresh.tak, fresh.tak_old) != (terminal.tak, terminal.tak_old):
                session = await self._session(fresh, covered, mac, ended)
                if session is not None:
                    return session
        metrics.MAC_FAILURES.inc()
        raise RefusedError("mac_failure" if terminal.tak else "terminal_not_permitted")

    async def _session(self, terminal: TerminalRow, covered: bytes, mac: str, ended: bool) -> Session | None:
        now = self._now()
        tak, tpk, tak_old, tpk_old = terminal.tak, terminal.tpk, terminal.tak_old, terminal.tpk_old
        if terminal.old_until is None or terminal.old_until <= now:
            tak_old = tpk_old = None
        in_time = terminal.keys_until is None or terminal.keys_until > now
        if tak and tpk and (in_time or ended) and await self._hsm.verify_mac(tak, covered, mac):
            if not terminal.keys_seen:
                self._in_use(terminal, tak)
            return Session(terminal, tak, (tpk, tpk_old) if tpk_old else (tpk,))
        if tak_old and tpk_old and await self._hsm.verify_mac(tak_old, covered, mac):
            return Session(terminal, tak_old, (tpk_old, tpk) if tpk and in_time else (tpk_old,))
        return None

    def _in_use(self, terminal: TerminalRow, tak: str) -> None:
        """The first message under the newest set: from now on the one before it has its grace."""
        old_until = terminal.old_until
        if old_until is not None:
            old_until = min(old_until, self._now() + self._grace)
        self._directory.in_use(terminal.terminal_id, tak, old_until)
        self._marks.seen(terminal.terminal_id, tak, old_until)

    async def seal(self, session: Session, body: bytes) -> str:
        """The MAC of an answer, 16 hex digits, under the keys of its request. Raises HsmUnavailable,
        HsmRefused."""
        mac: str = await self._hsm.generate_mac(session.tak, body)
        return mac

    async def pin(
        self, session: Session, pin_block: str, pin_format: str, pan: str, card: CardRef, pvk: str
    ) -> PinCheck | None:
        """What the HSM says of a PIN; None when no key of the terminal opens the block, which counts no try.

        `pin_format` is 0, 3 or 4 (ISO 9564-1). Raises RefusedError (pin_key_error), HsmUnavailable,
        HsmRefused.
        """
        if not card.pvv:
            return PinCheck.WRONG  # a card without a PIN has no right one
        if not pvk:
            log.error("no PIN verification key: set keys.pvk in the configuration", card=card.wallet_id)
            raise RefusedError("pin_key_error")
        for tpk in session.tpks:
            result = await self._hsm.verify_pin(tpk, pvk, pin_block, pan[-13:-1], card.pvki, card.pvv)
            if result is not PinResult.BAD_BLOCK_OR_KEY:
                return PinCheck.OK if result is PinResult.OK else PinCheck.WRONG
        return None
