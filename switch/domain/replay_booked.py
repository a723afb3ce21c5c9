"""A payment of the past happens once more exactly as it was booked: to lots, usage, holds and the card.

The explanation stored with a payment says all of it, so that no entries have to be read for it.
"""

from switch.domain.decision import Detail, UsageChange, apply_usage, decode_detail
from switch.domain.holds import grown, shrunk
from switch.domain.payment import Kind, Outcome
from switch.domain.request import Stored
from switch.domain.wallet import Card, Hold, Wallet

_NOTHING = frozenset({Outcome.DECLINED, Outcome.ACKNOWLEDGED, Outcome.EXCEPTION})


def shift(wallet: Wallet, lot_no: int, won: int) -> None:
    """Move won into a lot (or out of it); under other rules there may be less in it than was taken."""
    lot = wallet.lots.get(lot_no)
    if lot is not None:
        lot.balance = max(0, lot.balance + won)


def as_booked(wallet: Wallet, stored: Stored, detail: Detail, known: dict[int, Stored]) -> None:
    """Let a payment happen to the wallet as the books have it. `known` are payments met before, by number."""
    # `returned` and the outcome are those of today: what was approved is what happened first.
    if stored.outcome in _NOTHING or (not stored.approved and not detail.released and not detail.hold):
        return
    kind = stored.key.kind
    if kind == Kind.PREAUTH:
        _hold(wallet, stored, detail)
    elif kind in (Kind.PURCHASE, Kind.GIFT):
        for lot_no, won in detail.uses:
            shift(wallet, lot_no, -won)
        if stored.original_seq:
            wallet.held.pop(stored.original_seq, None)
            wallet.holds = len(wallet.held)
        if detail.tap:
            _tap(wallet, stored)
    elif kind == Kind.TOPUP:
        shift(wallet, detail.lot_no, stored.approved)
    else:
        _back(wallet, stored, detail, known)
    change = usage_of(stored, detail, known)
    if change is not None:
        apply_usage(wallet, change)


def hold_again(wallet: Wallet, stored: Stored, detail: Detail, known: dict[int, Stored]) -> None:
    """Let only what a payment did to holds happen once more."""
    known[stored.seq] = stored
    if stored.outcome in _NOTHING:
        return
    if stored.key.kind == Kind.PREAUTH:
        _grow(wallet, stored, detail)
    elif stored.key.kind == Kind.PURCHASE:
        wallet.held.pop(stored.original_seq, None)
        wallet.holds = len(wallet.held)
    elif detail.released or detail.hold:
        _free(wallet, stored, detail, known)


def usage_of(stored: Stored, detail: Detail, known: dict[int, Stored]) -> UsageChange | None:
    """By how much a booked payment changed the member's counters; None: not at all.

    A return counts on the day of what it returned; where that is not known its month is.
    """
    if stored.outcome in _NOTHING or not stored.approved:
        return None
    kind, day, won = stored.key.kind, stored.key.local_day, stored.approved
    if kind == Kind.PURCHASE:
        return UsageChange(day // 100, day, spent=won, basis=stored.basis)
    if kind == Kind.TOPUP:
        return UsageChange(day // 100, 0, topup=won)
    if kind not in (Kind.REFUND, Kind.VOID, Kind.REVERSAL):
        return None
    if detail.lot_no:
        return UsageChange(stored.usage_month, 0, topup=-won)
    if detail.returned is None:
        return None
    origin = detail.original or {}
    of_day = origin.get("day", 0) if of_purchase(stored, known) else 0
    again = detail.returned[1] < detail.returned[0]
    return UsageChange(stored.usage_month, of_day, spent=won if again else -won, basis=stored.basis)


def of_purchase(stored: Stored, known: dict[int, Stored]) -> bool:
    """Whether what a return names is a purchase, as far as it is known: its day is the day of the counter."""
    named = known.get(stored.original_seq)
    return named is None or named.key.kind == Kind.PURCHASE


def _back(wallet: Wallet, stored: Stored, detail: Detail, known: dict[int, Stored]) -> None:
    """A refund, void or reversal."""
    if detail.released or (detail.hold and stored.original_seq):
        _free(wallet, stored, detail, known)
        return
    if detail.lot_no:
        shift(wallet, detail.lot_no, -stored.approved)
        return
    again = detail.returned is not None and detail.returned[1] < detail.returned[0]
    if again:  # a return undone: what it gave back is spent again
        undone = known.get(stored.original_seq)
        if undone is not None:
            for lot_no, _, won in decode_detail(undone.detail).restored:
                shift(wallet, lot_no, -won)
    for lot_no, _, won in detail.restored:
        shift(wallet, lot_no, won)
    for lot_no, _, won in detail.recovered:
        shift(wallet, lot_no, -won)
    wallet.receivable += detail.receivable


def _hold(wallet: Wallet, stored: Stored, detail: Detail) -> None:
    _grow(wallet, stored, detail)
    if detail.tap:
        _tap(wallet, stored)


def _grow(wallet: Wallet, stored: Stored, detail: Detail) -> None:
    seq = stored.original_seq or stored.seq
    before = wallet.held.get(seq) or Hold(seq, stored.key.local_day, detail.expires, 0, ())
    wallet.held[seq] = grown(before, detail.hold)
    wallet.holds = len(wallet.held)


def _free(wallet: Wallet, stored: Stored, detail: Detail, known: dict[int, Stored]) -> None:
    named = known.get(stored.original_seq)
    seq = stored.original_seq if named is None else (named.original_seq or named.seq)
    hold = wallet.held.get(seq)
    if detail.hold:
        before = hold or Hold(seq, stored.key.local_day, detail.expires, 0, ())
        wallet.held[seq] = grown(before, detail.hold)
    elif hold is not None:
        after, _ = shrunk(hold, min(hold.won, sum([won for _, _, won in detail.released])))
        if after.won:
            wallet.held[seq] = after
        else:
            del wallet.held[seq]
    wallet.holds = len(wallet.held)


def _tap(wallet: Wallet, stored: Stored) -> None:
    card = wallet.cards.get(stored.card_no) or Card(stored.card_no, "active", 9912, 0)
    card.tap_count += 1
    card.tap_won += stored.approved
    wallet.cards[stored.card_no] = card
