"""A scenario as values: the town it needs, and the steps that are played. SCENARIOS.md tells the words.

Only shapes stand here. `scenario_file` reads and checks them, `scenario_stage` builds the town through the
public commands, `scenario_play` plays the steps. Amounts are whole won.
"""

from datetime import date, datetime
from typing import Final

import msgspec

ALL_TERMINALS: Final = "all"
DAY_ONE: Final = datetime.fromisoformat("2025-06-10T12:00:00+09:00")


class _Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A mapping of the file: unknown keys are errors."""


# The programme, when a scenario brings rules of its own


class Tier(_Shape, frozen=True, kw_only=True):
    """Up to this usage of the month (won); the rate is the sum of the funders' shares, "4 %" each."""

    up_to: int
    shares: dict[str, str] = {}


class Bonus(_Shape, frozen=True, kw_only=True):
    """On top of the tiers, for a merchant group or a channel; inside the month's cap or beyond it."""

    code: str
    shares: dict[str, str]
    group: str | None = None
    channel: str | None = None
    inside_cap: bool = True


class Restriction(_Shape, frozen=True, kw_only=True):
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


class FeeClass(_Shape, frozen=True, kw_only=True):
    """Merchants with annual sales up to this (won) pay this rate, "0.75 %"."""

    up_to: int
    rate: str


class Policy(_Shape, frozen=True, kw_only=True, rename={"effective_from": "from"}):
    """One version of the rules, in force from an instant on."""

    tiers: list[Tier]
    effective_from: datetime = datetime.fromisoformat("2025-01-01T00:00:00+09:00")
    version: str = "v1"
    bonuses: list[Bonus] = []
    restrictions: list[Restriction] = []
    limits: dict[str, int] = {}
    fee: str = "1 %"  # of every merchant, unless fee_classes say otherwise
    fee_classes: list[FeeClass] = []
    spending_order: tuple[str, ...] = ("points", "charged")
    cashback_basis: tuple[str, ...] = ("charged",)
    payout_days: int = 2
    points_expiry_months: int = 60
    charged_expiry_months: int = 60


class Programme(_Shape, frozen=True, kw_only=True):
    """The scenario's own rules."""

    id: str
    funders: list[str]  # in the order in which odd won are given out
    policies: list[Policy]
    bins: tuple[str, ...] = ("941061",)
    cutover: str = "00:00"


# Who is there


class Member(_Shape, frozen=True, kw_only=True):
    """A person with one wallet."""

    points: bool = False  # whether points may be spent


class Card(_Shape, frozen=True, kw_only=True):
    """A card of a member; PIN of 4 to 12 digits, expiry YYMM."""

    member: str
    pin: str = "1234"
    expiry: str = "3012"


class Merchant(_Shape, frozen=True, kw_only=True):
    """A shop; annual sales in won decide its fee class."""

    category: str = "restaurant"
    region: str = "incheon_seo"
    head_region: str = "incheon_seo"
    size: str = "small"
    channels: tuple[str, ...] = ("pos",)
    annual_sales: int = 200_000_000
    groups: list[str] = []
    payout_days: int | None = None


class Terminal(_Shape, frozen=True, kw_only=True):
    """A terminal of a shop."""

    merchant: str


class Lot(_Shape, frozen=True, kw_only=True):
    """Money that is there from the start, in won."""

    member: str
    won: int
    kind: str = "charged"
    funder: str = ""  # of points


# What is done


class Expect(_Shape, frozen=True, kw_only=True):
    """What must come back; what is not named may be anything."""

    code: str | int | None = None
    approved: bool | None = None
    cashback: int | None = None
    balance: int | None = None
    available: int | None = None
    business_date: date | None = None
    field: int | None = None  # refused for its form
    same_as: str | None = None  # the same answer, byte for byte in what matters, as that step's
    closed: bool | None = None  # the connection is closed instead of an answer


class Step(_Shape, frozen=True, kw_only=True):
    """Any step; `line` is where it stands in the file, `number` counts from 1."""

    number: int = 0
    line: int = 0


class Clock(Step, frozen=True, kw_only=True):
    """Move the simulated clock."""

    at: datetime


class SignOn(Step, frozen=True, kw_only=True):
    """0800, sign-on."""

    terminals: list[str]
    expect: Expect = Expect(approved=True)


class KeyExchange(Step, frozen=True, kw_only=True):
    """0800, new session keys."""

    terminals: list[str]
    expect: Expect = Expect(approved=True)


class Echo(Step, frozen=True, kw_only=True):
    """0800, echo."""

    terminals: list[str]
    expect: Expect = Expect(approved=True)


class _Message(Step, frozen=True, kw_only=True, rename={"name": "as"}):
    name: str = ""
    at: datetime | None = None  # the terminal's own clock, if it differs
    expect: Expect = Expect()


class Purchase(_Message, frozen=True, kw_only=True):
    """0200 for a purchase, in won."""

    card: str
    terminal: str
    won: int
    pin: str | None = None
    channel: str | None = None
    order: str | None = None
    expiry: str | None = None
    wrong_mac: bool = False
    stan_of: str | None = None  # takes the number of that message: the same key, perhaps other contents
    send: bool = True  # False: made and numbered, sent by a later `send`


class Topup(_Message, frozen=True, kw_only=True):
    """0200 to charge the card, in won."""

    card: str
    terminal: str
    won: int


class Inquiry(_Message, frozen=True, kw_only=True):
    """0200 for the balances."""

    card: str
    terminal: str


class Refund(_Message, frozen=True, kw_only=True):
    """0200 to give back some won of an earlier purchase."""

    of: str
    won: int
    terminal: str | None = None  # the original's, if not named


class Reversal(_Message, frozen=True, kw_only=True):
    """0420, or 0400 when it is no advice, for an earlier message."""

    of: str
    advice: bool = True
    won: int | None = None  # only to send a wrong amount


class Repeat(_Message, frozen=True, kw_only=True):
    """An earlier message once more, as 0201, 0401 or 0421."""

    of: str


class Send(_Message, frozen=True, kw_only=True):
    """A message that was made and not sent."""

    of: str


class SendRaw(Step, frozen=True, kw_only=True):
    """Bytes as they are, on a connection of their own."""

    hex: str = ""
    text: str = ""  # framed as one message
    expect: Expect = Expect(closed=True)


class CardOrder(Step, frozen=True, kw_only=True):
    """An operator's act on a card: block, unblock or lost."""

    act: str
    card: str


class Settle(Step, frozen=True, kw_only=True, rename={"day": "date"}):
    """Settle a business date; `exit` is the code that must come."""

    day: date
    exit: int = 0
    dry_run: bool = False


class Wallet(_Shape, frozen=True, kw_only=True):
    """What a wallet holds in all lots of a kind, and the month's usage by yyyymm."""

    charged: int | None = None
    points: int | None = None
    receivable: int | None = None
    usage: dict[int, int] = {}


class Payout(_Shape, frozen=True, kw_only=True, rename={"day": "date"}):
    """An order in the file for the bank."""

    merchant: str
    day: date
    won: int


class Assert(Step, frozen=True, kw_only=True):
    """What the books must say now.

    `entries` are sums per account, debits less credits; `cashback` is what each funder owes, by member.
    `payouts` and `carried` are of the last `settle` step.
    """

    wallets: dict[str, Wallet] = {}
    entries: dict[str, dict[str, int]] = {}
    cashback: dict[str, dict[str, int]] = {}
    payouts: list[Payout] | None = None
    carried: dict[str, int] | None = None
    fees: dict[str, int] | None = None
    proof: str | None = None  # "holds"


class Scenario(_Shape, frozen=True, kw_only=True):
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
    steps: list[Step] = []


STEPS: Final[dict[str, type[Step]]] = {
    "clock": Clock,
    "sign_on": SignOn,
    "key_exchange": KeyExchange,
    "echo": Echo,
    "purchase": Purchase,
    "topup": Topup,
    "inquiry": Inquiry,
    "refund": Refund,
    "reversal": Reversal,
    "repeat": Repeat,
    "send": Send,
    "send_raw": SendRaw,
    "card": CardOrder,
    "settle": Settle,
    "assert": Assert,
}
SHORT_FORMS: Final = {
    "clock": "at",
    "sign_on": "terminals",
    "key_exchange": "terminals",
    "echo": "terminals",
    "settle": "date",
}
"""Steps that may be written with their one value instead of a mapping."""
