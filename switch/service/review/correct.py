"""A wrong rate was live: find the payments, show what they should have got, let a second person approve.

A proposal is a list of differences with a hash. Whoever approves it approves that list: it is worked out
again, and refused if the books have changed since.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Row

from switch.domain.calendar import moment_of
from switch.domain.correction import Difference, differences, right_grants, stands
from switch.domain.granting import Key
from switch.domain.merchant import Merchant
from switch.domain.request import Terms
from switch.domain.rerate import rating_terms
from switch.service.admin import NotFoundError, RefusedError
from switch.service.import_files import Progress, no_progress
from switch.service.review.names import Names, Version, names_of
from switch.store import corrections as store
from switch.store.bulk import lock_administration
from switch.store.corrections import Found, NewCorrection
from switch.store.merchant_facts import read_facts
from switch.store.schema import merchant

LINES_MAX = 2_000_000
"""Differences of one proposal: they are all in memory at once."""
BY_LENGTH_MAX = 64


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be corrected: purchases of a time, and the version that says what they should have got."""

    programme_id: str
    since: datetime
    until: datetime
    version: str
    group: str = ""
    category: str = ""
    forgive_below: int = 0
    owe: bool = True


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal as people see it; `over` are the won that members got too much, `state` how far it is."""

    number: int
    programme: str
    version: str
    since: datetime
    until: datetime
    group: str
    category: str
    forgive_below: int
    owe: bool
    payments: int
    members: int
    over: int
    under: int
    sha256: str
    state: str
    proposed_by: str
    proposed_at: datetime
    approved_by: str
    approved_at: datetime | None
    posted_at: datetime | None


class Work:
    """Works out differences of one programme by one version."""

    def __init__(self, names: Names, version: Version) -> None:
        self.names = names
        self._terms = {number: self._of_version(one) for number, one in names.versions.items()}
        self._right = self._terms[version.policy_no]

    def _of_version(self, one: Version) -> Terms:
        names = self.names
        return rating_terms(one.policy, one.policy_no, names.funder_no, names.budget_no, names.windows)

    def of(self, found: Found) -> list[Difference]:
        """The differences of one purchase as it stands now."""
        one = found.purchase
        standing: dict[Key, int] = dict(found.booked)
        for funder, budget, won in stands(one, self._terms[one.policy_no]):
            standing[funder, budget] = standing.get((funder, budget), 0) + won
        return differences(one, right_grants(one, self._right), standing, found.waived)


def propose(
    engine: Engine, wanted: Wanted, by: str, now: datetime, progress: Progress = no_progress
) -> Proposal:
    """Find what is wrong and store it as a proposal; nothing is booked.

    Raises NotFoundError, RefusedError.
    """
    who = person(by)
    with engine.begin() as connection:
        lock_administration(connection)
        names = names_of(connection, wanted.programme_id)
        version = names.version(wanted.version)
        _check(wanted, version, names)
        lines, over, under = [], 0, 0
        payments: set[tuple[int, int]] = set()
        for one in _lines(connection, names, version, wanted, progress):
            lines.append(one)
            payments.add((one.wallet_id, one.seq))
            over, under = over + max(-one.won, 0), under + max(one.won, 0)
            if len(lines) > LINES_MAX:
                raise RefusedError(f"more than {LINES_MAX:,} differences: correct a shorter time")
        if not lines:
            raise RefusedError("every payment of that time has what it should: there is nothing to correct")
        number = store.next_number(connection)
        row = NewCorrection(
            correction_no=number,
            programme_no=names.programme_no,
            policy_no=version.policy_no,
            since=wanted.since,
            until=wanted.until,
            only_group=wanted.group,
            only_category=wanted.category,
            forgive_below=wanted.forgive_below,
            owe=wanted.owe,
            payments=len(payments),
            members=len({wallet for wallet, _ in payments}),
            over=over,
            under=under,
            sha256=hash_of(wanted, version.policy_no, lines),
            proposed_by=who,
            proposed_at=now,
        )
        store.put_proposal(connection, row, lines)
    return proposal(engine, number)


def person(name: str) -> str:
    """A name as it goes into the record. Raises RefusedError for none."""
    told = " ".join(name.split())
    if not 0 < len(told) <= BY_LENGTH_MAX:
        raise RefusedError(f"--by needs a name of 1 to {BY_LENGTH_MAX} characters")
    return told


def _check(wanted: Wanted, version: Version, names: Names) -> None:
    if not wanted.since < wanted.until:
        raise RefusedError("--to is not after --from")
    for one in names.versions.values():
        if one.policy.cashback_basis != version.policy.cashback_basis and _in_force(one, wanted, names):
            raise RefusedError(
                f"version {one.policy.version} counts other money for cashback than {wanted.version}: what"
                " members had spent would differ too, so this is no correction of a rate"
            )


def _in_force(one: Version, wanted: Wanted, names: Names) -> bool:
    """Whether a version was in force at any instant of the time."""
    later = [other.since for other in names.versions.values() if other.since > one.since]
    end = min(later, default=99_999_999_999_999)
    return one.since < moment_of(wanted.until) and end > moment_of(wanted.since)


def _lines(
    connection: Connection, names: Names, version: Version, wanted: Wanted, progress: Progress
) -> Iterator[Difference]:
    work = Work(names, version)
    shops = _shops(connection, names, wanted.category) if wanted.category else None
    since, until = moment_of(wanted.since), moment_of(wanted.until)
    looked_at = 0
    for part in store.purchases_of(connection, names.programme_no, version.policy_no, since, until):
        looked_at += len(part)
        progress("payments", looked_at, 0)
        for found in part:
            one = found.purchase
            if wanted.group and wanted.group not in one.detail.groups:
                continue
            if shops is not None and shops[found.merchant_no].on(one.local_day).category != wanted.category:
                continue
            yield from work.of(found)


def _shops(connection: Connection, names: Names, category: str) -> dict[int, Merchant]:
    """The programme's merchants with their categories by day. Raises NotFoundError for one that none has."""
    facts = read_facts(connection)
    rows = connection.execute(merchant.select().where(merchant.c.programme_no == names.programme_no))
    found = {
        row.merchant_no: Merchant(
            merchant_no=row.merchant_no,
            merchant_id=row.merchant_id,
            programme_id=names.programme.programme_id,
            name=row.name,
            category=row.category,
            region=row.region,
            head_region=row.head_region,
            size=row.size,
            facts=facts.get(row.merchant_no, ()),
        )
        for row in rows
    }
    known = {one.category for one in found.values()} | {
        later.category for one in found.values() for later in one.facts
    }
    if category not in known:
        raise NotFoundError(f'no merchant has the category "{category}": check --category')
    return found


def hash_of(wanted: Wanted, policy_no: int, lines: Iterable[Difference]) -> str:
    """SHA-256 (hex) over what is asked for and every difference, in key order."""
    time = (moment_of(wanted.since), moment_of(wanted.until))
    asked = (wanted.programme_id, wanted.group, wanted.category, wanted.forgive_below, wanted.owe)
    digest = hashlib.sha256(msgspec.json.encode((*time, policy_no, *asked)))
    for one in lines:
        digest.update(msgspec.json.encode(msgspec.structs.astuple(one)))
    return digest.hexdigest()


def approve(
    engine: Engine, number: int, by: str, now: datetime, progress: Progress = no_progress
) -> Proposal:
    """Approve a proposal as a second person. It is worked out again, and refused if it comes out otherwise.

    Raises NotFoundError, RefusedError.
    """
    who = person(by)
    with engine.begin() as connection:
        lock_administration(connection)
        row = correction_row(connection, number)
        if row.approved_by is not None:
            raise RefusedError(f"correction {number} is approved already, by {row.approved_by}")
        if who.lower() == row.proposed_by.lower():
            raise RefusedError(f"{who} proposed correction {number}: somebody else must approve it")
        names = Names(connection, row.programme_no)
        wanted = _wanted(row, names)
        lines = _lines(connection, names, names.versions[row.policy_no], wanted, progress)
        if hash_of(wanted, row.policy_no, lines) != row.sha256:
            raise RefusedError(
                f"the books have changed since correction {number} was proposed: propose it again"
            )
        store.approve(connection, number, who, now)
    return proposal(engine, number)


def _wanted(row: Row[Any], names: Names) -> Wanted:
    return Wanted(
        programme_id=names.programme.programme_id,
        since=row.since,
        until=row.until,
        version=names.versions[row.policy_no].policy.version,
        group=row.only_group,
        category=row.only_category,
        forgive_below=row.forgive_below,
        owe=row.owe,
    )


def correction_row(connection: Connection, number: int) -> Row[Any]:
    """A proposal's stored row. Raises NotFoundError."""
    row = store.find(connection, number)
    if row is None:
        raise NotFoundError(f"no correction {number}: `dure-switch correct list` shows them")
    return row


def proposal(engine: Engine, number: int) -> Proposal:
    """A proposal by its number. Raises NotFoundError."""
    with engine.connect() as connection:
        row = correction_row(connection, number)
        return _proposal(row, Names(connection, row.programme_no))


def proposals(engine: Engine, programme_id: str | None, last: int) -> list[Proposal]:
    """The last proposals, the newest first. Raises NotFoundError."""
    with engine.connect() as connection:
        number = names_of(connection, programme_id).programme_no if programme_id else None
        rows: Sequence[Row[Any]] = store.all_of(connection, number, last)
        names = {one: Names(connection, one) for one in {row.programme_no for row in rows}}
        return [_proposal(row, names[row.programme_no]) for row in rows]


def _proposal(row: Row[Any], names: Names) -> Proposal:
    state = "posted" if row.posted_at else "approved" if row.approved_by else "proposed"
    return Proposal(
        number=row.correction_no,
        programme=names.programme.programme_id,
        version=names.versions[row.policy_no].policy.version,
        since=row.since,
        until=row.until,
        group=row.only_group,
        category=row.only_category,
        forgive_below=row.forgive_below,
        owe=row.owe,
        payments=row.payments,
        members=row.members,
        over=row.over,
        under=row.under,
        sha256=row.sha256,
        state=state,
        proposed_by=row.proposed_by,
        proposed_at=row.proposed_at,
        approved_by=row.approved_by or "",
        approved_at=row.approved_at,
        posted_at=row.posted_at,
    )
