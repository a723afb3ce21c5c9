"""Host commands, one file a family. `answer` turns any message into its reply and never raises."""

from collections.abc import Callable, Mapping
from typing import Final

import structlog

from hsm_sim.body import CommandRefused
from hsm_sim.crypto.lmk import KeyRefused
from hsm_sim.handlers import chip, cvv, diagnostics, dukpt_mac, key, mac, pin, translate
from hsm_sim.keys import Keys
from switch.hsm.commands import reply_code

Handler = Callable[[Keys, bytes], bytes]

HANDLERS: Final[Mapping[bytes, Handler]] = {
    b"A0": key.a0,
    b"A6": key.a6,
    b"A8": key.a8,
    b"B2": diagnostics.b2,
    b"BU": key.bu,
    b"CA": translate.ca,
    b"CI": translate.ci,
    b"CW": cvv.cw,
    b"CY": cvv.cy,
    b"DC": pin.dc,
    b"DG": pin.dg,
    b"EC": pin.ec,
    b"GO": pin.go,
    b"GQ": pin.gq,
    b"GW": dukpt_mac.gw,
    b"JC": translate.jc,
    b"KQ": chip.kq,
    b"M6": mac.m6,
    b"M8": mac.m8,
    b"NC": diagnostics.nc,
}
_REPLY_CODES: Final = {command: reply_code(command) for command in HANDLERS}
_UNKNOWN_COMMAND: Final = b"68"
_INVALID_INPUT: Final = b"15"
_INTERNAL: Final = b"41"

_log = structlog.get_logger()


def answer(keys: Keys, message: bytes, header_bytes: int) -> bytes:
    """The reply to a message that is at least a header long: header, reply code, error code, body."""
    body_at = header_bytes + 2
    command = message[header_bytes:body_at]
    handler = HANDLERS.get(command)
    if handler is None:
        if len(command) < 2:
            return message[:header_bytes] + b"ZZ" + _INVALID_INPUT
        return message[:header_bytes] + reply_code(command) + _UNKNOWN_COMMAND
    try:
        result = handler(keys, message[body_at:])
    except (CommandRefused, KeyRefused) as refused:
        result = refused.code.encode("ascii")
    except Exception as error:  # noqa: BLE001 one client's message must never stop the others
        # The type only: a message may quote what the client sent.
        _log.error("internal_error", command=command.decode("ascii"), error=type(error).__name__)
        result = _INTERNAL
    return message[:header_bytes] + _REPLY_CODES[command] + result
