"""The plan of a month's last day in a town, from a seed alone: who is there, what happens in which minute.

Pure: the same seed and size always give the same plan. What is planned is what people do; what comes of it
(not enough money, a blocked card) the switch decides.
"""

import random
from collections.abc import Sequence
from typing import Final

import msgspec

from switch.wire.redact import luhn_valid
from terminal_sim.town_names import (
    BANK_CODES,
    BARRED,
    CHARITY,
    CHARITY_NAME,
    CONVENIENCE,
    DONATION_GROUP,
    MARKET_GROUP,
    MARKET_SHOPS,
    SHOPS,
    Trade,
)

PROGRAMME: Final = "ontong"
REGION: Final = "daejeon_seo"
BIN: Final = "941062"
EXPIRY: Final = "3012"
PAYMENTS_MAX: Final = 200_000
PAYMENTS_PER_MEMBER: Final = 8
MEMBERS_MIN: Final = 20

# Payments by hour of the day; the lunch hour is the day's peak.
HOURS: Final = {
    7: 14, 8: 38, 9: 52, 10: 62, 11: 112, 12: 236, 13: 148, 14: 78,
    15: 72, 16: 76, 17: 98, 18: 150, 19: 132, 20: 84, 21: 46, 22: 18,
}  # fmt: skip
# How tickets spread around a trade's usual one, in percent: many small, a few large ones.
SPREAD: Final = (32, 45, 57, 68, 78, 88, 98, 110, 124, 142, 168, 210, 300, 460)

# Out of a thousand things that people do.
PER_MILLE: Final = {
    "purchase": 856,
    "gift": 12,
    "barred": 24,
    "wrong_pin": 22,
    "repeat": 14,
    "timed_out": 9,
    "cancel": 9,
    "refund": 9,
    "reversal_first": 3,
    "topup": 20,
    "inquiry": 14,
    "unknown_card": 4,
    "bad_mac": 4,
}
# Out of ten payments without a PIN.
ENTRIES: Final = (*("contactless",) * 4, *("chip",) * 3, *("stripe",) * 2, "keyed")
CORRECTED_MINUTES_MAX: Final = 45
LAST_MINUTE: Final = 23 * 60 + 30
MIDNIGHT: Final = 24 * 60
# Out of a hundred members: who has a coupon of the month's sale, a grant, a scholarship.
COUPON_PERCENT, GRANT_PERCENT, SCHOLAR_PERCENT = 30, 15, 2
GIFTS: Final = (1_000, 2_000, 3_000, 5_000, 10_000)
NIGHT_OWLS_PERCENT: Final = 3


class TownMerchant(msgspec.Struct, frozen=True, gc=False):
    """A shop. `annual_sales` in won a year decide its fee class."""

    merchant_id: str
    name: str
    category: str
    size: str
    channel: str
    annual_sales: int
    group: str
    bank_code: str
    account_no: str
    business_no: str


class TownTerminal(msgspec.Struct, frozen=True, gc=False):
    """A terminal of a shop."""

    terminal_id: str
    merchant: int  # index of its merchant


class TownMember(msgspec.Struct, frozen=True, gc=False):
    """A member with one card. `charged` and `points` are the opening balances in won.

    `coupon`, `grant`, `scholar`: what the city's campaigns have given him for this month.
    """

    member_id: str
    points_on: bool
    pan: str
    pin: str
    charged: int
    points: int
    coupon: bool
    grant: bool
    scholar: bool

    def __repr__(self) -> str:
        return f"TownMember({self.member_id})"


class Event(msgspec.Struct, frozen=True, gc=False):
    """One thing that happens in a minute of the day (0 to 1439; from 1440 on it is the next day).

    `kind`: purchase, gift (to the donation case), topup, inquiry, repeat (a purchase whose answer is asked
    for again), timed_out (a purchase that its terminal reverses at once), reversal_first (the reversal
    overtakes its purchase), bad_mac, unknown_card; cancel and refund concern the earlier event `of`. `pin`:
    "", "right", "wrong"; of a gift "points" if it shall be of points only. `entry`: how the card is read.
    """

    minute: int
    order: int  # position in the plan; also what `of` refers to
    kind: str
    member: int  # index; -1 for a card nobody issued
    terminal: int
    won: int = 0
    pin: str = ""
    channel: str = ""
    of: int = -1
    entry: str = "keyed"


class TownPlan(msgspec.Struct, frozen=True):
    """Everything; `events` ascend by minute, then order.

    `case_target` is what the donation case needs, in won.
    """

    seed: int
    merchants: tuple[TownMerchant, ...]
    terminals: tuple[TownTerminal, ...]
    members: tuple[TownMember, ...]
    events: tuple[Event, ...]
    unknown_pan: str
    case_target: int

    def __repr__(self) -> str:
        return f"TownPlan(seed {self.seed}, {len(self.events)} events)"


def make_plan(seed: int, payments: int) -> TownPlan:
    """The plan of a day with about `payments` things happening. Raises ValueError on a size out of range."""
    if not 1 <= payments <= PAYMENTS_MAX:
        raise ValueError(f"payments are 1 to {PAYMENTS_MAX:,}")
    rng = random.Random(f"town/{seed}")
    merchants, trades = _merchants(rng)
    terminals = _terminals(merchants, trades)
    members = _members(rng, max(MEMBERS_MIN, payments // PAYMENTS_PER_MEMBER))
    events = _Day(rng, trades, terminals, members).events(payments)
    unknown = _pan(999_999_999)
    # Less than people would give: the last ones find that nothing more is needed.
    target = max(sum(event.won for event in events if event.kind == "gift") // 2_000 * 1_000, 1_000)
    return TownPlan(seed, merchants, terminals, members, events, unknown, target)


def _merchants(rng: random.Random) -> tuple[tuple[TownMerchant, ...], list[Trade | None]]:
    """The shops, and in the same order their trades (None: the money is barred there)."""
    merchants: list[TownMerchant] = []
    trades: list[Trade | None] = []

    def add(name: str, trade: Trade | None, category: str, sales: int, **facts: str) -> None:
        number = len(merchants) + 1
        merchants.append(
            TownMerchant(
                merchant_id=f"M{number:04d}",
                name=name,
                category=category,
                size=facts.get("size", "small"),
                channel=facts.get("channel", "pos"),
                annual_sales=sales,
                group=facts.get("group", ""),
                bank_code=rng.choice(BANK_CODES),
                account_no=f"{rng.randrange(10**11, 10**12)}",
                business_no=f"{rng.randrange(101_10, 999_99)}{rng.randrange(10_000, 99_999)}",
            )
        )
        trades.append(trade)

    for name, trade in SHOPS:
        add(name, trade, trade.category, rng.randrange(60, 1_900) * 1_000_000)
    for name, trade in MARKET_SHOPS:
        add(name, trade, trade.category, rng.randrange(40, 450) * 1_000_000, group=MARKET_GROUP)
    add(CHARITY_NAME, CHARITY, CHARITY.category, 30_000_000, group=DONATION_GROUP)
    for shop in BARRED:
        add(shop.name, None, shop.category, shop.annual_sales, size=shop.size, channel=shop.channel)
    return tuple(merchants), trades


def _terminals(merchants: Sequence[TownMerchant], trades: Sequence[Trade | None]) -> tuple[TownTerminal, ...]:
    """One for every shop; a second one where many people go."""
    found: list[TownTerminal] = []
    for index in range(len(merchants)):
        trade = trades[index]
        for _ in range(2 if trade is not None and trade.weight >= 9 else 1):
            found.append(TownTerminal(f"DJ{len(found) + 1:06d}", index))
    return tuple(found)


def _members(rng: random.Random, count: int) -> tuple[TownMember, ...]:
    members: list[TownMember] = []
    for number in range(1, count + 1):
        empty = rng.randrange(100) < 4
        charged = 0 if empty else _spread(rng, 240_000) // 1_000 * 1_000 + 10_000
        points = _spread(rng, 6_000) if rng.randrange(100) < 45 else 0
        members.append(
            TownMember(
                member_id=f"member-{number:05d}",
                points_on=rng.randrange(100) < 60,
                pan=_pan(number * 7_919),
                pin=f"{rng.randrange(10_000):04d}",
                charged=min(charged, 900_000),
                points=points,
                coupon=rng.randrange(100) < COUPON_PERCENT,
                grant=rng.randrange(100) < GRANT_PERCENT,
                scholar=rng.randrange(100) < SCHOLAR_PERCENT,
            )
        )
    return tuple(members)


def _pan(account: int) -> str:
    body = f"{BIN}{account:09d}"
    return next(body + digit for digit in "0123456789" if luhn_valid(body + digit))


def _spread(rng: random.Random, usual: int) -> int:
    """A value around the usual one, between two neighbours of SPREAD."""
    step = rng.randrange(len(SPREAD) - 1)
    low, high = usual * SPREAD[step] // 100, usual * SPREAD[step + 1] // 100
    return rng.randrange(low, high + 1)


def _ticket(rng: random.Random, trade: Trade) -> int:
    """A price: cheap things end in tens, dear ones in hundreds of won."""
    won = _spread(rng, trade.ticket)
    step = 10 if won < 5_000 else 50 if won < 12_000 else 100 if won < 100_000 else 1_000
    return max(won // step * step, 100)


def _entry(order: int, pin: str, channel: str) -> str:
    """How the card of an event is read: with a PIN the chip is in the terminal, online nothing is."""
    if channel == "online":
        return "ecommerce"
    return "chip" if pin in ("right", "wrong") else ENTRIES[order * 7 % len(ENTRIES)]


class _Day:
    """Draws the events."""

    def __init__(
        self,
        rng: random.Random,
        trades: Sequence[Trade | None],
        terminals: Sequence[TownTerminal],
        members: Sequence[TownMember],
    ) -> None:
        self.rng = rng
        self.trades = trades
        self.members = members
        self.found: list[Event] = []
        self.open: list[tuple[int, int]] = []
        self.weights: list[int] = []
        self.barred: list[int] = []
        self.charity = 0
        self.night: list[int] = []
        for index, terminal in enumerate(terminals):
            trade = trades[terminal.merchant]
            if trade is None:
                self.barred.append(index)
            else:
                self.open.append((index, terminal.merchant))
                self.weights.append(trade.weight)
            if trade is CHARITY:
                self.charity = index
            elif trade is CONVENIENCE:
                self.night.append(index)
        self.online = {
            i for i in self.barred if BARRED[terminals[i].merchant - len(trades)].channel == "online"
        }

    def events(self, payments: int) -> tuple[Event, ...]:
        kinds = self.rng.choices(list(PER_MILLE), list(PER_MILLE.values()), k=payments)
        minutes = [
            hour * 60 + self.rng.randrange(60)
            for hour in self.rng.choices(list(HOURS), list(HOURS.values()), k=payments)
        ]
        for kind, minute in zip(kinds, minutes, strict=True):
            self._draw(kind, minute)
        self._midnight(max(payments * NIGHT_OWLS_PERCENT // 1_000, 2))
        return tuple(sorted(self.found, key=lambda event: (event.minute, event.order)))

    def _draw(self, kind: str, minute: int) -> None:
        member = self.rng.randrange(len(self.members))
        (terminal, merchant), *_ = self.rng.choices(self.open, self.weights)
        trade = self.trades[merchant]
        assert trade is not None  # noqa: S101 - only open shops are drawn
        won = _ticket(self.rng, trade)
        pin = "right" if trade.pin and won >= 10_000 else ""
        match kind:
            case "topup":
                self._add(minute, kind, member, terminal, self.rng.choice((30_000, 50_000, 100_000, 200_000)))
            case "inquiry":
                self._add(minute, kind, member, terminal)
            case "barred":
                at = self.rng.choice(self.barred)
                channel = "online" if at in self.online else ""
                self._add(minute, "purchase", member, at, won, channel=channel)
            case "wrong_pin":
                # Most people remember it at the second or third attempt; three wrong ones block the card.
                wrong = self.rng.choices((1, 2, 3), (80, 14, 6))[0]
                for _ in range(wrong):
                    self._add(minute, "purchase", member, terminal, won, "wrong")
                self._add(minute, "purchase", member, terminal, won, "right")
            case "gift":
                only = "points" if self.members[member].points_on and won % 3 == 0 else ""
                self._add(minute, kind, member, self.charity, self.rng.choice(GIFTS), only)
            case "unknown_card":
                self._add(minute, "purchase", -1, terminal, won)
            case "cancel" | "refund":
                of = self._add(minute, "purchase", member, terminal, won, pin)
                later = min(minute + self.rng.randrange(1, CORRECTED_MINUTES_MAX), LAST_MINUTE)
                part = max(won * self.rng.randrange(20, 100) // 100, 1) if kind == "refund" else won
                self._add(later, kind, member, terminal, part, of=of)
            case _:
                self._add(minute, kind, member, terminal, won, pin)

    def _midnight(self, people: int) -> None:
        """Some buy a minute before midnight, and again when the next month has begun."""
        for member in sorted(self.rng.sample(range(len(self.members)), people)):
            terminal = self.rng.choice(self.night)
            for minute in (MIDNIGHT - 1, MIDNIGHT):
                self._add(minute, "purchase", member, terminal, _ticket(self.rng, CONVENIENCE))

    def _add(
        self,
        minute: int,
        kind: str,
        member: int,
        terminal: int,
        won: int = 0,
        pin: str = "",
        channel: str = "",
        of: int = -1,
    ) -> int:
        order = len(self.found)
        entry = _entry(order, pin, channel)
        self.found.append(Event(minute, order, kind, member, terminal, won, pin, channel, of, entry))
        return order
