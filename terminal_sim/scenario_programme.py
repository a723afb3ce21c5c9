"""A scenario's own rules as the programme file that the switch reads."""

import json
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from terminal_sim import scenario as words
from terminal_sim.processes import ProgramError
from terminal_sim.terminal import KOREA


def programme_toml(programme: words.Programme) -> str:
    """The programme file of a scenario's own rules. Raises ProgramError for a rate that is none."""
    lines = ["[programme]"]
    lines += _pairs({"id": programme.id, "name": programme.id, "cutover": programme.cutover})
    lines += _pairs({"bins": programme.bins})
    lines += _pairs({"member_tags": programme.member_tags} if programme.member_tags else {})
    for funder in programme.funders:
        lines += ["[[funder]]", *_pairs({"id": funder, "name": funder})]
    for budget in programme.budgets:
        lines += ["[[budget]]", *_pairs(_given(budget))]
    for code, campaign in programme.campaigns.items():
        lines += _campaign_lines(code, campaign)
    for policy in programme.policies:
        lines += _policy_lines(policy)
    return "\n".join(lines) + "\n"


def _given(shape: words.Shape) -> dict[str, Any]:
    """Its fields by name, without those that say nothing."""
    found = {key: getattr(shape, key) for key in shape.__struct_fields__}
    return {key: value for key, value in found.items() if value not in (None, [], {}, "")}


def _campaign_lines(code: str, campaign: words.Campaign) -> list[str]:
    values = _given(campaign)
    where = _given(values.pop("where"))
    if campaign.shares:
        values["rate"] = _percent_sum(campaign.shares)
    values |= {"where": where} if where else {}
    return ["[[campaign]]", *_pairs({"code": code, "name": code, **values})]


_LATER_KEYS: Final = (
    *("hold_days", "completion_over", "reversal_after_completion", "expired_to", "donation_group"),
    *("withdraw_days", "withdraw_after", "company_cashback"),
)


def _policy_lines(policy: words.Policy) -> list[str]:
    start = policy.effective_from.astimezone(KOREA).isoformat()
    lines = ["[[policy]]", f"effective_from = {start}"]
    plain = ("version", "spending_order", "cashback_basis", "payout_days")
    months = ("points_expiry_months", "charged_expiry_months")
    lines += _pairs({key: getattr(policy, key) for key in (*plain, *months)})
    lines += _pairs({"fee_default": policy.fee})
    lines += _pairs({key: getattr(policy, key) for key in _LATER_KEYS})
    above = 0
    for tier in policy.tiers:
        rate = _percent_sum(tier.shares)
        lines += ["[[policy.tier]]", *_pairs({"above": above, "up_to": tier.up_to, "rate": rate})]
        lines += _pairs({"shares": tier.shares} if tier.shares else {})
        above = tier.up_to
    for bonus in policy.bonuses:
        given = {"code": bonus.code, "group": bonus.group, "channel": bonus.channel}
        rate = _percent_sum(bonus.shares)
        lines += ["[[policy.bonus]]", *_pairs({**given, "rate": rate, "shares": bonus.shares})]
        lines += _pairs({"inside_cap": bonus.inside_cap, "budget": bonus.budget})
    for rule in policy.restrictions:
        reason = {"reason_ko": "사용 제한", "reason_en": "not accepted here"}
        facts = {key: value for key in rule.__struct_fields__ if (value := getattr(rule, key))}
        lines += ["[[policy.restriction]]", *_pairs({**facts, **reason})]
    if policy.contactless is not None:
        contactless = policy.contactless
        lines += ["[policy.contactless]"]
        lines += _pairs({key: getattr(contactless, key) for key in contactless.__struct_fields__})
    for name in ("limits", "company_limits"):
        if limits := getattr(policy, name):
            lines += [f"[policy.{name}]", *_pairs(limits)]
    # One class for all, unless the scenario is about classes.
    classes = policy.fee_classes or [words.FeeClass(up_to=999_999_999_999, rate=policy.fee)]
    above = 0
    for step in classes:
        lines += ["[[policy.fee_class]]", *_pairs({"above": above, "up_to": step.up_to, "rate": step.rate})]
        above = step.up_to
    return lines


def _pairs(values: dict[str, Any]) -> list[str]:
    return [f"{key} = {_toml(value)}" for key, value in values.items() if value is not None]


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_toml(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, datetime):
        return value.astimezone(KOREA).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    # Numbers, booleans, lists and basic strings are written alike in JSON and TOML.
    return json.dumps(value, ensure_ascii=False)


def _percent_sum(shares: dict[str, str]) -> str:
    try:
        total = sum((Decimal(share.removesuffix("%").strip()) for share in shares.values()), Decimal(0))
    except InvalidOperation:
        raise ProgramError(f'{shares}: a share is written as "4 %"') from None
    return f"{total.normalize():f} %"
