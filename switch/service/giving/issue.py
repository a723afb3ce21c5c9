"""Issue of coupons and grants: a lot for each member of the audience, exactly once a round.

A round is one time that members get the campaign; a campaign has `member_max` of them. An issue is booked in
pieces, so that no payment waits long for a wallet; whoever has had the round is left out when it is run
again, and so a run that was stopped is finished by the same command.
"""

from collections.abc import Iterable
from datetime import date, datetime, time
from pathlib import Path

import msgspec
from sqlalchemy import Connection, Engine

from switch.domain.acts import ActKind, opened_by
from switch.domain.calendar import SEOUL, day_of_date
from switch.domain.wallet import LOTS_MAX, Wallet
from switch.ledger.chart import LOT_ACCOUNT, Account
from switch.ledger.journal import entry
from switch.service.admin import RefusedError
from switch.service.giving.finding import (
    CampaignAt,
    Person,
    campaign_of,
    members_by,
    open_days,
    programme_of,
)
from switch.service.import_books import refuse_twice
from switch.service.import_files import Column, Problems, Progress, no_progress, read_rows
from switch.store.acts import Act, ActBatch, lots_with_money
from switch.store.budget_pool import take
from switch.store.bulk import chunks
from switch.store.cards import find_members
from switch.store.funding import hold_open_date
from switch.store.reference_write import ProgrammeAt

WALLETS_AT_ONCE = 500
"""Wallets in one transaction: a payment of one of them waits no longer than this many take."""


class IssueReport(msgspec.Struct):
    """What an issue did, in members; `won` issued. `left_out` names members that the empty pot left out (the
    first ones), `no_money_for` counts all of them."""

    campaign: str
    round: int
    members: int = 0
    issued: int = 0
    had_it: int = 0
    not_in_audience: int = 0
    stopped: int = 0
    full: int = 0
    no_money_for: int = 0
    won: int = 0
    left_out: list[str] = []


LEFT_OUT_SHOWN = 20


class _Run(msgspec.Struct):
    """One issue under way."""

    engine: Engine
    at: ProgrammeAt
    to: CampaignAt
    day: int
    round_no: int
    actor: str
    now: datetime
    business_day: date
    report: IssueReport


def issue(
    engine: Engine,
    programme_id: str,
    code: str,
    *,
    actor: str,
    now: datetime,
    members: Path | None = None,
    tag: str = "",
    on: date | None = None,
    round_no: int = 1,
    progress: Progress = no_progress,
) -> IssueReport:
    """Issue a campaign's coupon or grant to the members of a file, to those with a tag, or to all.

    The file is judged whole before anything is booked. Members get it in the file's order (else by member id)
    as long as the pot has money for a whole one. `on`: the day of issue, not in the future (default: today).

    Raises NotFoundError, RefusedError, ImportRefusedError.
    """
    with engine.connect() as connection:
        at = programme_of(connection, programme_id)
        to = campaign_of(connection, at, code)
        day = _day_of_issue(to, on, now)
        if not 1 <= round_no <= to.campaign.member_max:
            most = to.campaign.member_max
            raise RefusedError(f"campaign {code}: a member gets it {most} times at most: --round 1 to {most}")
        bit = _bit(at, tag)
        people = None if members is None else _read_members(connection, at, members, progress)
    report = IssueReport(code, round_no)
    run = _Run(engine, at, to, day, round_no, actor, now, open_days(engine, at, now), report)
    if people is not None:
        _issue_all(run, people, len(people), progress)
        return report
    with engine.connect() as reading:
        _issue_all(run, members_by(reading, at.programme_no, bit), 0, progress)
    return report


def _day_of_issue(to: CampaignAt, on: date | None, now: datetime) -> int:
    """The day on which the lots open. Raises RefusedError outside the campaign's time."""
    one = to.campaign
    if one.kind == "cashback":
        raise RefusedError(f"campaign {one.code} is a window of extra cashback: payments earn it, by itself")
    today = now.astimezone(SEOUL).date()
    if on is not None and on > today:
        raise RefusedError(f"{on} has not come yet: issue it on that day")
    first = datetime.combine(on, time(0), SEOUL) if on else now
    last = datetime.combine(on, time.max, SEOUL) if on else now
    if last < one.starts or first >= one.ends:
        raise RefusedError(
            f"campaign {one.code} may be issued from {one.starts:%Y-%m-%d %H:%M}"
            f" until {one.ends:%Y-%m-%d %H:%M}"
        )
    if one.valid_until and one.valid_until < day_of_date(on or today):
        raise RefusedError(
            f"campaign {one.code} is valid until {one.valid_until} only: it would come too late"
        )
    return day_of_date(on or today)


def _bit(at: ProgrammeAt, tag: str) -> int:
    tags = at.programme.member_tags
    if tag and tag not in tags:
        raise RefusedError(f'no member tag "{tag}": the programme has {", ".join(tags) or "none"}')
    return 1 << tags.index(tag) if tag else 0


def _read_members(connection: Connection, at: ProgrammeAt, path: Path, progress: Progress) -> list[Person]:
    """The members of a file, in its order. Raises ImportRefusedError with every fault."""
    problems = Problems(path.name)
    rows = read_rows(path, (Column("member_id", str),), problems, progress)
    refuse_twice(problems, "member_id", ((row[0], row[1]) for row in rows))
    known = find_members(connection, at.programme_no, [row[1] for row in rows])
    found: list[Person] = []
    for line, member_id in rows:
        where = known.get(member_id)
        if where is None:
            what = f'programme {at.programme.programme_id} has no member "{member_id}"'
            problems.add(line, "member_id", what, "import it first, or take the line out")
        else:
            found.append(Person(member_id, where.bucket, where.wallet_id))
    problems.raise_any()
    return found


def _issue_all(run: _Run, people: Iterable[Person], total: int, progress: Progress) -> None:
    for piece in chunks(people, WALLETS_AT_ONCE):
        with run.engine.begin() as connection:
            _issue_some(run, connection, piece)
        progress("issuing", run.report.members, total)


def _issue_some(run: _Run, connection: Connection, people: list[Person]) -> None:
    """One transaction: hold the date, lock, see who gets it, take from the pot, book."""
    code, counted = run.to.campaign.code, run.report
    references = {person: f"issue:{code}:{run.round_no}:{person.wallet_id}" for person in people}
    booked_on = hold_open_date(connection, run.at.programme_no, run.business_day)
    batch = ActBatch(connection, run.at.programme_no, booked_on, run.actor, run.now)
    # Acts are never undone: who has it by now needs no lock. The rest is looked at again behind the lock.
    asking = _without(batch, references, people)
    wallets = batch.lock((person.bucket, person.wallet_id) for person in asking)
    asking = _without(batch, references, asking)
    counted.members += len(people)
    counted.had_it += len(people) - len(asking)
    getting = [one for one in asking if _may_have(run, wallets[one.bucket, one.wallet_id], counted)]
    line, won = run.to.line, run.to.campaign.won
    month = booked_on.year * 100 + booked_on.month
    if line is not None and getting:
        enough = take(connection, line, month, won * len(getting), won) // won
        counted.no_money_for += len(getting) - enough
        shown = LEFT_OUT_SHOWN - len(counted.left_out)
        counted.left_out += [person.member_id for person in getting[enough:][: max(shown, 0)]]
        del getting[enough:]
    for person in getting:
        batch.add(_act(run, wallets[person.bucket, person.wallet_id], references[person], month))
    batch.write()
    counted.issued += len(getting)
    counted.won += won * len(getting)


def _without(batch: ActBatch, references: dict[Person, str], people: list[Person]) -> list[Person]:
    """Those of the people who have not had the round."""
    known = batch.known(references[person] for person in people)
    return [person for person in people if (references[person], 0) not in known]


def _may_have(run: _Run, wallet: Wallet, counted: IssueReport) -> bool:
    if run.to.tag and not wallet.tags & run.to.tag:
        counted.not_in_audience += 1
    elif not wallet.active:
        counted.stopped += 1
    elif len(wallet.lots) >= LOTS_MAX and lots_with_money(wallet) >= LOTS_MAX:
        counted.full += 1
    else:
        return True
    return False


def _act(run: _Run, wallet: Wallet, reference: str, month: int) -> Act:
    to = run.to
    lot = opened_by(to.campaign, to.campaign_no, to.funder_no, wallet.lot_seq + 1, run.day)
    booked = entry(
        Account.FUNDER_DUE,
        LOT_ACCOUNT[to.campaign.kind],
        lot.granted,
        lot_no=lot.lot_no,
        funder_no=to.funder_no,
        budget_no=to.line.budget_no if to.line else 0,
    )
    return Act(
        reference,
        ActKind.ISSUE,
        wallet,
        (booked,),
        (lot,),
        lot_no=lot.lot_no,
        campaign_no=to.campaign_no,
        budget_month=to.line.key(month)[1] if to.line else 0,
    )
