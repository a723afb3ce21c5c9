"""The card itself: check values of stripes and keyed cards, cryptograms of chips, all through the HSM.

What is found is handed to the lane as a fact; the lane declines and counts, under the wallet's lock.
Refused here is only a message that contradicts itself.
"""

from collections.abc import Callable

import msgspec

from switch.domain.request import PinCheck, Proof
from switch.hsm.client import HsmClient
from switch.service.refused import RefusedError
from switch.store.lookup import CardRef
from switch.wire.emv import Cryptogram, IccError, arqc_input, cryptogram_of, encode_icc, parse_icc, storable
from switch.wire.request import Payment
from switch.wire.spec import CURRENCY_WON

SERVICE_CODE_CVV2 = "000"
SERVICE_CODE_ICVV = "999"
_NEVER_ON_A_STRIPE = frozenset({SERVICE_CODE_CVV2, SERVICE_CODE_ICVV})
"""A stripe with one of these was written by somebody who knows only what is printed, or what a chip tells."""
_TRACK2_CVV = slice(5, 8)  # of the discretionary data: PVKI, PVV (4), CVV (3)
_ARC_APPROVED = "00"
_ARC_HEX = _ARC_APPROVED.encode().hex().upper()
_TAG_ARPC = "91"  # issuer authentication data: the ARPC, then the code that it binds


class CardKeys(msgspec.Struct, frozen=True):
    """A programme's keys under the LMK; an empty one means that its check is not made."""

    pvk: str = ""
    cvk: str = ""
    imk: str = ""

    def __repr__(self) -> str:
        return "CardKeys()"


class Checked(msgspec.Struct, frozen=True):
    """What is known of a card before its wallet is looked at. `arpc` is DE55 of an approval, or empty;
    `chip` what may be kept of the request's (hex)."""

    pin: PinCheck = PinCheck.NONE
    proof: Proof = Proof.NONE
    atc: int = 0
    arpc: str = ""
    chip: str = ""


UNCHECKED = Checked()


class CardCheck:
    """Asks the HSM what a card shows of itself."""

    def __init__(self, hsm: HsmClient, keys_of: Callable[[int], CardKeys]) -> None:
        self._hsm = hsm
        self._keys_of = keys_of

    async def proof(self, request: Payment, card: CardRef) -> Checked:
        """The check that the entry mode asks for. Raises RefusedError, HsmUnavailable, HsmRefused."""
        if request.kind in ("refund", "void") or request.original is not None:
            return UNCHECKED  # the payment that it names has shown its proof
        keys = self._keys_of(card.programme_no)
        if request.icc is not None:
            return await self._chip(request, request.icc, keys.imk)
        if not keys.cvk or request.advice:
            return UNCHECKED
        if request.track2 is not None:
            return await self._stripe(request, request.track2, keys.cvk)
        if request.entry in ("keyed", "ecommerce"):
            return await self._keyed(request, card, keys.cvk)
        return UNCHECKED

    async def _stripe(self, request: Payment, track2: str, cvk: str) -> Checked:
        """Track 2 (ISO/IEC 7813): PAN, separator, YYMM, service code, discretionary data."""
        rest = track2[len(request.pan) + 1 :]
        expiry, service_code, cvv = rest[:4], rest[4:7], rest[7:][_TRACK2_CVV]
        if request.expiry is not None and request.expiry != expiry:
            raise RefusedError("card_expired")
        if len(cvv) != 3 or service_code in _NEVER_ON_A_STRIPE:
            return Checked(proof=Proof.WRONG_CVV)
        right = await self._hsm.verify_cvv(cvk, cvv, request.pan, expiry, service_code)
        return Checked(proof=Proof.OK if right else Proof.WRONG_CVV)

    async def _keyed(self, request: Payment, card: CardRef, cvk: str) -> Checked:
        """CVV2: month before year, service code 000."""
        if request.cvv2 is None:
            return Checked(proof=Proof.WRONG_CVV)
        yymm = request.expiry or f"{card.expiry:04d}"
        right = await self._hsm.verify_cvv(
            cvk, request.cvv2, request.pan, yymm[2:] + yymm[:2], SERVICE_CODE_CVV2
        )
        return Checked(proof=Proof.OK if right else Proof.WRONG_CVV)

    async def _chip(self, request: Payment, icc: str, imk: str) -> Checked:
        """The application cryptogram (EMV 4.3 Book 2, 8.1) over what the message itself says."""
        try:
            objects = parse_icc(icc)
            chip = cryptogram_of(objects)
        except IccError:
            raise RefusedError("format_error") from None
        kept = encode_icc(storable(objects))
        if not imk:
            return Checked(chip=kept)
        # An advice comes after the chip has approved by itself; anything else must be the chip's question.
        asks = chip.is_certificate or chip.is_request if request.advice else chip.is_request
        if not asks or not _agrees(chip, request):
            return Checked(proof=Proof.WRONG_ARQC, chip=kept)
        right, arpc = await self._hsm.verify_arqc(
            imk,
            request.pan,
            chip.psn or (request.psn or "00")[-2:],
            f"{chip.atc:04X}",
            chip.unpredictable,
            arqc_input(objects),
            chip.cryptogram,
            _ARC_APPROVED,
        )
        if not right:
            # An unproven counter is nobody's: taking it would let anyone push a card's counter to its end.
            return Checked(proof=Proof.WRONG_ARQC, chip=kept)
        answer = encode_icc({_TAG_ARPC: arpc + _ARC_HEX})
        return Checked(proof=Proof.OK, atc=chip.atc, arpc=answer, chip=kept)


def _agrees(chip: Cryptogram, request: Payment) -> bool:
    """Whether the chip signed this message's amount and currency, and not another's."""
    return chip.currency == "0" + CURRENCY_WON and chip.amount == request.amount
