"""NC (diagnostics) and B2 (echo)."""

from hsm_sim.body import DATA_LENGTH, INVALID_INPUT, CommandRefused
from hsm_sim.keys import Keys

FIRMWARE = "0001-D000"


def nc(keys: Keys, body: bytes) -> bytes:
    """→ LMK check value 16H, firmware number 9A."""
    if body:
        raise CommandRefused(INVALID_INPUT)
    return f"00{keys.lmk.check_value}{FIRMWARE}".encode("ascii")


def b2(_keys: Keys, body: bytes) -> bytes:
    """Length 4H, data → the data."""
    try:
        length = int(body[:4], 16)
    except ValueError:
        raise CommandRefused(INVALID_INPUT) from None
    if len(body) != 4 + length:
        raise CommandRefused(DATA_LENGTH)
    return b"00" + body[4:]
