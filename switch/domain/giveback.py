"""Giving back: refunds and reversals (DOMAIN rules 6 to 9, PROTOCOL cases 1 to 11).

What comes back goes to the lots in the reverse of the order spent. Cashback is kept for what remains, rated
from the same starting usage by the original's own policy version; the rest is taken back from the funders'
grants, and where the wallet has had it already, from its points, then from the charged money being
returned, else the member owes it.
"""

from collections.abc import Iterable
from typing import NamedTuple

from switch.domain.cashback import NOTHING, Rating, difference, rate
from switch.domain.decision import (
    Decision,
    Detail,
    FunderNoWon,
    LotWon,
    OriginalChange,
    UsageChange,
    decode_detail,
    encode_detail,
)
from switch.domain.payment import Kind, Outcome
from switch.domain.record import balances, decline, record
from switch.domain.request import Request, Stored, Terms
from switch.domain.wallet import LOT_KIND_NAME, LotKind, Wallet


class Return(NamedTuple):
    """A part of a purchase on its way back."""

    restored: tuple[LotWon, ...]
    treasury: FunderNoWon
    basis_left: tuple[int, int]
    taken: FunderNoWon
    taken_total: int
    recovered: tuple[LotWon, ...]
    receivable: int
    changes: tuple[tuple[int, int], ...]


def refund(
    request: Request,
    wallet: Wallet,
    terms: Terms,
    business_day: int,
    originals: list[Stored],
    credited_through: int,
) -> Decision:
    """Return a purchase, whole or in part. `terms` are those of the original purchase."""
    original = match(request, originals)
    if original is None or original.merchant_no != request.merchant_no:
        return decline(request, wallet, terms, business_day, "original_not_found")
    if original.outcome == Outcome.DECLINED:
        return decline(request, wallet, terms, business_day, "original_not_approved")
    left = original.approved - original.returned
    if request.amount > left:
        over = Detail(limit=original.approved, used=original.returned, short=request.amount - left)
        return decline(request, wallet, terms, business_day, "over_remaining", detail=over)
    return _give_back(request, wallet, terms, business_day, original, request.amount, credited_through)


def reverse(
    request: Request,
    wallet: Wallet,
    terms: Terms,
    business_day: int,
    originals: list[Stored],
    credited_through: int,
) -> Decision:
    """Take back a payment that the terminal wants not to have happened. Never declined: see the outcome."""
    original = match(request, originals)
    ref = request.original
    if original is None:
        # The original may still be on its way: it is refused when it comes.
        stored = record(request, wallet, terms, business_day, Outcome.ACKNOWLEDGED, "acknowledged")
        stone = (ref.terminal_id, ref.stan, ref.transmission) if ref is not None else None
        return Decision(stored, tombstone=stone)
    if original.outcome in (Outcome.DECLINED, Outcome.RETURNED) or original.key.kind == Kind.INQUIRY:
        return _note(
            request, wallet, terms, business_day, original, Outcome.ACKNOWLEDGED, "nothing to reverse"
        )
    if request.amount != original.amount:
        note = f"the reversal names {request.amount} won, its original {original.amount}"
        return _note(request, wallet, terms, business_day, original, Outcome.EXCEPTION, note)
    if original.key.kind == Kind.PURCHASE:
        left = original.approved - original.returned
        return _give_back(request, wallet, terms, business_day, original, left, credited_through)
    if original.key.kind == Kind.TOPUP:
        return _reverse_topup(request, wallet, terms, business_day, original)
    return _reverse_refund(request, wallet, terms, business_day, original, originals)


def match(request: Request, originals: Iterable[Stored]) -> Stored | None:
    """The stored payment that DE90 names: terminal, STAN, DE7 and kind all agree."""
    ref = request.original
    if ref is None:
        return None
    for stored in originals:
        key = stored.key
        if (
            key.stan == ref.stan
            and key.kind in ref.kinds
            and key.terminal_id == ref.terminal_id
            and stored.transmission == ref.transmission
        ):
            return stored
    return None


def _note(
    request: Request,
    wallet: Wallet,
    terms: Terms,
    business_day: int,
    original: Stored,
    outcome: Outcome,
    note: str,
) -> Decision:
    """Acknowledge without moving money; an exception is for a person to look at."""
    name = "acknowledged" if outcome == Outcome.ACKNOWLEDGED else "exception"
    detail = Detail(original=_ref(original), note=note)
    return Decision(
        record(
            request,
            wallet,
            terms,
            business_day,
            outcome,
            name,
            original=original,
            detail=encode_detail(detail),
        )
    )


def _ref(original: Stored) -> dict[str, int]:
    return {"day": original.key.local_day, "seq": original.seq}


def _today(request: Request, business_day: int) -> int:
    """The day (yyyymmdd) on which money comes back: a reversal carries the day of its original."""
    return max(request.key.local_day, business_day)


def _give_back(
    request: Request,
    wallet: Wallet,
    terms: Terms,
    business_day: int,
    original: Stored,
    amount: int,
    credited_through: int,
) -> Decision:
    """Return `amount` won (0 < amount ≤ what is left) of a purchase."""
    today = _today(request, business_day)
    back = _work_out(wallet, terms, original, amount, today, credited_through)
    returned = original.returned + amount
    whole = returned == original.approved
    left, kept = back.basis_left
    detail = Detail(
        original=_ref(original),
        returned=(original.returned, returned),
        basis_left=back.basis_left,
        funders=back.taken,
        restored=back.restored,
        treasury=back.treasury,
        recovered=back.recovered,
        receivable=back.receivable,
    )
    stored = record(
        request,
        wallet,
        terms,
        business_day,
        Outcome.APPROVED,
        "approved",
        approved=amount,
        after=balances(wallet, terms, today, back.changes),
        basis=kept - left,
        usage_before=original.usage_before,
        cashback=-back.taken_total,
        original=original,
        detail=encode_detail(detail),
    )
    day = original.key.local_day
    return Decision(
        stored,
        restored=back.restored,
        treasury=back.treasury,
        taken=back.taken,
        recovered=back.recovered,
        receivable=back.receivable,
        usage=UsageChange(original.usage_month, day, spent=-amount, basis=kept - left),
        originals=(
            OriginalChange(original, returned, Outcome.RETURNED if whole else Outcome.RETURNED_PARTLY),
        ),
    )


def _work_out(
    wallet: Wallet, terms: Terms, original: Stored, amount: int, day: int, credited_through: int
) -> Return:
    uses = decode_detail(original.detail).uses
    basis_kinds = terms.policy.cashback_basis
    skip, wanted = original.returned, amount
    left = original.basis
    restored: list[LotWon] = []
    treasury: list[tuple[int, int]] = []
    basis_back = 0
    for lot_no, used in reversed(uses):
        lot = wallet.lots[lot_no]
        counts = LOT_KIND_NAME[lot.kind] in basis_kinds
        before = min(skip, used)
        skip -= before
        won = min(used - before, wanted)
        wanted -= won
        if counts:
            left -= before
            basis_back += won
        if not won:
            continue
        if lot.funder_no and not lot.valid_on(day):
            treasury.append((lot.funder_no, won))  # an expired lot does not revive (rule 8)
        else:
            restored.append((lot_no, lot.kind, won))
    kept = left - basis_back
    taken_rating = _taken(terms, original, left, kept)
    taken = tuple([(terms.funder_no[funder], won) for funder, won in taken_rating if won])
    total = sum([won for _, won in taken])
    recovered: list[LotWon] = []
    receivable = 0
    if total > 0 and original.business_day <= credited_through:
        recovered, receivable = _recover(wallet, restored, total, day)
    changes: dict[int, int] = {}
    for lot_no, _, won in restored:
        changes[lot_no] = changes.get(lot_no, 0) + won
    for lot_no, _, won in recovered:
        changes[lot_no] = changes.get(lot_no, 0) - won
    return Return(
        tuple(restored),
        tuple(treasury),
        (left, kept),
        taken,
        total,
        tuple(recovered),
        receivable,
        tuple(changes.items()),
    )


def _rating(terms: Terms, original: Stored, basis: int) -> Rating:
    if not basis:
        return NOTHING
    return rate(
        terms.policy,
        basis=basis,
        usage_before=original.usage_before,
        groups=terms.groups,
        channel=original.channel,
    )


def _taken(terms: Terms, original: Stored, left: int, kept: int) -> tuple[tuple[str, int], ...]:
    return difference(_rating(terms, original, left), _rating(terms, original, kept))


def _recover(wallet: Wallet, restored: list[LotWon], total: int, day: int) -> tuple[list[LotWon], int]:
    """Take credited cashback back: from valid points, then from the charged money being returned (rule 9)."""
    coming = {lot_no: won for lot_no, _, won in restored}
    points = sorted(
        (lot for lot in wallet.lots.values() if lot.kind == LotKind.POINTS and lot.valid_on(day)),
        key=lambda lot: (lot.expires or 99_999_999, lot.lot_no),
    )
    sources = [(lot.lot_no, lot.kind, lot.balance + coming.get(lot.lot_no, 0)) for lot in points]
    sources += [(lot_no, kind, won) for lot_no, kind, won in restored if kind == LotKind.CHARGED]
    recovered: list[LotWon] = []
    for lot_no, kind, most in sources:
        won = min(most, total)
        if won > 0:
            recovered.append((lot_no, kind, won))
            total -= won
    return recovered, total


def _reverse_topup(
    request: Request, wallet: Wallet, terms: Terms, business_day: int, original: Stored
) -> Decision:
    lot = wallet.lots[decode_detail(original.detail).lot_no]
    amount = original.approved
    if lot.balance < amount:
        note = f"{amount - lot.balance} won of the top-up have been spent"
        return _note(request, wallet, terms, business_day, original, Outcome.EXCEPTION, note)
    stored = record(
        request,
        wallet,
        terms,
        business_day,
        Outcome.APPROVED,
        "approved",
        approved=amount,
        after=balances(wallet, terms, _today(request, business_day), ((lot.lot_no, -amount),)),
        original=original,
        detail=encode_detail(Detail(original=_ref(original), returned=(0, amount), lot_no=lot.lot_no)),
    )
    return Decision(
        stored,
        removed=(lot.lot_no, lot.kind, amount),
        usage=UsageChange(original.usage_month, 0, topup=-amount),
        originals=(OriginalChange(original, amount, Outcome.RETURNED),),
    )


def _reverse_refund(
    request: Request,
    wallet: Wallet,
    terms: Terms,
    business_day: int,
    original: Stored,
    originals: list[Stored],
) -> Decision:
    """Undo a refund: the purchase stands again. Only the latest return of a purchase can be undone.

    What the refund clawed back from lots goes back to them; what it left the member owing is accrued again,
    and the night pays it off.
    """
    done = decode_detail(original.detail)
    purchase = next((s for s in originals if s.seq == original.original_seq), None)
    if purchase is None or done.returned is None or purchase.returned != done.returned[1]:
        note = "a later return of the same purchase stands in the way"
        return _note(request, wallet, terms, business_day, original, Outcome.EXCEPTION, note)
    given_back = tuple([(lot_no, kind, -won) for lot_no, kind, won in done.recovered])
    changes: dict[int, int] = {}
    for lot_no, _, won in (*done.restored, *given_back):
        changes[lot_no] = changes.get(lot_no, 0) - won
    if any(wallet.lots[lot_no].balance + change < 0 for lot_no, change in changes.items()):
        note = "the refunded money has been spent"
        return _note(request, wallet, terms, business_day, original, Outcome.EXCEPTION, note)
    amount = original.approved
    before = done.returned[0]
    state = Outcome.RETURNED_PARTLY if before else Outcome.APPROVED
    detail = Detail(
        original=_ref(original),
        returned=(done.returned[1], before),
        basis_left=None if done.basis_left is None else done.basis_left[::-1],
        funders=tuple([(funder, -won) for funder, won in done.funders]),
        recovered=given_back,
    )
    stored = record(
        request,
        wallet,
        terms,
        business_day,
        Outcome.APPROVED,
        "approved",
        approved=amount,
        after=balances(wallet, terms, _today(request, business_day), tuple(changes.items())),
        basis=-original.basis,
        usage_before=original.usage_before,
        cashback=-original.cashback,
        original=original,
        detail=encode_detail(detail),
    )
    return Decision(
        stored,
        spent=done.restored,
        treasury=tuple([(funder, -won) for funder, won in done.treasury]),
        taken=tuple([(funder, -won) for funder, won in done.funders]),
        recovered=given_back,
        usage=UsageChange(original.usage_month, purchase.key.local_day, spent=amount, basis=-original.basis),
        originals=(
            OriginalChange(purchase, before, state),
            OriginalChange(original, amount, Outcome.RETURNED),
        ),
    )
