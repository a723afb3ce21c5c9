"""One method per host command, each giving a future of its result. What carries them is the subclass's.

Every future ends: with its result, HsmRefused (the HSM said no) or HsmUnavailable (it said nothing). Keys are
key texts under the LMK: U + 32 hex digits, or S and a key block (AES keys have this form only).
"""

import asyncio
from collections.abc import Callable
from typing import Any

from switch.hsm import commands
from switch.hsm.commands import Diagnostics, GeneratedKey, KeyResult, PinResult

Parser = Callable[[bytes, bytes], Any]


class HsmCalls:
    """The commands. A subclass says by `_send` how one is carried."""

    def _send(self, request: bytes, parser: Parser) -> "asyncio.Future[Any]":
        """A future of what the parser makes of the reply's error code and body."""
        raise NotImplementedError

    def diagnostics(self) -> "asyncio.Future[Diagnostics]":
        """NC: the LMK's check value and the firmware."""
        return self._send(commands.diagnostics(), commands.parse_diagnostics)

    def echo(self, data: bytes) -> "asyncio.Future[bytes]":
        """B2: the same bytes back."""
        return self._send(commands.echo(data), commands.parse_echo)

    # --- keys ----------------------------------------------------------------------------------------------

    def generate_key(
        self,
        key_type: str,
        *,
        under_tmk: str | None = None,
        under_zmk: str | None = None,
        exported_scheme: str = "X",
        scheme: str = "U",
        algorithm: str = "T2",
        usage: str | None = None,
    ) -> "asyncio.Future[GeneratedKey]":
        """A0: a new key under the LMK and, if one is named, under a TMK or ZMK (given as its key text).

        `exported_scheme` R gives an X9.143 key block under the TMK or ZMK, U and X the older forms. Scheme S
        (a key block under the LMK) takes `algorithm` A1, A2 or A3 for AES, and a `usage` such as K1.
        """
        if under_tmk is not None and under_zmk is not None:
            raise ValueError("name a TMK or a ZMK to export under, not both")
        request = commands.generate_key(
            key_type,
            scheme=scheme,
            under=under_tmk if under_tmk is not None else under_zmk,
            under_tmk=under_tmk is not None,
            exported_scheme=exported_scheme,
            algorithm=algorithm,
            usage=usage,
        )
        return self._send(request, commands.parse_generated_key)

    def import_key(
        self, key_type: str, key: str, *, zmk: str, scheme: str | None = None
    ) -> "asyncio.Future[KeyResult]":
        """A6: a key that came under a ZMK, as U, X or Z text or as R and a key block, now under the LMK.

        A key block stays one unless `scheme` says otherwise: only so its header goes on being obeyed.
        """
        if scheme is None:
            scheme = "S" if key[:1] == "R" else "U"
        request = commands.import_key(key_type, key, zmk=zmk, scheme=scheme)
        return self._send(request, commands.parse_imported_key)

    def export_key(
        self, key_type: str, key: str, *, under: str, under_tmk: bool = False, scheme: str = "X"
    ) -> "asyncio.Future[KeyResult]":
        """A8: a key of ours under a ZMK, or under a TMK if `under_tmk`; scheme R gives a key block."""
        request = commands.export_key(key_type, key, under=under, under_tmk=under_tmk, scheme=scheme)
        return self._send(request, commands.parse_exported_key)

    def check_value(self, key_type: str, key: str) -> "asyncio.Future[str]":
        """BU: the key's check value, 6 hex digits."""
        return self._send(commands.check_value(key_type, key), commands.parse_check_value)

    # --- PINs ----------------------------------------------------------------------------------------------

    def verify_pin(
        self,
        tpk: str,
        pvk: str,
        pin_block_hex: str,
        account: str,
        pvki: str,
        pvv: str,
        block_format: str = commands.FORMAT_0,
    ) -> "asyncio.Future[PinResult]":
        """DC: a PIN block under a TPK against a PVV.

        `block_format` 01, 47 or 48 is ISO 9564-1 format 0, 3 or 4. `account` is the 12 rightmost PAN digits
        without the check digit; with format 48 (a block of 32 digits, an AES TPK) the whole PAN. Parity
        errors of the keys are HsmRefused (10 the TPK, 11 the PVK).
        """
        request = commands.verify_pin(tpk, pvk, pin_block_hex, account, pvki, pvv, block_format=block_format)
        return self._send(request, commands.parse_pin_result)

    def verify_pin_dukpt(
        self,
        bdk: str,
        pvk: str,
        ksn: str,
        pin_block_hex: str,
        account: str,
        pvki: str,
        pvv: str,
        block_format: str = commands.FORMAT_0,
    ) -> "asyncio.Future[PinResult]":
        """GQ: as verify_pin, under the PIN key that belongs to the key serial number.

        `ksn` has 20 hex digits (TDES) or 24 (AES). AES takes format 48 only, TDES 01 and 47.
        """
        request = commands.verify_pin_dukpt(
            bdk, pvk, ksn, pin_block_hex, account, pvki, pvv, block_format=block_format
        )
        return self._send(request, commands.parse_pin_result_dukpt)

    def translate_pin(
        self, tpk: str, zpk: str, pin_block_hex: str, account: str, from_format: str, to_format: str
    ) -> "asyncio.Future[str]":
        """CA: the PIN block under a ZPK. The same account; the same format or a stronger one, else error 23.

        `account` is the whole PAN if either format is 48. An unreadable block is HsmRefused 20.
        """
        request = commands.translate_pin(
            tpk, zpk, pin_block_hex, account, from_format=from_format, to_format=to_format
        )
        return self._send(request, commands.parse_translated_pin)

    # --- MACs ----------------------------------------------------------------------------------------------

    def generate_mac(self, tak: str, data: bytes) -> "asyncio.Future[str]":
        """M6: the MAC of up to 32,000 bytes, 16 upper-case hex digits: X9.19, or CMAC under an AES TAK."""
        return self._send(commands.generate_mac(tak, data), commands.parse_mac)

    def verify_mac(self, tak: str, data: bytes, mac_hex: str) -> "asyncio.Future[bool]":
        """M8: whether the 16-digit MAC belongs to the data."""
        return self._send(commands.verify_mac(tak, data, mac_hex), commands.parse_mac_verified)

    def generate_mac_dukpt(self, bdk: str, ksn: str, data: bytes) -> "asyncio.Future[str]":
        """GW: the MAC of a reply under the response key of a serial number, 16 upper-case hex digits.

        X9.19 under TDES DUKPT (20-digit `ksn`), the first half of a CMAC under AES DUKPT (24 digits).
        """
        return self._send(commands.generate_mac_dukpt(bdk, ksn, data), commands.parse_mac_dukpt)

    def verify_mac_dukpt(self, bdk: str, ksn: str, data: bytes, mac_hex: str) -> "asyncio.Future[bool]":
        """GW: whether the 16-digit MAC of a terminal's message is right, under the request key."""
        request = commands.verify_mac_dukpt(bdk, ksn, data, mac_hex)
        return self._send(request, commands.parse_mac_dukpt_verified)

    # --- cards ---------------------------------------------------------------------------------------------

    def generate_cvv(self, cvk: str, pan: str, expiry: str, service_code: str) -> "asyncio.Future[str]":
        """CW: the 3-digit card verification value. `expiry` 4 digits in the card's order."""
        return self._send(commands.generate_cvv(cvk, pan, expiry, service_code), commands.parse_cvv)

    def verify_cvv(
        self, cvk: str, cvv: str, pan: str, expiry: str, service_code: str
    ) -> "asyncio.Future[bool]":
        """CY: whether the card verification value is right."""
        request = commands.verify_cvv(cvk, cvv, pan, expiry, service_code)
        return self._send(request, commands.parse_cvv_verified)

    def verify_arqc(
        self, imk: str, pan: str, psn: str, atc: str, un: str, data: bytes, arqc: str, arc: str
    ) -> "asyncio.Future[tuple[bool, str]]":
        """KQ: whether a chip's cryptogram is right, and then the ARPC (method 1), 16 hex digits, else "".

        `psn` 2 digits ("00" if the card has none), `atc` 4, `un` 8 and `arqc` 16 hex digits; `data` the
        transaction data of the cryptogram, 1 to 254 bytes, unpadded; `arc` the 2 characters of the
        authorisation response code that the ARPC binds.
        """
        request = commands.verify_arqc(imk, pan, psn, atc, un, data, arqc, arc)
        return self._send(request, commands.parse_arqc_verified)

    def generate_arpc(
        self, imk: str, pan: str, psn: str, atc: str, un: str, arqc: str, arc: str
    ) -> "asyncio.Future[str]":
        """KQ: the ARPC alone, for a code that was not yet known when the cryptogram was verified."""
        request = commands.generate_arpc(imk, pan, psn, atc, un, arqc, arc)
        return self._send(request, commands.parse_arpc)
