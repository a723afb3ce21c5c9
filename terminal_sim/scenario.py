"""A scenario as values: the town it needs. The steps stand in `scenario_steps`; SCENARIOS.md tells the words.

Only shapes stand here. `scenario_file` reads and checks them, `scenario_stage` builds the town through the
public commands, `scenario_play` plays the steps. Amounts are whole won.
"""

from datetime import date, datetime
from typing import Final

import msgspec

ALL_TERMINALS: Final = "all"
DAY_ONE: Final = datetime.fromisoformat("2025-06-10T12:00:00+09:00")


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A mapping of the file: unknown keys are errors."""


# The programme, when a scenario brings rules of its own


class Tier(Shape, frozen=True, kw_only=True):
    """Up to this usage of the month (won); the rate is the sum of the funders' shares, "4 %" each."""

    up_to: int
    shares: dict[str, str] = {}


class Bonus(Shape, frozen=True, kw_only=True):
    """On top of the tiers, for a merchant group or a channel; inside the month's cap or beyond it."""

    code: str
    shares: dict[str, str]
    group: str | None = None
    channel: str | None = None
    inside_cap: bool = True
    budget: str | None = None  # the code of the budget that pays it


class Restriction(Shape, frozen=True, kw_only=True):
    """Where money of these kinds may not be spent; all conditions given must hold together."""

    code: str
    lot_kinds: tuple[str, ...] = ("charged", "points")
    categories: list[str] = []
    sizes: list[str] = []
    regions_not_in: list[str] = []
    head_regions_not_in: list[str] = []
    sales_over: int | None = None
    channels: list[str] = []
    groups: list[str] = []
    except_groups: list[str] = []


class Contactless(Shape, frozen=True, kw_only=True):
    """Up to what a contactless card pays without its PIN: won a payment, payments and won in a row."""

    no_pin_max: int = 0
    no_pin_count_max: int = 0
    no_pin_sum_max: int = 0


class FeeClass(Shape, frozen=True, kw_only=True):
    """Merchants with annual sales up to this (won) pay this rate, "0.75 %"."""

    up_to: int
    rate: str


class Policy(Shape, frozen=True, kw_only=True, rename={"effective_from": "from"}):
    """One version of the rules, in force from an instant on."""

    tiers: list[Tier]
    effective_from: datetime = datetime.fromisoformat("2025-01-01T00:00:00+09:00")
    version: str = "v1"
    bonuses: list[Bonus] = []
    restrictions: list[Restriction] = []
    limits: dict[str, int] = {}
    company_limits: dict[str, int] = {}
    company_cashback: bool | None = None
    fee: str = "1 %"  # of every merchant, unless fee_classes say otherwise
    fee_classes: list[FeeClass] = []
    spending_order: tuple[str, ...] = ("points", "charged")
    cashback_basis: tuple[str, ...] = ("charged",)
    payout_days: int = 2
    points_expiry_months: int = 60
    charged_expiry_months: int = 60
    hold_days: int | None = None  # the switch's own default when it is not given
    completion_over: str | None = None  # "20 %" above the hold
    reversal_after_completion: str | None = None  # refund, exception
    contactless: Contactless | None = None
    expired_to: str | None = None  # the funder that gets charged money and points that have expired
    donation_group: str | None = None
    withdraw_days: int | None = None
    withdraw_after: str | None = None  # "60 %" of a top-up


class Budget(Shape, frozen=True, kw_only=True):
    """What a funder gives at most: won a month, won of some months, or once; issuance has no funder."""

    funder: str | None = None
    code: str = "cashback"
    monthly: int | None = None
    months: dict[str, int] = {}
    whole: int | None = None
    reopen: bool = True


class Where(Shape, frozen=True, kw_only=True):
    """Merchants at which a campaign holds; every list that is given, each by any of its entries."""

    categories: list[str] = []
    sizes: list[str] = []
    regions: list[str] = []
    channels: list[str] = []
    groups: list[str] = []


class Campaign(Shape, frozen=True, kw_only=True, rename={"starts": "from", "ends": "until"}):
    """A coupon, a grant, or a window of extra cashback; `shares` of cashback, `funder` of the others."""

    kind: str
    funder: str | None = None
    shares: dict[str, str] = {}
    starts: datetime = datetime.fromisoformat("2025-01-01T00:00:00+09:00")
    ends: datetime = datetime.fromisoformat("2026-01-01T00:00:00+09:00")
    won: int | None = None
    rate: str | None = None  # of a percent coupon
    min_spend: int | None = None
    member_max: int | None = None
    total_max: int | None = None
    budget: str | None = None
    where: Where = Where()
    audience: str | None = None
    valid_days: int | None = None
    valid_until: date | None = None
    inside_cap: bool | None = None


class Programme(Shape, frozen=True, kw_only=True):
    """The scenario's own rules."""

    id: str
    funders: list[str]  # in the order in which odd won are given out
    policies: list[Policy]
    bins: tuple[str, ...] = ("941061",)
    cutover: str = "00:00"
    member_tags: list[str] = []
    budgets: list[Budget] = []
    campaigns: dict[str, Campaign] = {}  # by code


# Who is there


class Member(Shape, frozen=True, kw_only=True):
    """A person, or a company, with one wallet."""

    points: bool = False  # whether points may be spent
    company: bool = False  # whose wallet it is
    tags: list[str] = []  # of the programme's member_tags


class Card(Shape, frozen=True, kw_only=True):
    """A card of a member; PIN of 4 to 12 digits, expiry YYMM."""

    member: str
    pin: str = "1234"
    expiry: str = "3012"
    form: str = ""  # card, qr, mobile; "" leaves it to the switch


class Merchant(Shape, frozen=True, kw_only=True):
    """A shop; annual sales in won decide its fee class."""

    category: str = "restaurant"
    region: str = "incheon_seo"
    head_region: str = "incheon_seo"
    size: str = "small"
    channels: tuple[str, ...] = ("pos",)
    annual_sales: int = 200_000_000
    groups: list[str] = []
    payout_days: int | None = None


class Terminal(Shape, frozen=True, kw_only=True):
    """A terminal of a shop: its line, its kind of keys, what it can do."""

    merchant: str
    line: str = ""  # of the section lines
    keys: str = "session"  # session, dukpt_tdes, dukpt_aes
    key_form: str = ""  # of session keys: block, x917; "" leaves it to the switch
    pin_format: str = ""  # 0, 3, 4; "" is 0, under AES 4
    partial: bool = False  # takes partial approvals
    batches: bool = False  # keeps batches, from number 1


class Line(Shape, frozen=True, kw_only=True):
    """A listener of the sandbox's switch, and how its terminals speak."""

    dialect: str = "ascii"
    tpdu: bool = False
    inclusive: bool = False
    tls: bool = False


class Lot(Shape, frozen=True, kw_only=True):
    """Money that is there from the start, in won."""

    member: str
    won: int
    kind: str = "charged"
    funder: str = ""  # of points


class Case(Shape, frozen=True, kw_only=True):
    """A donation case: the merchant that collects for it, what it needs (won), its last day."""

    merchant: str
    target: int
    deadline: date
    kind: str = "welfare"


class Step(Shape, frozen=True, kw_only=True):
    """Any step; `line` is where it stands in the file, `number` counts from 1."""

    number: int = 0
    line: int = 0


class Scenario(Shape, frozen=True, kw_only=True):
    """One file."""

    title: str
    about: str
    programme: str | Programme  # the name of a file of config/programmes, its path, or the rules themselves
    start: datetime = DAY_ONE
    sign_on: bool = True  # all terminals sign on and exchange keys before the first step
    members: dict[str, Member | None] = {}
    cards: dict[str, Card] = {}
    merchants: dict[str, Merchant | None] = {}
    terminals: dict[str, Terminal] = {}
    lots: list[Lot] = []
    cases: dict[str, Case] = {}  # by code
    lines: dict[str, Line | None] = {}
    steps: list[Step] = []
