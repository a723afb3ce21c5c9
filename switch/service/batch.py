"""One batch, decided: pure once everything is loaded.

Requests are taken in the order in which they came; two of the same wallet see each other, a repeat of a
request in the same batch gets its answer.
"""

from collections.abc import Sequence

import msgspec

from switch.domain.decide import decide
from switch.domain.decision import Decision, apply, decode_detail
from switch.domain.matching import base_seq, judged_by
from switch.domain.payment import Kind, Outcome
from switch.domain.reasons import REASONS
from switch.domain.request import Request, Stored, Terms
from switch.store.lane_values import Loaded
from switch.store.reference import Reference

_REVERSED_BEFORE = REASONS["reversed_before"].number


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
        known = stored_by_key.get(request.key)
        if known is not None:
            differs = known.content != request.content or _told_after_refusal(request, known)
            batch.answers.append(Answer(known, differs=differs, repeated=True))
            continue
        wallet = loaded.wallets[request.wallet_id]
        originals = loaded.originals.get(request.wallet_id, []) if request.original is not None else []
        stone = (request.wallet_id, request.key.terminal_id, request.key.stan, request.transmission)
        named = _stone_of_original(request)
        decision = decide(
            request,
            wallet,
            _terms(request, originals, reference),
            business_day=business_days[wallet.programme_no],
            pin_tries_max=pin_tries_max,
            cvv_tries_max=cvv_tries_max,
            originals=originals,
            tombstoned=stone in loaded.tombstones,
            original_tombstoned=named is not None and named in loaded.tombstones,
            credited_through=loaded.credited.get((wallet.programme_no, wallet.bucket), 0),
            pools=loaded.pools,
        )
        apply(decision, wallet, loaded.pools)
        _remember(decision, request, loaded)
        stored_by_key[request.key] = decision.stored
        batch.answers.append(Answer(decision.stored))
        batch.decisions.append(decision)
    return batch


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
