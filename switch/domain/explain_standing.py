"""Explaining how a member stands: limits with what is left of them, money with its bounds, cashback to
come."""

from collections.abc import Iterator

from switch.domain.explain import LANGUAGES, lot_text, sections, why_not, why_of
from switch.domain.explain_facts import Explanation, LimitFact, StandingFacts
from switch.domain.explain_ko import KO
from switch.domain.explain_words import Words, rate_text


def explain_standing(facts: StandingFacts, language: str) -> Explanation:
    """The explanation of a member's standing. Raises KeyError for a language that there is not."""
    words = LANGUAGES[language]
    parts = (
        ("member", _member(facts, words)),
        ("limits", _limits(facts, words)),
        ("lots", _lots(facts, words)),
        ("month", _month(facts, words)),
        ("declined", _declined(facts, words)),
    )
    moment = words.moment(facts.moment)
    told = words.say("headline_standing", member=facts.member, programme=facts.programme, moment=moment)
    return Explanation(told, sections(parts, words))


def _member(facts: StandingFacts, words: Words) -> Iterator[str]:
    cards = ", ".join(f"{card} ({words.name(state)})" for card, state in facts.cards) or "-"
    yield words.say(
        "state",
        cards=cards,
        state=words.name("wallet_active" if facts.active else "wallet_stopped"),
        points=words.name("on" if facts.points_on else "off"),
    )
    since = words.moment(facts.version_since)
    yield words.say("in_force", version=facts.version, moment=since)


def _limits(facts: StandingFacts, words: Words) -> Iterator[str]:
    if not facts.limits:
        yield words.say("no_limits")
    for one in facts.limits:
        yield _limit(one, words)


def _limit(one: LimitFact, words: Words) -> str:
    name = words.name(f"limit_{one.name}")
    if one.name == "payment":
        return words.say("limit_payment", name=name, limit=words.won(one.limit))
    return words.say(
        "limit_resets" if one.resets else "limit",
        name=name,
        limit=words.won(one.limit),
        used=words.won(one.used),
        left=words.won(max(one.limit - one.used, 0)),
        day=words.day(one.resets) if one.resets else "",
    )


def _lots(facts: StandingFacts, words: Words) -> Iterator[str]:
    if not facts.lots:
        yield words.say("no_lots")
    for one in facts.lots:
        text = lot_text(one.lot, words)
        name = "lot_held" if one.held else "lot_has"
        line = words.say(name, won=words.won(one.lot.won), lot=text, held=words.won(one.held))
        if one.barred:
            rules = "; ".join((rule.ko if words is KO else rule.en).rstrip(".") for rule in one.barred)
            line = f"{line} {words.say('lot_barred', rules=rules)}"
        yield line
    if facts.lots and not facts.points_on:
        yield words.say("points_off")
    if facts.receivable:
        yield words.say("owed", won=words.won(facts.receivable))


def _month(facts: StandingFacts, words: Words) -> Iterator[str]:
    month = words.month(facts.month)
    cashback, basis = words.won(facts.cashback), words.won(facts.basis)
    yield words.say("month_cashback", month=month, won=cashback, basis=basis)
    if facts.corrected:
        yield words.say("month_corrected", month=month, won=words.won(facts.corrected))
    if facts.company:
        yield words.say("company")
        return
    for tier in facts.tiers:
        yield words.say(
            "tier_left",
            rate=rate_text(tier.rate_ppm),
            left=words.won(tier.left),
            from_=words.won(tier.above),
            to=words.won(tier.up_to),
        )
    if not facts.tiers:
        yield words.say("tier_none")


def _declined(facts: StandingFacts, words: Words) -> Iterator[str]:
    for one in facts.declined:
        why = " ".join(why_not(one.faults[0], words)) if one.faults else why_of(one.reason, words).why
        yield words.say(
            "decline_line",
            moment=words.moment(one.moment),
            merchant=one.merchant_name or one.merchant or words.say("no_merchant"),
            amount=words.won(one.amount),
            why=why,
        )
