"""A simulated card: what it shows in each way of being read, and a chip that makes and checks cryptograms.

The issuer's keys are test keys; whoever holds them can make any card. Printing a card shows nothing of it.
"""

import hashlib
from datetime import datetime
from typing import Final

import msgspec

from hsm_sim.crypto import emv
from hsm_sim.crypto.cvv import CvvKey
from hsm_sim.crypto.pinblock import account_part
from hsm_sim.crypto.pvv import pin_verification_value
from hsm_sim.crypto.tdes import Tdes
from switch.wire.emv import ICC_RESPONSE, IccError, arqc_input, encode_icc, parse_icc
from switch.wire.spec import CURRENCY_WON
from terminal_sim.reply import Reply, TerminalError

PVKI: Final = "1"
PSN: Final = "01"
SERVICE_STRIPE: Final = "201"
SERVICE_CVV2: Final = "000"
COUNTRY_KOREA: Final = "0410"
ATC_MAX: Final = 0xFFFF
ENTRY_MODES: Final = {
    "keyed": "012",
    "stripe": "021",
    "chip": "051",
    "contactless": "071",
    "qr": "031",
    "ecommerce": "102",
}
ABSENT: Final = "absent"  # instead of a check value: none is given
_ONLINE: Final = "80"  # the chip asks for a decision (ARQC) …
_OFFLINE: Final = "40"  # … or has approved by itself (TC)
_TRANSACTION_TYPE: Final = "00"
_ISSUER_DATA: Final = "06011203A00000"
_INTERCHANGE: Final = "1980"
_VERIFICATION_RESULTS: Final = "0000000000"


class IssuerKeys(msgspec.Struct, frozen=True):
    """Whoever makes cards has these: for PINs, for check values, for chips. Prints as nothing."""

    pvk: Tdes | None = None
    cvk: CvvKey | None = None
    imk: bytes | None = None

    def __repr__(self) -> str:
        return "IssuerKeys()"

    def pvv(self, pan: str, pin: str) -> str:
        """The PIN verification value of a card. Raises TerminalError without the key."""
        if self.pvk is None:
            raise TerminalError("the key for PINs is not known here (keys.pvk)")
        return pin_verification_value(self.pvk, account_part(pan), PVKI, pin)


class SimCard:
    """One card; `expiry` YYMM. `atc` is the counter of the chip's last transaction."""

    def __init__(self, pan: str, expiry: str, pin: str, issuer: IssuerKeys) -> None:
        self.pan = pan
        self.expiry = expiry
        self.pin = pin
        self.atc = 0
        self._issuer = issuer
        self._chip = None if issuer.imk is None else emv.icc_master_key(issuer.imk, pan, PSN)

    def __repr__(self) -> str:
        return "SimCard()"

    def present(
        self,
        entry: str,
        won: int,
        now: datetime,
        *,
        check: str | None = None,
        wrong_cryptogram: bool = False,
        offline: bool = False,
    ) -> dict[str, str | None]:
        """What a terminal reads, as options of its messages. `check` is sent instead of the right value,
        or (ABSENT) none at all.

        Raises TerminalError when the issuer's keys for this entry are not known.
        """
        options: dict[str, str | None] = {"entry_mode": ENTRY_MODES[entry]}
        match entry:
            case "stripe":
                options["track2"] = self.track2(check)
            case "chip" | "contactless":
                options["psn"] = f"{int(PSN):03d}"
                options["icc"] = self.icc(won, now, wrong=wrong_cryptogram, offline=offline)
            case "keyed" | "ecommerce":
                options["expiry"] = self.expiry
                if check != ABSENT and (check is not None or self._issuer.cvk is not None):
                    options["cvv2"] = check or self.check_value()
        return options

    def track2(self, check: str | None = None) -> str:
        """Track 2 with the check value of the stripe after the PIN verification value (ISO/IEC 7813)."""
        value = check
        if value is None:
            value = "000" if self._issuer.cvk is None else self.check_value(SERVICE_STRIPE)
        pvv = self._issuer.pvv(self.pan, self.pin)
        return f"{self.pan}={self.expiry}{SERVICE_STRIPE}{PVKI}{pvv}{value}"

    def check_value(self, service: str = SERVICE_CVV2) -> str:
        """CVV of the stripe, or CVV2 with service code 000. Raises TerminalError without the key."""
        if self._issuer.cvk is None:
            raise TerminalError("the key for check values is not known here (keys.cvk)")
        # On the stripe the year comes first, on the back of the card the month.
        order = self.expiry[2:] + self.expiry[:2] if service == SERVICE_CVV2 else self.expiry
        return self._issuer.cvk.value(self.pan, order, service)

    def icc(self, won: int, now: datetime, *, wrong: bool = False, offline: bool = False) -> str:
        """DE55 of the next transaction, hex, with its ARQC. Raises TerminalError without the issuer's key."""
        if self._chip is None:
            raise TerminalError("the key of chips is not known here (keys.imk)")
        if self.atc >= ATC_MAX:
            raise TerminalError("the chip's counter has ended")
        self.atc += 1
        tags = {
            "9F27": _OFFLINE if offline else _ONLINE,
            "9F36": f"{self.atc:04X}",
            "9F37": hashlib.sha256(f"{self.atc}/{won}/{now}".encode()).hexdigest()[:8].upper(),
            "9F10": _ISSUER_DATA,
            "95": _VERIFICATION_RESULTS,
            "9A": now.strftime("%y%m%d"),
            "9C": _TRANSACTION_TYPE,
            "5F2A": f"0{CURRENCY_WON}",
            "9F02": f"{won:012d}",
            "9F03": "0" * 12,
            "9F1A": COUNTRY_KOREA,
            "82": _INTERCHANGE,
            "5F34": PSN,
        }
        made = emv.arqc(self._session_key(), arqc_input(tags))
        if wrong:
            made = bytes((made[0] ^ 1,)) + made[1:]
        tags["9F26"] = made.hex().upper()
        return encode_icc(tags)

    def authenticated(self, icc: str, reply: Reply) -> bool | None:
        """Whether the answer's ARPC is the issuer's; None when the answer carries none."""
        answer = reply.fields.get(55)
        if answer is None or self._chip is None:
            return None
        try:
            given = parse_icc(answer)[ICC_RESPONSE]
            sent = parse_icc(icc)
        except (IccError, KeyError):
            return False
        arpc, arc = bytes.fromhex(given[:16]), bytes.fromhex(given[16:20])
        atc = bytes.fromhex(sent["9F36"])
        key = emv.session_key(self._chip, atc)
        return emv.arpc(key, bytes.fromhex(sent["9F26"]), arc) == arpc

    def _session_key(self) -> bytes:
        assert self._chip is not None  # noqa: S101 - asked for by the caller
        return emv.session_key(self._chip, self.atc.to_bytes(emv.ATC_BYTES))
