"""The keys and cryptograms of a chip card: EMV 4.3 Book 2, clause 8 and annex A1.

issuer master key → icc_master_key (a card) → session_key (a transaction) → arqc and arpc. The card has its
own master key, the issuer finds it again from the card's number.
"""

from typing import Final

from hsm_sim.crypto.mac import RetailMac
from hsm_sim.crypto.tdes import DOUBLE_KEY_BYTES, Tdes, odd_parity, xor8

CRYPTOGRAM_BYTES: Final = 8
ATC_BYTES: Final = 2
UN_BYTES: Final = 4
ARC_BYTES: Final = 2
CSU_BYTES: Final = 4
PROPRIETARY_BYTES_MAX: Final = 8
_CARD_DIGITS: Final = 16


def card_digits(pan: str, psn: str) -> bytes:
    """The 16 rightmost digits of PAN and card sequence number (2 digits), as 8 bytes (A1.4.1).

    Raises ValueError if they are not digits.
    """
    if not (pan + psn).isdigit() or not (pan + psn).isascii() or len(psn) != 2:
        raise ValueError("PAN and sequence number are decimal digits")
    return bytes.fromhex((pan + psn).rjust(_CARD_DIGITS, "0")[-_CARD_DIGITS:])


def icc_master_key(imk: bytes, pan: str, psn: str = "00") -> bytes:
    """The card's 16-byte master key: option A of A1.4.1. Raises ValueError."""
    return master_key_of(imk, card_digits(pan, psn))


def master_key_of(imk: bytes, card: bytes) -> bytes:
    """As icc_master_key, from the 8 bytes that `card_digits` gives. Raises ValueError on lengths."""
    if len(imk) != DOUBLE_KEY_BYTES or len(card) != CRYPTOGRAM_BYTES:
        raise ValueError("an issuer master key has 16 bytes, a card's digits have 8")
    return odd_parity(Tdes(imk).encrypt(card + bytes(b ^ 0xFF for b in card)))


def session_key(icc_mk: bytes, atc: bytes, un: bytes = bytes(UN_BYTES)) -> bytes:
    """The 16-byte key of one transaction: common session key derivation (A1.3.1).

    `atc` 2 bytes. M/Chip puts the unpredictable number in as well, EMV's own option leaves it zero.
    Raises ValueError on lengths.
    """
    if len(atc) != ATC_BYTES or len(un) != UN_BYTES or len(icc_mk) != DOUBLE_KEY_BYTES:
        raise ValueError("an ATC has 2 bytes, an unpredictable number 4, a card's master key 16")
    cipher = Tdes(icc_mk)
    return odd_parity(cipher.encrypt(atc + b"\xf0\0" + un) + cipher.encrypt(atc + b"\x0f\0" + un))


def arqc(key: bytes, data: bytes) -> bytes:
    """The 8-byte application cryptogram over the transaction data, with padding method 2 (8.1.2)."""
    return RetailMac(key).mac(data + b"\x80")


def arqc_padded(key: bytes, data: bytes) -> bytes:
    """The same where the data is padded already or by zeros, as cryptogram version 10 has it."""
    return RetailMac(key).mac(data)


def arpc(key: bytes, cryptogram: bytes, arc: bytes) -> bytes:
    """The issuer's 8-byte answer by method 1 (8.2.1): it binds the 2 bytes of the response code.

    Raises ValueError on lengths.
    """
    if len(cryptogram) != CRYPTOGRAM_BYTES or len(arc) != ARC_BYTES:
        raise ValueError("a cryptogram has 8 bytes, a response code 2")
    return Tdes(key).encrypt(xor8(cryptogram, arc + bytes(6)))


def arpc_method_2(key: bytes, cryptogram: bytes, csu: bytes, proprietary: bytes = b"") -> bytes:
    """The issuer's 4-byte answer by method 2 (8.2.2), over the card status update and up to 8 bytes more.

    Raises ValueError on lengths.
    """
    if len(cryptogram) != CRYPTOGRAM_BYTES or len(csu) != CSU_BYTES:
        raise ValueError("a cryptogram has 8 bytes, a card status update 4")
    if len(proprietary) > PROPRIETARY_BYTES_MAX:
        raise ValueError("proprietary authentication data has up to 8 bytes")
    return RetailMac(key).mac(cryptogram + csu + proprietary + b"\x80")[:4]
