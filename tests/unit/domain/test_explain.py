"""Explanations: every reason and every sentence in both languages, and figures that are exact."""

import re

import pytest

from switch.domain.cashback import Piece
from switch.domain.explain import LANGUAGES, explain_payment, why_not
from switch.domain.explain_facts import BudgetWon, FaultFact, PaymentFacts, ReturnFact, RuleText
from switch.domain.explain_words import exact_share, inner_name, outer_name, rate_text
from switch.domain.reasons import REASONS

_FIELD = re.compile(r"\{(\w+)\}")
EN, KO = LANGUAGES["en"], LANGUAGES["ko"]


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_reason_has_a_sentence_of_its_own(language: str) -> None:
    told = LANGUAGES[language].reasons
    assert set(told) == set(REASONS)
    assert len({one.why for one in told.values()}) == len(told)
    for one in told.values():
        assert one.why.endswith(".")
        assert set(_FIELD.findall(one.figures)) <= {"limit", "used", "short"}


def test_korean_is_polite_and_korean() -> None:
    for name, one in KO.reasons.items():
        for text in filter(None, (one.why, one.cure, one.figures)):
            assert re.search(r"[가-힣]", text), name
            assert text.endswith("니다."), (name, text)


def test_both_languages_say_the_same_with_the_same_fields() -> None:
    assert set(EN.text) == set(KO.text)
    assert set(EN.names) == set(KO.names)
    for name in EN.text:
        assert set(_FIELD.findall(EN.text[name])) >= set(_FIELD.findall(KO.text[name])), name


def test_what_would_have_made_it_pass() -> None:
    fault = FaultFact("over_day_limit", limit=50_000, used=40_000, short=3_200, resets=20260702)
    assert " ".join(why_not(fault, EN)) == (
        "It was over the limit for one day. 3,200 won over the daily limit of 50,000 won, of which 40,000 won"
        " were used. It counts anew from 2 July 2026 00:00."
    )
    assert " ".join(why_not(fault, KO)) == (
        "1일 결제 한도를 초과했습니다. 1일 한도 50,000원 중 40,000원을 이미 써서 3,200원 초과했습니다."
        " 한도는 2026년 7월 2일 00:00부터 새로 계산됩니다."
    )
    assert "Up to 10,000 won would have passed." in _answer(_facts(faults=(fault,), outcome="declined"))


def test_no_smaller_amount_is_promised_where_another_reason_stands_in_the_way() -> None:
    limit = FaultFact("over_day_limit", limit=50_000, used=40_000, short=3_200)
    both = (limit, FaultFact("insufficient_funds", short=100))
    assert not any("would have passed" in line for line in _answer(_facts(faults=both, outcome="declined")))
    told = " ".join(_answer(_facts(faults=both, outcome="declined")))
    assert "100 won" in told
    assert "top-up" not in told
    alone = " ".join(_answer(_facts(faults=both[1:], outcome="declined")))
    assert "a top-up of 100 won would have made it pass" in alone


def test_a_gift_in_part_is_told_by_what_the_case_needed() -> None:
    fault = FaultFact("case_filled", limit=24_000, used=18_000, short=4_000)
    lines = _answer(_facts(kind="gift", amount=10_000, reason="partial_approval", faults=(fault,)))
    assert "4,000 won more than the case still needs: of 24,000 won, 18,000 won have been given." in lines
    assert not any("money" in line or "would have passed" in line for line in lines)


def test_no_top_up_is_promised_to_help_a_gift() -> None:
    short = FaultFact("insufficient_funds", short=10_000)
    lines = _answer(_facts(kind="gift", outcome="declined", faults=(short,)))
    assert "10,000 won were missing." in lines
    assert not any("top-up" in line for line in lines)


def test_what_the_issue_of_a_month_lacks_is_told_without_an_amount_that_is_not_known() -> None:
    for words in (EN, KO):
        told = " ".join(why_not(FaultFact("over_issuance_limit", short=5_000, resets=20260801), words))
        assert words.won(5_000) in told
        assert f" {words.won(0)}" not in told


def test_how_the_card_came_is_told_where_a_card_came() -> None:
    assert "chip" in _section(_facts(), "record", "en")
    back = _section(_facts(kind="refund", entry=""), "record", "en")
    assert "card 941061******1234, channel shop." in back


def test_a_rule_speaks_its_own_words() -> None:
    rule = RuleText("large_store", "대형마트에서는 사용할 수 없습니다", "not accepted at large stores")
    lines = why_not(FaultFact("merchant_restricted", rules=(rule,)), KO)
    assert "제한 규칙 large_store: 대형마트에서는 사용할 수 없습니다." in lines
    assert not any("short" in line or "{" in line for line in lines)


def test_a_floored_piece_shows_what_was_cut_off() -> None:
    piece = Piece("tier", "0-300000", 10_005, 100_000, 1_000, (("national", 400), ("city", 600)))
    facts = _facts(basis=10_005, pieces=(piece,), granted=(BudgetWon("국비 (national)", "cashback", 1_000),))
    told = _section(facts, "cashback", "en")
    assert "10 % of 10,005 won = 1,000.5 won, floored to 1,000 won (national 400 won, city 600 won)." in told
    assert "Granted: 1,000 won (national 1,000 won)." in told
    assert "적립이 확정된 캐시백: 1,000원 (국비 1,000원)." in _section(facts, "cashback", "ko")


def test_a_reversed_refund_grants_again_and_claws_nothing_back() -> None:
    one = ReturnFact("reversal", 20260611_120000, 5_009, 930, taken=(BudgetWon("city", "", 501),), again=True)
    told = _section(_facts(kind="reversal", own_return=one), "returned", "en")
    assert "501 won of cashback granted again (city 501 won), 930 won stand." in told
    assert "clawed" not in told


@pytest.mark.parametrize(
    ("basis", "ppm", "told"),
    [
        (10_005, 100_000, "1,000.5"),
        (1, 1, "0.000001"),
        (20_000, 50_000, "1,000"),
        (1_234_567, 70_000, "86,419.69"),
    ],
)
def test_decimals_are_exact(basis: int, ppm: int, told: str) -> None:
    assert exact_share(basis, ppm) == told


def test_rates_and_names() -> None:
    assert (rate_text(100_000), rate_text(1_500), rate_text(0)) == ("10 %", "0.15 %", "0 %")
    assert (outer_name("시비 (city)"), inner_name("시비 (city)"), inner_name("시비")) == (
        "시비",
        "city",
        "시비",
    )


def _facts(**more: object) -> PaymentFacts:
    known: dict[str, object] = {
        "programme": "seoro", "member": "M1", "card": "941061******1234", "kind": "purchase",
        "moment": 20260701_090000, "business_day": 20260701, "merchant": "S1", "merchant_name": "가게",
        "terminal": "T1", "stan": 1, "rrn": "1", "channel": "pos", "entry": "chip", "seq": 1,
        "amount": 10_005, "approved": 10_005, "outcome": "approved", "reason": "approved", "code": "00",
        "version": "v", "version_since": 20260101_000000, "usage_month": 202607, "basis_kinds": ("charged",),
    }  # fmt: skip
    return PaymentFacts(**{**known, **more})  # type: ignore[arg-type]


def _answer(facts: PaymentFacts) -> tuple[str, ...]:
    return explain_payment(facts, "en").sections[0].lines


def _section(facts: PaymentFacts, code: str, language: str) -> str:
    found = {section.code: section.lines for section in explain_payment(facts, language).sections}
    return "\n".join(found[code])
