"""Names for the numbers that payments are stored with: versions, funders, budgets, campaigns, merchants."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from switch.domain.budget import Grants
from switch.domain.calendar import moment_of
from switch.domain.campaign import Campaign
from switch.domain.explain_facts import BudgetWon, RuleText
from switch.domain.programme import Policy, Programme
from switch.domain.programme_file import from_canonical
from switch.service.admin import NotFoundError
from switch.store import schema as t
from switch.store.schema_programme import budget, campaign


class Version(msgspec.Struct, frozen=True):
    """A policy version as it was applied; `since` is yyyymmddhhmmss of Asia/Seoul."""

    policy_no: int
    policy: Policy
    since: int


class Names:
    """What a programme's numbers stand for. Read once; small."""

    def __init__(self, connection: Connection, programme_no: int) -> None:
        row = connection.execute(select(t.programme).where(t.programme.c.programme_no == programme_no)).one()
        self.programme_no = programme_no
        self.programme: Programme = from_canonical(row.document.encode())
        self.closed_through = row.closed_through
        own = t.policy.c.programme_no == programme_no
        self.versions = {
            one.policy_no: _version(one.policy_no, one.document, one.effective_from)
            for one in connection.execute(select(t.policy).where(own))
        }
        funders = connection.execute(select(t.funder).where(t.funder.c.programme_no == programme_no)).all()
        self.funder_no: dict[str, int] = {one.funder_id: one.funder_no for one in funders}
        self.funder_id = {number: name for name, number in self.funder_no.items()}
        self.funder_name: dict[int, str] = {one.funder_no: one.name for one in funders}
        budgets = connection.execute(select(budget).where(budget.c.programme_no == programme_no)).all()
        self.budget_code: dict[int, str] = {one.budget_no: one.code for one in budgets}
        self.budget_no: dict[tuple[str, str], int] = {
            (one.code, self.funder_id.get(one.funder_no, "")): one.budget_no for one in budgets
        }
        by_code = {one.code: one for one in self.programme.campaigns}
        rows = connection.execute(select(campaign).where(campaign.c.programme_no == programme_no)).all()
        self.campaigns: dict[int, Campaign] = {
            one.campaign_no: by_code[one.code] for one in rows if one.code in by_code
        }
        self.windows: dict[str, tuple[int, Campaign]] = {
            one.code: (number, one) for number, one in self.campaigns.items()
        }

    def version(self, name: str) -> Version:
        """The version of this name. Raises NotFoundError."""
        for one in self.versions.values():
            if one.policy.version == name:
                return one
        known = ", ".join(sorted(one.policy.version for one in self.versions.values()))
        raise NotFoundError(
            f'{self.programme.programme_id} has no applied version "{name}": there are {known}'
        )

    def funder(self, funder_no: int) -> str:
        """A funder's name, or its number if it has none."""
        return self.funder_name.get(funder_no, str(funder_no)) if funder_no else ""

    def shares(self, grants: Grants) -> tuple[BudgetWon, ...]:
        """Grants with the names of who pays and of which budget."""
        return tuple(
            BudgetWon(self.funder(funder), self._pot(self.budget_code.get(number, "")), won)
            for funder, number, won in grants
        )

    def _pot(self, code: str) -> str:
        """A budget's code; of a campaign's pot (`campaign:CODE`) the campaign's name."""
        known = self.windows.get(code.removeprefix("campaign:"))
        return known[1].name if known is not None and code.startswith("campaign:") else code

    def rule(self, policy: Policy | None, code: str) -> RuleText:
        """A restriction's own words in the version that judged, or a campaign's name (`campaign:CODE`)."""
        for one in policy.restrictions if policy is not None else ():
            if one.code == code:
                return RuleText(code, one.reason_ko, one.reason_en)
        known = self.windows.get(code.removeprefix("campaign:"))
        if known is not None:
            return RuleText(code, known[1].name, known[1].name)
        return RuleText(code, code, code)


def _version(policy_no: int, document: str, since: datetime) -> Version:
    return Version(policy_no, msgspec.json.decode(document, type=Policy), moment_of(since))


def names_of(connection: Connection, programme_id: str) -> Names:
    """The names of a programme by its id. Raises NotFoundError."""
    number: Any = connection.scalar(
        select(t.programme.c.programme_no).where(t.programme.c.programme_id == programme_id)
    )
    if number is None:
        raise NotFoundError(f'no programme "{programme_id}": `dure-switch programme list` shows them')
    return Names(connection, number)
