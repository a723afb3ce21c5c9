"""The steps of a scenario as values: what is done in the town, and what must come of it.

Amounts are whole won. SCENARIOS.md tells the words.
"""

from datetime import date, datetime
from typing import Final

import msgspec

from terminal_sim.scenario import Shape, Step

ENTRIES: Final = ("keyed", "stripe", "chip", "contactless", "qr", "ecommerce")
HIDDEN_PARTS: Final = ("stan", "time")


class Expect(Shape, frozen=True, kw_only=True):
    """What must come back; what is not named may be anything."""

    code: str | int | None = None
    approved: bool | None = None
    won: int | None = None  # DE4 of the answer: of a partial approval, what was approved
    cashback: int | None = None
    balance: int | None = None
    available: int | None = None
    business_date: date | None = None
    field: int | None = None  # refused for its form
    in_balance: bool | None = None  # DE66 of a batch close
    same_as: str | None = None  # the same answer, byte for byte in what matters, as that step's
    closed: bool | None = None  # the connection is closed instead of an answer


class Clock(Step, frozen=True, kw_only=True):
    """Move the simulated clock."""

    at: datetime


class Network(Step, frozen=True, kw_only=True):
    """Any 0800, from each of these terminals."""

    terminals: list[str]
    via: str = ""  # a line of its own, by any name
    expect: Expect = Expect(approved=True)


class SignOn(Network, frozen=True, kw_only=True):
    """0800, sign-on."""


class SignOff(Network, frozen=True, kw_only=True):
    """0800, sign-off."""


class KeyExchange(Network, frozen=True, kw_only=True):
    """0800, new session keys. With `lost` the answer is not heard: the terminal goes on with what it has."""

    lost: bool = False


class Cutover(Network, frozen=True, kw_only=True):
    """0800, cutover: the answer tells the business date."""


class Echo(Network, frozen=True, kw_only=True):
    """0800, echo."""


class Power(Step, frozen=True, kw_only=True):
    """The power of these terminals goes: session keys and sign-on are forgotten."""

    terminals: list[str]


class Message(Step, frozen=True, kw_only=True, rename={"name": "as"}):
    """A financial message."""

    name: str = ""
    at: datetime | None = None  # the terminal's own clock, if it differs
    via: str = ""  # a line of its own, by any name
    fault: str | None = None  # see terminal_sim.faults
    expect: Expect = Expect()


class Payment(Message, frozen=True, kw_only=True):
    """A message with a card, in won."""

    card: str
    terminal: str
    won: int
    entry: str = "keyed"
    pin: str | None = None
    channel: str | None = None
    order: str | None = None
    expiry: str | None = None
    check: str | None = None  # instead of the right card verification value; "absent" gives none
    wrong_cryptogram: bool = False
    atc: int | None = None  # the chip's counter, to set it back
    wrong_mac: bool = False
    stan_of: str | None = None  # takes the number of that message: the same key, perhaps other contents
    send: bool = True  # False: made and numbered, sent by a later `send`


class Purchase(Payment, frozen=True, kw_only=True):
    """0200 for a purchase."""


class Topup(Payment, frozen=True, kw_only=True):
    """0200 to charge the card. A `reference` of the outside is good for one top-up."""

    reference: str | None = None


class Gift(Payment, frozen=True, kw_only=True):
    """0200 to a donation case, from points or charged money alone if it says so."""

    case: str
    only: str | None = None  # points, charged


class Inquiry(Payment, frozen=True, kw_only=True):
    """0200 for the balances."""

    won: int = 0


class Preauth(Payment, frozen=True, kw_only=True):
    """0100: a hold; with `of` an earlier one of the same terminal is raised by `won`."""

    of: str | None = None


class Offline(Payment, frozen=True, kw_only=True):
    """0220: a purchase that the terminal approved by itself."""


class FollowUp(Message, frozen=True, kw_only=True):
    """A message about an earlier one."""

    of: str
    terminal: str | None = None  # the original's, if not named
    send: bool = True


class Complete(FollowUp, frozen=True, kw_only=True):
    """0220: the final amount of a pre-authorisation."""

    won: int


class Refund(FollowUp, frozen=True, kw_only=True):
    """0200 to give back some won of an earlier purchase."""

    won: int


class Void(FollowUp, frozen=True, kw_only=True):
    """0200 to undo an earlier payment of the open batch."""


class Reversal(FollowUp, frozen=True, kw_only=True):
    """0420, or 0400 when it is no advice, for an earlier message."""

    advice: bool = True
    won: int | None = None  # only to send a wrong amount
    leaves: int | None = None  # DE95: what shall remain
    hide: tuple[str, ...] = ()  # parts of DE90 sent as zeros
    rrn: bool = False  # DE37 of the original's answer goes with it


class Repeat(FollowUp, frozen=True, kw_only=True):
    """An earlier message once more, as 0201, 0221, 0401 or 0421."""


class Send(Message, frozen=True, kw_only=True):
    """A message that was made and not sent."""

    of: str


class Race(Step, frozen=True, kw_only=True):
    """Messages that were made and not sent, all at once, each over a line of its own."""

    of: list[str]


class Answer(Step, frozen=True, kw_only=True):
    """Looks at the answer that an earlier message got."""

    of: str
    expect: Expect


class CloseBatch(Message, frozen=True, kw_only=True):
    """0500: the totals of the terminal's open batch; `off_by` won make them wrong."""

    terminal: str
    off_by: int = 0


class Upload(Step, frozen=True, kw_only=True):
    """0320: every payment of the terminal's open batch."""

    terminal: str
    expect: Expect = Expect(approved=True)


class SendRaw(Step, frozen=True, kw_only=True):
    """Bytes as they are, on a connection of their own."""

    hex: str = ""
    text: str = ""  # framed as one message
    expect: Expect = Expect(closed=True)


class CardOrder(Step, frozen=True, kw_only=True):
    """An operator's act on a card: block, unblock or lost."""

    act: str
    card: str


class Issue(Step, frozen=True, kw_only=True):
    """An operator gives a campaign's coupons or grants to members; `issued` is how many must be new."""

    campaign: str
    members: list[str]
    issued: int | None = None
    exit: int = 0


class Explain(Step, frozen=True, kw_only=True):
    """What `dure-switch explain` says of a payment: each of these must stand in it, or must not.

    `reasons` are all those of its decline, the answered one first.
    """

    of: str
    lang: str = "en"
    contains: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    reasons: tuple[str, ...] | None = None


class Pause(Step, frozen=True, kw_only=True):
    """Real seconds go by: for what recovers by itself."""

    seconds: int


class Restart(Step, frozen=True, kw_only=True):
    """The sandbox's switch is stopped, or killed, and started again."""

    kill: bool = False


class Hsm(Step, frozen=True, kw_only=True):
    """The sandbox's HSM goes, and comes back."""

    state: str  # up, down


class Settle(Step, frozen=True, kw_only=True, rename={"day": "date"}):
    """Settle a business date; `exit` is the code that must come."""

    day: date
    exit: int = 0
    dry_run: bool = False


class Wallet(Shape, frozen=True, kw_only=True):
    """What a wallet holds in all lots of a kind, and the month's usage by yyyymm."""

    charged: int | None = None
    points: int | None = None
    grant: int | None = None
    coupon: int | None = None
    receivable: int | None = None
    held: int | None = None  # by open pre-authorisations
    usage: dict[int, int] = msgspec.field(default_factory=dict)


class BudgetLine(Shape, frozen=True, kw_only=True):
    """A month (yyyymm) of a budget, or one for good: won granted less what came back, and won left."""

    code: str = "cashback"
    funder: str = ""
    month: int = 0
    granted: int | None = None
    left: int | None = None


class Payout(Shape, frozen=True, kw_only=True, rename={"day": "date"}):
    """An order in the file for the bank."""

    merchant: str
    day: date
    won: int


class Assert(Step, frozen=True, kw_only=True):
    """What the books must say now.

    `entries` are sums per account, debits less credits; `cashback` is what each funder owes, by member;
    `treasury` what went back to each funder; `cases` what donation cases have got.
    `payouts` and `carried` are of the last `settle` step.
    """

    wallets: dict[str, Wallet] = msgspec.field(default_factory=dict)
    entries: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    cashback: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    treasury: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    budgets: list[BudgetLine] = msgspec.field(default_factory=list)
    cases: dict[str, int] = msgspec.field(default_factory=dict)
    payouts: list[Payout] | None = None
    carried: dict[str, int] | None = None
    fees: dict[str, int] | None = None
    exceptions: dict[str, int] = msgspec.field(default_factory=dict)  # of a terminal, for a person to look at
    proof: str | None = None  # "holds"
    journals: str | None = None  # "agree"


STEPS: Final[dict[str, type[Step]]] = {
    "clock": Clock,
    "sign_on": SignOn,
    "sign_off": SignOff,
    "key_exchange": KeyExchange,
    "cutover": Cutover,
    "echo": Echo,
    "power": Power,
    "purchase": Purchase,
    "topup": Topup,
    "gift": Gift,
    "inquiry": Inquiry,
    "preauth": Preauth,
    "offline": Offline,
    "complete": Complete,
    "refund": Refund,
    "void": Void,
    "reversal": Reversal,
    "repeat": Repeat,
    "send": Send,
    "race": Race,
    "answer": Answer,
    "close_batch": CloseBatch,
    "upload": Upload,
    "send_raw": SendRaw,
    "card": CardOrder,
    "issue": Issue,
    "explain": Explain,
    "pause": Pause,
    "restart": Restart,
    "hsm": Hsm,
    "settle": Settle,
    "assert": Assert,
}
SHORT_FORMS: Final = {
    "clock": "at",
    "sign_on": "terminals",
    "sign_off": "terminals",
    "key_exchange": "terminals",
    "cutover": "terminals",
    "echo": "terminals",
    "power": "terminals",
    "settle": "date",
    "upload": "terminal",
    "close_batch": "terminal",
    "race": "of",
    "hsm": "state",
    "pause": "seconds",
}
"""Steps that may be written with their one value instead of a mapping."""
