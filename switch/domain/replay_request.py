"""The message that a stored payment came as, as far as the books tell, and the payments that it refers to.

What the books do not keep is taken to be in order: the card, its PIN and its proof were asked then.
"""

from switch.domain.matching import base_seq
from switch.domain.payment import Kind
from switch.domain.reasons import REASONS
from switch.domain.replay_values import Past, State
from switch.domain.request import Entry, OriginalRef, PinCheck, Proof, Request, Stored

_PIN_REQUIRED = REASONS["pin_required"].number
_PURCHASE, _PREAUTH = Kind.PURCHASE, Kind.PREAUTH


def request_of(state: State, past: Past) -> tuple[Request, list[Stored]]:
    """The message that a payment came as, as far as the books tell."""
    stored, detail = past.stored, past.detail
    kind = stored.key.kind
    originals: list[Stored] = []
    ref: OriginalRef | None = None
    if stored.original_seq and (named := state.payments.get(stored.original_seq)) is not None:
        originals = _behind(state, named)
        # What takes back a completed hold is stored with the completion: it is named directly here.
        ref = OriginalRef(
            stan=named.key.stan,
            transmission=named.transmission,
            kinds=(named.key.kind,),
            terminal_id=named.key.terminal_id,
            day=named.key.local_day,
            merchant_no=named.merchant_no,
        )
    contactless = detail.entry == Entry.CONTACTLESS or stored.reason == _PIN_REQUIRED
    tap = detail.tap or stored.reason == _PIN_REQUIRED
    amount, replacement = stored.amount, -1
    if originals and kind in (Kind.REVERSAL, Kind.VOID):
        amount = originals[0].amount
    if originals and kind == Kind.REVERSAL:
        replacement = _replacement(past, originals[0])
    return (
        Request(
            key=stored.key,
            wallet_id=stored.wallet_id,
            card_no=stored.card_no,
            programme_no=stored.programme_no,
            merchant_no=stored.merchant_no,
            amount=amount,
            channel=stored.channel,
            transmission=stored.transmission,
            rrn=stored.rrn,
            approval=stored.approval,
            content=stored.content,
            pin=PinCheck.NONE if tap or not contactless else PinCheck.OK,
            expiry=None,
            original=ref,
            advice=kind == _PURCHASE and ref is not None,
            partial=0 < stored.approved < stored.amount and kind in (_PURCHASE, _PREAUTH),
            replacement=replacement,
            entry=Entry.CONTACTLESS if contactless else Entry.CHIP,
            proof=Proof.OK,
            batch_no=stored.batch_no,
        ),
        originals,
    )


_PIN_REQUIRED = REASONS["pin_required"].number


def _replacement(past: Past, named: Stored) -> int:
    """What a partial reversal left standing of its original; -1 where it was taken back whole."""
    back = past.detail.returned
    if back is None or named.key.kind not in (_PURCHASE, _PREAUTH):
        return -1
    left = named.approved - back[1]
    return left if left > 0 else -1


def _behind(state: State, named: Stored) -> list[Stored]:
    """A payment and those that belong to it: what it follows, and the completion of a pre-authorisation."""
    found = [named]
    base = state.payments.get(named.original_seq) if named.original_seq else None
    if base is not None:
        found.append(base)
    for one in tuple(found):
        if one.key.kind == _PREAUTH:
            done = state.payments.get(state.completed.get(base_seq(one), 0))
            if done is not None and done not in found:
                found.append(done)
    return found
