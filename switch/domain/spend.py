"""A purchase: may this money be spent here, which lots pay, what cashback does it earn (rules 3 and 4)."""

from typing import NamedTuple

from switch.domain.budget import Grants, Pools
from switch.domain.cashback import NOTHING, Window, rate
from switch.domain.decision import Decision, Detail, LotWon, OriginalChange, UsageChange, encode_detail
from switch.domain.faults import answered, money_faults, over_limits
from switch.domain.granting import counted, due, earns, grant, windows_of
from switch.domain.holds import held_of
from switch.domain.paying import Held, another_coupon, choose, part
from switch.domain.payment import Outcome
from switch.domain.record import balances, decline, record, ref
from switch.domain.request import Entry, PinCheck, Request, Stored, Terms
from switch.domain.wallet import LOT_KIND_NAME, Hold, LotKind, Wallet

# Looked up once: an enumeration's member costs a search at each use.
_APPROVED = Outcome.APPROVED
_CONTACTLESS = Entry.CONTACTLESS
_PIN_OK = PinCheck.OK
_COUPON = LotKind.COUPON


class Afforded(NamedTuple):
    """What pays for a request (Paid), `missing` what a partial approval leaves out; or why it is refused."""

    spent: tuple[LotWon, ...]
    missing: int
    passed_over: tuple[tuple[int, int], ...]
    refused: tuple[str, Detail] | None = None


def purchase(request: Request, wallet: Wallet, terms: Terms, business_day: int, pools: Pools) -> Decision:
    """Approve or decline a purchase. A payment is never moved to money that the merchant may not take.

    A terminal that takes partial approvals gets what may be spent here where it does not suffice.
    """
    held = held_of(wallet, business_day) if wallet.held else None
    spent, missing, passed_over, refused = afford(request, wallet, terms, business_day, held)
    if refused is not None:
        return decline(request, wallet, terms, business_day, refused[0], detail=refused[1])
    won = sum([part for _, kind, part in spent if kind != _COUPON])  # a coupon is in no balance
    ledger, free = balances(wallet, terms, request.key.local_day, held=held)
    after = (ledger - won, free - won)
    reason = "partial_approval" if missing else "approved"
    return book(
        request,
        wallet,
        terms,
        business_day,
        pools,
        spent,
        after,
        reason=reason,
        passed_over=passed_over,
    )


def afford(
    request: Request,
    wallet: Wallet,
    terms: Terms,
    business_day: int,
    held: Held,
    standing: int = 0,
    *,
    coupons: bool = True,
) -> Afforded:
    """The lots to spend on a request, or every reason against it.

    `standing` won are held already by the pre-authorisation that the request adds to.
    """
    day, amount = request.key.local_day, request.amount
    paid = choose(wallet, terms, day, amount, held, coupons=coupons)
    if paid.missing and coupons:
        paid = another_coupon(wallet, terms, day, amount, held, paid)
    short, asked = paid.missing, amount
    if short and request.partial:
        less = part(wallet, terms, day, amount, held, paid)
        if less.spent:
            paid, short, asked = less, 0, amount - less.missing
    over = over_limits(wallet, terms, day, asked, business_day, standing)
    if short:
        over = money_faults(wallet, terms, day, amount, held, paid, over)
    if over:
        return Afforded((), 0, (), answered(over, paid.passed_over))
    return Afforded(paid.spent, paid.missing, paid.passed_over)


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
            windows = windows_of(terms, wallet, day * 1_000_000 + request.key.local_time, won)
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


def without_pin(request: Request) -> bool:
    """Whether a payment came without a PIN that is right."""
    return request.pin != _PIN_OK
