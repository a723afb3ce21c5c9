"""Terminals' keys at work: who sent a message, under which keys, and what protects the answer.

A terminal with session keys has up to two sets, so that no lost message locks it out:

    newest set     what the last key exchange offered; in use once a message has come under it
    set before     good until the newest is seen in use and then for the grace period, else until its own end

An exchange offers a new set only in place of one that was seen in use. One that was offered and not used yet
is offered again, however often the terminal asks: it holds one of the two, whichever answers were lost.

A terminal with derived unique keys (DUKPT, ANSI X9.24) has a key for every message, named by its serial
number. A serial number is taken once, after its MAC has proved who sent it. Only a repeat (MTI xxx1) may come
under one that was taken: the payment's own key makes it harmless, and it must get the stored answer.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog
from msgspec.structs import replace

from switch.domain.request import PinCheck
from switch.hsm.client import HsmClient
from switch.hsm.commands import PinResult
from switch.service import metrics
from switch.service.directory import TERMINALS_MAX, Directory
from switch.service.keymarks import KeyMarks
from switch.service.keyserial import Window, counted, split
from switch.service.refused import RefusedError
from switch.store.lookup import CardRef, TerminalRow

log = structlog.get_logger()

PIN_FORMATS: Final = {"0": "01", "3": "47", "4": "48"}  # ISO 9564-1 format → payShield's code


class Session(msgspec.Struct, frozen=True, gc=False):
    """Who sent a message, and the keys (under the LMK) that it was sent under."""

    terminal: TerminalRow
    tak: str = ""
    tpks: tuple[str, ...] = ()  # PIN keys: of the set that made the MAC, then of the other one if it is good
    bdk: str = ""  # of a terminal with derived keys, with the serial number of its message
    ksn: str = ""

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
        self._windows: dict[str, Window] = {}

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

        `ksn` is the key serial number that the message names, `repeat` that it is a repeat. `ended` takes a
        MAC under keys whose time is over, as a key exchange does. Raises RefusedError (mac_failure,
        terminal_not_permitted, key_serial_replayed), HsmUnavailable, HsmRefused, LookupUnavailableError.
        """
        if terminal.key_mode != "session":
            return await self._derived(terminal, covered, mac or "", ksn or "", repeat)
        if mac is not None and ksn is None:
            session = await self._session(terminal, covered, mac, ended)
            if session is not None:
                return session
            # Another process may have given it other keys, or these ones for longer.
            fresh = self._with_mark(await self._directory.reload(terminal.terminal_id))
            if fresh is not None and _sets(fresh) != _sets(terminal):
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

    async def _derived(
        self, terminal: TerminalRow, covered: bytes, mac: str, ksn: str, repeat: bool
    ) -> Session:
        serial = split(ksn, terminal.key_mode)
        bdk = terminal.bdk or ""
        if (
            not mac
            or serial is None
            or serial.initial != terminal.ksn_id
            or not counted(serial, terminal.key_mode)
            or not await self._hsm.verify_mac_dukpt(bdk, ksn, covered, mac)
        ):
            metrics.MAC_FAILURES.inc()
            raise RefusedError("mac_failure")
        # From here to the end nothing waits: of two messages with one serial number, one is the first.
        window = self._window(terminal)
        if window.take(serial.counter):
            self._marks.counted(terminal.terminal_id, serial.initial, window.last)
        elif not repeat:
            metrics.SERIALS_REPLAYED.inc()
            log.warning("a key serial number came again", terminal=terminal.terminal_id)
            raise RefusedError("key_serial_replayed")
        return Session(terminal, bdk=bdk, ksn=ksn)

    def _window(self, terminal: TerminalRow) -> Window:
        name, initial = terminal.terminal_id, terminal.ksn_id or ""
        known = self._windows.get(name)
        # Another process, or an import that gives the terminal another identity, may have moved it.
        if known is not None and known.initial == initial and known.last >= terminal.ksn_counter:
            return known
        if known is None and len(self._windows) >= TERMINALS_MAX:
            oldest = next(iter(self._windows))
            del self._windows[oldest]
            self._directory.forget(oldest)  # what is known of it is older than what is written
        fresh = Window(initial, max(terminal.ksn_counter, self._marks.counter_of(name, initial)))
        self._windows[name] = fresh
        return fresh

    def _in_use(self, terminal: TerminalRow, tak: str) -> None:
        """The first message under the newest set: from now on the one before it has its grace."""
        old_until = terminal.old_until
        if old_until is not None:
            old_until = min(old_until, self._now() + self._grace)
        self._directory.in_use(terminal.terminal_id, tak, old_until)
        self._marks.seen(terminal.terminal_id, tak, old_until)

    def _with_mark(self, fresh: TerminalRow | None) -> TerminalRow | None:
        """The terminal as it was read, and with what this process knows of it and has not written yet."""
        mark = None if fresh is None else self._marks.seen_of(fresh.terminal_id)
        if fresh is None or mark is None or fresh.keys_seen or fresh.tak != mark[0]:
            return fresh
        self._directory.in_use(fresh.terminal_id, *mark)
        return replace(fresh, keys_seen=True, old_until=mark[1])

    async def seal(self, session: Session, body: bytes) -> str:
        """The MAC of an answer, 16 hex digits, under the keys of its request. Raises HsmUnavailable,
        HsmRefused."""
        if session.ksn:
            return await self._hsm.generate_mac_dukpt(session.bdk, session.ksn, body)
        return await self._hsm.generate_mac(session.tak, body)

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
        code = PIN_FORMATS[pin_format]
        account = pan if pin_format == "4" else pan[-13:-1]
        if session.ksn:
            if (pin_format == "4") != (session.terminal.key_mode == "dukpt_aes"):
                raise RefusedError("pin_key_error")  # AES keys have format 4, and it has no others
            return _check(
                await self._hsm.verify_pin_dukpt(
                    session.bdk, pvk, session.ksn, pin_block, account, card.pvki, card.pvv, block_format=code
                )
            )
        for tpk in session.tpks:
            if pin_format == "4" and not tpk.startswith("S"):
                continue
            found = _check(
                await self._hsm.verify_pin(
                    tpk, pvk, pin_block, account, card.pvki, card.pvv, block_format=code
                )
            )
            if found is not None:
                return found
        return None


def _sets(terminal: TerminalRow) -> tuple[object, ...]:
    return terminal.tak, terminal.keys_until, terminal.tak_old, terminal.old_until


def _check(result: PinResult) -> PinCheck | None:
    if result is PinResult.BAD_BLOCK_OR_KEY:
        return None
    return PinCheck.OK if result is PinResult.OK else PinCheck.WRONG
