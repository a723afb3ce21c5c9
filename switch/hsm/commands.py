"""Host commands of a payShield-class HSM as bytes: request bodies out, reply bodies in. Sans-IO.

A message is header + 2-character command + body; its reply is the same header + the command with its second
character raised by one + 2-character error code + body. Layouts follow the maker's public host command
reference for variant LMKs; keys are key texts (16 hex, U + 32 hex or X + 32 hex), never clear.
"""

from enum import Enum
from typing import Final

import msgspec

HEADER_BYTES: Final = 4
MAC_DATA_BYTES_MAX: Final = 32_000
DELIMITER: Final = b";"

NO_ERROR: Final = b"00"
VERIFICATION_FAILED: Final = b"01"

# What an operator reads; the codes' meanings are the maker's.
ERRORS: Final = {
    "01": "verification failed",
    "04": "invalid key type code",
    "05": "invalid key length flag",
    "10": "parity error of the first (source) key: it is not a key of this type under this LMK",
    "11": "parity error of the second (destination) key: it is not a key of this type under this LMK",
    "13": "LMK error",
    "14": "the PIN under the LMK is invalid",
    "15": "invalid input data",
    "20": "the PIN block is not valid",
    "22": "invalid account number",
    "23": "invalid PIN block format code",
    "24": "the PIN has fewer than 4 or more than 12 digits",
    "26": "invalid key scheme",
    "27": "incompatible key length",
    "28": "invalid key type",
    "41": "internal error of the HSM: see its own log",
    "51": "invalid message header",
    "68": "the command is unknown or disabled",
    "80": "data length error",
}


class HsmRefused(Exception):
    """The HSM answered with an error code. `code` is its two characters, `command` what was asked."""

    def __init__(self, command: str, code: str) -> None:
        super().__init__(f"the HSM refused {command}: {code}, {ERRORS.get(code, 'see the maker’s manual')}")
        self.command = command
        self.code = code


class PinResult(Enum):
    """What a PIN verification says. Every kind of bad PIN block is one result, so nobody learns which."""

    OK = "ok"
    WRONG = "wrong"
    BAD_BLOCK_OR_KEY = "bad_block_or_key"


class Diagnostics(msgspec.Struct, frozen=True, gc=False):
    """The LMK's check value (16 hex digits) and the firmware's number."""

    lmk_check_value: str
    firmware: str


class KeyResult(msgspec.Struct, frozen=True, gc=False):
    """A key text (under the LMK once imported, under the ZMK or TMK once exported), its check value."""

    key: str
    check_value: str

    def __repr__(self) -> str:
        return f"KeyResult(check_value={self.check_value})"


class GeneratedKey(msgspec.Struct, frozen=True, gc=False):
    """A new key under the LMK, under the ZMK or TMK if one was named, and its check value (6 hex digits)."""

    lmk: str
    exported: str | None
    kcv: str

    def __repr__(self) -> str:
        return f"GeneratedKey(kcv={self.kcv})"


def reply_code(command: bytes) -> bytes:
    """The code of the reply to a command: NC → ND, M6 → M7."""
    return command[:1] + bytes((min(command[1] + 1, 0xFF),))


# --- requests: command and body -----------------------------------------------------------------------------


def diagnostics() -> bytes:
    """NC: nothing to say, much to hear."""
    return b"NC"


def echo(data: bytes) -> bytes:
    """B2: a 4-digit hex count, then the data. Raises ValueError above the limit."""
    _at_most("data", data, MAC_DATA_BYTES_MAX)
    return b"B2%04X%b" % (len(data), data)


def generate_key(
    key_type: str, *, scheme: str, under: str | None, under_tmk: bool, exported_scheme: str
) -> bytes:
    """A0: mode 0 makes a key under the LMK; mode 1 gives it under a TMK or ZMK as well."""
    head = f"{'0' if under is None else '1'}{_text('key type', key_type, 3)}{_text('key scheme', scheme, 1)}"
    tail = "" if under is None else f";{int(under_tmk)}{under}{_text('key scheme', exported_scheme, 1)}"
    return f"A0{head}{tail}".encode("ascii")


def import_key(key_type: str, key: str, *, zmk: str, scheme: str) -> bytes:
    """A6: key type, ZMK, the key under it, and the scheme wanted under the LMK."""
    return f"A6{_text('key type', key_type, 3)}{zmk}{key}{_text('key scheme', scheme, 1)}".encode("ascii")


def export_key(key_type: str, key: str, *, under: str, under_tmk: bool, scheme: str) -> bytes:
    # The flag is sent only where it says something: units without TMK export take the short form.
    """A8: key type, the TMK or ZMK, the key under the LMK, and the scheme wanted for it."""
    flag = ";1" if under_tmk else ""
    return f"A8{_text('key type', key_type, 3)}{flag}{under}{key}{_text('key scheme', scheme, 1)}".encode(
        "ascii"
    )


def check_value(key_type: str, key: str) -> bytes:
    # Code FF says that the 3-character key type follows the key.
    """BU: key type, length flag and key."""
    length = "0" if len(key) <= 17 else "1"
    return f"BUFF{length}{key};{_text('key type', key_type, 3)}".encode("ascii")


def verify_pin(tpk: str, pvk: str, pin_block_hex: str, account12: str, pvki: str, pvv: str) -> bytes:
    """DC. `pin_block_hex`: format 0 under the TPK, `account12`: the 12 PAN digits before the last."""
    return (
        f"DC{tpk}{pvk}{_text('PIN block', pin_block_hex, 16)}01{_text('account number', account12, 12)}"
        f"{_text('PVKI', pvki, 1)}{_text('PVV', pvv, 4)}"
    ).encode("ascii")


# Mode 0 (whole message), binary data, 16-digit MAC, algorithm 3 (X9.19), padding method 1 (zeros), TAK.
_GENERATE_MAC: Final = b"M600131003"
_VERIFY_MAC: Final = b"M800131003"


def generate_mac(tak: str, data: bytes) -> bytes:
    """M6: one block, binary, 16 digits, ISO 9797-1 algorithm 3, padding method 1, a TAK."""
    _at_most("MAC data", data, MAC_DATA_BYTES_MAX)
    return b"%b%b%04X%b" % (_GENERATE_MAC, tak.encode("ascii"), len(data), data)


def verify_mac(tak: str, data: bytes, mac_hex: str) -> bytes:
    """M8: as M6, with the MAC to be verified behind the data."""
    _at_most("MAC data", data, MAC_DATA_BYTES_MAX)
    mac = _text("MAC", mac_hex, 16).encode("ascii")
    return b"%b%b%04X%b%b" % (_VERIFY_MAC, tak.encode("ascii"), len(data), data, mac)


def generate_cvv(cvk: str, pan: str, expiry: str, service_code: str) -> bytes:
    """CW: CVK, PAN, `;`, expiry and service code."""
    return f"CW{cvk}{_card(pan, expiry, service_code)}".encode("ascii")


def verify_cvv(cvk: str, cvv: str, pan: str, expiry: str, service_code: str) -> bytes:
    """CY: CVK, the value to be verified, PAN, `;`, expiry and service code."""
    return f"CY{cvk}{_text('CVV', cvv, 3)}{_card(pan, expiry, service_code)}".encode("ascii")


def _card(pan: str, expiry: str, service_code: str) -> str:
    if not 12 <= len(pan) <= 19:
        raise ValueError("a PAN has 12 to 19 digits")
    return f"{pan};{_text('expiry', expiry, 4)}{_text('service code', service_code, 3)}"


def _text(name: str, value: str, length: int) -> str:
    # Values are never quoted here: some are PINs, PANs and keys.
    if len(value) != length:
        raise ValueError(f"{name} has {length} characters, not {len(value)}")
    return value


def _at_most(name: str, data: bytes, limit: int) -> None:
    if len(data) > limit:
        raise ValueError(f"{name} is limited to {limit} bytes, not {len(data)}")


# --- replies: error code and body → result, or HsmRefused ---------------------------------------------------


def _accepted(command: str, error: bytes) -> None:
    if error != NO_ERROR:
        raise HsmRefused(command, error.decode("ascii", "replace"))


def parse_diagnostics(error: bytes, body: bytes) -> Diagnostics:
    """ND: the LMK's check value, then the firmware. Raises HsmRefused."""
    _accepted("NC", error)
    return Diagnostics(body[:16].decode("ascii"), body[16:].decode("ascii"))


def parse_echo(error: bytes, body: bytes) -> bytes:
    """B3: the data. Raises HsmRefused."""
    _accepted("B2", error)
    return body


def parse_generated_key(error: bytes, body: bytes) -> GeneratedKey:
    """A1: the key under the LMK, perhaps under another key, and its check value. Raises HsmRefused."""
    _accepted("A0", error)
    key, rest = _cut_key(body.decode("ascii"))
    if len(rest) <= 6:
        return GeneratedKey(key, None, rest)
    exported, rest = _cut_key(rest)
    return GeneratedKey(key, exported, rest[:6])


def parse_imported_key(error: bytes, body: bytes) -> KeyResult:
    """A7: the key under the LMK and its check value. Raises HsmRefused."""
    _accepted("A6", error)
    return KeyResult(*_cut_key(body.decode("ascii")))


def parse_exported_key(error: bytes, body: bytes) -> KeyResult:
    """A9: the key under the TMK or ZMK and its check value. Raises HsmRefused."""
    _accepted("A8", error)
    return KeyResult(*_cut_key(body.decode("ascii")))


def parse_check_value(error: bytes, body: bytes) -> str:
    """BV: the check value. Raises HsmRefused."""
    _accepted("BU", error)
    return body[:6].decode("ascii")


def parse_pin_result(error: bytes, _body: bytes) -> PinResult:
    """DD: 00 right, 01 wrong, 20 and its like an unreadable block. Raises HsmRefused on the rest."""
    if error == NO_ERROR:
        return PinResult.OK
    if error == VERIFICATION_FAILED:
        return PinResult.WRONG
    # 24 (PIN length) is what a real unit makes of some blocks under a wrong key.
    if error in (b"20", b"24"):
        return PinResult.BAD_BLOCK_OR_KEY
    raise HsmRefused("DC", error.decode("ascii", "replace"))


def parse_mac(error: bytes, body: bytes) -> str:
    """M7: the MAC, 16 hex digits. Raises HsmRefused."""
    if error != NO_ERROR:
        _accepted("M6", error)
    return body[4:20].decode("ascii")


def parse_mac_verified(error: bytes, _body: bytes) -> bool:
    """M9: whether the MAC is right. Raises HsmRefused."""
    return _verified("M8", error)


def parse_cvv(error: bytes, body: bytes) -> str:
    """CX: the 3 digits. Raises HsmRefused."""
    _accepted("CW", error)
    return body[:3].decode("ascii")


def parse_cvv_verified(error: bytes, _body: bytes) -> bool:
    """CZ: whether the value is right. Raises HsmRefused."""
    return _verified("CY", error)


def _verified(command: str, error: bytes) -> bool:
    if error == NO_ERROR:
        return True
    if error == VERIFICATION_FAILED:
        return False
    raise HsmRefused(command, error.decode("ascii", "replace"))


def _cut_key(text: str) -> tuple[str, str]:
    length = 33 if text[:1] in ("U", "X") else 16
    return text[:length], text[length:]
