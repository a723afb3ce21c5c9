"""The programme file: TOML that a city official can read ↔ the Programme of the rules.

parse_programme checks everything that makes a programme consistent, so that no rule has to check again,
and reports every problem at once. canonical_json is the form in which an applied programme is stored; its
hash names exactly this content. The file itself is explained in config/programmes/seoro.toml.
"""

import hashlib
import re
from datetime import datetime, time
from typing import Any

import msgspec

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
    Shares,
    Tier,
)
from switch.domain.programme_limits import read_contactless, read_limits
from switch.domain.toml_reader import Document, Problem, Table, nearest, percent

FUNDERS_MAX, POLICIES_MAX, TIERS_MAX, BONUSES_MAX, RESTRICTIONS_MAX = 20, 500, 20, 50, 100
MONTHS_MAX = 120
HOLD_DAYS_MAX = 90

NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
NAME_FORM = "1 to 32 of a-z, 0-9 and _, a letter first"
_WORD = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_WORD_FORM = "1 to 32 of a-z, 0-9, _ and -"
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,31}")
_VERSION_FORM = "1 to 32 letters, digits, points and dashes"
_LABEL = re.compile(r"\S(.{0,198}\S)?")
_LABEL_FORM = "1 to 200 characters on one line"
_CUTOVER = re.compile(r"(0\d|1[01]):([0-5]\d)")
_CUTOVER_FORM = 'a Korean time before noon as "HH:MM", the start of each business date'
_BIN = re.compile(r"\d{6}|\d{8}")
_BIN_FORM = "a card range of 6 or 8 digits, in quotes"

_NO_INSTANT = datetime(1970, 1, 1, tzinfo=SEOUL)
"""Stands in for an instant that could not be read."""


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
    name = head.text("name", _LABEL, _LABEL_FORM)
    cutover = _time(head.text("cutover", _CUTOVER, _CUTOVER_FORM, fallback="00:00"))
    bins = head.words("bins", form=_BIN, form_text=_BIN_FORM)
    if head.is_clean:
        _check_bins(head, bins)
    head.finish()
    funders = _funders(root)
    policies = _policies(root, programme_id, tuple(funder.id for funder in funders))
    root.finish()
    if document.problems:
        raise ProgrammeError(sorted(document.problems, key=lambda problem: problem.line))
    return Programme(
        programme_id=programme_id, name=name, cutover=cutover, funders=funders, bins=bins, policies=policies
    )


def canonical_json(programme: Programme) -> bytes:
    """Return the one byte form of a programme: fields in order, no white space, UTF-8."""
    plain = msgspec.to_builtins(programme)
    plain["policies"] = [_plain_policy(policy) for policy in programme.policies]
    return msgspec.json.encode(plain)


def canonical_policy(policy: Policy) -> bytes:
    """Return the one byte form of a policy version."""
    return msgspec.json.encode(_plain_policy(policy))


# Rules that older versions did not have: left out where they say nothing, so that a version which payments
# were judged by keeps its hash.
_LATER_RULES = (
    "hold_days", "completion_over", "reversal_after_completion", "contactless", "offline_max"
)  # fmt: skip


def _plain_policy(policy: Policy) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(policy)
    for name in _LATER_RULES:
        if getattr(policy, name) == _DEFAULTS[name]:
            del plain[name]
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
    return msgspec.structs.replace(programme, policies=policies)


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
        funder = Funder(table.text("id", NAME, NAME_FORM), table.text("name", _LABEL, _LABEL_FORM))
        table.finish()
        if funder.id and any(funder.id == other.id for other in funders):
            table.report("id", f'funder "{funder.id}" stands twice', "give each funder an id of its own")
        funders.append(funder)
    return tuple(funders)


def _policies(root: Table, programme_id: str, funder_order: tuple[str, ...]) -> tuple[Policy, ...]:
    policies: list[Policy] = []
    for table in root.tables("policy", POLICIES_MAX):
        base = _base(table, policies)
        policy = _policy(table, base, programme_id, funder_order)
        if policy.version and any(policy.version == other.version for other in policies):
            fix = "give each version a name of its own"
            table.report("version", f'version "{policy.version}" stands twice', fix)
        if policies and _NO_INSTANT < policy.effective_from <= policies[-1].effective_from:
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


def _policy(table: Table, base: Policy | None, programme_id: str, funder_order: tuple[str, ...]) -> Policy:
    """Read one version; a section that stands in `base` only is taken over whole."""
    version = table.text("version", _VERSION, _VERSION_FORM)
    effective_from = _instant(table)
    table.allow("tier", "bonus", "restriction", "limits", "fee_class", "fee_default", "completion_over")
    table.allow("contactless")
    tiers = _tiers(table, funder_order) if base is None or "tier" in table else base.tiers
    bonuses = _bonuses(table, funder_order) if base is None or "bonus" in table else base.bonuses
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
        completion_over=(
            table.rate("completion_over")
            if "completion_over" in table
            else (base.completion_over if base else 0)
        ),
        reversal_after_completion=table.choice(
            "reversal_after_completion",
            REVERSALS_AFTER_COMPLETION,
            base.reversal_after_completion if base else "refund",
        ),
        offline_max=table.integer("offline_max", 0, WON_MAX, base.offline_max if base else WON_MAX),
        contactless=read_contactless(table) if base is None or "contactless" in table else base.contactless,
    )
    table.finish()
    return policy


def _instant(table: Table) -> datetime:
    example = "2025-01-01T00:00:00+09:00"
    value = table.value("effective_from", True, example)
    if value is None:
        return _NO_INSTANT
    if not isinstance(value, datetime):
        fix = f"write date, time and offset without quotes, for example {example}"
        table.report("effective_from", "must be an instant", fix)
        return _NO_INSTANT
    if not 2000 <= value.year <= 2200:
        table.report("effective_from", f"the year {value.year} cannot be meant", "write a year after 2000")
        return _NO_INSTANT
    if value.tzinfo is None:
        table.report("effective_from", "has no offset from UTC", f"write {value.isoformat()}+09:00")
        return _NO_INSTANT
    if value.utcoffset() != SEOUL.utcoffset(None):
        fix = f"write the same instant in Korean time: {value.astimezone(SEOUL).isoformat()}"
        table.report("effective_from", "is not in Korean time (+09:00)", fix)
        return _NO_INSTANT
    return value.astimezone(SEOUL)


def _rate_and_shares(item: Table, funder_order: tuple[str, ...]) -> tuple[int, Shares]:
    """Read a rate and what each funder pays of it, in the programme's order of funders."""
    problems_before = len(item.document.problems)
    rate_ppm = item.rate("rate")
    shares = item.table("shares", required=rate_ppm > 0)
    found: dict[str, int] = {}
    for funder in shares.names():
        if funder in funder_order:
            found[funder] = shares.rate(funder)
        else:
            shares.report(funder, f'unknown funder "{funder}"', nearest(funder, funder_order))
    if len(item.document.problems) == problems_before and sum(found.values()) != rate_ppm:
        parts = ", ".join(f"{funder} {percent(ppm)}" for funder, ppm in found.items())
        total = percent(sum(found.values()))
        item.report(
            "rate",
            f"is {percent(rate_ppm)}, but its funders' shares add up to {total} ({parts or 'none'})",
            f'make the shares add up to {percent(rate_ppm)}, or write rate = "{total}"',
        )
    return rate_ppm, tuple((funder, found[funder]) for funder in funder_order if found.get(funder))


def _tiers(table: Table, funder_order: tuple[str, ...]) -> tuple[Tier, ...]:
    tiers: list[Tier] = []
    end: int | None = 0
    for item in table.tables("tier", TIERS_MAX):
        above, up_to, end = _step(item, end)
        tiers.append(Tier(above, up_to, *_rate_and_shares(item, funder_order)))
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


def _bonuses(table: Table, funder_order: tuple[str, ...]) -> tuple[Bonus, ...]:
    bonuses: list[Bonus] = []
    for item in table.tables("bonus", BONUSES_MAX, required=False):
        code = _code(item, [bonus.code for bonus in bonuses])
        group = item.text("group", NAME, NAME_FORM, fallback="") or None
        channel = item.choice("channel", CHANNELS, fallback="") or None
        rate_ppm, shares = _rate_and_shares(item, funder_order)
        if item.is_clean and not rate_ppm:
            item.report("rate", "a bonus of 0 % does nothing", "remove the bonus")
        bonuses.append(Bonus(code, group, channel, rate_ppm, shares, item.flag("inside_cap", True)))
        item.finish()
    return tuple(bonuses)


def _restrictions(table: Table) -> tuple[Restriction, ...]:
    rules: list[Restriction] = []
    for item in table.tables("restriction", RESTRICTIONS_MAX, required=False):
        rule = Restriction(
            code=_code(item, [rule.code for rule in rules]),
            lot_kinds=item.words("lot_kinds", known=LOT_KINDS),
            reason_ko=item.text("reason_ko", _LABEL, _LABEL_FORM),
            reason_en=item.text("reason_en", _LABEL, _LABEL_FORM),
            categories=item.words("categories", form=_WORD, form_text=_WORD_FORM, fallback=()),
            sizes=item.words("sizes", known=SIZES, fallback=()),
            regions_not_in=item.words("regions_not_in", form=_WORD, form_text=_WORD_FORM, fallback=()),
            head_regions_not_in=item.words(
                "head_regions_not_in", form=_WORD, form_text=_WORD_FORM, fallback=()
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


def _code(item: Table, taken: list[str]) -> str:
    code = item.text("code", NAME, NAME_FORM)
    if code and code in taken:
        item.report("code", f'"{code}" stands twice in this version', "give each one a code of its own")
    return code
