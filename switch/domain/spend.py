"""A purchase: may this money be spent here, which lots pay, what cashback does it earn (rules 3 and 4)."""

from switch.domain.cashback import NOTHING, rate
from switch.domain.decision import Decision, Detail, LotWon, UsageChange, encode_detail
from switch.domain.payment import Outcome
from switch.domain.record import balances, decline, record
from switch.domain.request import Request, Terms
from switch.domain.wallet import LOT_KIND_NAME, LOT_KIND_NO, Lot, Wallet


def _spendable(wallet: Wallet, kind: int, day: int) -> list[Lot]:
    """Lots of a kind with value on this day, the earliest expiry first, then the oldest."""
    lots = [lot for lot in wallet.lots.values() if lot.kind == kind and lot.balance and lot.valid_on(day)]
    if len(lots) > 1:
        lots.sort(key=lambda lot: (lot.expires or 99_999_999, lot.lot_no))
    return lots


def _kinds(wallet: Wallet, terms: Terms) -> list[str]:
    """Kinds of value this member spends, in the programme's order; points only if they are switched on."""
    return [name for name in terms.policy.spending_order if name != "points" or wallet.points_on]


def purchase(request: Request, wallet: Wallet, terms: Terms, business_day: int) -> Decision:
    """Approve or decline a purchase. A payment is never moved to money that the merchant may not take."""
    day, amount = request.key.local_day, request.amount
    spent, missing, barred, rules = _choose_lots(wallet, terms, day, amount)
    if missing and (barred >= missing or rules):
        found = Detail(rules=tuple(rules), short=missing)
        return decline(request, wallet, terms, business_day, "merchant_restricted", detail=found)
    over = _over_limit(wallet, terms, day, amount)
    if over is not None:
        return decline(request, wallet, terms, business_day, over[0], detail=over[1])
    if missing:
        found = Detail(short=missing)
        return decline(request, wallet, terms, business_day, "insufficient_funds", detail=found)

    basis_kinds = terms.policy.cashback_basis
    basis = sum([won for _, kind, won in spent if LOT_KIND_NAME[kind] in basis_kinds])
    month = day // 100
    usage_before = wallet.usage_of(month).basis
    rating = NOTHING
    if basis:
        rating = rate(
            terms.policy, basis=basis, usage_before=usage_before, groups=terms.groups, channel=request.channel
        )
    funder_no = terms.funder_no
    granted = tuple([(funder_no[funder], won) for funder, won in rating.by_funder])
    ledger, free = balances(wallet, terms, day)
    detail = Detail(
        uses=tuple([(lot_no, won) for lot_no, _, won in spent]),
        funders=granted,
        pieces=rating.pieces,
        groups=tuple(sorted(terms.groups)) if terms.groups else (),
    )
    stored = record(
        request,
        wallet,
        terms,
        business_day,
        Outcome.APPROVED,
        "approved",
        approved=amount,
        after=(ledger - amount, free - amount),
        basis=basis,
        usage_before=usage_before,
        cashback=rating.total,
        detail=encode_detail(detail),
    )
    return Decision(stored, spent=spent, granted=granted, usage=UsageChange(month, day, amount, basis))


def _choose_lots(
    wallet: Wallet, terms: Terms, day: int, amount: int
) -> tuple[tuple[LotWon, ...], int, int, list[str]]:
    """(lots to spend, won still missing, won barred at this merchant, the rules that bar all of it).

    The rules are told only if they are the true reason: every kind that the member spends is barred here,
    so that a top-up would not help.
    """
    spent: list[LotWon] = []
    missing, barred = amount, 0
    rules: list[str] = []
    kinds = _kinds(wallet, terms)
    open_kinds = 0
    for name in kinds:
        refused = terms.refused.get(name)
        lots = _spendable(wallet, LOT_KIND_NO[name], day)
        if refused:
            barred += sum([lot.balance for lot in lots])
            rules += [rule.code for rule in refused if rule.code not in rules]
            continue
        open_kinds += 1
        for lot in lots:
            if not missing:
                break
            won = min(lot.balance, missing)
            spent.append((lot.lot_no, lot.kind, won))
            missing -= won
    if missing and (barred >= missing or not open_kinds or "charged" in terms.refused):
        return tuple(spent), missing, barred, rules
    return tuple(spent), missing, barred, []


def _over_limit(wallet: Wallet, terms: Terms, day: int, amount: int) -> tuple[str, Detail] | None:
    limits = terms.policy.limits
    if limits.payment_max and amount > limits.payment_max:
        over = amount - limits.payment_max
        return "over_payment_limit", Detail(limit=limits.payment_max, short=over)
    for reason, limit, used in (
        ("over_day_limit", limits.day_max, wallet.spent_on(day)),
        ("over_month_limit", limits.month_max, wallet.usage_of(day // 100).spent),
    ):
        if limit and used + amount > limit:
            return reason, Detail(limit=limit, used=used, short=used + amount - limit)
    return None
