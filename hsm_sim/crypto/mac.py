"""The retail MAC: ANSI X9.19, which is ISO/IEC 9797-1 MAC algorithm 3 with DES and a 16-byte key.

All blocks but the last pass through DES-CBC with the left half of the key, the last through triple DES with
both. Padding method 1 (zeros up to a whole block) is done here; other paddings are the caller's.
"""

from typing import Final

from hsm_sim.crypto.tdes import BLOCK_BYTES, DOUBLE_KEY_BYTES, cbc_encryptor, ecb_encryptor

ZERO_IV: Final = bytes(BLOCK_BYTES)


class RetailMac:
    """MACs under one key, its schedules computed once. For one thread.

    The CBC context lives as long as the key and goes on chaining, so a new message starts from IV zero by
    adding the context's last cipher block to the first block of the message. That saves a context per MAC,
    which would cost more than the MAC.
    """

    __slots__ = ("_cbc", "_chain", "_final")

    def __init__(self, key16: bytes) -> None:
        """Raises ValueError unless the key has 16 bytes."""
        if len(key16) != DOUBLE_KEY_BYTES:
            raise ValueError(f"a retail MAC key has {DOUBLE_KEY_BYTES} bytes, not {len(key16)}")
        self._cbc = cbc_encryptor(key16[:8]).update
        self._final = ecb_encryptor(key16).update
        self._chain = 0  # the last cipher block of the CBC context, as a number

    def mac(self, data: bytes, iv: bytes = ZERO_IV) -> bytes:
        """The 8-byte MAC of `data`, zero-padded; `iv` is what `chain` gave for the data before it."""
        tail = len(data) % 8
        if tail:
            data += bytes(8 - tail)
        elif not data:
            data = ZERO_IV
        head = len(data) - 8
        if head == 0:
            return self._final((int.from_bytes(data) ^ int.from_bytes(iv)).to_bytes(8))
        carried = int.from_bytes(self._blocks(data[:head], iv))
        self._chain = carried
        return self._final((int.from_bytes(data[head:]) ^ carried).to_bytes(8))

    def chain(self, data: bytes, iv: bytes = ZERO_IV) -> bytes:
        """The chaining value after more whole blocks of a message. Raises ValueError on other lengths."""
        if not data or len(data) % 8:
            raise ValueError("a continued MAC takes whole blocks of 8 bytes")
        carried = self._blocks(data, iv)
        self._chain = int.from_bytes(carried)
        return carried

    def _blocks(self, data: bytes, iv: bytes) -> bytes:
        first = int.from_bytes(data[:8]) ^ self._chain ^ int.from_bytes(iv)
        return self._cbc(first.to_bytes(8) + data[8:])[-8:]
