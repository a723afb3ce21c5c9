"""One batch, decided: pure once everything is loaded.

Requests are taken in the order in which they came; two of the same wallet see each other, a repeat of a
request in the same batch gets its answer.
"""

from collections.abc import Sequence

import msgspec

from switch.domain.decide import decide
from switch.domain.decision import Decision, apply, decode_detail
from switch.domain.faults import issuance_lacking
from switch.domain.matching import base_seq, judged_by
from switch.domain.payment import Kind, Outcome
from switch.domain.reasons import REASONS
from switch.domain.request import Request, Stored, Terms
from switch.store import lane_references
from switch.store.lane_values import Loaded
from switch.store.reference import Reference

_REVERSED_BEFORE = REASONS["reversed_before"].number
_OVER_ISSUANCE = REASONS["over_issuance_limit"].number
_GIFT = int(Kind.GIFT)


class Answer(msgspec.Struct, frozen=True):
    """What a request got: the stored payment, or `differs` when its key was used with other contents."""

    stored: Stored
    differs: bool = False
    repeated: bool = False


class Batch(msgspec.Struct):
    """The answers in the order of the requests, and the decisions to be written."""

    answers: list[Answer]
    decisions: list[Decision]


def decide_batch(
    requests: Sequence[Request],
    loaded: Loaded,
    reference: Reference,
    business_days: dict[int, int],
    pin_tries_max: int,
    cvv_tries_max: int = 10,
) -> Batch:
    """Decide every request on what was loaded, and carry each decision out before the next."""
    batch = Batch([], [])
    stored_by_key = loaded.stored
    for request in requests:
        stone = (request.wallet_id, request.key.terminal_id, request.key.stan, request.transmission)
        known = stored_by_key.get(request.key)
        if known is not None:
            differs = known.content != request.content or _told_after_refusal(request, known)
            batch.answers.append(Answer(known, differs=differs, repeated=True))
            continue
        meant = request
        if request.outside_ref:
            booked = _by_reference(request, loaded)
            if booked is not None and stone not in loaded.tombstones:
                batch.answers.append(booked)
                continue
            meant = _named_by_reference(request, loaded)
        wallet = loaded.wallets[request.wallet_id]
        originals = loaded.originals.get(request.wallet_id, []) if request.original is not None else []
        named = _stone_of_original(request)
        decision = decide(
            meant,
            wallet,
            _terms(meant, originals, reference),
            business_day=business_days[wallet.programme_no],
            pin_tries_max=pin_tries_max,
            cvv_tries_max=cvv_tries_max,
            originals=originals,
            tombstoned=stone in loaded.tombstones,
            original_tombstoned=named is not None and named in loaded.tombstones,
            credited_through=loaded.credited.get((wallet.programme_no, wallet.bucket), 0),
            pools=loaded.pools,
            case=loaded.cases.get((request.programme_no, request.case)) if request.case else None,
        )
        if meant is not request:
            _stop_other_send(decision, request)
        apply(decision, wallet, loaded.pools)
        _remember(decision, request, loaded)
        stored_by_key[request.key] = decision.stored
        batch.answers.append(Answer(decision.stored))
        batch.decisions.append(decision)
    return batch


def tell_what_is_elsewhere(batch: Batch, loaded: Loaded) -> None:
    """Top-ups that the month's issue is too small for lack less than their lane's slot alone would say."""
    if loaded.drawn is None:
        return
    for decision in batch.decisions:
        stored = decision.stored
        if stored.reason == _OVER_ISSUANCE:
            ((budget_no, month, _),) = decision.missed
            won = loaded.drawn.elsewhere.get(loaded.pools.lines[budget_no].key(month), 0)
            if won:
                stored.detail = issuance_lacking(stored.detail, won)


def _told_after_refusal(request: Request, known: Stored) -> bool:
    """Whether an advice (0220) bears the key of a payment that was asked for and declined.

    It tells of goods handed over all the same, so the stored refusal is no answer to it. One that was
    refused as an advice, its reversal having come first, is answered as before.
    """
    if not request.advice or known.outcome != Outcome.DECLINED:
        return False
    return known.reason != _REVERSED_BEFORE


def _remember(decision: Decision, request: Request, loaded: Loaded) -> None:
    """Let later requests of the batch see this one as their original, or its tombstone."""
    if request.key.kind != Kind.REVERSAL:
        loaded.originals.setdefault(request.wallet_id, []).append(decision.stored)
    if decision.tombstone is not None:
        loaded.tombstones.add((request.wallet_id, *decision.tombstone))
    if decision.gift is not None:
        code, won = decision.gift
        loaded.cases[decision.stored.programme_no, code].given += won
    if request.outside_ref or decision.originals:
        lane_references.note(decision, loaded)


def shared(requests: Sequence[Request]) -> bool:
    """Whether the batch may need what many wallets share: donation cases, outside references of top-ups."""
    return any(r.case or r.outside_ref or (r.original and _GIFT in r.original.kinds) for r in requests)


def _by_reference(request: Request, loaded: Loaded) -> Answer | None:
    """The answer to a top-up that stands under its reference already: only the same one gets it."""
    if request.key.kind != Kind.TOPUP:
        return None
    known = loaded.references.get((request.programme_no, request.outside_ref))
    if known is None:
        return None
    differs = known.wallet_id != request.wallet_id or known.amount != request.amount
    return Answer(known, differs=differs, repeated=True)


def _named_by_reference(request: Request, loaded: Loaded) -> Request:
    """A reversal that bears a top-up's reference means the send that was booked, whichever DE90 names."""
    known = loaded.references.get((request.programme_no, request.outside_ref))
    if request.original is None or known is None or known.wallet_id != request.wallet_id:
        return request
    key = known.key
    if (request.original.stan, request.original.transmission) == (key.stan, known.transmission):
        return request
    named = msgspec.structs.replace(
        request.original,
        stan=key.stan,
        transmission=known.transmission,
        kinds=(key.kind,),
        terminal_id=key.terminal_id,
    )
    return msgspec.structs.replace(request, original=named)


def _stop_other_send(decision: Decision, request: Request) -> None:
    """The send that such a reversal names may still be on its way: it is refused when it comes."""
    named = request.original
    if named is not None and named.stan and named.transmission and decision.originals:
        decision.tombstone = (named.terminal_id, named.stan, named.transmission)


def _terms(request: Request, originals: list[Stored], reference: Reference) -> Terms:
    """A payment is judged by its own day's terms; what takes it back, by those of the payment."""
    key = request.key
    if request.original is not None:
        original = judged_by(request, originals)
        if original is not None:
            return reference.terms_of(
                original.policy_no, original.merchant_no, original.key.local_day, original.channel
            )
    return reference.terms(
        request.programme_no, request.merchant_no, key.local_day, key.local_time, request.channel
    )


def past_months(requests: Sequence[Request], loaded: Loaded) -> list[tuple[int, int, int]]:
    """(bucket, wallet, month) of counters that are needed and that the wallets themselves no longer hold."""
    wanted: set[tuple[int, int, int]] = set()
    for request in requests:
        wallet = loaded.wallets.get(request.wallet_id)
        if wallet is None:
            continue
        months = {request.key.local_day // 100}
        if request.original is not None:
            months |= {stored.usage_month for stored in loaded.originals.get(request.wallet_id, ())}
        wanted |= {(wallet.bucket, wallet.wallet_id, month) for month in months if month < wallet.month}
    return sorted(wanted)


def past_days(requests: Sequence[Request], loaded: Loaded) -> list[tuple[int, int, int]]:
    """(bucket, wallet, day) of purchases dated before the latest day that their wallet has seen."""
    return sorted(
        {
            (wallet.bucket, wallet.wallet_id, request.key.local_day)
            for request in requests
            if request.key.kind in (Kind.PURCHASE, Kind.PREAUTH)
            and (wallet := loaded.wallets.get(request.wallet_id)) is not None
            and request.key.local_day < wallet.day
        }
    )


def behind(
    requests: Sequence[Request], loaded: Loaded
) -> tuple[set[tuple[int, int, int, int]], set[tuple[int, int, int]]]:
    """What else must be known of the originals.

    (bucket, wallet, seq, local day) of the payments that they follow: the purchase of a refund or void that
    is reversed, the first 0100 of an increment; (bucket, wallet, seq) of the pre-authorisations among them,
    whose completions may have come.
    """
    followed: set[tuple[int, int, int, int]] = set()
    bases: set[tuple[int, int, int]] = set()
    for request in requests:
        if request.original is None:
            continue
        for stored in loaded.originals.get(request.wallet_id, ()):
            at = (stored.key.bucket, stored.wallet_id)
            if stored.key.kind == Kind.PREAUTH:
                bases.add((*at, base_seq(stored)))
            if stored.key.kind not in _FOLLOWING or not stored.original_seq:
                continue
            origin = decode_detail(stored.detail).original
            if origin is not None:
                followed.add((*at, stored.original_seq, origin["day"]))
                if stored.key.kind == Kind.VOID:
                    bases.add((*at, stored.original_seq))
    return followed, bases


_FOLLOWING = frozenset({Kind.REFUND, Kind.VOID, Kind.PREAUTH})


def _stone_of_original(request: Request) -> tuple[int, str, int, str] | None:
    """Where a tombstone of the 0100 would be that a completion names."""
    ref = request.original
    if ref is None or not request.advice:
        return None
    return request.wallet_id, ref.terminal_id, ref.stan, ref.transmission
