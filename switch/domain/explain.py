"""Explaining a payment: stored facts become sentences (PaymentFacts → Explanation), nothing is decided again.

Each language has the same sentences (explain_en, explain_ko); here is which of them are said, and in what
order: the answer, the money, the cashback won by won, what happened since, where it stands.
"""

from collections.abc import Iterator, Sequence

from switch.domain.cashback import Piece
from switch.domain.explain_en import EN
from switch.domain.explain_facts import (
    BudgetWon,
    Explanation,
    FaultFact,
    LotFact,
    PaymentFacts,
    ReturnFact,
    Section,
)
from switch.domain.explain_ko import KO
from switch.domain.explain_words import Why, Words, exact_share, rate_text
from switch.domain.money import PPM
from switch.domain.reasons import REASONS

LANGUAGES: dict[str, Words] = {"ko": KO, "en": EN}
"""By the code that an operator names."""

_MOVED = ("approved", "returned_partly", "returned", "completed")
_EARNING = "purchase"
_BOUNDS = frozenset(
    {
        *("over_payment_limit", "over_day_limit", "over_month_limit", "over_topup_limit"),
        *("over_holding_limit", "over_issuance_limit", "over_remaining", "case_filled"),
    }
)
"""Reasons that a smaller amount does not meet."""


def explain_payment(facts: PaymentFacts, language: str) -> Explanation:
    """The explanation of one payment. Raises KeyError for a language that there is not."""
    words = LANGUAGES[language]
    parts = (
        ("answer", _answer(facts, words)),
        ("money", _money(facts, words)),
        ("cashback", _cashback(facts, words)),
        ("returned", _own_return(facts, words)),
        ("since", _since(facts, words)),
        ("record", _record(facts, words)),
    )
    return Explanation(headline(facts, words), sections(parts, words))


def sections(parts: Sequence[tuple[str, Iterator[str]]], words: Words) -> tuple[Section, ...]:
    """The parts that have something to say."""
    made = [Section(code, words.say(code), tuple(lines)) for code, lines in parts]
    return tuple(one for one in made if one.lines)


def headline(facts: PaymentFacts, words: Words) -> str:
    """The payment and its answer in one sentence."""
    name = "headline_noted"
    if facts.outcome == "declined":
        name = "headline_declined"
    elif facts.outcome in _MOVED:
        name = "headline_partial" if facts.reason == "partial_approval" else "headline_approved"
    told = words.say(
        name,
        kind=words.name(facts.kind),
        amount=words.won(facts.amount),
        approved=words.won(facts.approved),
        merchant=facts.merchant_name or facts.merchant or words.say("no_merchant"),
        moment=words.moment(facts.moment),
        code=facts.code,
    )
    return told[:1].upper() + told[1:]


def why_of(reason: str, words: Words) -> Why:
    """What a language says of a reason; of one that it has no sentence for, the reason's own words."""
    known = words.reasons.get(reason)
    if known is not None:
        return known
    row = REASONS.get(reason)
    if row is None:
        return Why(reason)
    return Why(f"{row.korean}." if words is KO else f"{row.english[:1].upper()}{row.english[1:]}.")


def why_not(fault: FaultFact, words: Words) -> list[str]:
    """One reason against a payment: why, by which rules, what would have made it pass, until when."""
    known = why_of(fault.reason, words)
    lines = [known.why]
    for rule in fault.rules:
        told = rule.ko if words is KO else rule.en
        lines.append(words.say("rule", code=rule.code, rule=told.rstrip(".") or rule.code))
    if known.figures and (fault.limit or fault.short):
        lines.append(
            known.figures.format(
                limit=words.won(fault.limit),
                used=words.won(fault.used),
                short=words.won(fault.short),
            )
        )
    if known.cure:
        lines.append(words.say("cure", cure=known.cure))
    if fault.resets:
        lines.append(words.say("resets", day=words.day(fault.resets)))
    return lines


def _against(facts: PaymentFacts, fault: FaultFact, words: Words) -> list[str]:
    """One reason of a payment.

    That a top-up would have helped is said only where it would have: not of a gift, which may be from points
    only, and not beside another reason.
    """
    if fault.reason == "insufficient_funds" and (facts.kind == "gift" or len(facts.faults) > 1):
        return [why_of(fault.reason, words).why, words.say("missing", won=words.won(fault.short))]
    return why_not(fault, words)


def _answer(facts: PaymentFacts, words: Words) -> Iterator[str]:
    if facts.faults:
        first, *others = facts.faults
        yield from _against(facts, first, words)
        for other in others:
            yield words.say("also", why=" ".join(_against(facts, other, words)))
        if facts.outcome == "declined" and all(
            fault.reason in _BOUNDS and fault.limit > fault.used for fault in facts.faults
        ):
            most = min(fault.limit - fault.used for fault in facts.faults)
            yield words.say("would_pass", won=words.won(most))
    elif facts.reason != "approved":
        yield from why_not(FaultFact(facts.reason), words)
    if facts.original is not None:
        original = facts.original
        yield words.say(
            "original",
            kind=words.name(original.kind),
            won=words.won(original.approved),
            moment=words.moment(original.moment),
            seq=original.seq,
        )
    if facts.note:
        yield words.say("note", note=facts.note)
    if facts.version:
        since = words.moment(facts.version_since)
        yield words.say("version", version=facts.version, moment=since)


def _money(facts: PaymentFacts, words: Words) -> Iterator[str]:
    for place, lot in enumerate(facts.lots, 1):
        yield words.say("paid", place=place, won=words.won(lot.won), lot=lot_text(lot, words))
    for one in facts.passed_over:
        if one.short:
            yield words.say("passed_short", campaign=one.campaign, short=words.won(one.short))
        else:
            yield words.say("passed_barred", campaign=one.campaign)
    for lot in facts.held:
        day = words.day(facts.hold_expires)
        yield words.say("held", won=words.won(lot.won), lot=lot_text(lot, words), day=day)
    for lot in facts.released:
        yield words.say("released", won=words.won(lot.won), lot=lot_text(lot, words))
    if facts.opened_lot:
        yield words.say("opened", lot_no=facts.opened_lot, won=words.won(facts.approved))
    if facts.case:
        yield words.say("case", case=facts.case)
    if facts.outside_ref:
        yield words.say("outside_ref", ref=facts.outside_ref)


def lot_text(lot: LotFact, words: Words) -> str:
    """A lot in words: its kind, its campaign and funder, its end."""
    kind = words.name(lot.kind)
    if lot.campaign:
        text = words.say(
            "lot_of",
            kind=kind,
            campaign=lot.campaign,
            funder=words.party(lot.funder) or "-",
            lot_no=lot.lot_no,
        )
    else:
        text = words.say("lot", kind=kind, lot_no=lot.lot_no)
    return words.say("lot_expires", lot=text, day=words.day(lot.expires)) if lot.expires else text


def _cashback(facts: PaymentFacts, words: Words) -> Iterator[str]:
    if facts.kind != _EARNING or facts.outcome not in _MOVED:
        return
    kinds = ", ".join(words.name(kind) for kind in facts.basis_kinds)
    if not facts.basis:
        yield words.say("no_basis", kinds=kinds)
        return
    yield words.say(
        "basis",
        basis=words.won(facts.basis),
        kinds=kinds,
        before=words.won(facts.usage_before),
        month=words.month(facts.usage_month),
    )
    if not facts.pieces:
        yield words.say("company" if facts.company else "no_piece")
    for piece in facts.pieces:
        yield _piece(piece, facts, words)
    above = max(0, facts.usage_before + facts.basis - max(facts.cap, facts.usage_before))
    if facts.cap and above and not facts.company:
        yield words.say("above_cap", won=words.won(above), cap=words.won(facts.cap))
    if not facts.pieces:
        return
    if facts.missed:
        yield words.say("due", won=words.won(sum(piece.won for piece in facts.pieces)))
    granted = _sum(facts.granted)
    yield words.say("granted", won=words.won(granted), shares=_shares(facts.granted, words))
    for one in facts.missed:
        yield words.say(
            "missed",
            budget=one.budget,
            funder=words.party(one.funder),
            won=words.won(one.won),
            month=words.month(facts.usage_month),
        )


def _piece(piece: Piece, facts: PaymentFacts, words: Words) -> str:
    fields: dict[str, object] = {"rate": rate_text(piece.rate_ppm), "basis": words.won(piece.basis)}
    if piece.kind == "tier":
        above, up_to = piece.code.split("-")
        text = words.say("tier", from_=words.won(int(above)), to=words.won(int(up_to)), **fields)
    else:
        name = facts.campaigns.get(piece.code, piece.code)
        text = words.say("campaign" if piece.kind == "campaign" else "bonus", code=name, **fields)
    named = dict.fromkeys(funder for funder, _ in piece.shares)
    parts = tuple(
        BudgetWon(facts.funders.get(funder, funder), "", sum(w for f, w in piece.shares if f == funder))
        for funder in named
    )
    fields = {"piece": text, "won": words.won(piece.won), "shares": _shares(parts, words)}
    floored, rest = divmod(piece.basis * piece.rate_ppm, PPM)
    if piece.won == floored and not rest:
        return words.say("equals", **fields)
    exact = words.won(0).replace("0", exact_share(piece.basis, piece.rate_ppm))
    return words.say("floored" if piece.won == floored else "capped", exact=exact, **fields)


def _own_return(facts: PaymentFacts, words: Words) -> Iterator[str]:
    if facts.own_return is not None:
        yield from _return(facts.own_return, words)


def _since(facts: PaymentFacts, words: Words) -> Iterator[str]:
    for one in facts.returns:
        yield from _return(one, words)
    if facts.returns and facts.granted:
        granted, kept = words.won(_sum(facts.granted)), words.won(_sum(facts.kept))
        yield words.say("kept", granted=granted, kept=kept)
    for each in facts.corrections:
        won = each.due - each.stood
        yield words.say(
            "correction_less" if won < 0 else "correction_more" if won else "correction_shifted",
            number=each.number,
            version=each.version,
            won=words.won(abs(won)),
            state=words.name(each.state),
        )
        if each.booked:
            won = _sum(each.booked)
            yield words.say("corrected", won=words.won(won), shares=_shares(each.booked, words))
        if each.waived:
            yield words.say("waived", won=words.won(abs(each.waived)))


def _return(one: ReturnFact, words: Words) -> Iterator[str]:
    taken = _sum(one.taken)
    name = "return_again" if one.again else "return" if taken else "return_none"
    yield words.say(
        name,
        moment=words.moment(one.moment),
        kind=words.name(one.kind),
        won=words.won(one.won),
        taken=words.won(taken),
        shares=_shares(one.taken, words),
        kept=words.won(one.kept),
    )
    for lot in one.restored:
        yield words.say("restored", won=words.won(lot.won), lot=lot_text(lot, words))
    for part in one.treasury:
        yield words.say("treasury", won=words.won(part.won), funder=words.party(part.funder))
    for lot in one.recovered:
        name = "recovered_again" if one.again else "recovered"
        yield words.say(name, won=words.won(abs(lot.won)), lot=lot_text(lot, words))
    if one.receivable:
        yield words.say("receivable", won=words.won(one.receivable))
    if taken > 0 and not one.again and not one.recovered and not one.receivable:
        yield words.say("open_clawback")
    if one.undone:
        yield words.say("undone")


def _record(facts: PaymentFacts, words: Words) -> Iterator[str]:
    yield words.say(
        "signature",
        terminal=facts.terminal,
        stan=f"{facts.stan:06d}",
        rrn=facts.rrn,
        day=words.day(facts.business_day),
    )
    yield words.say(
        "posting" if facts.entry else "posting_back",
        seq=facts.seq,
        member=facts.member,
        card=facts.card,
        entry=words.name(facts.entry),
        channel=words.name(facts.channel),
    )


def _sum(parts: Sequence[BudgetWon]) -> int:
    return sum(part.won for part in parts)


def _shares(parts: Sequence[BudgetWon], words: Words) -> str:
    """(national 1,200 won, city 600 won) – with the budget's name where it is not the usual one."""
    if not parts:
        return ""
    told = []
    for part in parts:
        extra = f" [{part.budget}]" if part.budget and part.budget != "cashback" else ""
        told.append(f"{words.party(part.funder)}{extra} {words.won(part.won)}")
    return f" ({', '.join(told)})"
