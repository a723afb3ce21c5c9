"""What the books say, asked through the public commands and the file for the bank, as lines to compare."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any, Final

import msgspec
from lxml import etree

from terminal_sim import scenario_steps as words
from terminal_sim.processes import Finished, ProgramError
from terminal_sim.sandbox import Installation
from terminal_sim.scenario_stage import Names

Line = tuple[str, Any, Any]
"""What is compared, what must be, what is; a first None means that nothing is demanded."""

PROOF_FAILED: Final = 4
BANK_FILE_BYTES_MAX: Final = 500_000_000


class Payment(msgspec.Struct, frozen=True):
    """An order in a file for the bank."""

    creditor: str
    pay_on: date
    won: int


class Settled(msgspec.Struct, frozen=True):
    """What a settlement did: its preview by merchant id, and the orders in its files."""

    preview: dict[str, dict[str, Any]]
    payments: list[Payment]

    def compared(self, step: words.Assert, names: Names) -> list[Line]:
        """Payouts, carried balances and fees against what `step` demands."""
        lines: list[Line] = []
        if step.payouts is not None:
            wanted = sorted((p.merchant, p.day.isoformat(), p.won) for p in step.payouts)
            known = {names.merchant(p.merchant): p.merchant for p in step.payouts}
            got = sorted(
                (known.get(p.creditor, p.creditor), p.pay_on.isoformat(), p.won) for p in self.payments
            )
            lines.append(("payouts", _payouts(wanted), _payouts(got)))
        for what, key, wanted_won in (("carried", "carried_out", step.carried), ("fee", "fee", step.fees)):
            for merchant, won in (wanted_won or {}).items():
                line = self.preview.get(names.merchant(merchant), {})
                lines.append((f"{what} of {merchant}", won, line.get(key, 0)))
        return lines


class Books:
    """Asks one installation about the members of one scenario."""

    def __init__(self, installation: Installation, names: Names, programme_id: str) -> None:
        self.installation = installation
        self.names = names
        self.programme_id = programme_id
        self._read: dict[str, asyncio.Task[Finished]] = {}

    def look_again(self) -> None:
        """Forgets what was read: something may have happened since."""
        self._read.clear()

    def _member(self, member: str) -> tuple[str, ...]:
        return ("--programme", self.programme_id, "--member", self.names.member(member))

    async def wallet(self, member: str, expected: words.Wallet) -> list[Line]:
        """Balances by kind of lot, the receivable, and usage of the month that the wallet counts."""
        shown = await self.installation.switch("wallet", "show", *self._member(member), "--json")
        view = shown.check().json()
        kinds = view["balance_by_kind"]
        lines: list[Line] = [
            (f"{member}'s charged money", expected.charged, kinds.get("charged", 0)),
            (f"{member}'s points", expected.points, kinds.get("points", 0)),
            (f"{member}'s grants", expected.grant, kinds.get("grant", 0)),
            (f"{member}'s coupons", expected.coupon, kinds.get("coupon", 0)),
            (f"{member}'s receivable", expected.receivable, view["receivable"]),
            (f"{member}'s held money", expected.held, view.get("held", 0)),
        ]
        for month, won in expected.usage.items():
            counted = view["month_basis"] if view["month"] == month else f"none (it counts {view['month']})"
            lines.append((f"{member}'s usage of {month}", won, counted))
        return lines

    async def entries(self, member: str, expected: dict[str, int]) -> list[Line]:
        """Per account, debits less credits of this wallet's entries, in won."""
        sums: Counter[str] = Counter()
        for entry in await self._entries(member):
            sums[entry["debit"]] += entry["won"]
            sums[entry["credit"]] -= entry["won"]
        return [(f"{member}'s entries on {name}", won, sums[name]) for name, won in expected.items()]

    async def cashback(self, member: str, expected: dict[str, int]) -> list[Line]:
        """What each funder owes for this member's cashback: granted less taken back, in won."""
        sums: Counter[str] = Counter()
        for entry in await self._entries(member):
            if (entry["debit"], entry["credit"]) == ("FUNDER_DUE", "CASHBACK_ACCRUED"):
                sums[entry["funder"]] += entry["won"]
            elif (entry["debit"], entry["credit"]) == ("CASHBACK_ACCRUED", "FUNDER_DUE"):
                sums[entry["funder"]] -= entry["won"]
        return [
            (f"{member}'s cashback from {funder}", expected.get(funder, 0), sums[funder])
            for funder in sorted(expected.keys() | sums.keys())
        ]

    async def treasury(self, member: str, expected: dict[str, int]) -> list[Line]:
        """What went back to each funder from this member's lots, in won."""
        sums: Counter[str] = Counter()
        for entry in await self._entries(member):
            sums[entry["funder"]] += entry["won"] * (entry["credit"] == "TREASURY_RETURN")
            sums[entry["funder"]] -= entry["won"] * (entry["debit"] == "TREASURY_RETURN")
        return [
            (f"{member}'s money returned to {funder}", expected.get(funder, 0), sums[funder])
            for funder in sorted(expected.keys() | {name for name, won in sums.items() if won})
        ]

    async def _entries(self, member: str) -> list[dict[str, Any]]:
        if member not in self._read:
            shown = self.installation.switch("entries", *self._member(member), "--json")
            self._read[member] = asyncio.create_task(shown)
        found: list[dict[str, Any]] = (await self._read[member]).check().json()
        return found

    async def exceptions(self, terminal_id: str, days: Iterable[date]) -> int:
        """How many messages of a terminal are listed for a person to look at, on these business dates."""
        found = 0
        for day in sorted(days):
            told = self.installation.switch("payment", "exceptions", "--date", day.isoformat(), "--json")
            found += sum(one["terminal"] == terminal_id for one in (await told).check().json())
        return found

    async def proof(self) -> list[Line]:
        """Whether `dure-switch proof` finds the books right."""
        finished = await self.installation.switch("proof", "--json")
        if finished.code not in (0, PROOF_FAILED):
            finished.check()
        return [("the proof", "holds", "holds" if finished.code == 0 else f"fails: {finished.output[-600:]}")]

    async def card_order(self, act: str, member: str, card_no: int) -> None:
        """Blocks, unblocks or reports a card as lost."""
        order = await self.installation.switch("card", act, *self._member(member), "--card-no", str(card_no))
        order.check()

    async def settle(self, day: date, *, preview: bool, dry_run: bool) -> tuple[Finished, Settled]:
        """Settles a date, if asked after a preview by merchant; a dry run is that preview alone."""
        arguments = ("--date", day.isoformat(), "--programme", self.programme_id, "--json")
        foreseen: dict[str, dict[str, Any]] = {}
        if preview or dry_run:
            finished = await self.installation.settlement("run", *arguments, "--dry-run")
            foreseen = _preview(finished)
        if dry_run:
            return finished, Settled(foreseen, [])
        finished = await self.installation.settlement("run", *arguments)
        return finished, Settled(foreseen, self._payments(finished) if finished.code in (0, 3) else [])

    def _payments(self, finished: Finished) -> list[Payment]:
        config = self.installation.settlement_config
        assert config is not None  # noqa: S101 - it has just been used
        folder = config.parent / "outbox"
        return [
            payment
            for programme in finished.json()["programmes"]
            for file in (programme["emit"] or {"files": []})["files"]
            for payment in read_bank_file(find_file(folder, file["name"]))
        ]


def find_file(outbox: Path, name: str) -> Path:
    """A file of the outbox, wherever in it. Raises ProgramError."""
    found = sorted(outbox.rglob(Path(name).name))
    if not found:
        raise ProgramError(f"{outbox}: {name} is not there, though settlement says so")
    return found[0]


def read_bank_file(path: Path) -> list[Payment]:
    """The orders of a pain.001.001.09. Raises ProgramError when it is none."""
    if path.stat().st_size > BANK_FILE_BYTES_MAX:
        raise ProgramError(f"{path}: larger than {BANK_FILE_BYTES_MAX:,} bytes")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
    try:
        root = etree.parse(str(path), parser).getroot()
        space = {"p": etree.QName(root).namespace}
        found: list[Payment] = []
        for batch in root.iterfind(".//p:PmtInf", space):
            pay_on = date.fromisoformat(batch.findtext("p:ReqdExctnDt/p:Dt", "", space))
            for order in batch.iterfind("p:CdtTrfTxInf", space):
                creditor = order.findtext("p:Cdtr/p:Nm", "", space)
                found.append(Payment(creditor, pay_on, int(order.findtext("p:Amt/p:InstdAmt", "", space))))
    except (etree.XMLSyntaxError, ValueError) as error:
        raise ProgramError(f"{path}: no pain.001 that can be read: {error}") from None
    return found


def differences(lines: Iterable[Line]) -> list[Line]:
    """Those lines where something is demanded and something else is there."""
    return [line for line in lines if line[1] is not None and line[1] != line[2]]


def _preview(finished: Finished) -> dict[str, dict[str, Any]]:
    if finished.code not in (0, 3):
        return {}
    return {
        line["merchant"]: line for programme in finished.json()["programmes"] for line in programme["preview"]
    }


def _payouts(found: list[tuple[str, str, int]]) -> str:
    return "; ".join(f"{merchant} {day} {won:,}" for merchant, day, won in found) or "none"
