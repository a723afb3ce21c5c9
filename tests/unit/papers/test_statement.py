"""A statement is refused unless every line, what is carried, the sums and the payouts agree."""

from datetime import date, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settlement.domain.netting import Held, Terms, net
from settlement.errors import ControlMismatchError, UsageError
from settlement.papers.period import Period, month_of, one_of, span
from settlement.papers.statement import Merchant, NetLine, PayoutLine, Statement, prove, totals
from settlement.papers.statement_paper import paper_of
from settlement.papers.words import Words

FIRST = date(2026, 11, 1)
MERCHANT = Merchant(1, "M00001", "가게 1", "1234567890", 1, "서로")
_WON = st.integers(0, 10**12)


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_each_reason_for_holding_has_words(lang: str) -> None:
    assert all(Words(lang)[f"held_{held}"] for held in Held if held is not Held.NOT)


def _statement(days: list[dict[str, int]], opening: int = 0, terms: Terms | None = None) -> Statement:
    """A statement made by the rules of the netting itself."""
    carried, reserve, lines, payouts = opening, 0, [], []
    for at, told in enumerate(days):
        made = net(terms or Terms(9_000, 100_000, 10), **told, carried_in=carried, reserve_in=reserve)  # type: ignore[arg-type]
        values = {name: getattr(made, name) for name in NetLine.__struct_fields__[2:]}
        day = FIRST + timedelta(days=at)
        lines.append(NetLine(day, 1, **values))
        if made.paid:
            payouts.append(_payout(day, made.paid))
        carried, reserve = made.carried_out, made.reserve
    period = span(FIRST, FIRST + timedelta(days=max(len(days) - 1, 0)))
    return Statement(MERCHANT, period, period.last, opening, carried, tuple(lines), tuple(payouts))


def _payout(day: date, won: int, attempt: int = 1, state: str = "sent", reason: str = "") -> PayoutLine:
    name = f"{day}-{attempt}"
    return PayoutLine(day, 1, attempt, day, won, "088", "110-1", "김", state, reason, None, day, name)


_DAYS = st.lists(
    st.fixed_dictionaries(
        {"sales": _WON, "refunds": _WON, "rebate": _WON, "rebate_vat": _WON, "subsidy": _WON}
    ),
    max_size=6,
)


@settings(print_blob=True)
@given(days=_DAYS, opening=st.integers(-(10**12), 10**12), reserve=st.integers(0, 500_000))
def test_what_the_netting_makes_is_a_statement(
    days: list[dict[str, int]], opening: int, reserve: int
) -> None:
    found = prove(_statement(days, opening, Terms(9_000, 100_000, 10, Held.NOT, reserve, 10**11)))
    summed = totals(found.lines)
    plus = sum(summed[name] for name in ("sales", "rebate", "rebate_vat", "subsidy", "released"))
    minus = sum(summed[name] for name in ("refunds", "fee", "vat", "reserved", "rounding"))
    assert opening + plus - minus == summed["paid"] + found.closing


@settings(print_blob=True)
@given(
    days=_DAYS.filter(bool),
    by=st.integers(1, 10**6),
    which=st.sampled_from(
        [name for name in NetLine.__struct_fields__[2:] if name not in ("fee_rate_ppm", "held", "reserve")]
    ),
    at=st.integers(0, 5),
)
def test_one_changed_amount_is_refused(days: list[dict[str, int]], by: int, which: str, at: int) -> None:
    whole = _statement(days)
    place = at % len(whole.lines)
    line = whole.lines[place]
    changed = msgspec.structs.replace(line, **{which: getattr(line, which) + by})
    lines = (*whole.lines[:place], changed, *whole.lines[place + 1 :])
    with pytest.raises(ControlMismatchError, match="no statement for merchant M00001"):
        prove(msgspec.structs.replace(whole, lines=lines))


def test_a_missing_line_or_payout_and_another_amount_again_are_refused() -> None:
    whole = _statement(
        [{"sales": 10_000, "refunds": 0}, {"sales": 0, "refunds": 50_000}, {"sales": 9, "refunds": 0}]
    )
    faults = (
        msgspec.structs.replace(whole, lines=whole.lines[:1] + whole.lines[2:]),
        msgspec.structs.replace(whole, payouts=()),
        msgspec.structs.replace(whole, opening=1),
        msgspec.structs.replace(whole, closing=whole.closing + 1),
        msgspec.structs.replace(whole, payouts=(*whole.payouts, _payout(FIRST, 1, attempt=2))),
    )
    for fault in faults:
        with pytest.raises(ControlMismatchError):
            prove(fault)


def test_payouts_are_told_in_words_and_add_up() -> None:
    whole = _statement(
        [{"sales": 10_000, "refunds": 0}, {"sales": 20_000, "refunds": 0}, {"sales": 30_000, "refunds": 0}]
    )
    one, two, three = whole.payouts
    replace = msgspec.structs.replace
    payouts = (
        replace(one, state="rejected", reason="AC04"),
        replace(one, attempt=2, end_to_end_id="again", state="booked", booked_on=date(2026, 11, 9)),
        replace(two, state="returned", reason="XX99", returned_on=date(2026, 11, 8)),
        replace(three, state="rejected"),
    )
    found = prove(replace(whole, payouts=payouts))
    table = paper_of(found, Words("ko")).tables[2]
    assert [row[-1] for row in table.rows] == [
        "은행 거절: 해지된 계좌 (AC04) → 재지급 (아래 참조)",
        "[재지급 2회차] 2026-11-09 입금 완료",
        "2026-11-08 반송: XX99",
        "은행 거절: 사유 미기재",
    ]
    assert table.notes == (f"입금 완료 {one.won:,} · 입금 예정·진행 중 0 · 미입금 {two.won + three.won:,}",)
    english = paper_of(found, Words("en")).tables[2]
    assert [row[-1] for row in english.rows][1] == "[attempt 2] booked on 2026-11-09"


def test_periods() -> None:
    assert month_of("2024-02") == Period(date(2024, 2, 1), date(2024, 2, 29), "2024-02")
    assert one_of(None, FIRST, None, None) == span(FIRST, FIRST)
    for wrong in ("2026-13", "2026-1", "november"):
        with pytest.raises(UsageError, match="2026-11"):
            month_of(wrong)
    with pytest.raises(UsageError, match="one period"):
        one_of("2026-11", FIRST, None, None)
    with pytest.raises(UsageError, match="name both"):
        one_of(None, None, FIRST, None)
    with pytest.raises(UsageError, match="before it begins"):
        span(FIRST, FIRST - timedelta(days=1))
    with pytest.raises(UsageError, match="more than 366 days"):
        span(FIRST, FIRST + timedelta(days=366))
    with pytest.raises(UsageError, match="ko and en"):
        Words("fr")
