"""The door: what can be refused without looking at the wallet, and the request that goes on to the lane."""

from datetime import date
from functools import lru_cache
from hashlib import blake2b

from switch.domain.calendar import ImplausibleDate, day_of_date, infer_year
from switch.domain.payment import Kind, PaymentKey
from switch.domain.programme import NoPolicy
from switch.domain.request import OriginalRef, PinCheck
from switch.domain.request import Request as LaneRequest
from switch.service.holder import ReferenceHolder
from switch.service.refused import RefusedError
from switch.store.lookup import CardRef, TerminalRow
from switch.wire.request import Payment, Reversal

KIND: dict[str, Kind] = {
    "purchase": Kind.PURCHASE,
    "refund": Kind.REFUND,
    "topup": Kind.TOPUP,
    "inquiry": Kind.INQUIRY,
}
_ORIGINAL_DAYS_MAX = 366
_DAYS_KNOWN_MAX = 1_000


class Door:
    """Checks messages against reference data, and makes the lane's request of them."""

    def __init__(self, holder: ReferenceHolder, *, local_days_back: int) -> None:
        self._holder = holder
        self._days_back = local_days_back
        self._days: dict[tuple[int, date, int], int] = {}

    def check(self, request: Payment | Reversal, terminal: TerminalRow, today: date) -> None:
        """Refuse what no wallet could make right. Raises RefusedError."""
        reversal = isinstance(request, Reversal)
        if not terminal.signed_on and not reversal:
            raise RefusedError("terminal_not_permitted")
        if not request.amount and request.kind != "inquiry":
            raise RefusedError("invalid_amount")
        reference = self._holder.current
        merchant_no = reference.merchant_no.get(request.merchant_id)
        if merchant_no is None or merchant_no != terminal.merchant_no:
            raise RefusedError("unknown_merchant")
        back = _ORIGINAL_DAYS_MAX if reversal else self._days_back
        day = self._local_day(request.local_mmdd, today, back)
        try:
            programme_no = reference.programme_of[merchant_no]
            channel = "pos" if isinstance(request, Reversal) else request.channel
            reference.terms(programme_no, merchant_no, day, request.local_time, channel)
        except NoPolicy:
            raise RefusedError("no_policy") from None

    def check_card(self, request: Payment | Reversal, card: CardRef) -> None:
        """Refuse a card of another programme than the merchant's. Raises RefusedError."""
        reference = self._holder.current
        if reference.programme_of[reference.merchant_no[request.merchant_id]] != card.programme_no:
            raise RefusedError("other_programme")

    def admit(self, request: Payment | Reversal, card: CardRef, pin: PinCheck, today: date) -> LaneRequest:
        """The request as a lane takes it. `check` and `check_card` must have passed."""
        if isinstance(request, Reversal):
            kind, channel, days_back = Kind.REVERSAL, "pos", _ORIGINAL_DAYS_MAX
            expiry, order_id = None, ""
        else:
            kind, channel, days_back = KIND[request.kind], request.channel, self._days_back
            expiry = int(request.expiry) if request.expiry else None
            order_id = request.order_id or ""
        original: OriginalRef | None = None
        named = ""
        if request.original is not None:
            ref = request.original
            asked = KIND[request.kind] if kind == Kind.REVERSAL else Kind.PURCHASE
            day = self._local_day(int(ref.transmission[:4]), today, _ORIGINAL_DAYS_MAX)
            original = OriginalRef(ref.stan, ref.transmission, (asked,), request.terminal_id, day)
            named = f"{ref.mti[:3]}{ref.stan}/{ref.transmission}/{asked}"
        day = self._local_day(request.local_mmdd, today, days_back)
        key = PaymentKey(card.bucket, day, request.local_time, request.terminal_id, request.stan, int(kind))
        # What a repeat may not change. The card is named by its place in the books, never by its PAN.
        told = (
            f"{day}|{request.local_time}|{request.terminal_id}|{request.stan}|{kind}|{request.amount}|"
            f"{card.wallet_id}.{card.card_no}|{request.merchant_id}|{channel}|{order_id}|{expiry}|{named}"
        )
        digest = blake2b(told.encode(), digest_size=12).digest()
        return LaneRequest(
            key=key,
            wallet_id=card.wallet_id,
            card_no=card.card_no,
            programme_no=card.programme_no,
            merchant_no=self._holder.current.merchant_no[request.merchant_id],
            amount=request.amount,
            channel=channel,
            transmission=request.transmission,
            rrn=request.rrn or _rrn(day, request.local_time, request.stan),
            approval=f"{int.from_bytes(digest[8:]) % 1_000_000:06d}",
            content=int.from_bytes(digest[:8], signed=True),
            pin=pin,
            expiry=expiry,
            original=original,
        )

    def _local_day(self, mmdd: int, today: date, days_back: int) -> int:
        """The day (yyyymmdd) of a month and day. Raises RefusedError when no year fits."""
        known = self._days.get((mmdd, today, days_back))
        if known is not None:
            return known
        try:
            day = day_of_date(infer_year(mmdd, today, days_back))
        except ImplausibleDate:
            raise RefusedError("implausible_date") from None
        if len(self._days) >= _DAYS_KNOWN_MAX:
            self._days.clear()
        self._days[mmdd, today, days_back] = day
        return day


def _rrn(day: int, time: int, stan: int) -> str:
    """DE37 in its usual form YDDDhhnnnnnn: year's last digit, day of the year, hour, STAN."""
    return f"{_rrn_day(day)}{time // 10_000:02d}{stan:06d}"


@lru_cache(maxsize=1024)
def _rrn_day(day: int) -> str:
    ordinal = date(day // 10_000, day // 100 % 100, day % 100).timetuple().tm_yday
    return f"{day // 10_000 % 10}{ordinal:03d}"
