"""What the night needs to know about a programme: its rules by version, its funders, its shops' groups."""

from datetime import date, datetime, time, timedelta
from functools import cached_property

import msgspec
from sqlalchemy import Connection, select

from settlement.errors import ConfigurationError, UsageError
from switch.domain.calendar import SEOUL, business_date
from switch.domain.programme import Policy, Programme
from switch.domain.programme_file import from_canonical
from switch.domain.request import Terms
from switch.domain.rerate import rating_terms
from switch.store import schema
from switch.store.schema_programme import budget, campaign

_NO_GROUPS: frozenset[str] = frozenset()


class Facts:
    """One programme as the database has it. Read once per run; `groups_on` answers from memory."""

    def __init__(self, connection: Connection, programme_no: int) -> None:
        row = connection.execute(
            select(schema.programme).where(schema.programme.c.programme_no == programme_no)
        ).one()
        self.programme_no = programme_no
        self.programme_id: str = row.programme_id
        self.sha256: str = row.sha256
        self.programme: Programme = from_canonical(row.document.encode())
        self.policies = _policies(connection, programme_no)
        funders = connection.execute(
            select(schema.funder.c.funder_id, schema.funder.c.funder_no).where(
                schema.funder.c.programme_no == programme_no
            )
        )
        self.funder_no: dict[str, int] = {name: number for name, number in funders}  # noqa: C416 (rows)
        self.funder_id = {number: name for name, number in self.funder_no.items()}
        self.terms = _terms(connection, programme_no, self)
        self._groups = _groups(connection, programme_no)
        self._groups_on: dict[tuple[int, date], frozenset[str]] = {}

    @cached_property
    def cutover(self) -> time:
        """When one business date ends and the next begins (Korean wall time)."""
        return self.programme.cutover

    def open_date(self, now: datetime) -> date:
        """The business date that is open at an instant."""
        return business_date(now, self.cutover)

    def policy_of(self, day: date) -> Policy:
        """The version in force when a business date ends: its fees, terms and expiries are the date's.

        Raises UsageError before the programme's first version.
        """
        end = datetime.combine(day + timedelta(days=1), self.cutover, SEOUL)
        for policy in reversed(self.programme.policies):
            if policy.effective_from < end:
                return policy
        raise UsageError(f"programme {self.programme_id} had no policy yet on {day}: choose a later --date")

    def groups_on(self, merchant_no: int, day: date) -> frozenset[str]:
        """The groups a merchant was in on a local day."""
        dated = self._groups.get(merchant_no)
        if dated is None:
            return _NO_GROUPS
        key = (merchant_no, day)
        found = self._groups_on.get(key)
        if found is None:
            found = frozenset(
                code for code, start, end in dated if start <= day and (end is None or day < end)
            )
            self._groups_on[key] = found
        return found


def _policies(connection: Connection, programme_no: int) -> dict[int, Policy]:
    rows = connection.execute(
        select(schema.policy.c.policy_no, schema.policy.c.document).where(
            schema.policy.c.programme_no == programme_no
        )
    )
    return {number: msgspec.json.decode(document, type=Policy) for number, document in rows}


def _terms(connection: Connection, programme_no: int, facts: Facts) -> dict[int, Terms]:
    """What rating asks of each version, by its number: budgets and campaigns are the programme's."""
    own = budget.c.programme_no == programme_no
    budget_no = {
        (row.code, facts.funder_id.get(row.funder_no, "")): row.budget_no
        for row in connection.execute(select(budget).where(own))
    }
    by_code = {one.code: one for one in facts.programme.campaigns}
    windows = {
        row.code: (row.campaign_no, by_code[row.code])
        for row in connection.execute(select(campaign).where(campaign.c.programme_no == programme_no))
        if row.code in by_code
    }
    return {
        number: rating_terms(policy, number, facts.funder_no, budget_no, windows)
        for number, policy in facts.policies.items()
    }


def _groups(connection: Connection, programme_no: int) -> dict[int, list[tuple[str, date, date | None]]]:
    group, merchant = schema.merchant_group, schema.merchant
    rows = connection.execute(
        select(group.c.merchant_no, group.c.group_code, group.c.valid_from, group.c.valid_to)
        .join(merchant, merchant.c.merchant_no == group.c.merchant_no)
        .where(merchant.c.programme_no == programme_no)
    )
    found: dict[int, list[tuple[str, date, date | None]]] = {}
    for number, code, start, end in rows:
        found.setdefault(number, []).append((code, start, end))
    return found


def load_all(connection: Connection, programme_id: str | None) -> list[Facts]:
    """The programme asked for, or all of them in the order of their ids.

    Raises UsageError for an unknown id, ConfigurationError for a stored programme that cannot be read.
    """
    query = select(schema.programme.c.programme_no).order_by(schema.programme.c.programme_id)
    if programme_id is not None:
        query = query.where(schema.programme.c.programme_id == programme_id)
    numbers = list(connection.execute(query).scalars())
    if programme_id is not None and not numbers:
        raise UsageError(
            f"there is no programme {programme_id!r}: see dure-settlement status for those there are"
        )
    try:
        return [Facts(connection, number) for number in numbers]
    except msgspec.DecodeError as error:
        raise ConfigurationError(
            f"a stored programme cannot be read ({error}): apply its file again"
        ) from error
