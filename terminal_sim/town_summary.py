"""What a town's day came to: from the terminals' own journals, the settlement's report and the proof.

The terminals' side is counted here, from what was sent and answered, so that it can be held against the
books, which count from their entries.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from terminal_sim.card import ENTRY_MODES
from terminal_sim.town_names import MARKET_NAME
from terminal_sim.town_plan import TownPlan
from terminal_sim.town_play import Message

APPROVED: Final = "00"
REASONS: Final = {
    "12": "its reversal came first",
    "14": "unknown card",
    "51": "not enough money",
    "55": "wrong PIN",
    "57": "not accepted at this shop",
    "61": "over a limit",
    "62": "card blocked",
    "63": "wrong MAC",
    "75": "too many wrong PINs",
    "95": "its totals differ",
    "91": "switch or HSM unavailable",
    "96": "malfunction",
}
LABELS: Final = {
    "purchase": "purchases",
    "repeat": "repeats (0201)",
    "reversal": "reversals (0420)",
    "reversal_first": "  ahead of their payment",
    "cancel": "cancels (0400)",
    "refund": "refunds",
    "topup": "top-ups",
    "inquiry": "balance inquiries",
    "close": "batch closes (0500)",
    "detail": "batch details (0320)",
}


KINDS: Final = {  # what the switch calls the payment of a message
    "purchase": "purchase",
    "reversal": "reversal",
    "reversal_first": "reversal",
    "cancel": "reversal",
    "refund": "refund",
    "topup": "topup",
    "inquiry": "inquiry",
}
DIFFERENCES_SHOWN: Final = 20


class SwitchPayment(msgspec.Struct, frozen=True, gc=False):
    """A payment as `dure-switch payment list --json` tells it, as far as a terminal can know it; won."""

    terminal: str
    stan: str
    kind: str
    amount: int
    code: str


class ByMerchant(msgspec.Struct):
    """One shop's day as its terminals saw it, won."""

    sales: int = 0
    refunds: int = 0


class Journals(msgspec.Struct):
    """The day as all terminals together saw it. `answers` by kind of message, then by DE39; `entries`, by how
    the card was read, the number of approved purchases and their won."""

    answers: dict[str, dict[str, int]]
    sold: int
    returned: int
    topped_up: int
    market_sold: int
    cashback_told: int
    repeats_alike: int
    entries: dict[str, list[int]]
    merchants: dict[str, ByMerchant]


class Summary(msgspec.Struct, kw_only=True):
    """Everything the demo tells; `seconds` alone differs between two runs of one seed."""

    programme: str
    business_date: str
    seed: int
    members: int
    merchants: int
    terminals: int
    messages: int
    answers: dict[str, dict[str, int]]
    entries: dict[str, list[int]]
    won_sold: int
    won_returned: int
    won_topped_up: int
    won_sold_at_market: int
    cashback: list[dict[str, Any]]
    cashback_told: int
    cashback_credited: int
    fees: int
    payouts: list[dict[str, Any]]
    bank_files: list[dict[str, Any]]
    proof: dict[str, Any]
    problems: list[str]
    seconds: dict[str, float]

    @property
    def well(self) -> bool:
        return not self.problems


def count_journals(plan: TownPlan, day: Sequence[Message]) -> Journals:
    """Counts what the terminals sent and were told."""
    answers: dict[str, Counter[str]] = {}
    shops = {merchant.merchant_id: ByMerchant() for merchant in plan.merchants}
    market = {merchant.merchant_id for merchant in plan.merchants if merchant.group}
    sums: Counter[str] = Counter()
    entries: dict[str, list[int]] = {}
    for message in day:
        code = message.reply.code if message.reply else "none"
        answers.setdefault(message.label, Counter())[code] += 1
        if message.reply is None:
            continue
        shop = message.terminal.merchant_id
        if message.label == "repeat":
            original = message.original.reply if message.original else None
            sums["alike"] += original is not None and original.fields == message.reply.fields
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
        market_sold=sums["market"],
        cashback_told=sums["cashback"],
        repeats_alike=sums["alike"],
        entries={name: entries[name] for name in ENTRY_MODES if name in entries},
        merchants=shops,
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
        if stored is None and told == APPROVED:
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


def show(console: Console, summary: Summary) -> None:
    """The summary as a page."""
    size = f"{summary.members:,} members, {summary.merchants} shops, {summary.terminals} terminals"
    head = Text.assemble(
        ("Dure", "bold"),
        f"  {summary.programme}, business date {summary.business_date}, seed {summary.seed}\n",
        (f"{size}, {summary.messages:,} messages", "dim"),
    )
    parts: list[RenderableType] = [head, "", _answers(summary), "", _entries(summary), "", _money(summary)]
    parts += ["", _payouts(summary)]
    console.print(Padding(Group(*parts), (1, 0, 1, 1), expand=False))
    for file in summary.bank_files:
        console.print(f" bank file   {file['path']}", soft_wrap=True, highlight=False)
        console.print(f" sha256      {file['sha256']}", soft_wrap=True, highlight=False)
    verdict = Text(" proof       ")
    holds = summary.proof.get("holds", False)
    verdict.append("the books balance" if holds else "THE BOOKS DO NOT BALANCE", "green" if holds else "red")
    console.print(verdict)
    for problem in summary.problems:
        console.print(Text(f" problem     {problem}", "red"), soft_wrap=True)
    console.print(
        Text(" " + ", ".join(f"{what} {took:.1f} s" for what, took in summary.seconds.items()), "dim"),
        soft_wrap=True,
    )


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number == 0 else "right", style="" if number else "none")
    return table


def _answers(summary: Summary) -> Table:
    table = _table("Messages by outcome", "", "approved", "declined", "why")
    table.columns[3].justify = "left"
    for label, codes in summary.answers.items():
        declined = {code: count for code, count in codes.items() if code != APPROVED}
        reasons = sorted(declined.items(), key=lambda item: -item[1])
        first = True
        for code, count in reasons or [("", 0)]:
            table.add_row(
                LABELS[label] if first else "",
                f"{codes.get(APPROVED, 0):,}" if first else "",
                f"{count:,}" if count else "",
                f"{REASONS.get(code, 'other')} ({code})" if code else "",
            )
            first = False
    return table


def _entries(summary: Summary) -> Table:
    table = _table("Purchases by entry mode", "", "number", "won")
    for name, (number, won) in summary.entries.items():
        table.add_row(name, f"{number:,}", f"{won:,}")
    return table


def _money(summary: Summary) -> Table:
    table = _table("Won", "", "won")
    rows: list[tuple[str, int]] = [
        ("paid at shops", summary.won_sold),
        (f"  of it at {MARKET_NAME}, the market", summary.won_sold_at_market),
        ("given back", summary.won_returned),
        ("charged to cards", summary.won_topped_up),
    ]
    rows += [
        (f"cashback from {share['funder']}", share["granted"] - share["taken_back"])
        for share in summary.cashback
    ]
    rows += [("cashback credited in the night", summary.cashback_credited), ("merchant fees", summary.fees)]
    for name, won in rows:
        table.add_row(name, f"{won:,}")
    return table


def _payouts(summary: Summary) -> Table:
    table = _table("Payouts to merchants", "on", "payouts", "won")
    for line in summary.payouts:
        table.add_row(line["pay_on"], f"{line['payouts']:,}", f"{line['won']:,}")
    return table
