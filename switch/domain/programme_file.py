"""The programme file: TOML that a city official can read ↔ the Programme of the rules.

parse_programme checks everything that makes a programme consistent, so that no rule has to check again,
and reports every problem at once. canonical_json is the form in which an applied programme is stored; its
hash names exactly this content. The file itself is explained in config/programmes/seoro.toml.
"""

import hashlib
import re
from datetime import time
from typing import Any

import msgspec

from switch.domain.budget import CASHBACK
from switch.domain.calendar import OPEN_DAYS_MAX, SEOUL
from switch.domain.merchant import CHANNELS, SIZES
from switch.domain.money import WON_MAX
from switch.domain.programme import (
    LOT_KINDS,
    REVERSALS_AFTER_COMPLETION,
    Bonus,
    FeeClass,
    Funder,
    Policy,
    Programme,
    Restriction,
    Tier,
)
from switch.domain.programme_limits import read_contactless, read_limits
from switch.domain.programme_money import payers, read_budgets, read_campaigns
from switch.domain.programme_watch import read_watches
from switch.domain.toml_reader import Document, Problem, Table, nearest
from switch.domain.toml_words import (
    LABEL,
    LABEL_FORM,
    NAME,
    NAME_FORM,
    NO_INSTANT,
    WORD,
    WORD_FORM,
    read_code,
    read_instant,
    read_rate_and_shares,
)

FUNDERS_MAX, POLICIES_MAX, TIERS_MAX, BONUSES_MAX, RESTRICTIONS_MAX = 20, 500, 20, 50, 100
MONTHS_MAX = 120
HOLD_DAYS_MAX = 90
WITHDRAW_DAYS_MAX = 3_660
PAYOUT_UNIT_MAX = 1_000
TAGS_MAX = 31

_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,31}")
_VERSION_FORM = "1 to 32 letters, digits, points and dashes"
_CUTOVER = re.compile(r"(0\d|1[01]):([0-5]\d)")
_CUTOVER_FORM = 'a Korean time before noon as "HH:MM", the start of each business date'
_BIN = re.compile(r"\d{6}|\d{8}")
_BIN_FORM = "a card range of 6 or 8 digits, in quotes"


class ProgrammeError(Exception):
    """A programme file that cannot be applied, with every problem found in it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def parse_programme(text: str, filename: str) -> Programme:
    """Return the programme that `text` describes; `filename` is for the messages only.

    Raises ProgrammeError with all problems, each with line, key and fix.
    """
    document = Document(text, filename)
    if document.problems:
        raise ProgrammeError(document.problems)
    root = document.root
    head = root.table("programme")
    programme_id = head.text("id", NAME, NAME_FORM)
    name = head.text("name", LABEL, LABEL_FORM)
    cutover = _time(head.text("cutover", _CUTOVER, _CUTOVER_FORM, fallback="00:00"))
    bins = head.words("bins", form=_BIN, form_text=_BIN_FORM)
    tags = head.words("member_tags", form=NAME, form_text=NAME_FORM, fallback=(), most=TAGS_MAX)
    if head.is_clean:
        _check_bins(head, bins)
    head.finish()
    funders = _funders(root)
    funder_ids = tuple(funder.id for funder in funders)
    budgets = read_budgets(root, funder_ids)
    campaigns = read_campaigns(root, funder_ids, tags, budgets)
    watches = read_watches(root)
    policies = _policies(root, programme_id, funder_ids, payers(budgets))
    root.finish()
    if document.problems:
        raise ProgrammeError(sorted(document.problems, key=lambda problem: problem.line))
    return Programme(
        programme_id=programme_id,
        name=name,
        cutover=cutover,
        funders=funders,
        bins=bins,
        policies=policies,
        budgets=budgets,
        campaigns=campaigns,
        member_tags=tags,
        watches=watches,
    )


def canonical_json(programme: Programme) -> bytes:
    """Return the one byte form of a programme: fields in order, no white space, UTF-8."""
    plain = msgspec.to_builtins(programme)
    plain["policies"] = [_plain_policy(policy) for policy in programme.policies]
    for name in ("budgets", "campaigns", "member_tags", "watches"):
        if not plain[name]:
            del plain[name]
    return msgspec.json.encode(plain)


def canonical_policy(policy: Policy) -> bytes:
    """Return the one byte form of a policy version."""
    return msgspec.json.encode(_plain_policy(policy))


# Rules that older versions did not have: left out where they say nothing, so that a version which payments
# were judged by keeps its hash.
_LATER_RULES = (
    "hold_days", "completion_over", "reversal_after_completion", "contactless", "offline_max",
    "expired_to", "company_limits", "company_cashback", "withdraw_days", "withdraw_after", "donation_group",
    "fee_vat_ppm", "payout_unit",
)  # fmt: skip


def _plain_policy(policy: Policy) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(policy)
    for name in _LATER_RULES:
        if getattr(policy, name) == _DEFAULTS[name]:
            del plain[name]
    for bonus in plain["bonuses"]:
        if not bonus["budget"]:
            del bonus["budget"]
    return plain


_DEFAULTS = {
    field.name: field.default for field in msgspec.structs.fields(Policy) if field.name in _LATER_RULES
}


def canonical_sha256(programme: Programme) -> str:
    """Return the hex SHA-256 of the canonical form."""
    return hashlib.sha256(canonical_json(programme)).hexdigest()


def from_canonical(data: bytes) -> Programme:
    """Return the programme of a canonical form. Raises msgspec.ValidationError on anything else."""
    programme = msgspec.json.decode(data, type=Programme)
    # JSON gives each instant a zone of its own; one shared zone makes comparing them plain.
    policies = tuple(
        msgspec.structs.replace(policy, effective_from=policy.effective_from.astimezone(SEOUL))
        for policy in programme.policies
    )
    campaigns = tuple(
        msgspec.structs.replace(one, starts=one.starts.astimezone(SEOUL), ends=one.ends.astimezone(SEOUL))
        for one in programme.campaigns
    )
    return msgspec.structs.replace(programme, policies=policies, campaigns=campaigns)


def _time(text: str) -> time:
    return time(int(text[:2]), int(text[3:])) if text else time(0)


def _check_bins(head: Table, bins: tuple[str, ...]) -> None:
    for short in bins:
        for long in bins:
            if long != short and long.startswith(short):
                head.report("bins", f"{short} contains {long} already", f"remove {long}")


def _funders(root: Table) -> tuple[Funder, ...]:
    funders: list[Funder] = []
    for table in root.tables("funder", FUNDERS_MAX):
        funder = Funder(table.text("id", NAME, NAME_FORM), table.text("name", LABEL, LABEL_FORM))
        table.finish()
        if funder.id and any(funder.id == other.id for other in funders):
            table.report("id", f'funder "{funder.id}" stands twice', "give each funder an id of its own")
        funders.append(funder)
    return tuple(funders)


def _policies(
    root: Table, programme_id: str, funder_order: tuple[str, ...], budgets: frozenset[str]
) -> tuple[Policy, ...]:
    policies: list[Policy] = []
    for table in root.tables("policy", POLICIES_MAX):
        base = _base(table, policies)
        policy = _policy(table, base, programme_id, funder_order, budgets)
        if policy.version and any(policy.version == other.version for other in policies):
            fix = "give each version a name of its own"
            table.report("version", f'version "{policy.version}" stands twice', fix)
        if policies and NO_INSTANT < policy.effective_from <= policies[-1].effective_from:
            last = policies[-1]
            table.report(
                "effective_from",
                f"not after version {last.version}, which starts {last.effective_from.isoformat()}",
                "put the versions in order of time, each with an instant of its own",
            )
        policies.append(policy)
    return tuple(policies)


def _base(table: Table, policies: list[Policy]) -> Policy | None:
    version = table.text("based_on", _VERSION, _VERSION_FORM, fallback="")
    if not version:
        return None
    for policy in policies:
        if policy.version == version:
            return policy
    known = [policy.version for policy in policies]
    table.report("based_on", f'no version "{version}" stands above', nearest(version, known))
    # A stand-in: without it every key that was to be taken over would be reported as missing too.
    return policies[-1] if policies else None


def _policy(
    table: Table,
    base: Policy | None,
    programme_id: str,
    funder_order: tuple[str, ...],
    budgets: frozenset[str],
) -> Policy:
    """Read one version; a section that stands in `base` only is taken over whole."""
    version = table.text("version", _VERSION, _VERSION_FORM)
    effective_from = read_instant(table, "effective_from")
    table.allow("tier", "bonus", "restriction", "limits", "fee_class", "fee_default", "completion_over")
    table.allow("contactless", "company_limits", "withdraw_after", "fee_vat")
    tiers = _tiers(table, funder_order) if base is None or "tier" in table else base.tiers
    bonuses = _bonuses(table, funder_order, budgets) if base is None or "bonus" in table else base.bonuses
    rules = _restrictions(table) if base is None or "restriction" in table else base.restrictions
    limits = read_limits(table) if base is None or "limits" in table else base.limits
    classes = _fee_classes(table) if base is None or "fee_class" in table else base.fee_classes
    default_ppm = (
        table.rate("fee_default") if base is None or "fee_default" in table else base.fee_default_ppm
    )
    policy = Policy(
        programme_id=programme_id,
        version=version,
        effective_from=effective_from,
        funder_order=funder_order,
        tiers=tiers,
        fee_classes=classes,
        fee_default_ppm=default_ppm,
        spending_order=table.words(
            "spending_order", known=LOT_KINDS, fallback=base.spending_order if base else None
        ),
        cashback_basis=table.words(
            "cashback_basis", known=LOT_KINDS, fallback=base.cashback_basis if base else ("charged",)
        ),
        bonuses=bonuses,
        restrictions=rules,
        limits=limits,
        payout_days=table.integer("payout_days", 0, OPEN_DAYS_MAX, base.payout_days if base else None),
        points_expiry_months=table.integer(
            "points_expiry_months", 1, MONTHS_MAX, base.points_expiry_months if base else None
        ),
        charged_expiry_months=table.integer(
            "charged_expiry_months", 1, MONTHS_MAX, base.charged_expiry_months if base else None
        ),
        hold_days=table.integer("hold_days", 0, HOLD_DAYS_MAX, base.hold_days if base else 7),
        completion_over=_rate(table, "completion_over", base.completion_over if base else 0),
        reversal_after_completion=table.choice(
            "reversal_after_completion",
            REVERSALS_AFTER_COMPLETION,
            base.reversal_after_completion if base else "refund",
        ),
        offline_max=table.integer("offline_max", 0, WON_MAX, base.offline_max if base else WON_MAX),
        contactless=read_contactless(table) if base is None or "contactless" in table else base.contactless,
        expired_to=_funder(table, "expired_to", funder_order, base.expired_to if base else ""),
        company_limits=(
            read_limits(table, "company_limits")
            if base is None or "company_limits" in table
            else base.company_limits
        ),
        company_cashback=table.flag("company_cashback", base.company_cashback if base else False),
        withdraw_days=table.integer("withdraw_days", 0, WITHDRAW_DAYS_MAX, base.withdraw_days if base else 7),
        withdraw_after=_rate(table, "withdraw_after", base.withdraw_after if base else 600_000),
        donation_group=table.text(
            "donation_group", NAME, NAME_FORM, fallback=base.donation_group if base else ""
        ),
        fee_vat_ppm=_rate(table, "fee_vat", base.fee_vat_ppm if base else 0),
        payout_unit=table.integer("payout_unit", 1, PAYOUT_UNIT_MAX, base.payout_unit if base else 1),
    )
    table.finish()
    return policy


def _rate(table: Table, key: str, fallback: int) -> int:
    return table.rate(key) if key in table else fallback


def _funder(table: Table, key: str, funders: tuple[str, ...], fallback: str) -> str:
    found = table.text(key, NAME, NAME_FORM, fallback=fallback)
    if found and found not in funders:
        table.report(key, f'unknown funder "{found}"', nearest(found, funders))
    return found


def _tiers(table: Table, funder_order: tuple[str, ...]) -> tuple[Tier, ...]:
    tiers: list[Tier] = []
    end: int | None = 0
    for item in table.tables("tier", TIERS_MAX):
        above, up_to, end = _step(item, end)
        tiers.append(Tier(above, up_to, *read_rate_and_shares(item, funder_order)))
        item.finish()
    return tuple(tiers)


def _fee_classes(table: Table) -> tuple[FeeClass, ...]:
    classes: list[FeeClass] = []
    end: int | None = 0
    for item in table.tables("fee_class", TIERS_MAX):
        above, up_to, end = _step(item, end)
        classes.append(FeeClass(above, up_to, item.rate("rate")))
        item.finish()
    return tuple(classes)


def _step(item: Table, end_before: int | None) -> tuple[int, int, int | None]:
    """Read above, up_to and where the next step must begin (None = unknown after a fault).

    Steps begin at 0 and each begins where the one before it ends, so every won is in exactly one.
    """
    above = item.integer("above", 0, WON_MAX)
    up_to = item.integer("up_to", 1, WON_MAX)
    if not item.is_clean:
        return above, up_to, None
    if above >= up_to:
        item.report("up_to", f"up to {up_to:,} is not above {above:,}", f"write more than {above}")
        return above, up_to, None
    if end_before is not None and above != end_before:
        fix = f"write above = {end_before}"
        if not end_before:
            item.report("above", f"the first step starts at {above:,}, not at 0", fix)
        elif above < end_before:
            item.report("above", f"overlap: {above:,} to {end_before:,} is in the step before too", fix)
        else:
            item.report("above", f"gap: nothing covers {end_before:,} to {above:,}", fix)
    return above, up_to, up_to


def _bonuses(table: Table, funder_order: tuple[str, ...], budgets: frozenset[str]) -> tuple[Bonus, ...]:
    bonuses: list[Bonus] = []
    for item in table.tables("bonus", BONUSES_MAX, required=False):
        code = read_code(item, [bonus.code for bonus in bonuses])
        group = item.text("group", NAME, NAME_FORM, fallback="") or None
        channel = item.choice("channel", CHANNELS, fallback="") or None
        rate_ppm, shares = read_rate_and_shares(item, funder_order)
        if item.is_clean and not rate_ppm:
            item.report("rate", "a bonus of 0 % does nothing", "remove the bonus")
        inside_cap = item.flag("inside_cap", True)
        budget = item.text("budget", NAME, NAME_FORM, fallback="")
        if budget not in budgets | {"", CASHBACK}:
            item.report("budget", f'no budget "{budget}"', nearest(budget, budgets))
        bonuses.append(Bonus(code, group, channel, rate_ppm, shares, inside_cap, budget))
        item.finish()
    return tuple(bonuses)


def _restrictions(table: Table) -> tuple[Restriction, ...]:
    rules: list[Restriction] = []
    for item in table.tables("restriction", RESTRICTIONS_MAX, required=False):
        rule = Restriction(
            code=read_code(item, [rule.code for rule in rules]),
            lot_kinds=item.words("lot_kinds", known=LOT_KINDS),
            reason_ko=item.text("reason_ko", LABEL, LABEL_FORM),
            reason_en=item.text("reason_en", LABEL, LABEL_FORM),
            categories=item.words("categories", form=WORD, form_text=WORD_FORM, fallback=()),
            sizes=item.words("sizes", known=SIZES, fallback=()),
            regions_not_in=item.words("regions_not_in", form=WORD, form_text=WORD_FORM, fallback=()),
            head_regions_not_in=item.words(
                "head_regions_not_in", form=WORD, form_text=WORD_FORM, fallback=()
            ),
            sales_over=item.integer("sales_over", 1, WON_MAX, fallback=0),
            channels=item.words("channels", known=CHANNELS, fallback=()),
            groups=item.words("groups", form=NAME, form_text=NAME_FORM, fallback=()),
            except_groups=item.words("except_groups", form=NAME, form_text=NAME_FORM, fallback=()),
        )
        conditions = (rule.categories, rule.sizes, rule.regions_not_in, rule.head_regions_not_in)
        if item.is_clean and not any((*conditions, rule.sales_over, rule.channels, rule.groups)):
            fix = "add a condition: categories, sizes, regions_not_in, head_regions_not_in, sales_over, …"
            item.report("", "without a condition it would refuse every merchant", fix)
        item.finish()
        rules.append(rule)
    return tuple(rules)
