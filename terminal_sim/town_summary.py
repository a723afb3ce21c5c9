"""What a town's day came to, as a page: messages, money by funder, budgets, campaigns, gifts, payouts."""

from typing import Any, Final

import msgspec
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from terminal_sim.terminal import APPROVED
from terminal_sim.town_bank import Banked
from terminal_sim.town_names import MARKET_NAME

REASONS: Final = {
    "10": "approved in part",
    "12": "its reversal came first",
    "14": "unknown card",
    "51": "not enough money",
    "55": "wrong PIN",
    "57": "not accepted at this shop",
    "61": "over a limit, or not needed any more",
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
    "gift": "gifts to a case",
    "topup": "top-ups",
    "inquiry": "balance inquiries",
    "close": "batch closes (0500)",
    "detail": "batch details (0320)",
}


class Declined(msgspec.Struct):
    """Payments that the switch declined for one reason, and their won."""

    reason: str
    number: int
    won: int


class Shortage(msgspec.Struct):
    """Cashback that no budget had: since when (HH:MM), in how many payments, won. Nothing: since ""."""

    since: str
    payments: int
    won: int


class Explained(msgspec.Struct):
    """One payment as `dure-switch explain` tells it, line by line."""

    payment: str
    ko: list[str]
    en: list[str]


class Summary(msgspec.Struct, kw_only=True):
    """Everything the demo tells; `seconds` alone differs between two runs of one seed.

    `midnight` is the purchases of the last minute of the month and of the first one of the next: number, won,
    cashback.
    """

    programme: str
    business_date: str
    seed: int
    members: int
    merchants: int
    terminals: int
    messages: int
    answers: dict[str, dict[str, int]]
    entries: dict[str, list[int]]
    declined: list[Declined]
    won_sold: int
    won_returned: int
    won_topped_up: int
    won_given: int
    won_sold_at_market: int
    cashback: list[dict[str, Any]]
    cashback_told: int
    cashback_credited: int
    shortage: Shortage
    budgets: list[dict[str, Any]]
    campaigns: list[dict[str, Any]]
    cases: list[dict[str, Any]]
    midnight: dict[str, list[int]]
    fees: int
    payouts: list[dict[str, Any]]
    bank_files: list[dict[str, Any]]
    explained: Explained
    banked: Banked
    proof: dict[str, Any]
    problems: list[str]
    seconds: dict[str, float]

    @property
    def well(self) -> bool:
        return not self.problems


def show(console: Console, summary: Summary) -> None:
    """The summary as a page."""
    size = f"{summary.members:,} members, {summary.merchants} shops, {summary.terminals} terminals"
    head = Text.assemble(
        ("Dure", "bold"),
        f"  {summary.programme}, business date {summary.business_date}, seed {summary.seed}\n",
        (f"{size}, {summary.messages:,} messages", "dim"),
    )
    parts: list[RenderableType] = [head]
    for table in (_answers, _declined, _entries, _money, _budgets, _campaigns, _cases, _midnight, _payouts):
        parts += ["", table(summary)]
    console.print(Padding(Group(*parts), (1, 0, 1, 1), expand=False))
    _explanation(console, summary.explained)
    for file in summary.bank_files:
        console.print(f" bank file   {file['path']}", soft_wrap=True, highlight=False)
        console.print(f" sha256      {file['sha256']}", soft_wrap=True, highlight=False)
    _through_bank(console, summary.banked)
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


def _table(title: str, *columns: str, left: int = 1) -> Table:
    """A table whose first `left` columns are words."""
    table = Table(box=None, pad_edge=False)
    # The title is the first column's head: one of its own would be broken to the table's width.
    for number, name in enumerate((title, *columns)):
        style = "bold" if number == 0 else "dim"
        table.add_column(name, justify="left" if number < left else "right", header_style=style)
        table.columns[-1].no_wrap = True
    return table


def _answers(summary: Summary) -> RenderableType:
    table = _table("Messages by outcome", "approved", "otherwise", "why")
    table.columns[3].justify = "left"
    for label, codes in summary.answers.items():
        otherwise = {code: count for code, count in codes.items() if code != APPROVED}
        reasons = sorted(otherwise.items(), key=lambda item: -item[1])
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


def _declined(summary: Summary) -> RenderableType:
    table = _table("Declined, in the switch's words", "number", "won")
    for line in summary.declined:
        table.add_row(line.reason.replace("_", " "), f"{line.number:,}", f"{line.won:,}")
    return table


def _entries(summary: Summary) -> RenderableType:
    table = _table("Purchases by entry mode", "number", "won")
    for name, (number, won) in summary.entries.items():
        table.add_row(name, f"{number:,}", f"{won:,}")
    return table


def _money(summary: Summary) -> RenderableType:
    table = _table("Money", "won")
    rows: list[tuple[str, int]] = [
        ("paid at shops", summary.won_sold),
        (f"  of it at {MARKET_NAME}, the market", summary.won_sold_at_market),
        ("given back", summary.won_returned),
        ("charged to cards", summary.won_topped_up),
        ("given to the donation case", summary.won_given),
    ]
    rows += [
        (f"cashback from {share['funder']}", share["granted"] - share["taken_back"])
        for share in summary.cashback
    ]
    rows += [("cashback credited in the night", summary.cashback_credited), ("merchant fees", summary.fees)]
    for name, won in rows:
        table.add_row(name, f"{won:,}")
    return table


def _budgets(summary: Summary) -> RenderableType:
    """The budgets that something was granted of; what a coupon's or grant's pot gave, campaigns tell."""
    table = _table("Budgets", "of", "month", "won", "granted", "left", "", left=3)
    windows = {f"campaign:{row['code']}" for row in summary.campaigns if row["kind"] == "cashback"}
    for row in summary.budgets:
        used = row["granted"] - row["returned"]
        if not used or (row["code"].startswith("campaign:") and row["code"] not in windows):
            continue
        share = "spent" if row["left"] == 0 else f"{used * 100 // row['amount']} %"
        table.add_row(
            *(row["code"].removeprefix("campaign:"), row["funder"], row["month"], f"{row['amount']:,}"),
            *(f"{used:,}", f"{row['left']:,}", Text(share, "yellow" if share == "spent" else "dim")),
        )
    short = summary.shortage
    if not short.payments:
        return table
    told = f"From {short.since} on {short.payments:,} payments were {short.won:,} won of cashback short; "
    return Group(table, Text(told + "all of them were approved.", "dim"))


def _campaigns(summary: Summary) -> RenderableType:
    table = _table("Coupons and grants", "of", "issued", "won", "spent", "in wallets", "returned", left=2)
    for row in summary.campaigns:
        if row["issued"]:
            amounts = (row["issued"], row["issued_won"], row["spent"], row["unspent"], row["expired"])
            table.add_row(row["code"], row["funder"], *(f"{amount:,}" for amount in amounts))
    return table


def _cases(summary: Summary) -> RenderableType:
    table = _table("Donation cases", "needed", "given", "gifts", "points", "charged")
    for row in summary.cases:
        amounts = (row["target"], row["given"], row["gifts"], row["points"], row["charged"])
        table.add_row(f"{row['code']}  {row['title']}", *(f"{amount:,}" for amount in amounts))
    return table


def _midnight(summary: Summary) -> RenderableType:
    table = _table("The month ends, other rules begin", "purchases", "won", "cashback")
    for name, side in (("in the last minute", "before"), ("in the first minute", "after")):
        table.add_row(name, *(f"{amount:,}" for amount in summary.midnight[side]))
    return table


def _payouts(summary: Summary) -> RenderableType:
    table = _table("Payouts to merchants", "payouts", "won")
    for line in summary.payouts:
        table.add_row(line["pay_on"], f"{line['payouts']:,}", f"{line['won']:,}")
    return table


def _explanation(console: Console, explained: Explained) -> None:
    if not explained.payment:
        return
    console.print(Text.assemble((" One payment explained", "bold"), (f"  {explained.payment}", "dim")))
    for lines in (explained.ko, explained.en):
        for line in lines:
            console.print(Text(f" {line}"), soft_wrap=True)
        console.print()


def _through_bank(console: Console, banked: Banked) -> None:
    """From the approval to the last open item, a line for each thing that somebody did."""
    refused, equal = banked.rejected, banked.bank_won == banked.ledger_won
    lines = {
        "approved": f"by {banked.approved_by}; {banked.made_by}, who made the file, may not",
        "delivered": f"{banked.files} file into the bank's folder, looked at again there",
        "pain.002": f"{banked.accepted:,} payouts accepted, {banked.accepted_won:,} won;"
        f" {refused.payouts:,} refused, {refused.won:,} won",
        "": f"{refused.code}, {refused.reason}: {refused.name} ({refused.merchant})",
        "paid again": f"account corrected, ordered and approved anew, paid on {refused.again}",
        "camt.053": f"{banked.booked:,} payouts booked by {banked.booked_on}, {banked.booked_won:,} won",
        "balance": f"{banked.bank_won:,} won at the bank,"
        f" {'the same' if equal else f'{banked.ledger_won:,} won'} in the books",
        "open": f"{banked.open_items or 'no'} items",
    }
    console.print()
    for name, text in lines.items():
        console.print(Text(f" {name:<11} {text}"), soft_wrap=True)
    console.print()
    console.print(
        Text.assemble((" A shop's statement", "bold"), (f"  {banked.statement_file}", "dim")), soft_wrap=True
    )
    for line in banked.statement:
        console.print(Text(f" {line}"), soft_wrap=True)
    console.print()
