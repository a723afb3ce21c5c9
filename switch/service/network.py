"""Network management (0800): sign-on, sign-off, echo, session keys.

New session keys are made inside the HSM and leave it only under the LMK (for the books) and under the
terminal's own master key (for the terminal, in DE48).
"""

import asyncio
from collections.abc import Callable
from datetime import datetime

from switch.hsm.client import HsmClient
from switch.service.directory import Directory
from switch.store.lookup import Lookup, TerminalRow
from switch.wire.message import Message
from switch.wire.private import TAG_MAC_KEY, TAG_MAC_KEY_CHECK, TAG_PIN_KEY, TAG_PIN_KEY_CHECK
from switch.wire.request import Network, reply_fields

PIN_KEY = "002"  # payShield key type codes
MAC_KEY = "003"


class NetworkDesk:
    """Answers 0800 messages."""

    def __init__(
        self, hsm: HsmClient, lookup: Lookup, directory: Directory, now: Callable[[], datetime]
    ) -> None:
        self._hsm = hsm
        self._lookup = lookup
        self._directory = directory
        self._now = now

    async def answer(self, message: Message, request: Network, terminal: TerminalRow) -> dict[int, str]:
        """The reply's fields. Raises HsmUnavailable, HsmRefused, LookupUnavailableError."""
        if request.function == "key_exchange":
            return reply_fields(message, code="00", private=await self._new_keys(terminal))
        if request.function in ("sign_on", "sign_off"):
            on = request.function == "sign_on"
            await self._lookup.save_sign(terminal.terminal_id, self._now() if on else None)
            self._directory.signed(terminal.terminal_id, on=on)
        return reply_fields(message, code="00")

    async def _new_keys(self, terminal: TerminalRow) -> dict[str, str]:
        tpk, tak = await asyncio.gather(
            self._hsm.generate_key(PIN_KEY, under_tmk=terminal.tmk),
            self._hsm.generate_key(MAC_KEY, under_tmk=terminal.tmk),
        )
        await self._lookup.save_keys(terminal.terminal_id, tpk.lmk, tak.lmk, self._now())
        self._directory.rekeyed(terminal.terminal_id, tpk.lmk, tak.lmk)
        return {
            TAG_PIN_KEY: tpk.exported or "",
            TAG_MAC_KEY: tak.exported or "",
            TAG_PIN_KEY_CHECK: tpk.kcv,
            TAG_MAC_KEY_CHECK: tak.kcv,
        }
