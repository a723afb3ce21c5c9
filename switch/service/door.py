"""The door: what can be refused without looking at the wallet, and the request that goes on to the lane."""

from datetime import date, datetime
from functools import lru_cache
from hashlib import blake2b

from switch.domain.calendar import ImplausibleDate, business_date, day_of_date, infer_year
from switch.domain.payment import Kind, PaymentKey
from switch.domain.programme import NoPolicy
from switch.domain.request import Entry, OriginalRef
from switch.domain.request import Request as LaneRequest
from switch.service.cardcheck import Checked
from switch.service.holder import ReferenceHolder
from switch.service.refused import RefusedError
from switch.store.lookup import CardRef, TerminalRow
from switch.wire.request import OriginalData, Payment, Reversal

KIND: dict[str, Kind] = {
    "purchase": Kind.PURCHASE,
    "refund": Kind.REFUND,
    "topup": Kind.TOPUP,
    "inquiry": Kind.INQUIRY,
    "void": Kind.VOID,
    "preauth": Kind.PREAUTH,
}
ENTRY: dict[str, Entry] = {entry.name.lower(): entry for entry in Entry}
"""By the wire's word for DE22; it lets no others through."""
_ORIGINAL_DAYS_MAX = 366
_DAYS_KNOWN_MAX = 1_000
_NO_MMDD = "0000"


class Door:
    """Checks messages against reference data, and makes the lane's request of them."""

    def __init__(self, holder: ReferenceHolder, *, local_days_back: int) -> None:
        self._holder = holder
        self._days_back = local_days_back
        self._days: dict[tuple[int, date, int], int] = {}

    def check(self, request: Payment | Reversal, terminal: TerminalRow, today: date) -> None:
        """Refuse what no wallet could make right. Raises RefusedError.

        Reversals and advices tell what has happened already: they are taken before a sign-on, and into a
        batch that has been closed.
        """
        told = isinstance(request, Reversal) or request.advice
        if not terminal.signed_on and not told:
            raise RefusedError("terminal_not_permitted")
        if not request.amount and request.kind != "inquiry":
            raise RefusedError("invalid_amount")
        if request.batch_no and request.batch_no <= terminal.batch_closed and not told:
            raise RefusedError("batch_closed")
        reference = self._holder.current
        merchant_no = reference.merchant_no.get(request.merchant_id)
        if merchant_no is None or merchant_no != terminal.merchant_no:
            raise RefusedError("unknown_merchant")
        back = _ORIGINAL_DAYS_MAX if isinstance(request, Reversal) else self._days_back
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

    def admit(self, request: Payment | Reversal, card: CardRef, checked: Checked, today: date) -> LaneRequest:
        """The request as a lane takes it. `check` and `check_card` must have passed."""
        replacement, advice, partial = -1, False, False
        case = gift_from = ""
        if isinstance(request, Reversal):
            kind, channel, days_back = Kind.REVERSAL, "pos", _ORIGINAL_DAYS_MAX
            expiry, order_id, entry = None, "", Entry.KEYED
            if request.replacement is not None:
                replacement = request.replacement
        else:
            kind, channel, days_back = KIND[request.kind], request.channel, self._days_back
            expiry = _expiry(request)
            order_id, entry = request.order_id or "", ENTRY[request.entry]
            advice, partial = request.advice, request.partial_ok
            case, gift_from = request.case, request.gift_from
            if case:
                kind = Kind.GIFT
        day = self._local_day(request.local_mmdd, today, days_back)
        original: OriginalRef | None = None
        named = ""
        if request.original is not None:
            original = self._original(request, request.original, day, today)
            named = _named(request.original, original)
        key = PaymentKey(card.bucket, day, request.local_time, request.terminal_id, request.stan, int(kind))
        # What a repeat may not change. The card is named by its place in the books, never by its PAN.
        told = (
            f"{day}|{request.local_time}|{request.terminal_id}|{request.stan}|{kind}|{request.amount}|"
            f"{card.wallet_id}.{card.card_no}|{request.merchant_id}|{channel}|{order_id}|{expiry}|{named}"
        )
        if replacement >= 0:
            told += f"|{replacement}"
        if case or request.reference:
            told += f"|{case}|{gift_from}|{request.reference}"
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
            pin=checked.pin,
            expiry=expiry,
            original=original,
            advice=advice,
            partial=partial,
            replacement=replacement,
            entry=entry,
            proof=checked.proof,
            atc=checked.atc,
            batch_no=request.batch_no,
            chip=checked.chip,
            case=case,
            gift_from=gift_from,
            outside_ref=request.reference,
        )

    def business_mmdd(self, terminal: TerminalRow, now: datetime) -> str:
        """DE15: the business date in force for a terminal's programme. Raises RefusedError."""
        reference = self._holder.current
        programme_no = reference.programme_of.get(terminal.merchant_no)
        if programme_no is None:
            raise RefusedError("unknown_merchant")
        programme = reference.programmes[programme_no]
        return f"{day_of_date(business_date(now, programme.cutover)) % 10_000:04d}"

    def _original(
        self, request: Payment | Reversal, named: OriginalData, day: int, today: date
    ) -> OriginalRef:
        """What DE90 names, as far as it is given: any part of it may be zero."""
        sent = named.transmission
        exact = not sent.startswith(_NO_MMDD)
        return OriginalRef(
            stan=named.stan,
            transmission=sent if exact else "",
            kinds=_kinds(request, named.mti),
            terminal_id=request.terminal_id,
            # A reversal carries its original's own date; without DE7 that is all there is to go by.
            day=self._local_day(int(sent[:4]), today, _ORIGINAL_DAYS_MAX) if exact else day,
            day_exact=isinstance(request, Reversal),
            rrn=request.rrn or "",
            # Completions, increments and refunds name amounts of their own.
            amount=request.amount if isinstance(request, Reversal) or request.kind == "void" else 0,
            merchant_no=self._holder.current.merchant_no[request.merchant_id],
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


def _expiry(request: Payment) -> int | None:
    """The card's expiry (yymm) as the terminal read it: DE14, or what stands on the stripe behind the PAN."""
    if request.expiry:
        return int(request.expiry)
    if request.track2 is None:
        return None
    written = request.track2[len(request.pan) + 1 :][:4]
    return int(written) if written.isdecimal() else None


def _kinds(request: Payment | Reversal, mti: str) -> tuple[int, ...]:
    """Which kinds of payment DE90 can mean: by the message that sends it, and the MTI that it names."""
    if isinstance(request, Reversal):
        if request.kind == "purchase":
            paid = (Kind.PURCHASE, Kind.GIFT)
            return {"1": (Kind.PREAUTH,), "2": paid}.get(mti[1], (*paid, Kind.PREAUTH))
        return (KIND[request.kind],)
    if request.kind == "void":
        # What may not be voided is found too, so that the answer is not "unknown".
        named = {"1": (Kind.PREAUTH,), "2": (Kind.PURCHASE, Kind.REFUND, Kind.TOPUP, Kind.GIFT)}
        return named.get(mti[1], (Kind.PURCHASE, Kind.GIFT, Kind.PREAUTH))
    if request.kind == "preauth" or request.advice:
        return (Kind.PREAUTH,)
    return (Kind.PURCHASE, Kind.GIFT)


def _named(sent: OriginalData, original: OriginalRef) -> str:
    first, *more = original.kinds
    if not more or more == [Kind.GIFT]:  # a repeat's hash as it always was
        return f"{sent.mti[:3]}{sent.stan}/{sent.transmission}/{first}"
    return f"{sent.mti[:3]}{sent.stan}/{sent.transmission}/{original.rrn}"


def _rrn(day: int, time: int, stan: int) -> str:
    """DE37 in its usual form YDDDhhnnnnnn: year's last digit, day of the year, hour, STAN."""
    return f"{_rrn_day(day)}{time // 10_000:02d}{stan:06d}"


@lru_cache(maxsize=1024)
def _rrn_day(day: int) -> str:
    ordinal = date(day // 10_000, day // 100 % 100, day % 100).timetuple().tm_yday
    return f"{day // 10_000 % 10}{ordinal:03d}"
