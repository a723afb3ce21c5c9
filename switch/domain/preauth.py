"""Pre-authorisation (0100): holding money, adding to a hold, giving it free.

A hold earns no cashback and counts no usage; its completion does. Limits are asked at the hold, open holds
counted as spent. What a 0100 stores as approved is what it held, though no entry moves.
"""

from switch.domain.calendar import add_days
from switch.domain.decision import Decision, Detail, LotWon, OriginalChange, decode_detail, encode_detail
from switch.domain.giveback import over_standing, reverse_purchase
from switch.domain.holds import HOLDS_MAX, grown, held_of, holds_open, open_hold, shrunk
from switch.domain.matching import base_of, base_seq, by_seq, completion_of, match
from switch.domain.payment import Outcome
from switch.domain.record import balances, decline, note, record, ref
from switch.domain.request import Entry, Request, Stored, Terms
from switch.domain.spend import afford, without_pin
from switch.domain.wallet import Hold, Wallet


def preauthorise(
    request: Request, wallet: Wallet, terms: Terms, business_day: int, originals: list[Stored]
) -> Decision:
    """Hold money, or with an original add to what it holds. The hold's last day stays the first 0100's."""
    today = business_day
    base: Stored | None = None
    hold: Hold | None = None
    if request.original is not None:
        base = match(request, originals)
        if base is None or base.merchant_no != request.merchant_no:
            return decline(request, wallet, terms, business_day, "original_not_found")
        if base.outcome == Outcome.DECLINED:
            return decline(request, wallet, terms, business_day, "original_not_approved")
        hold = open_hold(wallet, base_seq(base), today)
        if hold is None:
            return decline(request, wallet, terms, business_day, "hold_closed")
    standing = hold.won if hold else 0
    held = held_of(wallet, today) if wallet.held else None
    # A coupon is not held: the completion may be lower than what it was worked out on.
    uses, missing, _, refused = afford(request, wallet, terms, business_day, held, standing, coupons=False)
    if refused is not None:
        return decline(request, wallet, terms, business_day, refused[0], detail=refused[1])
    if hold is None:
        if len(wallet.held) >= HOLDS_MAX and holds_open(wallet, today) >= HOLDS_MAX:
            return decline(request, wallet, terms, business_day, "too_many_holds")
        day = request.key.local_day
        # It is asked now, whatever the terminal's clock says: a slow one must not get a hold that is over.
        last_day = add_days(max(day, business_day), terms.policy.hold_days)
        hold = Hold(wallet.seq + 1, day, last_day, 0, ())
    after = grown(hold, uses)
    detail = Detail(
        original=None if base is None else ref(base),
        hold=uses,
        expires=hold.expires,
        entry=request.entry,
        tap=request.entry == Entry.CONTACTLESS and without_pin(request),
    )
    stored = record(
        request,
        wallet,
        terms,
        business_day,
        Outcome.APPROVED,
        "partial_approval" if missing else "approved",
        approved=request.amount - missing,
        after=balances(wallet, terms, request.key.local_day, held=held_of(wallet, today, (after,))),
        base_seq=0 if base is None else hold.seq,
        detail=encode_detail(detail),
    )
    return Decision(stored, holds=(after,))


def release(
    request: Request,
    wallet: Wallet,
    terms: Terms,
    business_day: int,
    named: Stored,
    originals: list[Stored],
    credited_through: int,
) -> Decision:
    """Reverse a 0100 or an increment: what it added to the hold, or the part above the replacement, is free.

    After the completion a reversal of the first 0100 gives the completion back, as a refund, unless the
    policy wants a person to look at it; a single increment is then no longer to be told apart.
    """
    completion = completion_of(base_seq(named), originals)
    if completion is not None:
        if named.original_seq or terms.policy.reversal_after_completion != "refund":
            told = Detail(original=ref(named), note="the hold has been completed")
            return note(request, wallet, terms, business_day, Outcome.EXCEPTION, told, original=named)
        return reverse_purchase(request, wallet, terms, business_day, completion, credited_through)
    hold = open_hold(wallet, base_seq(named), business_day)
    if hold is None:
        told = Detail(original=ref(named), note="the hold has expired")
        return note(request, wallet, terms, business_day, Outcome.ACKNOWLEDGED, told, original=named)
    free = named.approved - named.returned - max(request.replacement, 0)
    if free <= 0:
        outcome = Outcome.EXCEPTION if free else Outcome.ACKNOWLEDGED
        told = Detail(original=ref(named), note=over_standing(free))
        return note(request, wallet, terms, business_day, outcome, told, original=named)
    return give_free(request, wallet, terms, business_day, named, hold, free)


def give_free(
    request: Request,
    wallet: Wallet,
    terms: Terms,
    business_day: int,
    named: Stored,
    hold: Hold,
    won: int,
) -> Decision:
    """Free the last `won` of a hold for a reversal or a void: no money moves, so nothing is approved."""
    today = business_day
    after, freed = shrunk(hold, won)
    returned = named.returned + won
    detail = Detail(
        original=ref(named), returned=(named.returned, returned), released=freed, expires=hold.expires
    )
    stored = record(
        request,
        wallet,
        terms,
        business_day,
        Outcome.APPROVED,
        "approved",
        after=balances(wallet, terms, today, held=held_of(wallet, today, (after,))),
        original=named,
        detail=encode_detail(detail),
    )
    outcome = Outcome.RETURNED if returned == named.approved else Outcome.RETURNED_PARTLY
    return Decision(stored, holds=(after,), originals=(OriginalChange(named, returned, outcome),))


def hold_again(
    request: Request,
    wallet: Wallet,
    terms: Terms,
    business_day: int,
    void: Stored,
    originals: list[Stored],
) -> Decision:
    """Reverse the void of a 0100: its money is held again, if it is still there and the time not over."""
    today = business_day
    named = by_seq(void.original_seq, originals)
    done = decode_detail(void.detail)
    base = None if named is None else base_of(named, originals)
    why = ""
    if named is None or base is None or done.returned is None or named.returned != done.returned[1]:
        why = "the pre-authorisation is no longer as the void left it"
    elif completion_of(base.seq, originals) is not None:
        why = "the hold has been completed"
    elif today > done.expires:
        why = "the hold has expired"
    elif base.seq not in wallet.held and holds_open(wallet, today) >= HOLDS_MAX:
        why = "the wallet has too many holds"
    elif _short(wallet, done.released, held_of(wallet, today)):
        why = "the money of the hold has been spent"
    if why or named is None or base is None or done.returned is None:
        told = Detail(original=ref(void), note=why)
        return note(request, wallet, terms, business_day, Outcome.EXCEPTION, told, original=void)
    hold = open_hold(wallet, base.seq, today) or Hold(base.seq, base.key.local_day, done.expires, 0, ())
    after = grown(hold, done.released)
    stored = record(
        request,
        wallet,
        terms,
        business_day,
        Outcome.APPROVED,
        "approved",
        after=balances(wallet, terms, today, held=held_of(wallet, today, (after,))),
        original=void,
        detail=encode_detail(
            Detail(original=ref(void), returned=done.returned[::-1], hold=done.released, expires=done.expires)
        ),
    )
    before = done.returned[0]
    outcome = Outcome.RETURNED_PARTLY if before else Outcome.APPROVED
    changes = (OriginalChange(named, before, outcome), OriginalChange(void, 0, Outcome.RETURNED))
    return Decision(stored, holds=(after,), originals=changes)


def _short(wallet: Wallet, uses: tuple[LotWon, ...], held: dict[int, int] | None) -> bool:
    kept = held or {}
    return any(wallet.lots[lot_no].balance - kept.get(lot_no, 0) < won for lot_no, _, won in uses)
