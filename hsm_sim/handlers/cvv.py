"""CW (generate a card verification value) and CY (verify one)."""

import hmac
from typing import Final

from hsm_sim.body import Body, CommandRefused
from hsm_sim.crypto import uses
from hsm_sim.keys import Keys

_PAN_DIGITS_MIN: Final = 12
_PAN_DIGITS_MAX: Final = 19


def cw(keys: Keys, body: bytes) -> bytes:
    """CVK, PAN, ;, expiry 4N, service code 3N → CVV 3N."""
    fields = Body(body)
    cvk = keys.cvv(uses.CVK_GENERATE, fields.key_pair())
    return b"00" + cvk.value(*_card(fields)).encode("ascii")


def cy(keys: Keys, body: bytes) -> bytes:
    """CVK, CVV 3N, PAN, ;, expiry 4N, service code 3N → 00 right, 01 wrong."""
    fields = Body(body)
    cvk = keys.cvv(uses.CVK_VERIFY, fields.key_pair())
    given = fields.digits(3)
    return b"00" if hmac.compare_digest(cvk.value(*_card(fields)), given) else b"01"


def _card(fields: Body) -> tuple[str, str, str]:
    pan = fields.until(";")
    if not (_PAN_DIGITS_MIN <= len(pan) <= _PAN_DIGITS_MAX and pan.isdigit()):
        raise CommandRefused("15")
    expiry, service_code = fields.digits(4), fields.digits(3)
    fields.end()
    return pan, expiry, service_code
