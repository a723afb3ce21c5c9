"""Applying what a programme gives beside its policies: campaigns, budgets, members' tags.

What members were promised and what funders have paid from stays as it is: a campaign that has begun keeps its
terms, a budget's month that has begun keeps its amount (operators adjust it by a command that leaves a
trace).
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, select, text

from switch.domain.budget import Budget
from switch.domain.campaign import Campaign
from switch.domain.programme import Programme
from switch.store import reference_write as reference
from switch.store.schema_programme import budget, budget_month, campaign


def apply_given(
    connection: Connection,
    wanted: Programme,
    before: Programme | None,
    programme_no: int,
    funder_numbers: dict[str, int],
    now: datetime,
    problems: list[str],
) -> None:
    """Number what is new; what contradicts what has begun goes to `problems`."""
    _tags(wanted, before, problems)
    _campaigns(connection, wanted, before, programme_no, now, problems)
    _budgets(connection, wanted, before, programme_no, funder_numbers, problems)


def _tags(wanted: Programme, before: Programme | None, problems: list[str]) -> None:
    known = before.member_tags if before else ()
    if wanted.member_tags[: len(known)] != known:
        order = ", ".join(known)
        problems.append(f"programme.member_tags: members are marked by their order: begin with {order}")


def _campaigns(
    connection: Connection,
    wanted: Programme,
    before: Programme | None,
    programme_no: int,
    now: datetime,
    problems: list[str],
) -> None:
    earlier = {one.code: one for one in before.campaigns} if before else {}
    known = {
        row.code: row
        for row in connection.execute(select(campaign).where(campaign.c.programme_no == programme_no))
    }
    problems += [
        f'campaign "{missing}": is in force and missing here: put it back; it is over at its `ends`'
        for missing in sorted(known.keys() - {one.code for one in wanted.campaigns})
    ]
    for one in wanted.campaigns:
        sha256 = hashlib.sha256(msgspec.json.encode(one)).hexdigest()
        stored = known.get(one.code)
        if stored is not None and stored.sha256 == sha256:
            continue
        terms = (earlier.get(one.code, one), one)
        if stored is not None and _begun(connection, stored.campaign_no, terms, now):
            problems.append(
                f'campaign "{one.code}": has begun and differs from what members were promised: put it'
                " back as it was and give the new terms a campaign of their own"
            )
            continue
        number = stored.campaign_no if stored else reference.next_number(connection, campaign, "campaign_no")
        reference.put_row(
            connection,
            campaign,
            {"campaign_no": number},
            {"programme_no": programme_no, "code": one.code, "sha256": sha256},
        )


def _begun(connection: Connection, campaign_no: int, terms: Sequence[Campaign], now: datetime) -> bool:
    """Whether somebody may have had something of it, by its old or new terms: a window that is open, a lot
    that was given."""
    if any(one.kind == "cashback" and one.starts <= now for one in terms):
        return True
    given = text(
        "SELECT EXISTS (SELECT FROM lot WHERE campaign_no = :number)"
        " OR EXISTS (SELECT FROM budget_month m JOIN budget b USING (budget_no) JOIN campaign c"
        " ON c.programme_no = b.programme_no AND b.code = 'campaign:' || c.code"
        " WHERE c.campaign_no = :number)"
    )
    return bool(connection.scalar(given, {"number": campaign_no}))


def _budgets(
    connection: Connection,
    wanted: Programme,
    before: Programme | None,
    programme_no: int,
    funder_numbers: dict[str, int],
    problems: list[str],
) -> None:
    known = {
        (row.code, row.funder_no): row.budget_no
        for row in connection.execute(select(budget).where(budget.c.programme_no == programme_no))
    }
    earlier = {(one.code, one.funder): one for one in before.lines()} if before else {}
    lines = {(one.code, one.funder): one for one in wanted.lines()}
    for key, one in lines.items():
        at = (one.code, funder_numbers.get(one.funder, 0))
        if at not in known:
            number = reference.next_number(connection, budget, "budget_no")
            values = {"programme_no": programme_no, "code": at[0], "funder_no": at[1]}
            reference.put_row(connection, budget, {"budget_no": number}, values)
        elif key in earlier:
            problems += _changed(connection, known[at], earlier[key], one)
    for code, funder in earlier.keys() - lines.keys():
        number = known.get((code, funder_numbers.get(funder, 0)), 0)
        if _months(connection, number):
            problems.append(
                f'budget "{code}" of {funder or "top-ups"}: has been paid from and is missing here: put it'
                " back; an amount of 0 ends it"
            )


def _changed(connection: Connection, budget_no: int, was: Budget, now: Budget) -> list[str]:
    """What a new text of a budget says otherwise of months that have begun."""
    named = f'budget "{now.code}" of {now.funder or "top-ups"}'
    begun = _months(connection, budget_no)
    if begun and bool(was.whole) != bool(now.whole):
        return [f"{named}: has been paid from: a pot cannot become months, nor months a pot: set it back"]
    if begun and was.reopen != now.reopen:
        # What came back so far was counted by the old rule, and an undone refund would be by the new one.
        return [f"{named}: has been paid from: set reopen back, and name a new budget for the new rule"]
    return [
        f"{named}: {month or 'the pot'} has begun with {was.amount_of(month):,} won: leave that amount, and"
        " change it by dure-switch budget adjust"
        for month in begun
        if was.amount_of(month) != now.amount_of(month)
    ]


def _months(connection: Connection, budget_no: int) -> list[int]:
    """The months (or WHOLE) of a budget from which something may have been paid."""
    rows = connection.execute(
        select(budget_month.c.month)
        .where(budget_month.c.budget_no == budget_no)
        .order_by(budget_month.c.month)
    )
    return [int(row.month) for row in rows]
