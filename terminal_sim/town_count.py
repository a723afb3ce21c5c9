"""The day as the terminals saw it, counted from what was sent and answered, and held against the books."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from terminal_sim.card import ENTRY_MODES
from terminal_sim.terminal import APPROVED
from terminal_sim.town_names import MARKET_GROUP
from terminal_sim.town_plan import MIDNIGHT, TownPlan
from terminal_sim.town_play import Message

KINDS: Final = {  # what the switch calls the payment of a message
    "purchase": "purchase",
    "reversal": "reversal",
    "reversal_first": "reversal",
    "cancel": "reversal",
    "refund": "refund",
    "gift": "gift",
    "topup": "topup",
    "inquiry": "inquiry",
}
DIFFERENCES_SHOWN: Final = 20
LABELS: Final = (
    *("purchase", "repeat", "reversal", "reversal_first", "cancel", "refund", "gift", "topup", "inquiry"),
    *("close", "detail"),
)


class SwitchPayment(msgspec.Struct, frozen=True, gc=False):
    """A payment as `dure-switch payment list --json` tells it, as far as a terminal can know it; won."""

    terminal: str
    stan: str
    kind: str
    amount: int
    code: str
    outcome: str = ""
    reason: str = ""
    local_day: str = ""
    local_time: str = ""
    cashback: int = 0
    detail: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """What commands call it."""
        return f"{self.terminal}/{self.stan}/{self.local_day}"

    @property
    def missed(self) -> int:
        """Won of cashback that were due and that no budget had."""
        return sum(won for _, _, won in self.detail.get("missed", ()))


class ByMerchant(msgspec.Struct):
    """One shop's day as its terminals saw it, won."""

    sales: int = 0
    refunds: int = 0


class Journals(msgspec.Struct):
    """The day until midnight as all terminals together saw it; won.

    `answers` by kind of message, then by DE39, with what came after midnight; `entries`, by how the card was
    read, the number of approved purchases and their won; `midnight` the purchases of its last and of the next
    day's first minutes: number, won, cashback.
    """

    answers: dict[str, dict[str, int]]
    sold: int
    returned: int
    topped_up: int
    given: int
    market_sold: int
    cashback_told: int
    repeats_alike: int
    entries: dict[str, list[int]]
    merchants: dict[str, ByMerchant]
    midnight: dict[str, list[int]]


def count_journals(plan: TownPlan, day: Sequence[Message]) -> Journals:
    """Counts what the terminals sent and were told."""
    answers: dict[str, Counter[str]] = {}
    shops = {merchant.merchant_id: ByMerchant() for merchant in plan.merchants}
    market = {merchant.merchant_id for merchant in plan.merchants if merchant.group == MARKET_GROUP}
    midnight = {"before": [0, 0, 0], "after": [0, 0, 0]}
    sums: Counter[str] = Counter()
    entries: dict[str, list[int]] = {}
    for message in day:
        code = message.reply.code if message.reply else "none"
        answers.setdefault(message.label, Counter())[code] += 1
        if message.reply is None:
            continue
        if message.label == "purchase" and message.minute >= MIDNIGHT - 1 and message.reply.approved:
            side = midnight["after" if message.minute >= MIDNIGHT else "before"]
            for at, amount in enumerate((1, message.won, message.reply.cashback or 0)):
                side[at] += amount
        if message.minute >= MIDNIGHT:
            continue
        shop = message.terminal.merchant_id
        if message.label == "repeat":
            original = message.original.reply if message.original else None
            sums["alike"] += original is not None and original.fields == message.reply.fields
        elif message.label == "gift":
            sums["gift"] += message.approved_won
            shops[shop].sales += message.approved_won
        elif code == APPROVED:
            sums[message.label] += message.won
            if message.label == "purchase":
                entry = entries.setdefault(message.entry, [0, 0])
                entry[0] += 1
                entry[1] += message.won
                shops[shop].sales += message.won
                sums["market"] += message.won if shop in market else 0
                sums["cashback"] += message.reply.cashback or 0
            elif _gives_back(message):
                shops[shop].refunds += message.won
                sums["returned"] += message.won
    return Journals(
        answers={label: dict(sorted(answers[label].items())) for label in LABELS if label in answers},
        sold=sums["purchase"],
        returned=sums["returned"],
        topped_up=sums["topup"],
        given=sums["gift"],
        market_sold=sums["market"],
        cashback_told=sums["cashback"],
        repeats_alike=sums["alike"],
        entries={name: entries[name] for name in ENTRY_MODES if name in entries},
        merchants=shops,
        midnight=midnight,
    )


def _gives_back(message: Message) -> bool:
    """Whether an approved message returned money: a reversal is acknowledged even if there was none."""
    if message.label in ("reversal", "cancel", "refund"):
        original = message.original.reply if message.original else None
        return original is not None and original.approved
    return False


def disagreements(
    journals: Journals, preview: Sequence[dict[str, Any]], cashback: Sequence[dict[str, Any]]
) -> list[str]:
    """Where terminals and books differ: by merchant (the settlement's preview), and in cashback."""
    books = {line["merchant"]: (line["sales"], line["refunds"]) for line in preview}
    found = []
    for merchant, seen in journals.merchants.items():
        sales, refunds = books.pop(merchant, (0, 0))
        if (sales, refunds) != (seen.sales, seen.refunds):
            found.append(
                f"{merchant}: its terminals saw sales {seen.sales:,} and returns {seen.refunds:,} won, "
                f"the books {sales:,} and {refunds:,}"
            )
    found += [f"{merchant}: in the books, but no terminal served it" for merchant in books]
    granted = sum(share["granted"] for share in cashback)
    if granted != journals.cashback_told:
        found.append(
            f"the terminals told {journals.cashback_told:,} won of cashback, granted are {granted:,}"
        )
    repeats = sum(journals.answers.get("repeat", {}).values())
    if journals.repeats_alike != repeats:
        found.append(f"{repeats - journals.repeats_alike} repeats were answered unlike their payment")
    return found


def terminal_disagreements(day: Sequence[Message], payments: Sequence[SwitchPayment]) -> list[str]:
    """Where a terminal's journal and the switch's payments from that terminal differ, message by message.

    What the switch refused at the door (a wrong MAC, an unknown card) it keeps no payment of.
    """
    books = {(one.terminal, one.stan, one.kind): (one.code, one.amount) for one in payments}
    found: list[str] = []
    for message in day:
        if message.label not in KINDS or message.reply is None:
            continue
        stan, kind = str(message.reply.fields.get(11, "")), KINDS[message.label]
        told = message.reply.code
        stored = books.pop((message.terminal.terminal_id, stan, kind), None)
        if stored is None and message.reply.approved:
            found.append(f"{message.terminal.terminal_id}: {kind} {stan} was approved, the switch has none")
        elif stored is not None and (stored[0] != told or (message.won and stored[1] != message.won)):
            found.append(
                f"{message.terminal.terminal_id}: {kind} {stan} of {message.won:,} won was answered {told}, "
                f"the switch has {stored[1]:,} won and {stored[0]}"
            )
    found += [
        f"{terminal}: the switch has {kind} {stan}, the terminal knows nothing of it"
        for terminal, stan, kind in books
    ]
    more = len(found) - DIFFERENCES_SHOWN
    return found if more <= 0 else [*found[:DIFFERENCES_SHOWN], f"… and {more:,} more of that kind"]
