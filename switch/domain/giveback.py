"""Giving back: what refunds, voids and reversals of a purchase have in common (DOMAIN rules 6 to 9).

What comes back goes to the lots in the reverse of the order spent. Cashback is kept for what remains, rated
from the same starting usage by the original's own policy version; the rest is taken back from the funders'
grants, and where the wallet has had it already, from its points, then from the charged money being
returned, else the member owes it.
"""

from typing import NamedTuple

from msgspec.structs import replace

from switch.domain.budget import Grants
from switch.domain.cashback import NOTHING, Rating, Window, rate
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
from switch.domain.granting import counted, due, keep, kept_of, minus, total, windows_again
from switch.domain.holds import held_of
from switch.domain.matching import match
from switch.domain.payment import POSTED, Kind, Outcome
from switch.domain.record import balances, decline, heir_of, note, record, ref
from switch.domain.request import Request, Stored, Terms
from switch.domain.rerate import as_charged, kept_by
from switch.domain.wallet import LOT_KIND_NAME, LotKind, Wallet


class Return(NamedTuple):
    """A part of a purchase on its way back."""

    restored: tuple[LotWon, ...]
    treasury: FunderNoWon
    basis_left: tuple[int, int]
    kept: tuple[Grants, Grants]
    taken: Grants
    campaigns: tuple[tuple[int, int], ...]
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
    if original.key.kind == Kind.GIFT:  # only its own reversal takes a gift back
        return decline(request, wallet, terms, business_day, "invalid_transaction")
    if original.outcome not in POSTED:
        return decline(request, wallet, terms, business_day, "original_not_approved")
    left = original.approved - original.returned
    if request.amount > left:
        over = Detail(limit=original.approved, used=original.returned, short=request.amount - left)
        return decline(request, wallet, terms, business_day, "over_remaining", detail=over)
    return give_back(request, wallet, terms, business_day, original, request.amount, credited_through)


def give_back(
    request: Request,
    wallet: Wallet,
    terms: Terms,
    business_day: int,
    original: Stored,
    amount: int,
    credited_through: int,
) -> Decision:
    """Return `amount` won (0 < amount ≤ what is left) of a purchase."""
    today = business_day
    held = held_of(wallet, today)
    back = _work_out(wallet, terms, original, amount, today, credited_through, held or {})
    returned = original.returned + amount
    whole = returned == original.approved
    left, kept = back.basis_left
    detail = Detail(
        original=ref(original),
        returned=(original.returned, returned),
        basis_left=back.basis_left,
        grants=back.taken,
        kept_before=back.kept[0],
        kept_after=back.kept[1],
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
        after=balances(wallet, terms, today, back.changes, held),
        basis=kept - left,
        usage_before=original.usage_before,
        cashback=-total(back.taken),
        original=original,
        detail=encode_detail(detail),
    )
    day = original.key.local_day
    return Decision(
        stored,
        restored=back.restored,
        treasury=back.treasury,
        taken=back.taken,
        campaigns=back.campaigns,
        recovered=back.recovered,
        receivable=back.receivable,
        usage=UsageChange(original.usage_month, day, spent=-amount, basis=kept - left),
        originals=(
            OriginalChange(
                original,
                returned,
                Outcome.RETURNED if whole else Outcome.RETURNED_PARTLY,
                with_kept(original, back.kept[1]),
            ),
        ),
    )


def reverse_purchase(
    request: Request,
    wallet: Wallet,
    terms: Terms,
    business_day: int,
    original: Stored,
    credited_through: int,
) -> Decision:
    """Give back what stands of a purchase above the replacement amount: without one, all of it."""
    left = original.approved - original.returned - max(request.replacement, 0)
    if left > 0:
        return give_back(request, wallet, terms, business_day, original, left, credited_through)
    outcome = Outcome.EXCEPTION if left else Outcome.ACKNOWLEDGED
    told = Detail(original=ref(original), note=over_standing(left))
    return note(request, wallet, terms, business_day, outcome, told, original=original)


def over_standing(left: int) -> str:
    """What to note of a replacement amount that leaves nothing to give back (`left` won, 0 or less)."""
    return f"the replacement is {-left} won above what stands" if left else "nothing to reverse"


def _work_out(
    wallet: Wallet,
    terms: Terms,
    original: Stored,
    amount: int,
    day: int,
    credited_through: int,
    held: dict[int, int],
) -> Return:
    done = decode_detail(original.detail)
    basis_kinds = terms.policy.cashback_basis
    skip, wanted = original.returned, amount
    left = original.basis
    restored: list[LotWon] = []
    treasury: list[tuple[int, int]] = []
    basis_back = 0
    for lot_no, used in reversed(done.uses):
        lot = wallet.lots[lot_no]
        counts = LOT_KIND_NAME[lot.kind] in basis_kinds
        past = min(skip, used)
        skip -= past
        won = min(used - past, wanted)
        wanted -= won
        if counts:
            left -= past
            basis_back += won
        if not won:
            continue
        if not lot.valid_on(day):  # an expired lot does not revive (rule 8)
            treasury.append((heir_of(lot, terms), won))
        else:
            restored.append((lot_no, lot.kind, won))
    kept = left - basis_back
    standing = original.approved - original.returned
    windows = windows_again(terms, done, standing)
    rated = _rating(terms, original, left, windows)
    before = kept_by(done, original.returned, due(rated, terms))
    rest = due(_rating(terms, original, kept, windows_again(terms, done, standing - amount)), terms)
    after = keep(before, rated.total, as_charged(rest, done))
    taken = minus(before, after)
    owed = total(taken)
    recovered: list[LotWon] = []
    receivable = 0
    if owed and original.business_day <= credited_through:
        recovered, receivable = _recover(wallet, restored, owed, day, held)
    changes: dict[int, int] = {}
    for lot_no, _, won in restored:
        changes[lot_no] = changes.get(lot_no, 0) + won
    for lot_no, _, won in recovered:
        changes[lot_no] = changes.get(lot_no, 0) - won
    return Return(
        tuple(restored),
        tuple(treasury),
        (left, kept),
        (before, after),
        taken,
        tuple([(campaign_no, -won) for campaign_no, won in counted(terms, windows, taken)]),
        tuple(recovered),
        receivable,
        tuple(changes.items()),
    )


def with_kept(original: Stored, kept: Grants | None) -> bytes | None:
    """The purchase's explanation with what is kept of its grants now; None where it never had any."""
    done = decode_detail(original.detail)
    return encode_detail(replace(done, kept=kept or ())) if kept_of(done) or kept else None


def _rating(terms: Terms, original: Stored, basis: int, windows: tuple[Window, ...]) -> Rating:
    if not basis:
        return NOTHING
    return rate(
        terms.policy,
        basis=basis,
        usage_before=original.usage_before,
        groups=terms.groups,
        channel=original.channel,
        windows=windows,
    )


def _recover(
    wallet: Wallet, restored: list[LotWon], owed: int, day: int, held: dict[int, int]
) -> tuple[list[LotWon], int]:
    """Take credited cashback back: from valid points that no hold keeps, then from the charged money being
    returned (rule 9)."""
    coming: dict[int, int] = {}
    for lot_no, _, won in restored:
        coming[lot_no] = coming.get(lot_no, 0) + won
    points = sorted(
        (lot for lot in wallet.lots.values() if lot.kind == LotKind.POINTS and lot.valid_on(day)),
        key=lambda lot: (lot.expires or 99_999_999, lot.lot_no),
    )
    sources = [
        (lot.lot_no, lot.kind, lot.balance - held.get(lot.lot_no, 0) + coming.get(lot.lot_no, 0))
        for lot in points
    ]
    sources += [(lot_no, kind, won) for lot_no, kind, won in restored if kind == LotKind.CHARGED]
    recovered: list[LotWon] = []
    for lot_no, kind, most in sources:
        won = min(most, owed)
        if won > 0:
            recovered.append((lot_no, kind, won))
            owed -= won
    return recovered, owed
