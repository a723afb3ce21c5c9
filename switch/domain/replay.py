"""Replay: a wallet's history judged once more, by other rules.

A wallet begins as it stood and walks through its postings in their own order. What a rule can change is
decided anew, by the same decide() that decides payments: purchases, pre-authorisations and their completions,
top-ups, and whatever takes those back. So a payment that flips changes what the wallet's later payments meet:
its lots, its usage, its holds. Everything else happens as it was booked:

- what was refused for the card, its PIN or its proof, the merchant, or what a message named;
- advices that were exceptions, gifts, and what follows a payment from before the replay;
- postings that are no payments (operators' acts, expiry, credits, corrections).

Cashback is rated here without bounds; budgets are asked afterwards, in order of time over all wallets
(replay_budget). What a nightly credit gave is corrected by what was rated otherwise on the days before.
"""

from msgspec.structs import replace

from switch.domain.budget import Grants
from switch.domain.cashback import Rating
from switch.domain.decide import decide
from switch.domain.decision import Decision, apply, decode_detail, encode_detail
from switch.domain.granting import due, first_grants, kept_of, total
from switch.domain.matching import judged_by
from switch.domain.payment import POSTED, Kind, Outcome
from switch.domain.programme import NoPolicy
from switch.domain.reasons import REASONS
from switch.domain.replay_booked import as_booked, shift
from switch.domain.replay_request import request_of
from switch.domain.replay_values import (
    AS_BOOKED,
    BOUNDLESS,
    RETURNS,
    Booked,
    Past,
    Rules,
    State,
    Verdict,
    taken_of,
)
from switch.domain.request import Request, Stored
from switch.domain.wallet import NEVER, Card, Lot, LotKind

EXTRA_LOT = 1_900_000_000
"""Number of the lot that holds points which the replayed rules gave beyond those credited."""
_NEW_LOTS = 1_000_000_000  # top-ups that were refused and now are not get numbers from here on

# Refused for what no programme's rules say, or for what the replay does not know: stays refused.
_FIXED = frozenset(
    [row.number for row in REASONS.values() if 10 <= row.number < 40 or 50 <= row.number < 57]
    + [REASONS[name].number for name in ("entry_not_permitted", "atc_replayed", "cryptogram_failure")]
    + [REASONS[name].number for name in ("cvv_failure", "cvv_tries_exceeded", "over_issuance_limit")]
    + [row.number for row in REASONS.values() if 80 <= row.number < 85]
)
_EXCEPTION, _NO_POLICY = REASONS["exception"].number, REASONS["no_policy"].number
_JUDGED = frozenset({Kind.PURCHASE, Kind.PREAUTH, Kind.TOPUP}) | RETURNS
_PURCHASE, _PREAUTH, _TOPUP = Kind.PURCHASE, Kind.PREAUTH, Kind.TOPUP
_DECLINED = Outcome.DECLINED
_STANDING = POSTED | {Outcome.COMPLETED}


def meet(state: State, booked: Booked) -> None:
    """Let a posting happen that is no payment."""
    _settle_credit(state, booked.business_day)
    for lot_no, won in booked.moves:
        shift(state.wallet, lot_no, won)
    state.wallet.seq = booked.seq


def replay(state: State, past: Past, rules: Rules, *, keep: bool = True) -> Verdict:
    """Judge one payment by `rules` and let it happen: as judged, or (keep False) as it was booked."""
    stored = past.stored
    _settle_credit(state, stored.business_day)
    state.wallet.seq = stored.seq - 1
    if _stands(state, past):
        return _as_it_was(state, past, rules)
    request, originals = request_of(state, past)
    if stored.original_seq and _is_gone(state, stored):
        state.dropped.add(stored.seq)
        state.wallet.seq = stored.seq
        return Verdict(past, 0, _gone_reason(state, stored), fell_away=bool(stored.approved))
    decision = _decide(state, past, request, originals, rules)
    verdict = Verdict(past, 0, _NO_POLICY) if decision is None else _verdict(past, decision)
    if keep:
        _carry_out(state, past, decision)
    else:
        as_booked(state.wallet, stored, past.detail, state.payments)
        remember(state, past)
        state.wallet.seq = stored.seq
    return verdict


def warm_up(state: State, past: Past, rules: Rules) -> Verdict:
    """Let a payment happen as it was booked, whatever the rules say."""
    _settle_credit(state, past.stored.business_day)
    return _as_it_was(state, past, rules)


def _stands(state: State, past: Past) -> bool:
    """Whether a payment happens as it was booked."""
    stored = past.stored
    kind = stored.key.kind
    if kind not in _JUDGED or stored.reason in _FIXED or stored.reason == _EXCEPTION:
        return True
    if stored.outcome == Outcome.EXCEPTION or (kind == Kind.REVERSAL and not stored.original_seq):
        return True
    if stored.original_seq:
        return stored.original_seq not in state.payments and stored.original_seq not in state.dropped
    return kind in RETURNS or stored.key.local_day // 100 < state.first_month


def _as_it_was(state: State, past: Past, rules: Rules) -> Verdict:
    stored = past.stored
    as_booked(state.wallet, stored, past.detail, state.payments)
    remember(state, past)
    state.wallet.seq = stored.seq
    verdict = Verdict(past, stored.approved, stored.reason, judged=False)
    if stored.key.kind == _PURCHASE:
        verdict.due = _booked_due(past, rules)
    elif stored.cashback:  # what was taken (or granted again) then is so now
        verdict.due = taken_of(past)
        verdict.of, verdict.rated = stored.original_seq or stored.seq, AS_BOOKED
    return verdict


def remember(state: State, past: Past) -> None:
    """Keep a payment that happened as booked, as it stood at its birth: its row tells how it stands today."""
    stored = past.stored
    if stored.outcome in _STANDING:
        detail = stored.detail
        if past.detail.kept is not None:
            detail = encode_detail(replace(past.detail, kept=None))
        stored = replace(stored, outcome=Outcome.APPROVED, returned=0, detail=detail)
    state.payments[stored.seq] = stored
    if stored.key.kind == _PURCHASE and stored.original_seq and stored.approved:
        state.completed[stored.original_seq] = stored.seq
    named = state.payments.get(stored.original_seq)
    if named is None or past.stored.outcome not in _STANDING:
        return
    back = past.detail.returned
    if stored.key.kind == _PURCHASE:
        named.outcome = Outcome.COMPLETED
    elif back is not None and stored.key.kind in RETURNS:
        _mark_returned(named, back[1])
        if past.detail.kept_after is not None:
            named.detail = encode_detail(replace(decode_detail(named.detail), kept=past.detail.kept_after))


def _mark_returned(named: Stored, returned: int) -> None:
    named.returned = min(returned, named.approved)
    if not returned:
        named.outcome = Outcome.APPROVED
    else:
        named.outcome = Outcome.RETURNED if returned >= named.approved else Outcome.RETURNED_PARTLY


def _booked_due(past: Past, rules: Rules) -> Grants:
    """What a purchase was due or granted, charged to the budgets of the rules that are replayed."""
    stored, detail = past.stored, past.detail
    granted = first_grants(detail)
    if detail.missed or not detail.pieces:
        return granted
    key = stored.key
    try:
        terms = rules.terms(
            stored.programme_no, stored.merchant_no, key.local_day, key.local_time, stored.channel
        )
    except NoPolicy:
        return granted
    if not terms.budget_no:
        return granted
    wanted = due(Rating(0, (), detail.pieces), terms)
    return tuple([(funder, budget, won) for (funder, budget), won in wanted.items() if won])


def _is_gone(state: State, stored: Stored) -> bool:
    """Whether the payment that this one follows does not happen under the replayed rules."""
    origin = stored.original_seq
    if origin in state.dropped:
        return True
    named = state.payments.get(origin)
    return named is not None and named.outcome == _DECLINED


def _gone_reason(state: State, stored: Stored) -> int:
    named = state.payments.get(stored.original_seq)
    return named.reason if named is not None else REASONS["original_not_found"].number


def _decide(
    state: State, past: Past, request: Request, originals: list[Stored], rules: Rules
) -> Decision | None:
    """The decision, or None where the rules have no version for the payment."""
    stored, wallet = past.stored, state.wallet
    key = stored.key
    origin = judged_by(request, originals) if request.original is not None else None
    try:
        if origin is not None:
            terms = rules.terms_of(origin.policy_no, origin.merchant_no, origin.key.local_day, origin.channel)
        else:
            terms = rules.terms(
                stored.programme_no, stored.merchant_no, key.local_day, key.local_time, stored.channel
            )
    except NoPolicy:
        return None
    if request.card_no not in wallet.cards:
        wallet.cards[request.card_no] = Card(request.card_no, "active", 9912, 0)
    if key.kind == _TOPUP:
        wallet.lot_seq = (past.detail.lot_no or _NEW_LOTS + stored.seq) - 1
    detail = past.detail
    credited = stored.business_day - 1
    if stored.cashback < 0 and origin is not None and not detail.recovered and not detail.receivable:
        credited = 0
    return decide(
        request,
        wallet,
        terms,
        business_day=stored.business_day,
        pin_tries_max=1_000_000,
        originals=originals,
        credited_through=credited,
        pools=BOUNDLESS,
    )


def _verdict(past: Past, decision: Decision) -> Verdict:
    done = decision.stored
    detail = decode_detail(done.detail)
    if done.key.kind not in RETURNS:
        return Verdict(past, done.approved, done.reason, due=decision.granted, detail=detail)
    verdict = Verdict(past, done.approved, done.reason, detail=detail)
    change = decision.originals[0] if decision.originals else None
    if change is None or not (decision.taken or detail.kept_before or detail.kept_after):
        return verdict
    purchase = change.stored
    verdict.of = purchase.seq
    verdict.again = change.returned < purchase.returned
    before = kept_of(decode_detail(purchase.detail))
    after = kept_of(decode_detail(change.detail)) if change.detail is not None else ()
    verdict.rated, verdict.due = total(before), after
    return verdict


def _carry_out(state: State, past: Past, decision: Decision | None) -> None:
    stored, wallet = past.stored, state.wallet
    if decision is None:
        state.dropped.add(stored.seq)
        wallet.seq = stored.seq
        return
    apply(decision, wallet, BOUNDLESS)
    state.payments[stored.seq] = decision.stored
    if stored.key.kind == _PURCHASE and stored.original_seq and decision.stored.approved:
        state.completed[stored.original_seq] = stored.seq
    was = stored.cashback + total(past.detail.missed)
    now = decision.stored.cashback
    if now != was:
        day = stored.business_day
        state.rerated[day] = state.rerated.get(day, 0) + now - was


def _settle_credit(state: State, today: int) -> None:
    """Points of the days before that the replayed rules gave more or less of."""
    if not state.rerated:
        return
    past_days = [day for day in state.rerated if day < today]
    if not past_days:
        return
    won = sum([state.rerated.pop(day) for day in past_days])
    lots = state.wallet.lots
    if won > 0:
        extra = lots.setdefault(EXTRA_LOT, Lot(EXTRA_LOT, LotKind.POINTS, 0, 0, 0, today, NEVER))
        extra.balance += won
        return
    for lot in sorted(lots.values(), key=lambda lot: -lot.lot_no):
        if lot.kind == LotKind.POINTS and won < 0:
            less = min(lot.balance, -won)
            lot.balance -= less
            won += less
    if won:
        state.rerated[past_days[-1]] = won  # the next points pay it
