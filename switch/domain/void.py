"""Void: a payment of the same business date taken back whole, at its own terminal."""

from switch.domain.decision import Decision
from switch.domain.giveback import give_back
from switch.domain.holds import open_hold
from switch.domain.matching import base_seq, match
from switch.domain.payment import POSTED, Kind, Outcome
from switch.domain.preauth import give_free
from switch.domain.record import decline
from switch.domain.request import Request, Stored, Terms
from switch.domain.wallet import Wallet


def void(
    request: Request,
    wallet: Wallet,
    terms: Terms,
    business_day: int,
    originals: list[Stored],
    credited_through: int,
) -> Decision:
    """Take back a purchase, or free what a 0100 holds. `terms` are those of the original.

    Its amount must be the original's and nothing of it returned yet: what remains of a payment is refunded.
    Once the original's business date is over it is refunded too, because the merchant's day is counted.
    """
    original = match(request, originals)
    refused = _refused(request, business_day, original)
    if refused is not None or original is None:
        return decline(request, wallet, terms, business_day, refused or "original_not_found")
    if original.key.kind == Kind.PURCHASE:
        return give_back(request, wallet, terms, business_day, original, original.approved, credited_through)
    hold = open_hold(wallet, base_seq(original), business_day)
    if hold is None:
        return decline(request, wallet, terms, business_day, "hold_closed")
    return give_free(request, wallet, terms, business_day, original, hold, original.approved)


def _refused(request: Request, business_day: int, original: Stored | None) -> str | None:
    if original is None or original.merchant_no != request.merchant_no:
        return "original_not_found"
    if original.key.kind not in (Kind.PURCHASE, Kind.PREAUTH):
        return "invalid_transaction"
    if original.outcome == Outcome.COMPLETED:
        return "hold_closed"
    if original.outcome not in POSTED:
        return "original_not_approved"
    if original.business_day != business_day:
        return "void_too_late"
    if request.amount not in (original.amount, original.approved):
        return "amount_differs"
    if original.returned:
        return "over_remaining"
    return None
