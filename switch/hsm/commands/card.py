"""CW, CY (card verification value) and KQ (the cryptogram of a chip, and the answer to it)."""

from typing import Final

from switch.hsm.commands.base import (
    DELIMITER,
    NO_ERROR,
    VERIFICATION_FAILED,
    HsmRefused,
    accepted,
    exactly,
    verified,
)

TRANSACTION_DATA_BYTES_MAX: Final = 255
# Scheme of KQ: the EMV common session key and padding method 2, which cryptogram version 18 has.
COMMON_SESSION_KEY: Final = "C"
_PAN_DIGITS_MIN: Final = 12
_PAN_DIGITS_MAX: Final = 19
_VERIFY_AND_ANSWER: Final = "1"
_ANSWER: Final = "2"


def generate_cvv(cvk: str, pan: str, expiry: str, service_code: str) -> bytes:
    """CW: CVK, PAN, `;`, expiry and service code."""
    return f"CW{cvk}{_card(pan, expiry, service_code)}".encode("ascii")


def verify_cvv(cvk: str, cvv: str, pan: str, expiry: str, service_code: str) -> bytes:
    """CY: CVK, the value to be verified, PAN, `;`, expiry and service code."""
    return f"CY{cvk}{exactly('CVV', cvv, 3)}{_card(pan, expiry, service_code)}".encode("ascii")


def _card(pan: str, expiry: str, service_code: str) -> str:
    _check_pan(pan)
    return f"{pan}{DELIMITER}{exactly('expiry', expiry, 4)}{exactly('service code', service_code, 3)}"


def _check_pan(pan: str) -> None:
    if not _PAN_DIGITS_MIN <= len(pan) <= _PAN_DIGITS_MAX:
        raise ValueError(f"a PAN has {_PAN_DIGITS_MIN} to {_PAN_DIGITS_MAX} digits")


def verify_arqc(
    imk: str,
    pan: str,
    psn: str,
    atc: str,
    un: str,
    data: bytes,
    arqc: str,
    arc: str,
    *,
    scheme: str = COMMON_SESSION_KEY,
) -> bytes:
    """KQ, mode 1: verifies the cryptogram over the transaction data and answers it (ARPC method 1).

    `psn` 2 digits, `atc` 4, `un` 8 and `arqc` 16 hex digits, `data` 1 to 254 bytes without padding, `arc` the
    2 characters of the authorisation response code. Raises ValueError on other lengths.
    """
    padded = data + b"\x80" if scheme == COMMON_SESSION_KEY else data
    if not data or len(padded) > TRANSACTION_DATA_BYTES_MAX:
        raise ValueError(f"transaction data has 1 to {TRANSACTION_DATA_BYTES_MAX - 1} bytes")
    head = _card_and_counter(imk, pan, psn, atc, un, mode=_VERIFY_AND_ANSWER, scheme=scheme)
    return b"%b%02X%b;%b" % (head, len(padded), padded, _cryptogram(arqc, arc))


def generate_arpc(
    imk: str,
    pan: str,
    psn: str,
    atc: str,
    un: str,
    arqc: str,
    arc: str,
    *,
    scheme: str = COMMON_SESSION_KEY,
) -> bytes:
    """KQ, mode 2: the answer (ARPC method 1) to a cryptogram that was verified before."""
    return _card_and_counter(imk, pan, psn, atc, un, mode=_ANSWER, scheme=scheme) + _cryptogram(arqc, arc)


def _card_and_counter(imk: str, pan: str, psn: str, atc: str, un: str, *, mode: str, scheme: str) -> bytes:
    _check_pan(pan)
    # EMV Book 2, A1.4.1: the 16 rightmost digits of PAN and sequence number.
    card = (pan + exactly("card sequence number", psn, 2)).rjust(16, "0")[-16:]
    counter = exactly("ATC", atc, 4) + exactly("unpredictable number", un, 8)
    head = f"KQ{mode}{exactly('scheme', scheme, 1)}{imk}"
    return head.encode("ascii") + _binary("PAN, sequence number, ATC or unpredictable number", card + counter)


def _cryptogram(arqc: str, arc: str) -> bytes:
    return _binary("ARQC", exactly("ARQC", arqc, 16)) + exactly("ARC", arc, 2).encode("ascii")


def _binary(name: str, digits: str) -> bytes:
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        raise ValueError(f"{name} is not hexadecimal") from None
    if len(data) * 2 != len(digits):  # fromhex skips blanks
        raise ValueError(f"{name} is not hexadecimal")
    return data


def parse_cvv(error: bytes, body: bytes) -> str:
    """CX: the 3 digits. Raises HsmRefused."""
    accepted("CW", error)
    return body[:3].decode("ascii")


def parse_cvv_verified(error: bytes, _body: bytes) -> bool:
    """CZ: whether the value is right. Raises HsmRefused."""
    return verified("CY", error)


def parse_arqc_verified(error: bytes, body: bytes) -> tuple[bool, str]:
    """KR after mode 1: whether the cryptogram is right, and then the ARPC in hex. Raises HsmRefused."""
    if error == VERIFICATION_FAILED:
        # Some units add the right cryptogram for diagnosis; it goes nowhere from here.
        return False, ""
    return True, parse_arpc(error, body)


def parse_arpc(error: bytes, body: bytes) -> str:
    """KR: the ARPC, 16 hex digits. Raises HsmRefused."""
    if error != NO_ERROR:
        raise HsmRefused("KQ", error.decode("ascii", "replace"))
    return body[:8].hex().upper()
