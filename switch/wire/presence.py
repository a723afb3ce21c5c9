"""Which fields a message must and may carry: one table by MTI, processing code (DE3) and entry mode (DE22).

A field that must be there and is not, and one that may not be there and is, are answered with 30 and the
field's number in DE44, lowest first.
"""

from typing import Final

import msgspec

from switch.wire.spec import ENTRY_MODES, MAC_PRIMARY, MAC_SECONDARY

ENTRY_FIELDS: Final = frozenset({23, 35, 55})
"""What only a card that was read can give: its sequence number, track 2, chip data."""

ENTRY_MUST: Final[dict[str, frozenset[int]]] = {
    "keyed": frozenset(),
    "stripe": frozenset({35}),
    "qr": frozenset(),
    "chip": frozenset({55}),
    "contactless": frozenset({55}),
    "ecommerce": frozenset(),
}
ENTRY_MAY: Final[dict[str, frozenset[int]]] = {
    "keyed": frozenset(),
    "stripe": frozenset({35}),
    "qr": frozenset(),
    "chip": ENTRY_FIELDS,  # many terminals send the chip's track 2 equivalent along
    "contactless": ENTRY_FIELDS,
    "ecommerce": frozenset(),
}


class Carries(msgspec.Struct, frozen=True):
    """What a message must and may carry. The MAC is apart: `mac` says whether it may be there.

    A missing MAC is not a format error: a terminal without session keys cannot make one, and is told so.
    `entry` says what holds for the fields of the entry mode: "must" (ENTRY_MUST and ENTRY_MAY), "may"
    (ENTRY_MAY alone: the card need not be there), or "" (the message has no entry mode).
    """

    must: frozenset[int]
    may: frozenset[int] = frozenset()
    mac: bool = True
    entry: str = ""


_TRACE = frozenset({7, 11, 12, 13})
_PAYMENT = _TRACE | {2, 3, 4, 22, 32, 41, 42, 49}
_PAYMENT_MAY = frozenset({14, 37, 48, 52})
_REVERSAL = Carries(_TRACE | {2, 3, 4, 32, 41, 42, 49, 90}, frozenset({37, 48, 95}))
_NETWORK = Carries(_TRACE | {41, 70}, frozenset({37, 48}))
_PREAUTHS: dict[str | None, Carries] = {
    "000000": Carries(_PAYMENT, _PAYMENT_MAY | {90}, entry="must"),  # with 90: adds to an earlier one
}
_PAYMENTS: dict[str | None, Carries] = {
    "000000": Carries(_PAYMENT, _PAYMENT_MAY, entry="must"),
    "200000": Carries(_PAYMENT | {90}, _PAYMENT_MAY, entry="may"),
    "210000": Carries(_PAYMENT, _PAYMENT_MAY, entry="must"),
    "310000": Carries(_PAYMENT - {4}, _PAYMENT_MAY | {4}, entry="must"),
    "020000": Carries(_PAYMENT | {90}, _PAYMENT_MAY, entry="may"),
}
_ADVICES: dict[str | None, Carries] = {
    # With 90 the completion of a pre-authorisation, without it an offline or forced payment. Nothing is
    # asked any more, so no PIN.
    "000000": Carries(_PAYMENT, frozenset({14, 37, 38, 48, 90}), entry="may"),
}
_SUMS = frozenset({74, 75, 76, 77, 86, 87, 88, 89, 97})
_BATCH = _TRACE | {41, 42, 48}
_CLOSE = Carries(_BATCH | _SUMS, frozenset({32, 37, 49}))
_DETAIL = Carries(_BATCH | {3, 4, 90}, frozenset({32, 37, 38, 49}))

# Replies to a refused message can echo only what was legible, so only the code itself is certain.
_REPLY_MUST = frozenset({39})
_REPLY_MAY = _TRACE | {3, 4, 15, 37, 41, 42, 44, 49}
_PAYMENT_REPLY = Carries(_REPLY_MUST, _REPLY_MAY | {38, 48, 54, 55})
_REVERSAL_REPLY = Carries(_REPLY_MUST, _REPLY_MAY)

MESSAGES: Final[dict[str, dict[str | None, Carries]]] = {
    "0100": _PREAUTHS,
    "0101": _PREAUTHS,
    "0110": {None: _PAYMENT_REPLY},
    "0200": _PAYMENTS,
    "0201": _PAYMENTS,
    "0210": {None: _PAYMENT_REPLY},
    "0220": _ADVICES,
    "0221": _ADVICES,
    "0230": {None: _PAYMENT_REPLY},
    "0320": {None: _DETAIL},
    "0321": {None: _DETAIL},
    "0330": {None: Carries(_REPLY_MUST, _REPLY_MAY)},
    "0400": {None: _REVERSAL},
    "0401": {None: _REVERSAL},
    "0410": {None: _REVERSAL_REPLY},
    "0420": {None: _REVERSAL},
    "0421": {None: _REVERSAL},
    "0430": {None: _REVERSAL_REPLY},
    "0500": {None: _CLOSE},
    "0501": {None: _CLOSE},
    "0510": {None: Carries(_REPLY_MUST, _REPLY_MAY | _SUMS | {48, 66})},
    "0800": {None: _NETWORK},
    "0801": {None: _NETWORK},
    "0810": {None: Carries(_REPLY_MUST, _TRACE | {15, 37, 41, 42, 44, 48, 70})},
}
"""By MTI, then by processing code where it matters (None where it does not)."""


def entry_of(entry_mode: str) -> str | None:
    """How the card was read, from DE22; None when there is no such entry mode."""
    return ENTRY_MODES.get(entry_mode[:2])


def presence_fault(carries: Carries, present: frozenset[int], entry: str | None = None) -> int | None:
    """The lowest field that is there and may not be, or must be there and is not; None when all is well.

    `entry` is a word of ENTRY_MUST; None (not legible, so refused for that) judges nothing by entry mode.
    """
    must, may = carries.must, carries.may
    if carries.mac:
        may |= {MAC_PRIMARY, MAC_SECONDARY}
    if carries.entry:
        may |= ENTRY_FIELDS if entry is None else ENTRY_MAY[entry]
        if carries.entry == "must" and entry is not None:
            must |= ENTRY_MUST[entry]
    faults = (present - must - may) | (must - present)
    return min(faults, default=None)


def entries_fitting(carries: Carries, present: frozenset[int]) -> frozenset[str]:
    """The entry modes (first two digits of DE22) with which these fields make a message of this kind."""
    return frozenset(
        digits for digits, entry in ENTRY_MODES.items() if presence_fault(carries, present, entry) is None
    )
