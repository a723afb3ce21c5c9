"""Messages written field by field, for tests of what no well-behaved terminal builder would send."""

from datetime import datetime

from switch.wire.message import decode
from switch.wire.private import encode_private
from switch.wire.request import OriginalData
from terminal_sim.terminal import Terminal

REPLACED_ZERO = "0" * 30


def named(payload: bytes, *, stan: int | None = None, transmission: str | None = None, mti: str = "") -> str:
    """DE90 for an earlier message, given as its payload; parts may be replaced."""
    message = decode(payload)
    fields = message.fields
    return OriginalData(
        mti or message.mti[:3] + "0",
        int(fields[11]) if stan is None else stan,
        fields[7] if transmission is None else transmission,
        fields[32],
        "",
    ).encode()


def payment(
    terminal: Terminal,
    now: datetime,
    mti: str,
    card: str,
    amount: int,
    *,
    code: str = "000000",
    original: bytes | None = None,
    private: dict[str, str] | None = None,
    **changes: str | None,
) -> bytes:
    """A payment of any MTI and processing code. `changes`: f14="3112" sets a field, f32=None takes it out."""
    fields = dict(decode(terminal.purchase(now, card, amount)).fields)
    fields[3] = code
    if original is not None:
        fields[90] = named(original)
    if private:
        fields[48] = encode_private(private)
    return terminal.seal(mti, _changed(fields, changes))


def reversal(
    terminal: Terminal,
    now: datetime,
    original: bytes,
    *,
    replacement: int | None = None,
    **changes: str | None,
) -> bytes:
    """0420 for an earlier message; `replacement` is the amount that shall stand instead (DE95)."""
    fields = dict(decode(terminal.reversal(now, original)).fields)
    fields[90] = named(original)
    if replacement is not None:
        fields[95] = f"{replacement:012d}{REPLACED_ZERO}"
    return terminal.seal("0420", _changed(fields, changes))


def _changed(fields: dict[int, str], changes: dict[str, str | None]) -> dict[int, str]:
    for name, value in changes.items():
        number = int(name.removeprefix("f"))
        if value is None:
            fields.pop(number, None)
        else:
            fields[number] = value
    return fields
