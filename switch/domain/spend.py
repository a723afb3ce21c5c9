"""A purchase: may this money be spent here, which lots pay, what cashback does it earn (rules 3 and 4)."""

from typing import NamedTuple

from switch.domain.budget import Grants, Pools
from switch.domain.cashback import NOTHING, Window, rate
from switch.domain.decision import Decision, Detail, LotWon, OriginalChange, UsageChange, encode_detail
from switch.domain.granting import counted, due, earns, grant, windows_of
from switch.domain.holds import held_in, held_of
from switch.domain.payment import Outcome
from switch.domain.record import balances, decline, record, ref
from switch.domain.request import Entry, PinCheck, Request, Stored, Terms
from switch.domain.wallet import LOT_KIND_NAME, LOT_KIND_NO, Hold, Lot, Wallet

# Looked up once: an enumeration's member costs a search at each use.
_APPROVED = Outcome.APPROVED
_CONTACTLESS = Entry.CONTACTLESS
_PIN_OK = PinCheck.OK

Held = dict[int, int] | None
"""Won by lot that holds keep; None for nothing."""


class Choice(NamedTuple):
    """Lots to spend; won still missing; won barred at this merchant; the rules that bar all of it.

    The rules are told only if they are the true reason: every kind that the member spends is barred here,
    so that a top-up would not help.
    """

    spent: tuple[LotWon, ...]
    missing: int
    barred: int
    rules: list[str]


def _spendable(wallet: Wallet, kind: int, day: int) -> list[Lot]:
    """Lots of a kind with value on this day, the earliest expiry first, then the oldest."""
    lots = [lot for lot in wallet.lots.values() if lot.kind == kind and lot.balance and lot.valid_on(day)]
    if len(lots) > 1:
        lots.sort(key=lambda lot: (lot.expires or 99_999_999, lot.lot_no))
    return lots


def _kinds(wallet: Wallet, terms: Terms) -> list[str]:
    """Kinds of value this member spends, in the programme's order; points only if they are switched on."""
    return [name for name in terms.policy.spending_order if name != "points" or wallet.points_on]


def purchase(request: Request, wallet: Wallet, terms: Terms, business_day: int, pools: Pools) -> Decision:
    """Approve or decline a purchase. A payment is never moved to money that the merchant may not take.

    A terminal that takes partial approvals gets what may be spent here where it does not suffice.
    """
    held = held_of(wallet, business_day) if wallet.held else None
    spent, missing, refused = afford(request, wallet, terms, business_day, held)
    if refused is not None:
        return decline(request, wallet, terms, business_day, refused[0], detail=refused[1])
    won = request.amount - missing
    ledger, free = balances(wallet, terms, request.key.local_day, held=held)
    after = (ledger - won, free - won)
    reason = "partial_approval" if missing else "approved"
    return book(request, wallet, terms, business_day, pools, spent, after, reason=reason)


def afford(
    request: Request,
    wallet: Wallet,
    terms: Terms,
    business_day: int,
    held: Held,
    standing: int = 0,
) -> tuple[tuple[LotWon, ...], int, tuple[str, Detail] | None]:
    """(lots to spend, won that a partial approval leaves out, why not, or None).

    `standing` won are held already by the pre-authorisation that the request adds to.
    """
    day, amount = request.key.local_day, request.amount
    spent, missing, barred, rules = choose(wallet, terms, day, amount, held)
    short = missing if missing and not (request.partial and spent) else 0
    if short and (barred >= short or rules):
        return (), 0, ("merchant_restricted", Detail(rules=tuple(rules), short=short))
    asked = amount - (missing - short)
    over = over_limit(wallet, terms, day, asked, business_day, standing)
    if over is not None:
        return (), 0, over
    if short:
        return (), 0, ("insufficient_funds", Detail(short=short))
    return spent, missing, None


def book(
    request: Request,
    wallet: Wallet,
    terms: Terms,
    business_day: int,
    pools: Pools,
    spent: tuple[LotWon, ...],
    after: tuple[int, int],
    *,
    reason: str = "approved",
    note: str = "",
    base: Stored | None = None,
    holds: tuple[Hold, ...] = (),
    originals: tuple[OriginalChange, ...] = (),
    passed_over: tuple[tuple[int, int], ...] = (),
) -> Decision:
    """The decision that spends these lots: cashback rated and granted, usage counted.

    `base`: the 0100 it completes; `passed_over`: the campaigns whose money could not pay (Detail).
    """
    day = request.key.local_day
    won = sum([part for _, _, part in spent])
    basis_kinds = terms.policy.cashback_basis
    basis = sum([part for _, kind, part in spent if LOT_KIND_NAME[kind] in basis_kinds])
    month = day // 100
    usage_before = wallet.usage_of(month).basis
    rating = NOTHING
    windows: tuple[Window, ...] = ()
    granted: Grants = ()
    missed: Grants = ()
    if basis and earns(terms, wallet):
        if terms.windows:
            windows = windows_of(terms, wallet, day * 1_000_000 + request.key.local_time, request.amount)
        rating = rate(
            terms.policy,
            basis=basis,
            usage_before=usage_before,
            groups=terms.groups,
            channel=request.channel,
            windows=windows,
        )
        granted, missed = grant(due(rating, terms), pools, month)
    detail = Detail(
        uses=tuple([(lot_no, part) for lot_no, _, part in spent]),
        pieces=rating.pieces,
        groups=tuple(sorted(terms.groups)) if terms.groups else (),
        original=None if base is None else ref(base),
        note=note,
        entry=request.entry,
        tap=base is None and request.entry == _CONTACTLESS and without_pin(request),
        grants=granted,
        missed=missed,
        passed_over=passed_over,
    )
    stored = record(
        request,
        wallet,
        terms,
        business_day,
        _APPROVED,
        reason,
        approved=won,
        after=after,
        basis=basis,
        usage_before=usage_before,
        cashback=sum([part for _, _, part in granted]),
        base_seq=0 if base is None else base.seq,
        detail=encode_detail(detail),
    )
    return Decision(
        stored,
        spent=spent,
        granted=granted,
        missed=tuple([(budget_no, month, part) for _, budget_no, part in missed]),
        campaigns=counted(terms, windows, granted) if windows else (),
        usage=UsageChange(month, day, won, basis),
        holds=holds,
        originals=originals,
    )


def choose(wallet: Wallet, terms: Terms, day: int, amount: int, held: Held) -> Choice:
    """Which lots would pay `amount` won here on `day`; what holds keep of them is left alone."""
    spent: list[LotWon] = []
    missing, barred = amount, 0
    rules: list[str] = []
    open_kinds = 0
    for name in _kinds(wallet, terms):
        refused = terms.refused.get(name)
        lots = _spendable(wallet, LOT_KIND_NO[name], day)
        if refused:
            barred += sum([lot.balance - (held.get(lot.lot_no, 0) if held else 0) for lot in lots])
            rules += [rule.code for rule in refused if rule.code not in rules]
            continue
        open_kinds += 1
        for lot in lots:
            if not missing:
                break
            free = lot.balance if held is None else lot.balance - held.get(lot.lot_no, 0)
            won = min(free, missing)
            if won:
                spent.append((lot.lot_no, lot.kind, won))
                missing -= won
    if missing and (barred >= missing or not open_kinds or "charged" in terms.refused):
        return Choice(tuple(spent), missing, barred, rules)
    return Choice(tuple(spent), missing, barred, [])


def over_limit(
    wallet: Wallet, terms: Terms, day: int, amount: int, today: int, standing: int = 0
) -> tuple[str, Detail] | None:
    """The limit that `amount` won more would break, with what is missing; open holds count as spent."""
    limits = terms.policy.limits
    if limits.payment_max and standing + amount > limits.payment_max:
        over = standing + amount - limits.payment_max
        return "over_payment_limit", Detail(limit=limits.payment_max, used=standing, short=over)
    month = day // 100
    of_day = of_month = 0
    if wallet.held:
        of_day, of_month = held_in(wallet, today, day=day), held_in(wallet, today, month=month)
    for reason, limit, used in (
        ("over_day_limit", limits.day_max, wallet.spent_on(day) + of_day),
        ("over_month_limit", limits.month_max, wallet.usage_of(month).spent + of_month),
    ):
        if limit and used + amount > limit:
            return reason, Detail(limit=limit, used=used, short=used + amount - limit)
    return None


def without_pin(request: Request) -> bool:
    """Whether a payment came without a PIN that is right."""
    return request.pin != _PIN_OK
