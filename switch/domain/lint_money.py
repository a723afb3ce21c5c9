"""Traps of money: what nobody bounds, what nobody can spend, what is over before it begins."""

from datetime import timedelta

from switch.domain.budget import CASHBACK, ISSUANCE
from switch.domain.calendar import SEOUL, day_of_date
from switch.domain.campaign import Campaign
from switch.domain.lint_finding import Facts, Finding, info, warning
from switch.domain.programme import Policy, Programme


def money(programme: Programme, facts: Facts | None) -> list[Finding]:
    """Traps of budgets and campaigns."""
    found = _unbounded(programme) + _unused(programme)
    for campaign in programme.campaigns:
        found += _campaign(programme, campaign)
    policy = programme.policies[-1]
    public = [kind for kind in policy.cashback_basis if kind in ("coupon", "grant")]
    if public:
        found.append(
            info(
                f"policy {policy.version}, cashback_basis",
                f"has {', '.join(public)}",
                "public money earns public money",
                'leave only "charged" if that is not meant',
                policy.version,
            )
        )
    if facts is not None:
        found += _too_small(programme, facts)
    return found


def _charged(policy: Policy) -> dict[tuple[str, str], str]:
    """(budget code, funder) that a version charges → who does."""
    found: dict[tuple[str, str], str] = {}
    for tier in policy.tiers:
        for funder, _ in tier.shares:
            found.setdefault((CASHBACK, funder), "the tiers")
    for bonus in policy.bonuses:
        for funder, _ in bonus.shares:
            found.setdefault((bonus.budget or CASHBACK, funder), f"bonus {bonus.code}")
    return found


def _unbounded(programme: Programme) -> list[Finding]:
    policy = programme.policies[-1]
    lines = {(line.code, line.funder) for line in programme.lines()}
    charged = _charged(policy)
    missing = {key: who for key, who in charged.items() if key not in lines}
    if missing and not any(code != ISSUANCE for code, _ in lines):
        return [
            info(
                f"policy {policy.version}",
                "no funder has a budget",
                "cashback is granted whatever it comes to",
                "add [[budget]] for each funder",
                policy.version,
            )
        ]
    return [
        warning(
            f'budget "{code}" of {funder}',
            f"is missing, and {who} of policy {policy.version} charge it",
            f"{funder} pays without a bound",
            f'add [[budget]] with code = "{code}" and funder = "{funder}"',
            policy.version,
        )
        for (code, funder), who in missing.items()
    ]


def _unused(programme: Programme) -> list[Finding]:
    named = {ISSUANCE} | {one.budget_code for one in programme.campaigns}
    charged = {key for policy in programme.policies for key in _charged(policy)}
    return [
        warning(
            f'budget "{one.code}" of {one.funder}',
            "is charged by nothing",
            "its money will not be spent, and what it was meant for may have no bound",
            "correct the code, or name it as the budget of a bonus or campaign",
            one.code,
        )
        for one in programme.budgets
        if one.code not in named and (one.code, one.funder) not in charged
    ]


def _too_small(programme: Programme, facts: Facts) -> list[Finding]:
    return [
        warning(
            f'budget "{one.code}" of {one.funder}',
            f"{one.monthly:,} won a month are less than the {won:,} won of last month",
            "it will run out before the month does",
            "raise it, lower the rates, or announce the end",
            one.code,
        )
        for one in programme.budgets
        if not one.whole and (won := facts.burned.get((one.code, one.funder), 0)) > one.monthly
    ]


def _campaign(programme: Programme, campaign: Campaign) -> list[Finding]:
    found: list[Finding] = []
    where = f"campaign {campaign.code}"
    lines = {(line.code, line.funder) for line in programme.lines()}
    short = [funder for funder, _ in campaign.shares if (campaign.budget_code, funder) not in lines]
    if short:
        found.append(
            warning(
                where,
                f"has no pot, and no budget bounds what {', '.join(short)} pays",
                "it costs what it costs",
                "add total_max, or the name of a budget that its funder has",
                campaign.code,
            )
        )
    elif not campaign.total_max:
        found.append(
            info(
                where,
                f'has no pot of its own: budget "{campaign.budget}" pays it',
                "what else that budget pays ends earlier",
                "add total_max if that is not meant",
                campaign.code,
            )
        )
    if campaign.kind == "coupon" and not campaign.rate_ppm and campaign.min_spend <= campaign.won:
        found.append(
            warning(
                where,
                f"takes {campaign.won:,} won off payments of {campaign.min_spend:,} won and more",
                "it can pay the whole of a payment: a gift, not a discount",
                f"raise min_spend above {campaign.won} if that is not meant",
                campaign.code,
            )
        )
    if campaign.kind != "cashback":
        found += _spendable(programme, campaign)
    return found


def _spendable(programme: Programme, campaign: Campaign) -> list[Finding]:
    found: list[Finding] = []
    where = f"campaign {campaign.code}"
    last = day_of_date(campaign.ends.astimezone(SEOUL) - timedelta(seconds=1))
    if campaign.valid_until and campaign.valid_until < last:
        found.append(
            warning(
                f"{where}, valid_until",
                f"{campaign.valid_until} lies before the last day of issue, {last}",
                "what is issued between them is expired when it comes",
                "write a later valid_until, or an earlier end",
                campaign.code,
            )
        )
    in_force = [
        policy
        for policy, after in zip(programme.policies, (*programme.policies[1:], None), strict=True)
        if after is None or after.effective_from > campaign.starts
    ]
    closed = [policy.version for policy in in_force if campaign.kind not in policy.spending_order]
    if closed:
        found.append(
            warning(
                where,
                f'spending_order of policy {", ".join(closed)} has no "{campaign.kind}"',
                "who gets it can never spend it then",
                f'add "{campaign.kind}" to spending_order',
                campaign.code,
            )
        )
    return found
