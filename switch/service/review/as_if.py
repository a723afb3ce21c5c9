"""Reference data as they would be if a programme had other rules: nothing of it reaches the books."""

from msgspec.structs import replace

from switch.domain.budget import Line
from switch.domain.calendar import moment_of
from switch.domain.programme import Programme
from switch.service.admin import RefusedError
from switch.store.reference import ProgrammeGiven, Reference


def as_if(reference: Reference, programme_no: int, wanted: Programme, as_version: str = "") -> Reference:
    """The reference data with `wanted` in the place of a programme in force.

    What the books number keeps its number; what is new gets one beyond them. `as_version` judges all time by
    one version. Raises RefusedError where the file does not have it.
    """
    known = {
        version: number for (owner, version), number in reference.policy_no.items() if owner == programme_no
    }
    after = max(reference.policies, default=0)
    policies = {no: one for no, one in reference.policies.items() if one[0] != programme_no}
    policy_no = {key: no for key, no in reference.policy_no.items() if key[0] != programme_no}
    starts: list[tuple[int, int]] = []
    for policy in wanted.policies:
        number = known.get(policy.version)
        if number is None:
            after += 1
            number = after
        policies[number] = (programme_no, policy)
        policy_no[programme_no, policy.version] = number
        if not as_version:
            starts.append((moment_of(policy.effective_from), number))
        elif policy.version == as_version:
            starts.append((0, number))
    if not starts:
        versions = ", ".join(policy.version for policy in wanted.policies)
        raise RefusedError(f'the file has no version "{as_version}": it has {versions}')
    funder_no = _funders(reference, programme_no, wanted)
    given, lines = _given(reference, programme_no, wanted, funder_no)
    return replace(
        reference,
        programmes={**reference.programmes, programme_no: wanted},
        policies=policies,
        policy_no=policy_no,
        funder_no={**reference.funder_no, programme_no: funder_no},
        starts={**reference.starts, programme_no: sorted(starts, reverse=True)},
        given={**reference.given, programme_no: given},
        budgets=replace(reference.budgets, lines=lines),
        stopped_shops={},  # what the watch refused stays refused; nothing else is stopped by it
        terms_known={},
    )


def _funders(reference: Reference, programme_no: int, wanted: Programme) -> dict[str, int]:
    numbers = dict(reference.funder_no[programme_no])
    after = max((no for owned in reference.funder_no.values() for no in owned.values()), default=0)
    for funder in wanted.funders:
        if funder.id not in numbers:
            after += 1
            numbers[funder.id] = after
    return numbers


def _given(
    reference: Reference, programme_no: int, wanted: Programme, funder_no: dict[str, int]
) -> tuple[ProgrammeGiven, dict[int, Line]]:
    """Budgets and campaigns; campaigns that the file no longer names keep their lots spendable."""
    before = reference.given.get(programme_no) or ProgrammeGiven()
    known = {(line.budget.code, line.funder_no): no for no, line in reference.budgets.lines.items()
             if line.programme_no == programme_no}  # fmt: skip
    lines = {no: line for no, line in reference.budgets.lines.items() if line.programme_no != programme_no}
    after = max(reference.budgets.lines, default=0)
    budget_no: dict[tuple[str, str], int] = {}
    for budget in wanted.lines():
        owner = funder_no.get(budget.funder, 0)
        number = known.get((budget.code, owner))
        if number is None:
            after += 1
            number = after
        budget_no[budget.code, budget.funder] = number
        lines[number] = Line(number, programme_no, owner, budget)
    campaigns = dict(before.campaigns)
    windows = dict(before.windows)
    numbers = {one.code: no for no, one in campaigns.items()} | {
        code: no for code, (no, _) in windows.items()
    }
    after = max((*numbers.values(), 0))
    for one in wanted.campaigns:
        number = numbers.get(one.code)
        if number is None:
            after += 1
            number = after
        campaigns.pop(number, None)
        windows.pop(one.code, None)
        if one.kind == "cashback":
            windows[one.code] = (number, one)
        else:
            campaigns[number] = one
    named = {one.code for one in wanted.campaigns}
    given = ProgrammeGiven(
        budget_no=budget_no,
        campaigns=campaigns,
        windows={code: one for code, one in windows.items() if code in named},
        tag_bit={tag: 1 << place for place, tag in enumerate(wanted.member_tags)},
        member_bound=any(one.kind == "cashback" and one.member_max for one in wanted.campaigns),
    )
    return given, lines
