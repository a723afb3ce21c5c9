"""decide(request, …) → Decision: the one place where a payment is approved or declined.

Pure: the same values give the same decision. The order of the questions is the order in which an answer
helps a cardholder: card, PIN, merchant, money, limits.
"""

from switch.domain.calendar import add_months
from switch.domain.decision import Decision, Detail, UsageChange, encode_detail
from switch.domain.giveback import refund, reverse
from switch.domain.payment import Kind, Outcome
from switch.domain.record import balances, decline, record
from switch.domain.request import PinCheck, Request, Stored, Terms
from switch.domain.spend import purchase
from switch.domain.wallet import NEVER, Card, Lot, LotKind, Wallet

_CARD_STATES = {"blocked": "card_blocked", "lost": "card_lost", "stolen": "card_stolen"}


def decide(
    request: Request,
    wallet: Wallet,
    terms: Terms,
    *,
    business_day: int,
    pin_tries_max: int,
    originals: list[Stored],
    tombstoned: bool = False,
    credited_through: int = 0,
) -> Decision:
    """Decide one request on one wallet.

    `business_day` (yyyymmdd) is the date it will be booked on; `originals` the stored payments that its DE90
    may mean (for the reversal of a refund: the refund and its purchase); `tombstoned` whether its reversal
    came before it; `credited_through` (yyyymmdd) the last business date whose cashback this wallet got.
    """
    kind = request.key.kind
    if kind == Kind.REVERSAL:
        return reverse(request, wallet, terms, business_day, originals, credited_through)
    if tombstoned:
        return decline(request, wallet, terms, business_day, "reversed_before")
    if kind == Kind.REFUND:
        # Money that comes back may come back to a lost or blocked card: it goes to the member's wallet.
        return refund(request, wallet, terms, business_day, originals, credited_through)
    refused, tries = _card_and_pin(request, wallet, wallet.cards[request.card_no], pin_tries_max)
    if refused is None and kind != Kind.INQUIRY and not terms.merchant_open:
        refused = "merchant_closed"
    if refused is not None:
        return decline(request, wallet, terms, business_day, refused, pin_tries=tries)
    if kind == Kind.PURCHASE:
        decision = purchase(request, wallet, terms, business_day)
    elif kind == Kind.TOPUP:
        decision = _topup(request, wallet, terms, business_day)
    else:
        decision = _inquiry(request, wallet, terms, business_day)
    if tries is not None:
        decision.pin_tries = tries
    return decision


def _card_and_pin(
    request: Request, wallet: Wallet, card: Card, pin_tries_max: int
) -> tuple[str | None, int | None]:
    """The reason to refuse (or None) and the new number of wrong tries (or None: unchanged)."""
    if not wallet.active:
        return "wallet_stopped", None
    if card.state != "active":
        return _CARD_STATES.get(card.state, "card_blocked"), None
    if card.expiry < request.key.local_day // 100 % 10_000 or request.expiry not in (None, card.expiry):
        return "card_expired", None
    if card.pin_tries >= pin_tries_max:
        return "pin_tries_exceeded", None  # with or without a PIN: only an operator unblocks the card
    if request.pin == PinCheck.NONE:
        return None, None
    if request.pin == PinCheck.WRONG:
        tries = card.pin_tries + 1
        return ("pin_tries_exceeded" if tries >= pin_tries_max else "wrong_pin"), tries
    return None, 0 if card.pin_tries else None


def _inquiry(request: Request, wallet: Wallet, terms: Terms, business_day: int) -> Decision:
    after = balances(wallet, terms, request.key.local_day)
    return Decision(record(request, wallet, terms, business_day, Outcome.APPROVED, "approved", after=after))


def _topup(request: Request, wallet: Wallet, terms: Terms, business_day: int) -> Decision:
    """Each top-up is a purchase lot of its own, with its own refund right."""
    day, amount = request.key.local_day, request.amount
    limits = terms.policy.limits
    ledger, free = balances(wallet, terms, day)
    for reason, limit, used in (
        ("over_topup_limit", limits.topup_month_max, wallet.usage_of(day // 100).topup),
        ("over_holding_limit", limits.holding_max, ledger),
    ):
        if limit and used + amount > limit:
            over = Detail(limit=limit, used=used, short=used + amount - limit)
            return decline(request, wallet, terms, business_day, reason, detail=over)
    months = terms.policy.charged_expiry_months
    lot = Lot(
        lot_no=wallet.lot_seq + 1,
        kind=LotKind.CHARGED,
        funder_no=0,
        balance=amount,
        granted=amount,
        opened=day,
        expires=add_months(day, months) if months else NEVER,
    )
    stored = record(
        request,
        wallet,
        terms,
        business_day,
        Outcome.APPROVED,
        "approved",
        approved=amount,
        after=(ledger + amount, free + (0 if terms.refused.get("charged") else amount)),
        detail=encode_detail(Detail(lot_no=lot.lot_no)),
    )
    return Decision(stored, opened=lot, usage=UsageChange(day // 100, 0, topup=amount))
