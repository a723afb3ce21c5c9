"""A decision: everything that follows from a request, as values, with its own explanation.

Whoever makes it touches nothing. `apply` carries it out on the wallet in memory, `ledger.postings` turns it
into entries, the store writes both down.
"""

import msgspec

from switch.domain.budget import NO_POOLS, Grants, Pools
from switch.domain.cashback import Piece
from switch.domain.payment import FIRST, NEXT, Kind, Outcome
from switch.domain.request import Entry, Stored
from switch.domain.wallet import Card, Hold, Lot, MonthUsage, Wallet

FunderNoWon = tuple[tuple[int, int], ...]
"""(funder_no, won) pairs."""
LotWon = tuple[int, int, int]
"""(lot_no, kind, won > 0; where Decision says so, negative won undo it)."""


class Fault(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One reason against a payment: its number, the limit with what was used of it, the won above it, the day
    (yyyymmdd) on which it counts anew, and the rules (or campaigns) that it comes from."""

    reason: int
    limit: int = 0
    used: int = 0
    short: int = 0
    resets: int = 0
    rules: tuple[str, ...] = ()


class UsageChange(msgspec.Struct, frozen=True, gc=False):
    """By how many won a member's counters change; `day` 0 leaves the day's counter alone."""

    month: int
    day: int
    spent: int = 0
    basis: int = 0
    topup: int = 0


class Detail(msgspec.Struct, omit_defaults=True, gc=False):
    """The explanation stored with a payment: which lots, which pieces, which rule, what was missing.

    `hold`, `expires`: the lots that a 0100 holds and the last valid day (yyyymmdd); `released`: the lots that
    a hold got back; `named`: (STAN, DE7) of an original that is not known; `tap`: counted as contactless
    without a PIN; `chip`: what the chip signed, and its signature (DE55, hex).

    `grants`: (funder_no, budget_no, won) of a purchase's cashback as granted; `missed`: likewise what was due
    and no budget had any more, or above a campaign's bound on the member; `kept`: what is left of the grants
    after returns, on the purchase; on a return, `kept_before` and `kept_after` it. `faults`: every
    reason against a declined payment, what is answered first. `passed_over`: coupons and grants that could
    not pay, as (campaign_no, won short of the minimum spend, or 0 where the merchant may not take it).
    `case`: the donation case of a gift.
    `issued`: number of the bound on top-ups that a top-up counts in; 0 where there was none.
    """

    uses: tuple[tuple[int, int], ...] = ()
    funders: FunderNoWon = ()
    pieces: tuple[Piece, ...] = ()
    groups: tuple[str, ...] = ()
    original: dict[str, int] | None = None
    returned: tuple[int, int] | None = None
    basis_left: tuple[int, int] | None = None
    restored: tuple[LotWon, ...] = ()
    treasury: FunderNoWon = ()
    recovered: tuple[LotWon, ...] = ()
    receivable: int = 0
    lot_no: int = 0
    rules: tuple[str, ...] = ()
    limit: int = 0
    used: int = 0
    short: int = 0
    note: str = ""
    entry: int = Entry.KEYED
    tap: bool = False
    hold: tuple[LotWon, ...] = ()
    expires: int = 0
    released: tuple[LotWon, ...] = ()
    named: tuple[int, str] | None = None
    chip: str = ""
    grants: Grants = ()
    missed: Grants = ()
    kept: Grants | None = None
    kept_before: Grants | None = None
    kept_after: Grants | None = None
    faults: tuple[Fault, ...] = ()
    passed_over: tuple[tuple[int, int], ...] = ()
    case: str = ""
    outside_ref: str = ""
    issued: int = 0


_encode_detail = msgspec.json.Encoder().encode
_decode_detail = msgspec.json.Decoder(Detail).decode
NO_DETAIL = Detail()


def encode_detail(detail: Detail) -> bytes:
    """The explanation as the books keep it (JSON)."""
    return _encode_detail(detail)


def decode_detail(raw: bytes) -> Detail:
    """Read an explanation back; raises msgspec.ValidationError on what is none."""
    return _decode_detail(raw)


class ForbiddenTransitionError(ValueError):
    """A payment was about to move along a line that its life cycle does not have. A fault of the program."""


class OriginalChange(msgspec.Struct, frozen=True):
    """The original payment after something of it was returned or given again; `detail` if that changes."""

    stored: Stored
    returned: int
    outcome: Outcome
    detail: bytes | None = None


class Decision(msgspec.Struct, gc=False):
    """What is to happen. Amounts in won; every part is empty where it does not apply.

    spent        lots → merchant                    restored    merchant → lots
    treasury     merchant → funder's treasury return (negative won: back again)
    opened       the new lot of a top-up            removed     lot → safeguarded account (top-up reversed)
    granted      funders → accrued cashback         taken       accrued cashback → funders
                 (funder_no, budget_no, won)                    (negative won: granted again)
    issued       (budget_no, month, won) of a bound on top-ups, taken; negative won: given back
    missed       (budget_no, month, won) that were due and not to be had
    campaigns    (campaign_no, won) that count for the member; negative won: no more
    gift         (case, won) given to a donation case; negative won: taken back
    recovered    lots → accrued cashback (negative won: back again)
    receivable   owed by the member instead
    holds        every hold that changes, as it stands afterwards; one without won is removed
    card         the card with its counters as they stand afterwards, if they change
    """

    stored: Stored
    card: Card | None = None
    spent: tuple[LotWon, ...] = ()
    restored: tuple[LotWon, ...] = ()
    treasury: FunderNoWon = ()
    opened: Lot | None = None
    removed: LotWon | None = None
    granted: Grants = ()
    taken: Grants = ()
    issued: tuple[tuple[int, int, int], ...] = ()
    missed: tuple[tuple[int, int, int], ...] = ()
    campaigns: tuple[tuple[int, int], ...] = ()
    gift: tuple[str, int] | None = None
    recovered: tuple[LotWon, ...] = ()
    receivable: int = 0
    usage: UsageChange | None = None
    originals: tuple[OriginalChange, ...] = ()
    tombstone: tuple[str, int, str] | None = None
    holds: tuple[Hold, ...] = ()


def apply(decision: Decision, wallet: Wallet, pools: Pools = NO_POOLS) -> None:
    """Carry a decision out on the wallet and the budgets in memory, so that the batch's next request sees it.

    Raises ForbiddenTransitionError where the life cycle (payment.FIRST, payment.NEXT) has no such step.
    """
    _check_steps(decision)
    wallet.seq = decision.stored.seq
    for lot_no, _, won in decision.spent:
        wallet.lots[lot_no].balance -= won
    for lot_no, _, won in decision.restored:
        wallet.lots[lot_no].balance += won
    for lot_no, _, won in decision.recovered:
        wallet.lots[lot_no].balance -= won
    if decision.removed is not None:
        wallet.lots[decision.removed[0]].balance -= decision.removed[2]
    if decision.opened is not None:
        wallet.lots[decision.opened.lot_no] = decision.opened
        wallet.lot_seq = decision.opened.lot_no
    wallet.receivable += decision.receivable
    if decision.usage is not None:
        apply_usage(wallet, decision.usage)
    if decision.card is not None:
        wallet.cards[decision.card.card_no] = decision.card
    if decision.holds:
        _apply_holds(decision.holds, wallet)
    for change in decision.originals:
        change.stored.returned = change.returned
        change.stored.outcome = change.outcome
        if change.detail is not None:
            change.stored.detail = change.detail
    if decision.granted or decision.taken or decision.issued or decision.missed or decision.campaigns:
        _apply_pools(decision, wallet, pools)


def _apply_pools(decision: Decision, wallet: Wallet, pools: Pools) -> None:
    month = decision.stored.usage_month
    for _, budget_no, won in decision.granted:
        if budget_no:
            pools.take(budget_no, month, won)
    for _, budget_no, won in decision.taken:
        if budget_no and won > 0:
            pools.give(budget_no, month, won)
        elif budget_no:
            pools.take_again(budget_no, month, -won)
    for budget_no, of_month, won in decision.issued:
        if won > 0:
            pools.take(budget_no, of_month, won)
        else:
            pools.give(budget_no, of_month, -won)
    for budget_no, of_month, won in decision.missed:
        pools.miss(budget_no, of_month, won)
    for campaign_no, won in decision.campaigns:
        wallet.campaign_won[campaign_no] = wallet.campaign_won.get(campaign_no, 0) + won


def _check_steps(decision: Decision) -> None:
    stored = decision.stored
    if stored.outcome not in FIRST[stored.key.kind]:  # type: ignore[index] # a Kind is its number
        raise ForbiddenTransitionError(f"{Kind(stored.key.kind).name} born {Outcome(stored.outcome).name}")
    for change in decision.originals:
        before = Outcome(change.stored.outcome)
        if change.stored.key.kind not in NEXT[before].get(change.outcome, ()):
            name = Kind(change.stored.key.kind).name
            raise ForbiddenTransitionError(f"{name} from {before.name} to {change.outcome.name}")


def _apply_holds(holds: tuple[Hold, ...], wallet: Wallet) -> None:
    for hold in holds:
        if hold.won:
            wallet.held[hold.seq] = hold
        else:
            wallet.held.pop(hold.seq, None)
    wallet.holds = len(wallet.held)


def apply_usage(wallet: Wallet, change: UsageChange) -> None:
    """Count a change in its own month, however late it comes; a newer month moves the older one to `past`."""
    if change.month > wallet.month:
        if wallet.month:
            wallet.past[wallet.month] = MonthUsage(wallet.month_spent, wallet.month_basis, wallet.month_topup)
        known = wallet.past.get(change.month) or MonthUsage()
        wallet.month, wallet.month_spent = change.month, known.spent
        wallet.month_basis, wallet.month_topup = known.basis, known.topup
    if change.month == wallet.month:
        wallet.month_spent += change.spent
        wallet.month_basis += change.basis
        wallet.month_topup += change.topup
    else:
        past = wallet.past.setdefault(change.month, MonthUsage())
        past.spent += change.spent
        past.basis += change.basis
        past.topup += change.topup
    if change.day > wallet.day:
        if wallet.day:
            wallet.past_days[wallet.day] = wallet.day_spent
        wallet.day, wallet.day_spent = change.day, 0
    if change.day == wallet.day and change.day:
        wallet.day_spent += change.spent
    elif change.day:
        wallet.past_days[change.day] = wallet.past_days.get(change.day, 0) + change.spent
