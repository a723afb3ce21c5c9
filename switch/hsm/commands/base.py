"""What all host commands share: limits, errors, the form of replies and of key texts. Sans-IO."""

from typing import Final

import msgspec

HEADER_BYTES: Final = 4
DELIMITER: Final = ";"
MAC_DATA_BYTES_MAX: Final = 32_000

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
    "23": "invalid PIN block format code, or a translation that is not allowed",
    "24": "the PIN has fewer than 4 or more than 12 digits",
    "25": "invalid decimalisation table",
    "26": "invalid key scheme",
    "27": "incompatible key length",
    "28": "invalid key type",
    "41": "internal error of the HSM: see its own log",
    "51": "invalid message header",
    "68": "the command is unknown or disabled",
    "80": "data length error",
    "A4": "the key block is not authentic: it was changed, or is under another key",
    "A5": "the key's length does not fit the key block",
    "A6": "the key block's usage does not allow this",
    "A7": "the key block's algorithm does not allow this",
    "A8": "the key block's mode of use does not allow this",
    "AA": "the key block's exportability does not allow this",
    "AB": "invalid number of optional blocks",
    "AC": "an optional block of the key block is not valid",
}

# Lengths of key texts by their first character; 16 hex digits have none.
_KEY_TEXT_CHARACTERS: Final = {"U": 33, "X": 33, "Z": 17}


class HsmRefused(Exception):
    """The HSM answered with an error code. `code` is its two characters, `command` what was asked."""

    def __init__(self, command: str, code: str) -> None:
        super().__init__(f"the HSM refused {command}: {code}, {ERRORS.get(code, 'see the maker’s manual')}")
        self.command = command
        self.code = code


class Diagnostics(msgspec.Struct, frozen=True, gc=False):
    """The LMK's check value (16 hex digits) and the firmware's number."""

    lmk_check_value: str
    firmware: str


def reply_code(command: bytes) -> bytes:
    """The code of the reply to a command: NC → ND, M6 → M7."""
    return command[:1] + bytes((min(command[1] + 1, 0xFF),))


def diagnostics() -> bytes:
    """NC: nothing to say, much to hear."""
    return b"NC"


def parse_diagnostics(error: bytes, body: bytes) -> Diagnostics:
    """ND: the LMK's check value, then the firmware. Raises HsmRefused."""
    accepted("NC", error)
    return Diagnostics(body[:16].decode("ascii"), body[16:].decode("ascii"))


def echo(data: bytes) -> bytes:
    """B2: a 4-digit hex count, then the data. Raises ValueError above the limit."""
    at_most("data", data, MAC_DATA_BYTES_MAX)
    return b"B2%04X%b" % (len(data), data)


def parse_echo(error: bytes, body: bytes) -> bytes:
    """B3: the data. Raises HsmRefused."""
    accepted("B2", error)
    return body


def exactly(name: str, value: str, *lengths: int) -> str:
    """The value, if it has one of these lengths. Raises ValueError without quoting it: some are secrets."""
    if len(value) not in lengths:
        allowed = " or ".join(map(str, lengths))
        raise ValueError(f"{name} has {allowed} characters, not {len(value)}")
    return value


def at_most(name: str, data: bytes, limit: int) -> None:
    """Raises ValueError if the data is longer than the limit."""
    if len(data) > limit:
        raise ValueError(f"{name} is limited to {limit} bytes, not {len(data)}")


def accepted(command: str, error: bytes) -> None:
    """Raises HsmRefused unless the error code says that all went well."""
    if error != NO_ERROR:
        raise HsmRefused(command, error.decode("ascii", "replace"))


def verified(command: str, error: bytes) -> bool:
    """Whether a verification succeeded: 00 yes, 01 no. Raises HsmRefused on the rest."""
    if error == NO_ERROR:
        return True
    if error == VERIFICATION_FAILED:
        return False
    raise HsmRefused(command, error.decode("ascii", "replace"))


def cut_key(text: str) -> tuple[str, str]:
    """The key text that a reply begins with, and the rest.

    A key block (S under the LMK, R under a TMK or ZMK) says its own length, as X9.143 has it.
    """
    if text[:1] in ("S", "R"):
        digits = text[2:6]
        length = 1 + int(digits) if digits.isdigit() else len(text)
    else:
        length = _KEY_TEXT_CHARACTERS.get(text[:1], 16)
    return text[:length], text[length:]
