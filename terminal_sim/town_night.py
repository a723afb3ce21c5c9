"""The night after the demonstration's day: settlement, proof, and everything that the summary tells."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final

import msgspec

from terminal_sim.processes import ProgramError
from terminal_sim.sandbox import ThrowAway
from terminal_sim.scenario_books import find_file
from terminal_sim.town_bank import run_night, through_bank
from terminal_sim.town_city import city_of
from terminal_sim.town_count import SwitchPayment, count_journals, disagreements, terminal_disagreements
from terminal_sim.town_plan import PROGRAMME, TownPlan
from terminal_sim.town_play import Message
from terminal_sim.town_summary import Declined, Explained, Shortage, Summary

BUSINESS_DATE: Final = date(2026, 11, 30)  # a Monday, the month's last day, with two bank days after it
BROKEN: Final = ("91", "96")
LANGUAGES: Final = ("ko", "en")


async def summarise(installation: ThrowAway, plan: TownPlan, day: Sequence[Message]) -> Summary:
    """Settles the day and tells what it came to. Raises ProgramError when a program does not report."""
    days = (BUSINESS_DATE, BUSINESS_DATE + timedelta(days=1))
    known = [payment for one in days for payment in await _payments(installation, one)]
    preview, settled = await _night(installation)
    banked = await through_bank(installation, plan, known, preview["preview"], BUSINESS_DATE)
    proof = await _proof(installation)
    city = await city_of(installation)
    explained = await _explained(installation, known)
    journals = count_journals(plan, day)
    credit, pay = settled["credit"] or {}, settled["pay"] or {}
    files = (settled["emit"] or {}).get("files", [])
    outbox = installation.directory / "outbox"
    return Summary(
        programme=PROGRAMME,
        business_date=BUSINESS_DATE.isoformat(),
        seed=plan.seed,
        members=len(plan.members),
        merchants=len(plan.merchants),
        terminals=len(plan.terminals),
        messages=len(day),
        answers=journals.answers,
        entries=journals.entries,
        declined=_declined(known),
        won_sold=journals.sold,
        won_returned=journals.returned,
        won_topped_up=journals.topped_up,
        won_given=journals.given,
        won_sold_at_market=journals.market_sold,
        cashback=credit.get("cashback", []),
        cashback_told=journals.cashback_told,
        cashback_credited=credit.get("credited", 0),
        shortage=_shortage(known),
        budgets=city.budgets,
        campaigns=city.campaigns,
        cases=city.cases,
        midnight=journals.midnight,
        fees=pay.get("fees", 0),
        payouts=pay.get("by_date", []),
        bank_files=[
            {
                "path": str(find_file(outbox, file["name"])),
                "sha256": file["sha256"],
                "payouts": file["payouts"],
                "won": file["won"],
            }
            for file in files
        ],
        explained=explained,
        banked=banked,
        proof=proof,
        problems=[*_problems(plan, day, known, preview, settled, proof), *banked.problems],
        seconds={},
    )


def _problems(
    plan: TownPlan,
    day: Sequence[Message],
    known: Sequence[SwitchPayment],
    preview: dict[str, Any],
    settled: dict[str, Any],
    proof: dict[str, Any],
) -> list[str]:
    """Everything that is not as it should be."""
    journals = count_journals(plan, day)
    problems = disagreements(journals, preview["preview"], (settled["credit"] or {}).get("cashback", []))
    problems += terminal_disagreements(day, known)
    problems += [f"settlement: {line}" for line in settled["exceptions"]]
    if settled["problem"]:
        problems.append(f"settlement: {settled['problem']}")
    if not proof["holds"]:
        problems.append("the proof fails: see dure-switch proof")
    closed = {message.terminal_no for message in day if message.reply and message.reply.in_balance}
    if len(closed) != len(plan.terminals):
        problems.append(f"{len(plan.terminals) - len(closed)} terminals closed no batch in balance")
    unanswered = sum(message.reply is None or message.reply.mac_ok is False for message in day)
    if unanswered:
        problems.append(f"{unanswered} messages without a right answer")
    broken = sum(message.reply is not None and message.reply.code in BROKEN for message in day)
    if broken:
        problems.append(f"{broken} messages were answered {' or '.join(BROKEN)}: see switch.log")
    return problems


def _declined(known: Sequence[SwitchPayment]) -> list[Declined]:
    """By the switch's own reason, the most frequent first."""
    number: Counter[str] = Counter()
    won: Counter[str] = Counter()
    for payment in known:
        if payment.outcome == "declined":
            number[payment.reason] += 1
            won[payment.reason] += payment.amount
    ordered = sorted(number.items(), key=lambda item: (-item[1], item[0]))
    return [Declined(reason, count, won[reason]) for reason, count in ordered]


def _shortage(known: Sequence[SwitchPayment]) -> Shortage:
    short = sorted((one for one in known if one.missed), key=lambda one: (one.local_day, one.local_time))
    if not short:
        return Shortage("", 0, 0)
    since = short[0].local_time
    return Shortage(f"{since[:2]}:{since[2:4]}", len(short), sum(one.missed for one in short))


async def _explained(installation: ThrowAway, known: Sequence[SwitchPayment]) -> Explained:
    """The payment with most to tell: many lots, many pieces of cashback, a budget that fell short."""
    paid = [one for one in known if one.kind == "purchase" and one.cashback]
    if not paid:
        return Explained("", [], [])
    chosen = max(paid, key=_interest)
    told = (await installation.switch("explain", chosen.name, "--json")).check().json()["told"]
    return Explained(chosen.name, *(_lines(told[language]) for language in LANGUAGES))


def _interest(payment: SwitchPayment) -> tuple[int, int, int, str]:
    detail = payment.detail
    lots, pieces = len(detail.get("uses", ())), len(detail.get("pieces", ()))
    return lots + pieces + bool(payment.missed), lots, payment.cashback, payment.name


def _lines(told: dict[str, Any]) -> list[str]:
    lines = [told["headline"]]
    for section in told["sections"]:
        lines += [f"  {section['title']}", *(f"    {line}" for line in section["lines"])]
    return lines


async def _payments(installation: ThrowAway, day: date) -> list[SwitchPayment]:
    """What the switch has of a local day, from all terminals."""
    which = ("--date", day.isoformat(), "--all", "--json")
    told = (await installation.switch("payment", "list", *which)).check()
    try:
        return await asyncio.to_thread(msgspec.json.decode, told.output, type=list[SwitchPayment])
    except msgspec.DecodeError as error:
        raise ProgramError(f"{told.command}: printed something else than payments ({error})") from None


async def _night(installation: ThrowAway) -> tuple[dict[str, Any], dict[str, Any]]:
    """Preview and settlement, as reported. Raises ProgramError when one of them does not report."""
    date_option = ("--date", BUSINESS_DATE.isoformat())
    return await run_night(installation, *date_option, "--dry-run"), await run_night(
        installation, *date_option
    )


async def _proof(installation: ThrowAway) -> dict[str, Any]:
    finished = await installation.switch("proof", "--json")
    return {"holds": finished.code == 0, "report": finished.json() if finished.output.strip() else {}}
