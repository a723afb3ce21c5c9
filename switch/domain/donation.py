"""Gifts to donation cases: who may take one, what it is made from, and its taking back.

A gift is a payment to the case's merchant from points and charged money, in the programme's spending order;
policy money (grants, coupons) is no member's to give. It earns no cashback and counts in no limit and no
usage. A case takes what it still needs and not one won more.
"""

from collections.abc import Collection

import msgspec

from switch.domain.decision import (
    Decision,
    Detail,
    FunderNoWon,
    LotWon,
    OriginalChange,
    decode_detail,
    encode_detail,
)
from switch.domain.holds import held_of
from switch.domain.payment import Outcome
from switch.domain.record import balances, decline, heir_of, record, ref
from switch.domain.request import Entry, PinCheck, Request, Stored, Terms
from switch.domain.wallet import LOT_KIND_NO, Lot, Wallet

GIFT_KINDS = ("points", "charged")
"""What a gift can be made from."""


class Case(msgspec.Struct, gc=False):
    """A donation case: `target` and `given` in won, `deadline` its last day (yyyymmdd).

    `given` is what stands of all gifts; 0 ≤ given ≤ target.
    """

    code: str
    merchant_no: int
    target: int
    given: int
    deadline: int
    open: bool

    @property
    def left(self) -> int:
        """Won that it still needs."""
        return self.target - self.given


def case_fault(case: Case | None, merchant_no: int, day: int) -> str | None:
    """Why the case takes nothing at this merchant on this day (yyyymmdd); None when it does."""
    if case is None:
        return "unknown_case"
    if case.merchant_no != merchant_no:
        return "case_elsewhere"
    if not case.open:
        return "case_closed"
    if day > case.deadline:
        return "case_over"
    return "case_filled" if case.left <= 0 else None


def kinds_given(wallet: Wallet, terms: Terms, wanted: str) -> list[str]:
    """Kinds of money that a gift is made from, in the programme's order.

    `wanted` is what the member named; who names points gives them also where they are not switched on for
    payments. Without a name they are only used where they are.
    """
    if wanted:
        return [wanted]
    return [
        name
        for name in terms.policy.spending_order
        if name in GIFT_KINDS and (name != "points" or wallet.points_on)
    ]


def lots_given(
    wallet: Wallet, kinds: Collection[str], day: int, amount: int, held: dict[int, int] | None
) -> tuple[LotWon, ...]:
    """The lots that give up to `amount` won: kind by kind, the earliest expiry first, then the oldest.

    What holds keep (`held`, won by lot) is left alone.
    """
    spent: list[LotWon] = []
    for name in kinds:
        kind = LOT_KIND_NO[name]
        lots = [one for one in wallet.lots.values() if one.kind == kind and one.balance and one.valid_on(day)]
        for lot in sorted(lots, key=_order):
            won = min(lot.balance - (held or {}).get(lot.lot_no, 0), amount)
            if won > 0:
                spent.append((lot.lot_no, lot.kind, won))
                amount -= won
    return tuple(spent)


def _order(lot: Lot) -> tuple[int, int]:
    return lot.expires or 99_999_999, lot.lot_no


def gift(request: Request, wallet: Wallet, terms: Terms, business_day: int, case: Case | None) -> Decision:
    """Approve or decline a gift. A terminal that takes partial approvals gets what the case still needs and
    the member has; any other all or nothing."""
    day, amount = request.key.local_day, request.amount
    fault = case_fault(case, request.merchant_no, day)
    if case is not None and not terms.donation:
        fault = "case_elsewhere"
    asked = 0 if case is None else min(amount, case.left)
    if fault is None and asked < amount and not request.partial:
        fault = "case_filled"
    if fault is not None or case is None:
        told = Detail(case=request.case)
        if fault == "case_filled" and case is not None:
            told.limit, told.used, told.short = case.target, case.given, amount - case.left
        return decline(request, wallet, terms, business_day, fault or "unknown_case", detail=told)
    held = held_of(wallet, business_day) if wallet.held else None
    wanted = kinds_given(wallet, terms, request.gift_from)
    spent = lots_given(wallet, [name for name in wanted if not terms.refused.get(name)], day, asked, held)
    won = sum([part for _, _, part in spent])
    if won < asked and not (request.partial and won):
        reason, told = _missing(wallet, terms, wanted, day, asked - won, held)
        told.case = case.code
        return decline(request, wallet, terms, business_day, reason, detail=told)
    ledger, free = balances(wallet, terms, day, tuple([(lot, -part) for lot, _, part in spent]), held)
    tap = request.entry == Entry.CONTACTLESS and request.pin != PinCheck.OK
    detail = Detail(
        uses=tuple([(lot_no, part) for lot_no, _, part in spent]),
        entry=request.entry,
        tap=tap,
        case=case.code,
    )
    if won == asked < amount:  # a part, because the case needs no more
        detail.limit, detail.used, detail.short = case.target, case.given, amount - asked
    stored = record(
        request,
        wallet,
        terms,
        business_day,
        Outcome.APPROVED,
        "partial_approval" if won < amount else "approved",
        approved=won,
        after=(ledger, free),
        detail=encode_detail(detail),
    )
    return Decision(stored, spent=spent, gift=(case.code, won))


def _missing(
    wallet: Wallet, terms: Terms, wanted: list[str], day: int, short: int, held: dict[int, int] | None
) -> tuple[str, Detail]:
    """The true reason why the money does not suffice: a rule bars what would, or there is not enough."""
    barred = [name for name in wanted if terms.refused.get(name)]
    kept = sum([won for _, _, won in lots_given(wallet, barred, day, short, held)])
    if barred and (kept >= short or len(barred) == len(wanted)):
        rules = [rule.code for name in barred for rule in terms.refused[name]]
        return "merchant_restricted", Detail(rules=tuple(dict.fromkeys(rules)), short=short)
    return "insufficient_funds", Detail(short=short)


def reverse_gift(
    request: Request, wallet: Wallet, terms: Terms, business_day: int, original: Stored
) -> Decision:
    """Take a gift back, whole: to its lots in reverse, from the case, whether that is open still or not.

    A lot that has expired meanwhile does not revive: its part goes to the treasury return (DOMAIN rule 8).
    """
    done = decode_detail(original.detail)
    restored: list[LotWon] = []
    treasury: list[tuple[int, int]] = []
    for lot_no, won in reversed(done.uses):
        lot = wallet.lots[lot_no]
        if lot.valid_on(business_day):
            restored.append((lot_no, lot.kind, won))
        else:
            treasury.append((heir_of(lot, terms), won))
    back: FunderNoWon = tuple(treasury)
    amount = original.approved
    stored = record(
        request,
        wallet,
        terms,
        business_day,
        Outcome.APPROVED,
        "approved",
        approved=amount,
        after=balances(
            wallet,
            terms,
            business_day,
            tuple([(lot_no, won) for lot_no, _, won in restored]),
            held_of(wallet, business_day),
        ),
        original=original,
        detail=encode_detail(
            Detail(
                original=ref(original),
                returned=(0, amount),
                restored=tuple(restored),
                treasury=back,
                case=done.case,
            )
        ),
    )
    return Decision(
        stored,
        restored=tuple(restored),
        treasury=back,
        gift=(done.case, -amount),
        originals=(OriginalChange(original, amount, Outcome.RETURNED),),
    )
