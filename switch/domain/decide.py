"""decide(request, …) → Decision: the one place where a payment is approved or declined.

Pure: the same values give the same decision. The order of the questions is the order in which an answer
helps a cardholder: card, PIN, merchant, money, limits.
"""

from switch.domain.advice import complete, offline
from switch.domain.budget import ISSUANCE, NO_POOLS, Pools
from switch.domain.calendar import add_months
from switch.domain.cardcheck import check_card, tapped
from switch.domain.decision import Decision, Detail, UsageChange, decode_detail, encode_detail
from switch.domain.donation import Case, gift
from switch.domain.faults import answered, over_issuance, over_topup_limits
from switch.domain.giveback import refund
from switch.domain.holds import expired, held_of
from switch.domain.matching import TAKES_BACK
from switch.domain.payment import Kind, Outcome
from switch.domain.preauth import preauthorise
from switch.domain.record import balances, decline, record
from switch.domain.request import Entry, Request, Stored, Terms
from switch.domain.reversal import reverse
from switch.domain.spend import purchase, without_pin
from switch.domain.void import void
from switch.domain.wallet import LOTS_MAX, NEVER, Card, Lot, LotKind, Wallet

# Looked up once: an enumeration's member costs a search at each use.
_PURCHASE, _INQUIRY = Kind.PURCHASE, Kind.INQUIRY
_CONTACTLESS = Entry.CONTACTLESS
_PAYMENTS = frozenset({Kind.PURCHASE, Kind.PREAUTH})


def decide(
    request: Request,
    wallet: Wallet,
    terms: Terms,
    *,
    business_day: int,
    pin_tries_max: int,
    cvv_tries_max: int = 10,
    originals: list[Stored],
    tombstoned: bool = False,
    original_tombstoned: bool = False,
    credited_through: int = 0,
    pools: Pools = NO_POOLS,
    case: Case | None = None,
) -> Decision:
    """Decide one request on one wallet.

    `business_day` (yyyymmdd) is the date it will be booked on; `originals` the stored payments that its DE90
    may mean and those behind them (the purchase of a refund, the first 0100 of an increment, the completion
    of a 0100); `tombstoned` whether its reversal came before it, `original_tombstoned` whether that of the
    0100 that a completion names did; `credited_through` (yyyymmdd) the last business date whose cashback
    this wallet got; `pools` what the budgets have; `case` the donation case that a gift names, if
    there is one. Holds whose time is over are removed with whatever is
    decided.
    """
    kind = request.key.kind
    if kind in TAKES_BACK:
        decision = _take_back(
            request, wallet, terms, business_day, pools, originals, credited_through, tombstoned
        )
    elif tombstoned:
        decision = decline(request, wallet, terms, business_day, "reversed_before")
    else:
        refused, card = check_card(request, wallet, terms, pin_tries_max, cvv_tries_max)
        if refused is None and kind != _INQUIRY:
            if not terms.merchant_open:
                refused = "merchant_closed"
            elif terms.stopped or request.key.local_day <= wallet.stopped_until:
                refused = "stopped_by_watch"
            elif terms.donation and kind in _PAYMENTS:
                refused = "gifts_only"
        if request.advice and kind == _PURCHASE:
            decision = _advice(
                request, wallet, terms, business_day, pools, originals, refused, original_tombstoned
            )
        elif refused is not None:
            decision = decline(request, wallet, terms, business_day, refused)
        else:
            decision = _ask(request, wallet, terms, business_day, pools, originals, case)
        if request.entry == _CONTACTLESS:
            card = _tap(request, wallet, decision, card)
        decision.card = card
    if wallet.held:
        decision.holds += expired(wallet, business_day, decision.holds)
    return decision


def _take_back(
    request: Request,
    wallet: Wallet,
    terms: Terms,
    business_day: int,
    pools: Pools,
    originals: list[Stored],
    credited_through: int,
    tombstoned: bool,
) -> Decision:
    """Money that comes back may come back to a lost or blocked card: it goes to the member's wallet."""
    if request.key.kind == Kind.REVERSAL:
        decision = reverse(request, wallet, terms, business_day, pools, originals, credited_through)
    elif tombstoned:
        return decline(request, wallet, terms, business_day, "reversed_before")
    elif request.key.kind == Kind.REFUND:
        return refund(request, wallet, terms, business_day, originals, credited_through)
    else:
        decision = void(request, wallet, terms, business_day, originals, credited_through)
    decision.card = _untap(wallet, decision)
    return decision


def _advice(
    request: Request,
    wallet: Wallet,
    terms: Terms,
    business_day: int,
    pools: Pools,
    originals: list[Stored],
    fault: str | None,
    reversed_before: bool,
) -> Decision:
    if request.original is None:
        return offline(request, wallet, terms, business_day, pools, fault)
    return complete(
        request, wallet, terms, business_day, pools, originals, fault=fault, reversed_before=reversed_before
    )


def _ask(
    request: Request,
    wallet: Wallet,
    terms: Terms,
    business_day: int,
    pools: Pools,
    originals: list[Stored],
    case: Case | None,
) -> Decision:
    """What the card may do in principle, asked of its money."""
    kind = request.key.kind
    if kind == _PURCHASE:
        return purchase(request, wallet, terms, business_day, pools)
    if kind == Kind.PREAUTH:
        return preauthorise(request, wallet, terms, business_day, originals)
    if kind == Kind.GIFT:
        return gift(request, wallet, terms, business_day, case)
    if kind == Kind.TOPUP:
        return _topup(request, wallet, terms, business_day, pools)
    return _inquiry(request, wallet, terms, business_day)


def _tap(request: Request, wallet: Wallet, decision: Decision, card: Card | None) -> Card | None:
    """Count a contactless payment without a PIN; a completion was counted with its 0100."""
    done = decision.stored
    if not done.approved or (request.advice and request.original is not None) or not without_pin(request):
        return card
    return tapped(card or wallet.cards[request.card_no], done.approved)


def _untap(wallet: Wallet, decision: Decision) -> Card | None:
    """Give the contactless sum back what is taken back of a payment that it counted."""
    if not decision.originals:
        return None
    change = decision.originals[0]
    card = wallet.cards.get(change.stored.card_no)
    won = change.returned - change.stored.returned
    if card is None or won <= 0 or not card.tap_won or not decode_detail(change.stored.detail).tap:
        return None
    return tapped(card, -won)


def _inquiry(request: Request, wallet: Wallet, terms: Terms, business_day: int) -> Decision:
    held = held_of(wallet, business_day)
    after = balances(wallet, terms, request.key.local_day, held=held)
    raw = encode_detail(Detail(entry=request.entry))
    return Decision(
        record(request, wallet, terms, business_day, Outcome.APPROVED, "approved", after=after, detail=raw)
    )


def _topup(request: Request, wallet: Wallet, terms: Terms, business_day: int, pools: Pools) -> Decision:
    """Each top-up is a purchase lot of its own, with its own refund right."""
    day, amount = request.key.local_day, request.amount
    ledger, free = balances(wallet, terms, day, held=held_of(wallet, business_day))
    if faults := over_topup_limits(wallet, terms, day, amount, ledger):
        reason, over = answered(faults)
        return decline(request, wallet, terms, business_day, reason, detail=over)
    if len(wallet.lots) >= LOTS_MAX and sum([lot.balance > 0 for lot in wallet.lots.values()]) >= LOTS_MAX:
        return decline(request, wallet, terms, business_day, "too_many_topups")
    line = terms.budget_no.get((ISSUANCE, ""), 0)
    if line and (room := pools.room(line, day // 100)) < amount:
        reason, over = answered((over_issuance(day, amount - room),))
        refused = decline(request, wallet, terms, business_day, reason, detail=over)
        refused.missed = ((line, day // 100, amount - room),)
        return refused
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
        detail=encode_detail(
            Detail(lot_no=lot.lot_no, outside_ref=request.outside_ref, issued=line, entry=request.entry)
        ),
    )
    issued = ((line, day // 100, amount),) if line else ()
    return Decision(stored, opened=lot, usage=UsageChange(day // 100, 0, topup=amount), issued=issued)
