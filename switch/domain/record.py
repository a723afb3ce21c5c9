"""The stored payment that a decision leaves behind, and the balances told with it."""

from msgspec.structs import replace

from switch.domain.decision import NO_DETAIL, Decision, Detail, decode_detail, encode_detail
from switch.domain.paying import barred_here
from switch.domain.payment import Outcome
from switch.domain.programme import expired_to
from switch.domain.reasons import REASONS
from switch.domain.request import Request, Stored, Terms
from switch.domain.wallet import LOT_KIND_NAME, Card, Lot, LotKind, Wallet

_POINTS, _GRANT, _COUPON = LotKind.POINTS, LotKind.GRANT, LotKind.COUPON
_NO_DETAIL = encode_detail(NO_DETAIL)
_NUMBER = {name: reason.number for name, reason in REASONS.items()}


def heir_of(lot: Lot, terms: Terms) -> int:
    """The funder_no to whose treasury the won of an expired lot go: its own, or whom the policy names."""
    return lot.funder_no or terms.funder_no[expired_to(terms.policy)]


def balances(
    wallet: Wallet,
    terms: Terms,
    day: int,
    changes: tuple[tuple[int, int], ...] = (),
    held: dict[int, int] | None = None,
) -> tuple[int, int]:
    """(ledger balance, won that may be spent at this merchant on `day`), after changes of (lot_no, won).

    `held` (won by lot) is in the ledger balance and not to be spent. Coupons are in neither: they take
    something off a price, and are worth nothing by themselves.
    """
    ledger = spendable = 0
    change_of = dict(changes) if changes else None
    order = terms.policy.spending_order
    for lot in wallet.lots.values():
        if lot.kind == _COUPON:
            continue
        balance = lot.balance
        if change_of is not None:
            balance += change_of.get(lot.lot_no, 0)
        ledger += balance
        if held is not None:
            balance -= held.get(lot.lot_no, 0)
        if lot.expires and day > lot.expires:
            continue
        if lot.kind == _POINTS and not wallet.points_on:
            continue
        if lot.kind == _GRANT and ("grant" not in order or barred_here(lot, terms)):
            continue
        if not terms.refused.get(LOT_KIND_NAME[lot.kind]):
            spendable += balance
    return ledger, spendable


def record(
    request: Request,
    wallet: Wallet,
    terms: Terms,
    business_day: int,
    outcome: Outcome,
    reason: str,
    *,
    approved: int = 0,
    after: tuple[int, int] = (0, 0),
    basis: int = 0,
    usage_before: int = 0,
    cashback: int = 0,
    original: Stored | None = None,
    base_seq: int = 0,
    detail: bytes = _NO_DETAIL,
) -> Stored:
    """The row that is stored. `after` are the balances told; what takes back an original keeps its terms.

    `base_seq` names the 0100 that an increment or completion follows: it is judged by its own day's terms.
    """
    return Stored(
        request.key,
        wallet.wallet_id,
        wallet.seq + 1,
        request.card_no,
        request.merchant_no if original is None else original.merchant_no,
        wallet.programme_no,
        terms.policy_no if original is None else original.policy_no,
        business_day,
        request.transmission,
        request.content,
        request.amount,
        approved,
        outcome,
        _NUMBER[reason],
        request.approval if outcome == Outcome.APPROVED else "",
        request.rrn,
        request.channel if original is None else original.channel,
        basis,
        request.key.local_day // 100 if original is None else original.usage_month,
        usage_before,
        cashback,
        after[0],
        after[1],
        0,
        base_seq if original is None else original.seq,
        request.batch_no,
        detail if not request.chip else _with_chip(detail, request.chip),
    )


def _with_chip(detail: bytes, chip: str) -> bytes:
    return encode_detail(replace(decode_detail(detail), chip=chip))


def decline(
    request: Request,
    wallet: Wallet,
    terms: Terms,
    business_day: int,
    reason: str,
    *,
    detail: Detail | None = None,
    card: Card | None = None,
) -> Decision:
    """Refuse a request: it is stored with its reason and how the card came, and no money moves."""
    told = Detail() if detail is None else detail
    told.entry = request.entry
    raw = encode_detail(told)
    stored = record(request, wallet, terms, business_day, Outcome.DECLINED, reason, detail=raw)
    return Decision(stored, card=card)


def note(
    request: Request,
    wallet: Wallet,
    terms: Terms,
    business_day: int,
    outcome: Outcome,
    detail: Detail,
    *,
    original: Stored | None = None,
    base_seq: int = 0,
) -> Decision:
    """Answer 00 without moving money (`outcome` ACKNOWLEDGED), or for a person to look at (EXCEPTION)."""
    name = "acknowledged" if outcome == Outcome.ACKNOWLEDGED else "exception"
    raw = encode_detail(detail)
    return Decision(
        record(
            request,
            wallet,
            terms,
            business_day,
            outcome,
            name,
            original=original,
            base_seq=base_seq,
            detail=raw,
        )
    )


def ref(original: Stored) -> dict[str, int]:
    """How an explanation names the payment that it follows."""
    return {"day": original.key.local_day, "seq": original.seq}
