"""The facts that explain a payment or a member's standing: values with names instead of numbers.

Whoever builds them reads what is stored and judges nothing. Amounts in won, days yyyymmdd, months yyyymm,
moments yyyymmddhhmmss of Asia/Seoul; empty text and 0 where something does not apply.
"""

import msgspec

from switch.domain.cashback import Piece


class BudgetWon(msgspec.Struct, frozen=True):
    """Won of one funder, by the budget's code, or the name of the campaign whose pot it is.

    "" where the funder has set no bound.
    """

    funder: str
    budget: str
    won: int


class LotFact(msgspec.Struct, frozen=True):
    """A lot and the won that a payment moved of it. `funder` and `campaign` are names."""

    lot_no: int
    kind: str
    won: int
    funder: str = ""
    campaign: str = ""
    expires: int = 0


class RuleText(msgspec.Struct, frozen=True):
    """A restriction (or campaign) by its code, in its own words of both languages."""

    code: str
    ko: str
    en: str


class FaultFact(msgspec.Struct, frozen=True):
    """One reason against a payment; see switch.domain.decision.Fault."""

    reason: str
    limit: int = 0
    used: int = 0
    short: int = 0
    resets: int = 0
    rules: tuple[RuleText, ...] = ()


class PassedOver(msgspec.Struct, frozen=True):
    """A coupon or grant that could not pay: `short` won below its minimum spend, 0 where it is barred."""

    campaign: str
    short: int


class ReturnFact(msgspec.Struct, frozen=True):
    """Something of a purchase that came back. `undone`: it was itself reversed. `again`: it is such a
    reversal, and `taken` the cashback that it granted again.

    `taken` is the cashback that was clawed back with it; `recovered` and `receivable` say from where, if the
    wallet had had it already; `treasury` what went to funders because the lot had expired.
    """

    kind: str
    moment: int
    won: int
    kept: int
    taken: tuple[BudgetWon, ...] = ()
    restored: tuple[LotFact, ...] = ()
    treasury: tuple[BudgetWon, ...] = ()
    recovered: tuple[LotFact, ...] = ()
    receivable: int = 0
    undone: bool = False
    again: bool = False


class CorrectionFact(msgspec.Struct, frozen=True):
    """A correction of the payment's cashback. `state` is proposed, approved, posted or left_out."""

    number: int
    state: str
    version: str
    stood: int
    due: int
    booked: tuple[BudgetWon, ...] = ()
    waived: int = 0


class OriginalFact(msgspec.Struct, frozen=True):
    """The payment that another one takes back, completes or adds to."""

    kind: str
    moment: int
    seq: int
    approved: int
    rrn: str = ""


class PaymentFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything stored of a payment that explains it. `card` is masked.

    `campaigns` and `funders` are names by the codes that `pieces` have. `entry` is "" for what takes back: no
    card need be read for that.
    """

    programme: str
    member: str
    card: str
    kind: str
    moment: int
    business_day: int
    merchant: str
    merchant_name: str
    terminal: str
    stan: int
    rrn: str
    channel: str
    entry: str
    seq: int
    amount: int
    approved: int
    outcome: str
    reason: str
    code: str
    version: str
    version_since: int
    cap: int = 0
    faults: tuple[FaultFact, ...] = ()
    lots: tuple[LotFact, ...] = ()
    held: tuple[LotFact, ...] = ()
    released: tuple[LotFact, ...] = ()
    hold_expires: int = 0
    opened_lot: int = 0
    passed_over: tuple[PassedOver, ...] = ()
    basis: int = 0
    usage_month: int = 0
    usage_before: int = 0
    basis_kinds: tuple[str, ...] = ()
    company: bool = False
    pieces: tuple[Piece, ...] = ()
    campaigns: dict[str, str] = {}
    funders: dict[str, str] = {}
    granted: tuple[BudgetWon, ...] = ()
    missed: tuple[BudgetWon, ...] = ()
    kept: tuple[BudgetWon, ...] = ()
    returned: int = 0
    returns: tuple[ReturnFact, ...] = ()
    corrections: tuple[CorrectionFact, ...] = ()
    original: OriginalFact | None = None
    own_return: ReturnFact | None = None
    case: str = ""
    outside_ref: str = ""
    note: str = ""


class LimitFact(msgspec.Struct, frozen=True):
    """One limit of a member: what is used of it; it counts anew on the day `resets` (0: never).

    `name` is payment, day, month, topup_month or holding.
    """

    name: str
    limit: int
    used: int
    resets: int = 0


class HeldLot(msgspec.Struct, frozen=True):
    """A lot as it stands: won in it, won of that which pre-authorisations hold, and where it may not be
    spent."""

    lot: LotFact
    held: int = 0
    barred: tuple[RuleText, ...] = ()


class TierFact(msgspec.Struct, frozen=True):
    """One step of the tiers with the won that the member may still spend in it this month."""

    above: int
    up_to: int
    rate_ppm: int
    left: int


class StandingFacts(msgspec.Struct, frozen=True, kw_only=True):
    """How a member stands at a moment, by the version then in force."""

    programme: str
    member: str
    cards: tuple[tuple[str, str], ...]
    moment: int
    active: bool
    points_on: bool
    company: bool
    version: str
    version_since: int
    limits: tuple[LimitFact, ...] = ()
    lots: tuple[HeldLot, ...] = ()
    month: int = 0
    basis: int = 0
    cashback: int = 0
    corrected: int = 0
    tiers: tuple[TierFact, ...] = ()
    receivable: int = 0
    declined: tuple[PaymentFacts, ...] = ()


class Section(msgspec.Struct, frozen=True):
    """A few sentences under one title; `code` names it in every language."""

    code: str
    title: str
    lines: tuple[str, ...]


class Explanation(msgspec.Struct, frozen=True):
    """An explanation in one language."""

    headline: str
    sections: tuple[Section, ...]
