"""What the demonstration's city does besides its rules: budgets, campaigns, a donation case.

The programme is the one that ships, with budgets and pots of the size of a small town, so that one of them
ends on the day that is played.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from terminal_sim.processes import ProgramError
from terminal_sim.sandbox import Installation
from terminal_sim.scenario_stage import write_csv
from terminal_sim.town_names import BAKERY, CAFE, CHARITY_NAME, MARKET_GROUP, RESTAURANT
from terminal_sim.town_plan import PROGRAMME, TownMember, TownPlan
from terminal_sim.town_play import CASE

COUPON, GRANT, SCHOLARSHIP = "sale_coupon", "sale_grant", "hope_scholarship"
DINING: Final = "sale_dining"
SCHOLAR_TAG: Final = "scholar"
COUPON_WON, GRANT_WON, SCHOLARSHIP_WON = 10_000, 10_000, 500_000
CASE_TITLE: Final = "겨울 난방비"
CASE_TEXT: Final = "난방비가 모자라는 이웃의 겨울을 돕습니다"
CASE_DEADLINE: Final = "2026-12-31"
_TO_PROGRAMME: Final = ("--programme", PROGRAMME)
_AMOUNTS: Final = ("monthly", "whole", "total_max")

Sizes = Mapping[tuple[str, str, str], int]
"""Won of a section of the programme file: ("budget", code, funder), or ("campaign", code, "")."""


class City(msgspec.Struct):
    """How the city's money stands after the night: budgets, campaigns, cases, as the commands tell them."""

    budgets: list[dict[str, Any]]
    campaigns: list[dict[str, Any]]
    cases: list[dict[str, Any]]


def sizes_of(plan: TownPlan) -> Sizes:
    """What the town's people may need: more than enough, but of the market's budget, which will end."""
    group = {t: plan.merchants[terminal.merchant] for t, terminal in enumerate(plan.terminals)}
    paid = [event for event in plan.events if event.kind == "purchase" and event.member >= 0]
    sold = sum(event.won for event in paid)
    dining = {trade.category for trade in (RESTAURANT, CAFE, BAKERY)}
    at_market = sum(event.won for event in paid if group[event.terminal].group == MARKET_GROUP)
    at_tables = sum(event.won for event in paid if group[event.terminal].category in dining)
    members = plan.members
    return {
        ("budget", "cashback", "national"): _round(sold * 4 // 100),
        ("budget", "cashback", "city"): _round(sold * 6 // 100),
        ("budget", "market", "city"): _round(at_market * 3 // 200),
        ("budget", "issuance", ""): _round(sold),
        ("campaign", DINING, ""): _round(at_tables * 5 // 100),
        ("campaign", COUPON, ""): max(sum(m.coupon for m in members), 1) * COUPON_WON,
        ("campaign", GRANT, ""): max(sum(m.grant for m in members), 1) * GRANT_WON,
        ("campaign", SCHOLARSHIP, ""): max(sum(m.scholar for m in members), 1) * SCHOLARSHIP_WON,
    }


def _round(won: int) -> int:
    return max(won // 1_000, 1) * 1_000


def sized(text: str, sizes: Sizes) -> str:
    """The programme file with these amounts, and everything else as it was. Raises ProgramError."""
    blocks = re.split(r"(?m)^(?=\[\[)", text)
    left = dict(sizes)
    for number, block in enumerate(blocks):
        section = re.match(r"\[\[(\w+)\]\]", block)
        code, funder = _value(block, "code"), _value(block, "funder")
        name = section[1] if section else ""
        won = left.pop((name, code, funder if name == "budget" else ""), None)
        if won is not None:
            block = re.sub(r"(?m)^months\s*=.*\n", "", block)
            blocks[number] = re.sub(rf"(?m)^({'|'.join(_AMOUNTS)})\s*=.*$", rf"\1 = {won}", block)
    if left:
        raise ProgramError(f"the programme file has no {sorted(left)}: see config/programmes")
    return "".join(blocks)


def _value(block: str, key: str) -> str:
    found = re.search(rf'(?m)^{key}\s*=\s*"([^"]*)"', block)
    return found[1] if found else ""


async def give_out(installation: Installation, plan: TownPlan, files: Path) -> None:
    """Issues coupons, grants and scholarships, and opens the donation case. Raises ProgramError."""
    charity = next(m for m in plan.merchants if m.name == CHARITY_NAME)
    case = {
        "code": CASE,
        "kind": "living",
        "title": CASE_TITLE,
        "text": CASE_TEXT,
        "target": plan.case_target,
        "deadline": CASE_DEADLINE,
        "merchant": charity.merchant_id,
    }
    options = [text for name, value in case.items() for text in (f"--{name}", str(value))]
    (await installation.switch("donation", "open", *_TO_PROGRAMME, *options)).check()
    for code, members in (
        (COUPON, [m for m in plan.members if m.coupon]),
        (GRANT, [m for m in plan.members if m.grant]),
    ):
        await _issue(installation, files, code, members)
    if any(m.scholar for m in plan.members):
        to_scholars = ("campaign", "issue", SCHOLARSHIP, *_TO_PROGRAMME, "--tag", SCHOLAR_TAG)
        (await installation.switch(*to_scholars)).check()


async def _issue(installation: Installation, files: Path, code: str, members: Iterable[TownMember]) -> None:
    path = files / f"{code}.csv"
    await asyncio.to_thread(write_csv, path, ("member_id",), [(m.member_id,) for m in members])
    issue = ("campaign", "issue", code, *_TO_PROGRAMME, "--members", str(path))
    (await installation.switch(*issue)).check()


async def city_of(installation: Installation) -> City:
    """How the city's money stands now. Raises ProgramError."""
    budgets, campaigns, cases = await asyncio.gather(
        installation.switch("budget", "list", *_TO_PROGRAMME, "--json"),
        installation.switch("campaign", "list", *_TO_PROGRAMME, "--json"),
        installation.switch("donation", "list", *_TO_PROGRAMME, "--json"),
    )
    return City(budgets.check().json(), campaigns.check().json(), cases.check().json())
