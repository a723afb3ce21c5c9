"""Reversals (0400, 0420): taking back a payment that the terminal wants not to have happened.

Never declined: see the outcome. PROTOCOL cases 1 to 11, 16 and 29.
"""

from switch.domain.budget import Pools
from switch.domain.decision import (
    Decision,
    Detail,
    LotWon,
    OriginalChange,
    UsageChange,
    decode_detail,
    encode_detail,
)
from switch.domain.donation import reverse_gift
from switch.domain.giveback import reverse_purchase, with_kept
from switch.domain.granting import counted, grant_again, minus, plus, total, windows_again, within_bounds
from switch.domain.holds import held_of
from switch.domain.matching import by_seq, candidates
from switch.domain.payment import Kind, Outcome
from switch.domain.preauth import hold_again, release
from switch.domain.record import balances, note, record, ref
from switch.domain.request import OriginalRef, Request, Stored, Terms
from switch.domain.wallet import LotKind, Wallet

_NOTHING_LEFT = frozenset({Outcome.DECLINED, Outcome.RETURNED, Outcome.ACKNOWLEDGED, Outcome.EXCEPTION})


def reverse(
    request: Request,
    wallet: Wallet,
    terms: Terms,
    business_day: int,
    pools: Pools,
    originals: list[Stored],
    credited_through: int,
) -> Decision:
    """Take back a payment, whole or (replacement amount, DE95) in part. `terms` are the payment's own.

    One that matches nothing is acknowledged and leaves a tombstone, by which its original is refused when it
    comes; one that matches several is an exception. So is one whose amount is not the original's.
    """
    found = candidates(request.original, originals) if request.original is not None else []
    if len(found) != 1:
        return _unmatched(request, wallet, terms, business_day, len(found))
    original = found[0]
    kind = original.key.kind
    if original.outcome in _NOTHING_LEFT or kind == Kind.INQUIRY:
        told = Detail(original=ref(original), note="nothing to reverse")
        return note(request, wallet, terms, business_day, Outcome.ACKNOWLEDGED, told, original=original)
    # After a partial approval the terminal may name what it asked for or what it got.
    if request.amount not in (original.amount, original.approved):
        why = f"the reversal names {request.amount} won, its original {original.amount}"
        return _exception(request, wallet, terms, business_day, original, why)
    if kind == Kind.PREAUTH:
        return release(request, wallet, terms, business_day, original, originals, credited_through)
    if kind == Kind.PURCHASE:
        return reverse_purchase(request, wallet, terms, business_day, original, credited_through)
    if request.replacement > 0:
        why = "only purchases and pre-authorisations are reversed in part"
        return _exception(request, wallet, terms, business_day, original, why)
    if kind == Kind.TOPUP:
        return _reverse_topup(request, wallet, terms, business_day, original)
    if kind == Kind.GIFT:
        return reverse_gift(request, wallet, terms, business_day, original)
    if kind == Kind.VOID and decode_detail(original.detail).released:
        return hold_again(request, wallet, terms, business_day, original, originals)
    return _reverse_refund(request, wallet, terms, business_day, pools, original, originals)


def _unmatched(request: Request, wallet: Wallet, terms: Terms, business_day: int, found: int) -> Decision:
    ref_to = request.original
    named = (ref_to.stan, ref_to.transmission) if ref_to is not None else (0, "")
    if found:
        told = Detail(named=named, note=f"{found} payments fit what the reversal names")
        return note(request, wallet, terms, business_day, Outcome.EXCEPTION, told)
    # The original may still be on its way: it is refused when it comes. What the terminal holds to stand of
    # it (DE95) is then owed to nobody, so a person must look.
    why, outcome = "no payment fits what the reversal names", Outcome.ACKNOWLEDGED
    if request.replacement > 0:
        why, outcome = f"{why}, which leaves {request.replacement} won standing", Outcome.EXCEPTION
    told = Detail(named=named, note=why)
    decision = note(request, wallet, terms, business_day, outcome, told)
    decision.tombstone = _stone(ref_to)
    return decision


def _stone(named: OriginalRef | None) -> tuple[str, int, str] | None:
    if named is None or not named.stan or not named.transmission:
        return None
    return named.terminal_id, named.stan, named.transmission


def _exception(
    request: Request, wallet: Wallet, terms: Terms, business_day: int, original: Stored, why: str
) -> Decision:
    told = Detail(original=ref(original), note=why)
    return note(request, wallet, terms, business_day, Outcome.EXCEPTION, told, original=original)


def _reverse_topup(
    request: Request, wallet: Wallet, terms: Terms, business_day: int, original: Stored
) -> Decision:
    lot = wallet.lots[decode_detail(original.detail).lot_no]
    amount = original.approved
    line = decode_detail(original.detail).issued
    held = held_of(wallet, business_day)
    free = lot.balance - (held or {}).get(lot.lot_no, 0)
    if free < amount:
        why = f"{amount - free} won of the top-up have been spent or are held"
        return _exception(request, wallet, terms, business_day, original, why)
    stored = record(
        request,
        wallet,
        terms,
        business_day,
        Outcome.APPROVED,
        "approved",
        approved=amount,
        after=balances(wallet, terms, business_day, ((lot.lot_no, -amount),), held),
        original=original,
        detail=encode_detail(Detail(original=ref(original), returned=(0, amount), lot_no=lot.lot_no)),
    )
    return Decision(
        stored,
        removed=(lot.lot_no, lot.kind, amount),
        issued=((line, original.usage_month, -amount),) if line else (),
        usage=UsageChange(original.usage_month, 0, topup=-amount),
        originals=(OriginalChange(original, amount, Outcome.RETURNED),),
    )


def _reverse_refund(
    request: Request,
    wallet: Wallet,
    terms: Terms,
    business_day: int,
    pools: Pools,
    original: Stored,
    originals: list[Stored],
) -> Decision:
    """Undo a refund or a void: the purchase stands again. Only the latest return of a purchase can be undone.

    What the refund clawed back from lots goes back to them; what it left the member owing is accrued again,
    and the night pays it off. Cashback is granted again as far as its budgets have the money still, and as
    far as its campaigns let the member have more.
    """
    done = decode_detail(original.detail)
    purchase = by_seq(original.original_seq, originals)
    if purchase is None or done.returned is None or purchase.returned != done.returned[1]:
        why = "a later return of the same purchase stands in the way"
        return _exception(request, wallet, terms, business_day, original, why)
    month = original.usage_month
    again, missed = grant_again(minus(done.kept_before or (), done.kept_after or ()), pools, month)
    windows = windows_again(terms, decode_detail(purchase.detail), purchase.approved - done.returned[0])
    again, above = within_bounds(again, terms, windows, wallet)
    given_back = _given_back(done.recovered, total(again))
    changes: dict[int, int] = {}
    for lot_no, _, won in (*done.restored, *given_back):
        changes[lot_no] = changes.get(lot_no, 0) - won
    held = held_of(wallet, business_day)
    kept = held or {}
    if any(wallet.lots[no].balance - kept.get(no, 0) + change < 0 for no, change in changes.items()):
        why = "the refunded money has been spent or is held"
        return _exception(request, wallet, terms, business_day, original, why)
    if _coupon_used_again(wallet, done.restored, purchase):
        why = "the refunded coupon has been used again"
        return _exception(request, wallet, terms, business_day, original, why)
    amount = original.approved
    before = done.returned[0]
    state = Outcome.RETURNED_PARTLY if before else Outcome.APPROVED
    detail = Detail(
        original=ref(original),
        returned=(done.returned[1], before),
        basis_left=None if done.basis_left is None else done.basis_left[::-1],
        grants=again,
        missed=plus(missed, above),
        kept_before=done.kept_after,
        kept_after=plus(done.kept_after or (), again),
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
        after=balances(wallet, terms, business_day, tuple(changes.items()), held),
        basis=-original.basis,
        usage_before=original.usage_before,
        cashback=total(again),
        original=original,
        detail=encode_detail(detail),
    )
    return Decision(
        stored,
        spent=done.restored,
        treasury=tuple([(funder, -won) for funder, won in done.treasury]),
        taken=tuple([(funder, budget, -won) for funder, budget, won in again]),
        missed=tuple([(budget, month, won) for _, budget, won in missed]),
        campaigns=counted(terms, windows, again) if windows else (),
        recovered=given_back,
        usage=UsageChange(original.usage_month, purchase.key.local_day, spent=amount, basis=-original.basis),
        originals=(
            OriginalChange(purchase, before, state, with_kept(purchase, detail.kept_after)),
            OriginalChange(original, amount, Outcome.RETURNED),
        ),
    )


def _coupon_used_again(wallet: Wallet, restored: tuple[LotWon, ...], purchase: Stored) -> bool:
    """Whether a coupon that a return made whole is so no longer: it then pays for something else."""
    if all(kind != LotKind.COUPON for _, kind, _ in restored):
        return False
    back = purchase.returned
    for lot_no, used in reversed(decode_detail(purchase.detail).uses):
        back -= used
        lot = wallet.lots[lot_no]
        if back >= 0 and lot.kind == LotKind.COUPON and lot.balance != lot.granted:
            return True
    return False


def _given_back(recovered: tuple[LotWon, ...], most: int) -> tuple[LotWon, ...]:
    """What a refund took from lots, back to them (negative won): at most what is granted again."""
    back: list[LotWon] = []
    for lot_no, kind, won in recovered:
        part = min(won, most)
        if part:
            back.append((lot_no, kind, -part))
            most -= part
    return tuple(back)
