"""Reference data in memory: programmes, policies, merchants, as of one epoch.

It is read whole and never changed in place; every batch compares its epoch with the database's, so a change
that an operator committed holds from the very next batch on, in every process.
"""

import msgspec
from sqlalchemy import Connection, Engine, select

from switch.domain.budget import Line
from switch.domain.calendar import day_of_date, moment_of
from switch.domain.campaign import Campaign
from switch.domain.merchant import Merchant
from switch.domain.programme import NoPolicy, Policy, Programme
from switch.domain.programme_file import from_canonical
from switch.domain.request import Terms
from switch.domain.restriction import refusals
from switch.store import schema as t
from switch.store import schema_programme as given_tables
from switch.store.lane_values import NO_GIVEN, Given
from switch.store.merchant_facts import read_facts
from switch.store.watch_stops import stopped_shops

_TERMS_MAX = 200_000  # worked-out terms kept; then all are dropped and worked out again


class UnknownReferenceError(LookupError):
    """A programme, policy or merchant that the books name and the reference data have not."""


class ProgrammeGiven(msgspec.Struct, frozen=True):
    """What a programme gives beside its policies: budgets by code and funder id, campaigns by number, windows
    of extra cashback by code; the bit of each member tag. `member_bound`: some window has a bound for each
    member."""

    budget_no: dict[tuple[str, str], int] = {}
    campaigns: dict[int, Campaign] = {}
    windows: dict[str, tuple[int, Campaign]] = {}
    tag_bit: dict[str, int] = {}
    member_bound: bool = False


_NOTHING_GIVEN = ProgrammeGiven()


class Reference(msgspec.Struct):
    """Everything that payments are judged by and that no payment changes."""

    epoch: int
    simulation: bool
    programmes: dict[int, Programme]
    policies: dict[int, tuple[int, Policy]]  # policy_no → (programme_no, policy)
    policy_no: dict[tuple[int, str], int]
    funder_no: dict[int, dict[str, int]]
    merchants: dict[int, Merchant]
    merchant_no: dict[str, int]
    programme_of: dict[int, int]  # merchant_no → programme_no
    starts: dict[int, list[tuple[int, int]]]  # programme_no → (yyyymmddhhmmss, policy_no), newest first
    soundboxes: dict[int, tuple[str, ...]] = {}  # merchant_no → terminals that are told of payments
    terms_known: dict[tuple[int, int, int, str], Terms] = {}
    barred_known: dict[frozenset[int], frozenset[int]] = {}  # of campaigns: most merchants have the same
    budgets: Given = NO_GIVEN
    member_bound: frozenset[int] = frozenset()  # programmes with a window that has a bound for each member
    given: dict[int, ProgrammeGiven] = {}  # by programme_no
    stopped_shops: dict[int, int] = {}  # merchant_no → the last day (yyyymmdd) on which the watch stops it

    def terms(self, programme_no: int, merchant_no: int, day: int, time: int, channel: str) -> Terms:
        """What holds for a payment at its own local day (yyyymmdd) and time (hhmmss).

        Raises NoPolicy before the programme's first version.
        """
        moment = day * 1_000_000 + time
        for start, policy_no in self.starts[programme_no]:
            if start <= moment:
                return self.terms_of(policy_no, merchant_no, day, channel)
        raise NoPolicy(f"programme {programme_no} has no rules for {day}")

    def terms_of(self, policy_no: int, merchant_no: int, day: int, channel: str) -> Terms:
        """What held for a payment under a given policy version. Raises UnknownReferenceError."""
        key = (policy_no, merchant_no, day, channel)
        known = self.terms_known.get(key)
        if known is not None:
            return known
        if policy_no not in self.policies or merchant_no not in self.merchants:
            raise UnknownReferenceError(
                f"policy {policy_no} or merchant {merchant_no} is not in the reference data"
            )
        programme_no, policy = self.policies[policy_no]
        merchant = self.merchants[merchant_no].on(day)
        refused = {
            kind: found
            for kind in policy.spending_order
            if (found := refusals(policy, merchant, kind, day, channel))
        }
        given = self.given.get(programme_no, _NOTHING_GIVEN)
        groups = merchant.groups_on(day)
        barred = frozenset(
            [n for n, one in given.campaigns.items() if not one.where.covers(merchant, groups, channel)]
        )
        if len(self.terms_known) >= _TERMS_MAX:
            self.terms_known.clear()
            self.barred_known.clear()
        terms = Terms(
            policy=policy,
            policy_no=policy_no,
            merchant=merchant,
            groups=groups,
            refused=refused,
            funder_no=self.funder_no[programme_no],
            merchant_open=merchant.is_open_on(day),
            stopped=day <= self.stopped_shops.get(merchant_no, 0),
            budget_no=given.budget_no,
            campaigns=given.campaigns,
            barred=self.barred_known.setdefault(barred, barred),
            windows=tuple(
                (number, one, moment_of(one.starts), moment_of(one.ends))
                for number, one in given.windows.values()
                if one.where.covers(merchant, groups, channel) and _on(one, day)
            ),
            windows_by_code=given.windows,
            tag_bit=given.tag_bit,
            donation=bool(policy.donation_group) and policy.donation_group in groups,
        )
        self.terms_known[key] = terms
        return terms


def _on(campaign: Campaign, day: int) -> bool:
    """Whether some of the day (yyyymmdd) lies in a campaign's time."""
    return moment_of(campaign.starts) // 1_000_000 <= day and day * 1_000_000 < moment_of(campaign.ends)


def _given(
    connection: Connection, programmes: dict[int, Programme], funder_no: dict[int, dict[str, int]]
) -> tuple[dict[int, ProgrammeGiven], dict[int, Line]]:
    """What every programme gives, and all budgets by number."""
    numbers: dict[int, dict[tuple[str, int], int]] = {}
    for row in connection.execute(select(given_tables.budget)):
        numbers.setdefault(row.programme_no, {})[row.code, row.funder_no] = row.budget_no
    campaign_no: dict[int, dict[str, int]] = {}
    for row in connection.execute(select(given_tables.campaign)):
        campaign_no.setdefault(row.programme_no, {})[row.code] = row.campaign_no
    given: dict[int, ProgrammeGiven] = {}
    lines: dict[int, Line] = {}
    for programme_no, programme in programmes.items():
        budget_no: dict[tuple[str, str], int] = {}
        for budget in programme.lines():
            funder = funder_no[programme_no].get(budget.funder, 0)
            number = numbers.get(programme_no, {}).get((budget.code, funder))
            if number is not None:
                budget_no[budget.code, budget.funder] = number
                lines[number] = Line(number, programme_no, funder, budget)
        known = [(campaign_no.get(programme_no, {}).get(one.code, 0), one) for one in programme.campaigns]
        given[programme_no] = ProgrammeGiven(
            budget_no=budget_no,
            campaigns={number: one for number, one in known if one.kind != "cashback"},
            windows={one.code: (number, one) for number, one in known if one.kind == "cashback"},
            tag_bit={tag: 1 << place for place, tag in enumerate(programme.member_tags)},
            member_bound=any(one.kind == "cashback" and one.member_max for _, one in known),
        )
    return given, lines


def _of_payments(number: int, programme: Programme, lines: dict[int, Line]) -> tuple[Line, ...]:
    """A programme's budgets that payments may take from: not the pots of what is issued."""
    issued = {one.budget_code for one in programme.campaigns if one.kind != "cashback" and one.total_max}
    own = [line for line in lines.values() if line.programme_no == number]
    return tuple([line for line in own if line.budget.code not in issued])


def read_epoch(engine: Engine) -> int:
    """The epoch of the reference data as they are now. Blocking."""
    with engine.connect() as connection:
        return int(connection.execute(select(t.control.c.reference_epoch)).scalar_one())


def load_reference(engine: Engine) -> Reference:
    """Read all reference data in one snapshot. Blocking: call it off the event loop."""
    with (
        engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection,
        connection.begin(),
    ):
        row = connection.execute(select(t.control)).one()
        programmes: dict[int, Programme] = {}
        for number, document in connection.execute(
            select(t.programme.c.programme_no, t.programme.c.document)
        ):
            programmes[number] = from_canonical(document.encode())
        policies: dict[int, tuple[int, Policy]] = {}
        policy_no: dict[tuple[int, str], int] = {}
        columns = (t.policy.c.policy_no, t.policy.c.programme_no, t.policy.c.version)
        for number, programme_no, version in connection.execute(select(*columns)):
            policy_no[programme_no, version] = number
            found = next((p for p in programmes[programme_no].policies if p.version == version), None)
            if found is not None:
                policies[number] = (programme_no, found)
        funder_no: dict[int, dict[str, int]] = {number: {} for number in programmes}
        for funder in connection.execute(select(t.funder)):
            funder_no[funder.programme_no][funder.funder_id] = funder.funder_no
        groups: dict[int, list[tuple[str, int, int]]] = {}
        for g in connection.execute(select(t.merchant_group).order_by(t.merchant_group.c.valid_from)):
            until = day_of_date(g.valid_to) if g.valid_to else 0
            groups.setdefault(g.merchant_no, []).append((g.group_code, day_of_date(g.valid_from), until))
        sales: dict[int, list[tuple[int, int]]] = {}
        for s in connection.execute(select(t.merchant_sales).order_by(t.merchant_sales.c.valid_from)):
            sales.setdefault(s.merchant_no, []).append((day_of_date(s.valid_from), s.annual_sales))
        later = read_facts(connection)
        merchants: dict[int, Merchant] = {}
        programme_of: dict[int, int] = {}
        for m in connection.execute(select(t.merchant)):
            merchants[m.merchant_no] = Merchant(
                merchant_no=m.merchant_no,
                merchant_id=m.merchant_id,
                programme_id=programmes[m.programme_no].programme_id,
                name=m.name,
                category=m.category,
                region=m.region,
                head_region=m.head_region,
                size=m.size,
                channels=tuple(m.channels),
                annual_sales=tuple(sales.get(m.merchant_no, ())),
                groups=tuple(groups.get(m.merchant_no, ())),
                opened_day=day_of_date(m.opened),
                closed_day=day_of_date(m.closed) if m.closed else 0,
                facts=later.get(m.merchant_no, ()),
            )
            programme_of[m.merchant_no] = m.programme_no
        stopped = stopped_shops(connection)
        soundboxes: dict[int, tuple[str, ...]] = {}
        told = select(t.terminal.c.merchant_no, t.terminal.c.terminal_id).where(
            t.terminal.c.notify, t.terminal.c.state == "active"
        )
        for number, terminal_id in connection.execute(told.order_by(t.terminal.c.terminal_id)):
            soundboxes[number] = (*soundboxes.get(number, ()), terminal_id)
        given, lines = _given(connection, programmes, funder_no)
    return Reference(
        epoch=row.reference_epoch,
        simulation=row.simulation,
        programmes=programmes,
        policies=policies,
        policy_no=policy_no,
        funder_no=funder_no,
        merchants=merchants,
        merchant_no={m.merchant_id: number for number, m in merchants.items()},
        programme_of=programme_of,
        starts={
            programme_no: sorted(
                (
                    (moment_of(policy.effective_from), number)
                    for number, (owner, policy) in policies.items()
                    if owner == programme_no
                ),
                reverse=True,
            )
            for programme_no in programmes
        },
        soundboxes=soundboxes,
        stopped_shops=stopped,
        given=given,
        budgets=Given(
            lines,
            {
                number: own
                for number, programme in programmes.items()
                if (own := _of_payments(number, programme, lines))
            },
        ),
        member_bound=frozenset(number for number, one in given.items() if one.member_bound),
    )
