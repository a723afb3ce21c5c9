"""Advices (0220): completions and offline purchases. They have happened already, so they are never declined.

What a rule would have refused is booked as far as unrestricted money covers it, and stored as an exception
for a person to look at. The part that nothing covered is the merchant's risk: nobody was asked before the
goods were handed over.
"""

from switch.domain.budget import Pools
from switch.domain.decision import Decision, Detail, OriginalChange
from switch.domain.faults import barred_money, is_restricted, over_limits
from switch.domain.holds import closed, head, held_of, open_hold
from switch.domain.matching import base_of, candidates, completion_of
from switch.domain.money import floor_rate
from switch.domain.paying import another_coupon, choose
from switch.domain.payment import NEXT, Kind, Outcome
from switch.domain.reasons import BY_NUMBER, REASONS
from switch.domain.record import balances, note, ref
from switch.domain.request import Proof, Request, Stored, Terms
from switch.domain.spend import book
from switch.domain.wallet import Hold, Wallet

_REVERSED_BEFORE = REASONS["reversed_before"].number


def offline(
    request: Request, wallet: Wallet, terms: Terms, business_day: int, pools: Pools, fault: str | None
) -> Decision:
    """A purchase made without asking. `fault` is why the card or merchant would have been refused."""
    today, day = business_day, request.key.local_day
    faults = [fault] if fault else []
    unproven = _unproven(request, terms, 0)
    if unproven:
        return _settle(request, wallet, terms, business_day, pools, (), request.amount, [*faults, unproven])
    held = held_of(wallet, today)
    paid = choose(wallet, terms, day, request.amount, held)
    if paid.missing:
        paid = another_coupon(wallet, terms, day, request.amount, held, paid)
    if paid.missing:
        barred = barred_money(wallet, terms, day, request.amount, held, paid)
        if is_restricted(barred, paid.missing):
            faults.append("merchant_restricted")
    faults += [
        BY_NUMBER[fault.reason].name for fault in over_limits(wallet, terms, day, request.amount, today)
    ]
    return _settle(
        request,
        wallet,
        terms,
        business_day,
        pools,
        paid.spent,
        paid.missing,
        faults,
        passed_over=paid.passed_over,
    )


def complete(
    request: Request,
    wallet: Wallet,
    terms: Terms,
    business_day: int,
    pools: Pools,
    originals: list[Stored],
    *,
    fault: str | None,
    reversed_before: bool,
) -> Decision:
    """The purchase that a pre-authorisation held money for: the held lots pay first, the rest is free again.

    A card blocked since the hold is honoured. More than was held (beyond what the policy lets a completion
    exceed it by), a hold that is closed, expired or unknown: accepted as an exception, and paid from what
    else may be spent here. `fault` is why the card or merchant would be refused today; `reversed_before`
    says that the 0100's reversal came and the 0100 itself did not.
    """
    found = candidates(request.original, originals) if request.original is not None else []
    named = found[0] if len(found) == 1 else None
    if reversed_before or (named is not None and named.reason == _REVERSED_BEFORE):
        told = Detail(note="its pre-authorisation was reversed before it came")
        return note(request, wallet, terms, business_day, Outcome.EXCEPTION, told)
    base = base_of(named, originals) if named is not None else None
    if base is not None and (done := completion_of(base.seq, originals)) is not None:
        return _again(request, wallet, terms, business_day, base, done)
    today = business_day
    hold = open_hold(wallet, base.seq, today) if base is not None else None
    if hold is not None and base is not None and base.merchant_no != request.merchant_no:
        hold = None  # the terminal has moved to another merchant: its money is not held here
    faults = [_above(request.amount, hold, terms)] if hold else [_no_hold(len(found), base), fault or ""]
    covered = _covered(hold, base, terms)
    unproven = _unproven(request, terms, covered)
    faults.append(unproven)
    bookable = min(request.amount, covered) if unproven else request.amount
    from_hold = head(hold.uses, bookable) if hold else ()
    missing = bookable - sum([won for _, _, won in from_hold])
    spent = from_hold
    if missing:
        held = held_of(wallet, today, but=hold.seq if hold else 0) or {}
        for lot_no, _, won in from_hold:
            held[lot_no] = held.get(lot_no, 0) + won
        # The hold took no coupon, and what came to be the amount is no occasion for one.
        more = choose(wallet, terms, request.key.local_day, missing, held, coupons=False)
        spent, missing = (*from_hold, *more.spent), more.missing
    holds = (closed(hold),) if hold else ()
    wanted = [text for text in faults if text]
    left = request.amount - bookable + missing
    return _settle(request, wallet, terms, business_day, pools, spent, left, wanted, base, holds)


def _covered(hold: Hold | None, base: Stored | None, terms: Terms) -> int:
    """Won that somebody was asked for before the goods were handed over."""
    if hold is not None:
        return hold.won + floor_rate(hold.won, terms.policy.completion_over)
    return 0 if base is None or base.outcome == Outcome.DECLINED else base.approved


def _unproven(request: Request, terms: Terms, covered: int) -> str:
    """Why what goes beyond `covered` won is left to a person: neither asked for nor proved by the card."""
    beyond, most = request.amount - covered, terms.policy.offline_max
    if beyond <= most or request.proof == Proof.OK:
        return ""
    return f"{beyond} won that nobody was asked for and no chip proves, above {most}"


def _above(amount: int, hold: Hold, terms: Terms) -> str:
    over = amount - hold.won
    if over <= floor_rate(hold.won, terms.policy.completion_over):
        return ""
    return f"{over} won above the hold"


def _no_hold(found: int, base: Stored | None) -> str:
    if found > 1:
        return f"{found} pre-authorisations fit what it names"
    if base is None:
        return "no pre-authorisation fits what it names"
    if base.outcome == Outcome.DECLINED:
        return "its pre-authorisation was declined"
    return "its hold is closed or has expired"


def _again(
    request: Request, wallet: Wallet, terms: Terms, business_day: int, base: Stored, done: Stored
) -> Decision:
    """A second completion of the same hold: posted once (PROTOCOL case 18)."""
    same = request.amount == done.amount
    why = "completed before" if same else f"completed before with {done.amount} won"
    back = done.outcome == Outcome.RETURNED
    if back:  # the terminal may mean it to stand again, or this is a late copy: a person decides
        why = "its completion was taken back"
    told = Detail(original=ref(done), note=why)
    outcome = Outcome.ACKNOWLEDGED if same and not back else Outcome.EXCEPTION
    return note(request, wallet, terms, business_day, outcome, told, base_seq=base.seq)


def _settle(
    request: Request,
    wallet: Wallet,
    terms: Terms,
    business_day: int,
    pools: Pools,
    spent: tuple[tuple[int, int, int], ...],
    missing: int,
    faults: list[str],
    base: Stored | None = None,
    holds: tuple[Hold, ...] = (),
    passed_over: tuple[tuple[int, int], ...] = (),
) -> Decision:
    if missing:
        faults.append(f"{missing} won could not be booked")
    why = "; ".join(faults)
    # A 0100 that was released or declined stays what it is: its completion stands for itself.
    changes: tuple[OriginalChange, ...] = ()
    if base is not None and Kind.PREAUTH in NEXT[Outcome(base.outcome)].get(Outcome.COMPLETED, ()):
        changes = (OriginalChange(base, base.returned, Outcome.COMPLETED),)
    if not spent:
        told = Detail(note=why, entry=request.entry)
        seq = 0 if base is None else base.seq
        decision = note(request, wallet, terms, business_day, Outcome.EXCEPTION, told, base_seq=seq)
        decision.holds = holds
        return decision
    held = held_of(wallet, business_day, holds)
    return book(
        request,
        wallet,
        terms,
        business_day,
        pools,
        spent,
        balances(wallet, terms, request.key.local_day, _minus(spent), held),
        reason="exception" if why else "approved",
        note=why,
        base=base,
        holds=holds,
        originals=changes,
        passed_over=passed_over,
    )


def _minus(spent: tuple[tuple[int, int, int], ...]) -> tuple[tuple[int, int], ...]:
    changes: dict[int, int] = {}
    for lot_no, _, won in spent:
        changes[lot_no] = changes.get(lot_no, 0) - won
    return tuple(changes.items())
