"""Key blocks of ANSI X9.143 (once TR-31): a key bound to a header that says what it is for.

    B0080P0TE00N0000 + encrypted (length, key, random padding) + MAC, both in upper-case hex

The MAC covers the header and the clear key, and is the IV of the encryption, so one changed nibble anywhere
spoils it. Versions B (TDES) and D (AES) are made and read. A and C (older: the wrapping key is only varied,
the MAC has 4 bytes) and E (ISO 20038) are read where a caller asks for them, never made.
"""

import hmac
import secrets
from collections.abc import Callable
from typing import Final

import msgspec

from hsm_sim.crypto import aes, tdes
from hsm_sim.crypto.refused import KeyRefused

VERSIONS: Final = "BD"
HEADER_CHARACTERS: Final = 16
OPTIONAL_BLOCKS_MAX: Final = 99
CHARACTERS_MAX: Final = 9992

_KEY_BYTES: Final = {"D": (8,), "T": (16, 24), "A": (16, 24, 32)}
_HEX: Final = frozenset("0123456789ABCDEF")
_PADDING_ID: Final = "PB"


class Header(msgspec.Struct, frozen=True):
    """What a key is for. Field by field as X9.143 clause 6.2 has them.

    usage: 2 characters (P0 PIN, M3 MAC, K0 and K1 wrapping, B0 base key …); algorithm: T, A or D;
    mode: B both ways, E encrypt, D decrypt, C generate and verify, G, V, X derive, N any; key_version: 2;
    exportability: E under a wrapping key, N never, S also in older forms; optional: (id, text) pairs.
    """

    version: str
    usage: str
    algorithm: str
    mode: str
    key_version: str = "00"
    exportability: str = "N"
    optional: tuple[tuple[str, str], ...] = ()

    def option(self, identifier: str) -> str | None:
        """The text of the optional block with this id, such as KS for the initial key serial number."""
        return next((text for name, text in self.optional if name == identifier), None)


class _Method(msgspec.Struct, frozen=True):
    """How a version protects: block and MAC sizes in bytes, and its two keys from the wrapping key."""

    block: int
    mac: int
    keys: Callable[[bytes], tuple[bytes, bytes]]


def wrap(kbpk: bytes, header: Header, key: bytes) -> str:
    """The key block. `kbpk` is TDES for version B, AES for version D.

    Raises KeyRefused: A7 version or algorithm, A5 lengths, also of a key that is stronger than its wrapping
    key (X9.24-1 clause 7.3), AC optional blocks.
    """
    if header.version not in VERSIONS or len(header.version) != 1:
        raise KeyRefused("A7", "key blocks are made in versions B and D only")
    method = _method(header.version, kbpk)
    if len(key) not in _KEY_BYTES.get(header.algorithm, ()):
        raise KeyRefused("A5", "the key's length does not fit the algorithm of the key block")
    if header.algorithm == "A" and (header.version != "D" or len(key) > len(kbpk)):
        raise KeyRefused("A5", "a key is never wrapped under a weaker one")
    payload = (len(key) * 8).to_bytes(2) + key
    payload += secrets.token_bytes(-len(payload) % method.block)
    options = _optional_text(header, method.block)
    length = HEADER_CHARACTERS + len(options[1]) + 2 * (len(payload) + method.mac)
    head = (
        f"{header.version}{length:04d}{header.usage}{header.algorithm}{header.mode}{header.key_version}"
        f"{header.exportability}{options[0]:02d}00{options[1]}"
    )
    encryption, authentication = method.keys(kbpk)
    mac = _cmac(header.version, authentication, head.encode("ascii") + payload)
    encrypt = aes.cbc_encrypt if header.version == "D" else tdes.cbc_encrypt
    return head + (encrypt(encryption, mac, payload) + mac).hex().upper()


def unwrap(kbpk: bytes, block: str, versions: str = VERSIONS) -> tuple[Header, bytes]:
    """The header and the clear key of an authentic key block.

    Raises KeyRefused: 15 not a key block, A7 version, AB and AC optional blocks, A4 not authentic under this
    wrapping key, A5 length of the key.
    """
    header, head_characters = parse_header(block)
    if header.version not in versions:
        raise KeyRefused("A7", "key blocks of this version are not taken")
    method = _method(header.version, kbpk)
    body = _from_hex(block[head_characters:])
    cipher, mac = body[: -method.mac], body[-method.mac :]
    if len(mac) != method.mac or not cipher:
        raise KeyRefused("15", "the key block is too short")
    if head_characters % method.block or (header.version != "E" and len(cipher) % method.block):
        raise KeyRefused("15", "the key block is not made of whole blocks")
    head = block[:head_characters].encode("ascii")
    encryption, authentication = method.keys(kbpk)
    if header.version in "AC":
        expected = _cbc_mac(authentication, head + cipher)[: method.mac]
        payload = tdes.cbc_decrypt(encryption, head[:8], cipher)
    else:
        payload = _decrypt(header.version, encryption, mac, cipher)
        expected = _cmac(header.version, authentication, head + payload)
    if not hmac.compare_digest(expected, mac):
        raise KeyRefused("A4", "the key block is not authentic")
    bits = int.from_bytes(payload[:2])
    key = payload[2 : 2 + bits // 8]
    if bits % 8 or len(key) * 8 != bits or len(key) not in _KEY_BYTES.get(header.algorithm, ()):
        raise KeyRefused("A5", "the key's length does not fit the key block")
    return header, key


def parse_header(block: str) -> tuple[Header, int]:
    """The header with its optional blocks, and how many characters it has; nothing is authentic yet.

    Raises KeyRefused 15, AB or AC.
    """
    if not HEADER_CHARACTERS < len(block) <= CHARACTERS_MAX or not block.isascii() or not block.isprintable():
        raise KeyRefused("15", "this is not a key block")
    length, count = block[1:5], block[12:14]
    if not length.isdigit() or int(length) != len(block):
        raise KeyRefused("15", "the key block's length is not what it says")
    if not count.isdigit():
        raise KeyRefused("AB", "the number of optional blocks is not a number")
    if not block[:12].isalnum() or block[14:16] != "00":
        raise KeyRefused("15", "the key block's header is not valid")
    optional: list[tuple[str, str]] = []
    at = HEADER_CHARACTERS
    for _ in range(int(count)):
        identifier, text, at = _optional_block(block, at)
        optional.append((identifier, text))
    header = Header(
        version=block[0],
        usage=block[5:7],
        algorithm=block[7],
        mode=block[8],
        key_version=block[9:11],
        exportability=block[11],
        optional=tuple(o for o in optional if o[0] != _PADDING_ID),
    )
    return header, at


def _optional_block(block: str, at: int) -> tuple[str, str, int]:
    """Identifier, text and where the next begins. A length of 00 says how long the length that follows is."""
    identifier, digits = block[at : at + 2], block[at + 2 : at + 4]
    text_at = at + 4
    if digits == "00":
        size = _hex_number(block[text_at : text_at + 2]) * 2
        digits = block[text_at + 2 : text_at + 2 + size]
        text_at += 2 + size
        if len(digits) != size:
            raise KeyRefused("AC", "an optional block of the key block is cut off")
    end = at + _hex_number(digits)
    if not text_at <= end <= len(block) or len(identifier) != 2:
        raise KeyRefused("AC", "an optional block of the key block has a wrong length")
    return identifier, block[text_at:end], end


def _optional_text(header: Header, block: int) -> tuple[int, str]:
    """How many optional blocks there are and their text, padded to whole cipher blocks."""
    if len(header.optional) >= OPTIONAL_BLOCKS_MAX:
        raise KeyRefused("AB", "a key block has fewer optional blocks")
    text = ""
    for identifier, content in header.optional:
        if len(identifier) != 2 or len(content) > 251 or not content.isascii() or not content.isprintable():
            raise KeyRefused("AC", "an optional block has 2 characters of name and up to 251 of text")
        text += f"{identifier}{len(content) + 4:02X}{content}"
    count = len(header.optional)
    if len(text) % block:
        # The padding block has 4 characters at least, so it may reach into the next cipher block.
        missing = -(len(text) + 4) % block
        text += f"{_PADDING_ID}{missing + 4:02X}" + "0" * missing
        count += 1
    return count, text


def _method(version: str, kbpk: bytes) -> _Method:
    method = _METHODS.get(version)
    if method is None:
        raise KeyRefused("A7", "the key block's version is not known")
    if len(kbpk) not in ((16, 24, 32) if version in "DE" else (16, 24)):
        raise KeyRefused("A5", "the wrapping key's length does not fit the key block's version")
    return method


def _derived(kbpk: bytes, mac: Callable[[bytes, bytes], bytes], first_algorithm: int, usage: int) -> bytes:
    """A key by CMAC in counter mode (X9.143 annex A): counter, usage, 0, algorithm, length in bits."""
    size = len(kbpk)
    tail = (
        usage.to_bytes(2) + b"\0" + (first_algorithm + (size - 16) // 8).to_bytes(2) + (size * 8).to_bytes(2)
    )
    key = b""
    counter = 1
    while len(key) < size:
        key += mac(kbpk, bytes((counter,)) + tail)
        counter += 1
    return key[:size]


_ENCRYPTION: Final = 0
_AUTHENTICATION: Final = 1
_COUNTER_ENCRYPTION: Final = 2  # ISO 20038
_TDES_2: Final = 0
_AES_128: Final = 2


def _varied(kbpk: bytes) -> tuple[bytes, bytes]:
    return bytes(b ^ 0x45 for b in kbpk), bytes(b ^ 0x4D for b in kbpk)


def _tdes_keys(kbpk: bytes) -> tuple[bytes, bytes]:
    return (
        _derived(kbpk, tdes.cmac, _TDES_2, _ENCRYPTION),
        _derived(kbpk, tdes.cmac, _TDES_2, _AUTHENTICATION),
    )


def _aes_keys(kbpk: bytes) -> tuple[bytes, bytes]:
    return (
        _derived(kbpk, aes.cmac, _AES_128, _ENCRYPTION),
        _derived(kbpk, aes.cmac, _AES_128, _AUTHENTICATION),
    )


def _iso_20038_keys(kbpk: bytes) -> tuple[bytes, bytes]:
    return (
        _derived(kbpk, aes.cmac, _AES_128, _COUNTER_ENCRYPTION),
        _derived(kbpk, aes.cmac, _AES_128, _AUTHENTICATION),
    )


_METHODS: Final = {
    "A": _Method(8, 4, _varied),
    "B": _Method(8, 8, _tdes_keys),
    "C": _Method(8, 4, _varied),
    "D": _Method(16, 16, _aes_keys),
    "E": _Method(1, 16, _iso_20038_keys),
}


def protection_keys(version: str, kbpk: bytes) -> tuple[bytes, bytes]:
    """The encryption key and the authentication key of a version. Raises KeyRefused A7 or A5."""
    return _method(version, kbpk).keys(kbpk)


def _cmac(version: str, key: bytes, data: bytes) -> bytes:
    return aes.cmac(key, data) if version in "DE" else tdes.cmac(key, data)


def _decrypt(version: str, key: bytes, iv: bytes, cipher: bytes) -> bytes:
    if version == "E":
        return aes.ctr(key, iv, cipher)
    return aes.cbc_decrypt(key, iv, cipher) if version == "D" else tdes.cbc_decrypt(key, iv, cipher)


def _cbc_mac(key: bytes, data: bytes) -> bytes:
    return tdes.cbc_encrypt(key, bytes(8), data)[-8:]


def _from_hex(text: str) -> bytes:
    # Upper case only: a block has one spelling.
    if len(text) % 2 or not _HEX.issuperset(text):
        raise KeyRefused("15", "the key block's key is not upper-case hexadecimal")
    return bytes.fromhex(text)


def _hex_number(text: str) -> int:
    if not text or not _HEX.issuperset(text):
        raise KeyRefused("AC", "an optional block's length is not hexadecimal")
    return int(text, 16)
