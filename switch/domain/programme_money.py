"""Budgets and campaigns in a programme file."""

import re
from collections.abc import Collection
from datetime import datetime

from switch.domain.budget import CASHBACK, ISSUANCE, Budget
from switch.domain.calendar import SEOUL, date_of_day
from switch.domain.campaign import CAMPAIGN_KINDS, Campaign, Where
from switch.domain.merchant import CHANNELS, SIZES
from switch.domain.money import PPM, WON_MAX
from switch.domain.toml_reader import Table, nearest
from switch.domain.toml_words import (
    LABEL,
    LABEL_FORM,
    NAME,
    NAME_FORM,
    WORD,
    WORD_FORM,
    read_code,
    read_instant,
    read_rate_and_shares,
)

BUDGETS_MAX, CAMPAIGNS_MAX, MONTHS_MAX = 200, 1_000, 240
VALID_DAYS_MAX = 3_660
TIMES_MAX = 1_000
_MONTH = re.compile(r"20\d\d-(0[1-9]|1[0-2])")


def read_budgets(root: Table, funders: tuple[str, ...]) -> tuple[Budget, ...]:
    """Every [[budget]]: what a funder gives at most in a month, or once."""
    found: list[Budget] = []
    for item in root.tables("budget", BUDGETS_MAX, required=False):
        code = item.text("code", NAME, NAME_FORM, fallback=CASHBACK)
        funder = item.text("funder", NAME, NAME_FORM, fallback="")
        if code == ISSUANCE and funder:
            item.report("funder", "the bound on top-ups has no funder", "remove the line")
        elif code != ISSUANCE and funder not in funders:
            message = f'unknown funder "{funder}"' if funder else "the budget has no funder"
            item.report("funder", message, nearest(funder, funders))
        if any((code, funder) == (one.code, one.funder) for one in found):
            item.report("code", f'"{code}" of {funder or "all"} stands twice', "put both into one budget")
        whole = item.integer("whole", 1, WON_MAX, fallback=0)
        monthly = item.integer("monthly", 0, WON_MAX, fallback=0)
        if item.is_clean and whole and ("monthly" in item or "months" in item):
            item.report("whole", "stands beside a monthly amount", "write either whole or monthly")
        if item.is_clean and not whole and "monthly" not in item and "months" not in item:
            item.report("", "the budget has no amount", "add monthly = … (won) or whole = …")
        months = _months(item.table("months", required=False))
        found.append(
            Budget(
                code=code,
                funder=funder,
                monthly=monthly,
                months=months,
                whole=whole,
                reopen=item.flag("reopen", True),
            )
        )
        item.finish()
    return tuple(found)


def payers(budgets: Collection[Budget]) -> frozenset[str]:
    """The codes of the budgets that can pay cashback. Another name would be money without a bound."""
    return frozenset({one.code for one in budgets if one.code != ISSUANCE})


def _months(table: Table) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for name in table.names()[:MONTHS_MAX]:
        won = table.integer(name, 0, WON_MAX)
        if _MONTH.fullmatch(name):
            found.append((int(name[:4]) * 100 + int(name[5:]), won))
        else:
            table.report(name, f'"{name}" is no month', 'write it as "2025-06" = 1_000_000')
    return tuple(sorted(found))


def read_campaigns(
    root: Table, funders: tuple[str, ...], tags: tuple[str, ...], budgets: Collection[Budget]
) -> tuple[Campaign, ...]:
    """Every [[campaign]], each with who pays, how much at most, for whom, where and when."""
    found: list[Campaign] = []
    for item in root.tables("campaign", CAMPAIGNS_MAX, required=False):
        campaign = _campaign(item, [one.code for one in found], funders, tags)
        if item.is_clean:
            _check(item, campaign, budgets)
        item.finish()
        found.append(campaign)
    return tuple(found)


def _campaign(item: Table, taken: list[str], funders: tuple[str, ...], tags: tuple[str, ...]) -> Campaign:
    code = read_code(item, taken)
    kind = str(item.text("kind", re.compile("|".join(CAMPAIGN_KINDS)), "coupon, grant or cashback"))
    starts, ends = read_instant(item, "starts"), read_instant(item, "ends")
    if item.is_clean and ends <= starts:
        item.report("ends", "is not after starts", "write the instant at which it is over")
    rate_ppm, shares = _money(item, kind, funders)
    audience = item.text("audience", NAME, NAME_FORM, fallback="")
    if audience and audience not in tags:
        fix = nearest(audience, tags) if tags else "name it in programme.member_tags"
        item.report("audience", f'no member tag "{audience}"', fix)
    where = item.table("where", required=False)
    campaign = Campaign(
        code=code,
        name=item.text("name", LABEL, LABEL_FORM),
        kind=kind,
        starts=starts,
        ends=ends,
        shares=shares,
        won=item.integer("won", 1, WON_MAX, fallback=0 if kind == "cashback" else None),
        rate_ppm=rate_ppm,
        min_spend=item.integer("min_spend", 1, WON_MAX, fallback=0),
        member_max=item.integer(
            "member_max", 1, WON_MAX if kind == "cashback" else TIMES_MAX, fallback=int(kind != "cashback")
        ),
        total_max=item.integer("total_max", 1, WON_MAX, fallback=0),
        budget=item.text("budget", NAME, NAME_FORM, fallback=CASHBACK if kind == "cashback" else ""),
        where=Where(
            categories=where.words("categories", form=WORD, form_text=WORD_FORM, fallback=()),
            sizes=where.words("sizes", known=SIZES, fallback=()),
            regions=where.words("regions", form=WORD, form_text=WORD_FORM, fallback=()),
            channels=where.words("channels", known=CHANNELS, fallback=()),
            groups=where.words("groups", form=NAME, form_text=NAME_FORM, fallback=()),
        ),
        audience=audience,
        valid_days=item.integer("valid_days", 0, VALID_DAYS_MAX, fallback=0),
        valid_until=_day(item, "valid_until"),
        inside_cap=item.flag("inside_cap", True),
    )
    where.finish()
    return campaign


def _money(item: Table, kind: str, funders: tuple[str, ...]) -> tuple[int, tuple[tuple[str, int], ...]]:
    """(rate, shares): of cashback the parts of its rate; a coupon or grant is one funder's money."""
    if kind == "cashback":
        return read_rate_and_shares(item, funders)
    rate_ppm = item.rate("rate") if kind == "coupon" and "rate" in item else 0
    funder = item.text("funder", NAME, NAME_FORM)
    if funder and funder not in funders:
        item.report("funder", f'unknown funder "{funder}"', nearest(funder, funders))
    return rate_ppm, ((funder, PPM),)


def _day(item: Table, key: str) -> int:
    value = item.value(key, False, "")
    if value is None:
        return 0
    if isinstance(value, datetime) or not hasattr(value, "toordinal"):
        item.report(key, "must be a day", f"write {key} = 2025-12-31 without quotes")
        return 0
    return int(value.year * 10_000 + value.month * 100 + value.day)


def _check(item: Table, campaign: Campaign, budgets: Collection[Budget]) -> None:
    named = payers(budgets)
    fallback = CASHBACK if campaign.kind == "cashback" else ""
    if campaign.budget != fallback and campaign.budget not in named:
        item.report("budget", f'no budget "{campaign.budget}"', nearest(campaign.budget, named))
    if campaign.kind == "cashback":
        if not campaign.rate_ppm:
            item.report("rate", "a window of 0 % does nothing", "remove the campaign")
        if campaign.won or campaign.valid_days or campaign.valid_until:
            item.report("", "cashback has no value and no validity of its own", "remove won, valid_…")
        if campaign.member_max and not campaign.total_max:
            fix = "add total_max = … (won in all): what a member got is counted in the campaign's own pot"
            item.report("member_max", "needs a pot of the campaign's own", fix)
        return
    funder = campaign.shares[0][0]
    if campaign.budget in named and not any((campaign.budget, funder) == (b.code, b.funder) for b in budgets):
        fix = f'name a budget of "{funder}", or add a line of it to this one'
        item.report("budget", f'budget "{campaign.budget}" is not one of its funder "{funder}"', fix)
    if bool(campaign.valid_days) == bool(campaign.valid_until):
        item.report("", "needs one end of validity", "write either valid_days = … or valid_until = …")
    elif (
        campaign.valid_until and date_of_day(campaign.valid_until) < campaign.starts.astimezone(SEOUL).date()
    ):
        item.report("valid_until", "lies before the campaign starts", "write a later day")
    if campaign.total_max and "budget" in item:
        item.report("budget", "stands beside total_max, a pot of its own", "write either")
