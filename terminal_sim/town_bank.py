"""The demonstration's money on its way: a second person approves, the bank answers, one payout fails and is
paid again, and at the end nothing is open.

The bank is simulated in the folder `bank`; everything on the city's side is done by the operators' commands.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from terminal_sim.bank import Bank
from terminal_sim.bank_answers import REASONS
from terminal_sim.bank_script import load
from terminal_sim.processes import Finished, ProgramError
from terminal_sim.sandbox import Installation, ThrowAway
from terminal_sim.sandbox_files import HOUSE_ACCOUNT, HOUSE_BANK
from terminal_sim.terminal import KOREA
from terminal_sim.town_count import SwitchPayment
from terminal_sim.town_plan import PROGRAMME, TownPlan

MAKER, APPROVER = "dahye", "jungho"
ROLES: Final = {MAKER: ("maker", "deliverer", "reconciler", "admin"), APPROVER: ("approver",)}
CLOSED_ACCOUNT: Final = "AC04"
EXIT_EXCEPTIONS: Final = 3
BANK_FOLDER, STATEMENTS = "bank", "statements"
_PASSWORD: Final = "DURE_OPERATOR_PASSWORD_FILE"  # noqa: S105 - the name of a variable that names a file


class Rejected(msgspec.Struct):
    """What the bank refused: how many payouts, whose, won, its code and words; paid after all on `again`."""

    payouts: int
    merchant: str
    name: str
    won: int
    code: str
    reason: str
    again: str


class Banked(msgspec.Struct):
    """What became of the night's files: people, counts and won, days; `statement` is a shop's, as text."""

    made_by: str
    approved_by: str
    files: int
    accepted: int
    accepted_won: int
    rejected: Rejected
    booked: int
    booked_won: int
    booked_on: str
    bank_won: int
    ledger_won: int
    open_items: int
    statement: list[str]
    statement_file: str
    problems: list[str]


async def add_operators(installation: ThrowAway) -> None:
    """Two people who may do different things, each with a password. Raises ProgramError."""
    by: tuple[str, ...] = ()
    for number, (name, roles) in enumerate(ROLES.items()):
        file = _password_of(installation, name)
        file.touch(mode=0o600)
        file.write_text(f"{name} keeps this for the demonstration {number}\n", "utf-8")
        options = [word for role in roles for word in ("--role", role)]
        add = ("--password-file", str(file), *options, *by)
        await _by(installation, MAKER, "operator add", name, *add, named=False)
        by = ("--operator", MAKER)
    for name in ("in", "out", "taken"):
        (installation.directory / BANK_FOLDER / name).mkdir(parents=True)


async def run_night(installation: ThrowAway, *arguments: str) -> dict[str, Any]:
    """`dure-settlement run`, by the maker: its report of the town's programme. Raises ProgramError."""
    options = ("--programme", PROGRAMME, "--json", *arguments)
    finished = await _by(installation, MAKER, "run", *options)
    told: dict[str, Any] = finished.json()["programmes"][0]
    return told


async def through_bank(
    installation: ThrowAway,
    plan: TownPlan,
    known: Sequence[SwitchPayment],
    preview: Sequence[dict[str, Any]],
    night: date,
) -> Banked:
    """Take the files of the night's run to their end. Raises ProgramError when a program does not report."""
    folder = installation.directory / BANK_FOLDER
    largest = max(preview, key=lambda line: (line["paid"], line["merchant"]))
    shop = next(m for m in plan.merchants if m.merchant_id == largest["merchant"])
    (folder / "bank.toml").write_text(_script(plan, known, night, shop.account_no), "utf-8")
    morning, pay_on = night + timedelta(days=1), date.fromisoformat(largest["pay_on"])

    await _at(installation, morning, 9)
    files = await _approve_and_deliver(installation)
    await asyncio.to_thread(_bank, folder, morning, None)
    answered = await run_night(installation, "--date", night.isoformat())

    # The shop has told its new account: its money is ordered again, and approved again.
    number = f"{shop.account_no[:-1]}{(int(shop.account_no[-1]) + 1) % 10}"
    account = ("--bank", shop.bank_code, "--account", number, "--holder", shop.name)
    await _by(installation, MAKER, "account", shop.merchant_id, *account)
    await run_night(installation, "--date", night.isoformat(), "--again")
    await _approve_and_deliver(installation)

    won = await asyncio.to_thread(_bank, folder, morning, pay_on)
    await _at(installation, pay_on, 20)
    through = await run_night(installation, "--date", night.isoformat())
    balances = (await _by(installation, MAKER, "reconcile", "--json")).json()["programmes"][0]["balances"]
    opened = (await installation.settlement("open", "--json")).check().json()
    told, file = await _statement(installation, shop.merchant_id, night)
    acknowledged = _outcomes(answered, "acknowledge")[0]
    reconciled = _outcomes(through, "reconcile")
    return Banked(
        made_by=MAKER,
        approved_by=APPROVER,
        files=files,
        accepted=acknowledged["accepted"],
        accepted_won=sum(line["paid"] for line in preview) - acknowledged["rejected_won"],
        rejected=Rejected(
            acknowledged["rejected"],
            *(shop.merchant_id, shop.name, acknowledged["rejected_won"]),
            *(CLOSED_ACCOUNT, REASONS[CLOSED_ACCOUNT], pay_on.isoformat()),
        ),
        booked=sum(one["booked"] for one in reconciled),
        booked_won=sum(one["booked_won"] for one in reconciled),
        booked_on=pay_on.isoformat(),
        bank_won=won,
        ledger_won=next(one["ledger"] for one in balances if one["account"] == "safeguarded"),
        open_items=sum(len(one["items"]) for one in opened),
        statement=told,
        statement_file=file,
        problems=_problems(through),
    )


def _outcomes(report: dict[str, Any], step: str) -> list[dict[str, Any]]:
    """What one later step told of each run, oldest first."""
    return [run["outcomes"][step] for run in report["later"] if step in run["outcomes"]]


def _problems(through: dict[str, Any]) -> list[str]:
    """What is not through although the bank has told everything."""
    lines = [f"settlement: {line}" for line in through["exceptions"]]
    for run in through["later"]:
        lines += [f"{step} of cycle {run['cycle']} waits: {what}" for step, what in run["waits"].items()]
    return lines


def _script(plan: TownPlan, known: Sequence[SwitchPayment], night: date, refused: str) -> str:
    """The bank's script: one account, what was charged to cards comes in, one shop's account is closed."""
    charged: Counter[date] = Counter({night: sum(member.charged for member in plan.members)})
    for payment in known:
        if payment.kind == "topup" and payment.outcome == "approved":
            charged[date.fromisoformat(payment.local_day)] += payment.amount
    money = "".join(
        f'[[credit]]\naccount = "{HOUSE_ACCOUNT}"\non = {day + timedelta(days=1)}\nwon = {won}\n'
        f'remittance = "TOPUP-{day:%Y%m%d}"\n'
        for day, won in sorted(charged.items())
    )
    return (
        f'# Written by dure-terminal-sim for a simulation.\ncode = "{HOUSE_BANK}"\nfirst_day = {night}\n'
        f'[[account]]\nnumber = "{HOUSE_ACCOUNT}"\nname = "{PROGRAMME}"\n'
        f'{money}[[payee]]\naccount = "{refused}"\ndoes = "reject"\ncode = "{CLOSED_ACCOUNT}"\n'
    )


def _bank(folder: Path, morning: date, evening: date | None) -> int:
    """A morning of the bank, and its days through an evening; won on the town's account."""
    with Bank(folder, load(folder / "bank.toml")) as bank:
        bank.morning(morning)
        if evening is not None:
            bank.evening(evening)
        return bank.balance(HOUSE_ACCOUNT)


async def _approve_and_deliver(installation: ThrowAway) -> int:
    """A second person approves what waits, the maker delivers it. How many files there were."""
    approved = await _by(installation, APPROVER, "approve", "--yes", "--json")
    results = [one["result"] for one in approved.json()["results"]]
    if set(results) != {"approved"}:
        raise ProgramError(f"{approved.command}: told {results}, not one approved file after the other")
    await _by(installation, MAKER, "deliver", "--json")
    return len(results)


async def _statement(installation: ThrowAway, merchant: str, night: date) -> tuple[list[str], str]:
    """The shop's statement of the night as text, and as a PDF: its path below the demonstration's folder."""
    which = (merchant, "--date", night.isoformat())
    told = await _by(installation, MAKER, "report merchant", *which)
    folder = installation.directory / STATEMENTS
    written = await _by(installation, MAKER, "report merchant", *which, "--to", str(folder), "--form", "pdf")
    path = Path(written.output.strip().splitlines()[-1])
    return told.output.rstrip().splitlines(), str(path.relative_to(installation.directory))


async def _at(installation: Installation, day: date, hour: int) -> None:
    await installation.set_clock(datetime(day.year, day.month, day.day, hour, tzinfo=KOREA))


def _password_of(installation: ThrowAway, name: str) -> Path:
    return installation.directory / f"{name}.password"


async def _by(
    installation: ThrowAway, name: str, command: str, *arguments: str, named: bool = True
) -> Finished:
    """A command by one of the two. Raises ProgramError, but not for what a person must look at."""
    environment = {_PASSWORD: str(_password_of(installation, name))}
    operator = ("--operator", name) if named else ()
    finished = await installation.settlement(command, *arguments, *operator, environment=environment)
    return finished if finished.code == EXIT_EXCEPTIONS else finished.check()
