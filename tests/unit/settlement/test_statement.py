"""Statements in their order, and entries by what they carry: without a database."""

from datetime import date

import pytest

from settlement.domain.matching import Entry, Item, Known, Part, match, match_all
from settlement.domain.payouts import PayoutState
from settlement.domain.statement import Before, Follows, Statement, StatementError, add_up, follow, missing

DAY = date(2026, 11, 24)
BEFORE = Before("S7", 7, DAY, 500)


def one(sequence: int | None, opening: int, first: date = DAY, name: str = "S") -> Statement:
    return Statement(name, sequence, "1", "020", opening, opening, first, first, ())


def test_the_next_statement_follows() -> None:
    assert follow(one(8, 500), BEFORE) is Follows.NEXT
    assert follow(one(8, 500), None) is Follows.NEXT
    assert follow(one(None, 500), Before("S", None, DAY, 500)) is Follows.NEXT


@pytest.mark.parametrize(
    ("statement", "before", "asked"),
    [
        (one(9, 1), BEFORE, "statement 8"),
        (one(12, 1), BEFORE, "statements 8 to 11"),
        (
            one(None, 1, date(2026, 11, 26)),
            Before("S", None, DAY, 500),
            "the statements between 2026-11-24 and 2026-11-26",
        ),
    ],
)
def test_a_gap_says_what_to_ask_for(statement: Statement, before: Before, asked: str) -> None:
    assert follow(statement, before) is Follows.LATER
    assert missing(statement, before) == asked


def test_numbers_may_begin_anew_with_the_year() -> None:
    assert follow(one(1, 500, date(2027, 1, 4)), BEFORE) is Follows.NEXT
    assert follow(one(2, 500, date(2027, 1, 4)), BEFORE) is Follows.LATER


@pytest.mark.parametrize(
    "statement", [one(8, 501), one(7, 500), one(3, 500), one(8, 500, date(2026, 11, 23)), one(None, 501)]
)
def test_what_can_never_follow_is_refused(statement: Statement) -> None:
    with pytest.raises(StatementError, match="ask the bank"):
        follow(statement, BEFORE)


def test_a_statement_adds_up() -> None:
    entry = Entry(1, -40, DAY, "", False, (Part(),))
    add_up(Statement("S", 1, "1", "020", 100, 60, DAY, DAY, (entry,)))
    with pytest.raises(StatementError, match="opens with 100 won, its 1 entries move -40"):
        add_up(Statement("S", 1, "1", "020", 100, 61, DAY, DAY, (entry,)))


NAME = "DURE00001-20261120-01-1-01"


def known(state: PayoutState = PayoutState.SENT) -> Known:
    item = Item(NAME, 1, 0, 100, state, "safeguarded", "", None, None, 1, False)
    return Known({NAME: item}, {"FILE": [NAME]}, frozenset({"city"}), {"20261120": 300})


def entry(won: int, **carried: str) -> Entry:
    return Entry(1, won, DAY, "", False, (Part(**carried),))  # type: ignore[arg-type]


def test_a_stronger_carrier_that_does_not_fit_is_not_passed_over() -> None:
    found = match(entry(-300, end_to_end_id=NAME, remittance="TOPUP-20261120"), "safeguarded", known())
    assert found.bookings == ()
    assert "ordered are 100" in found.why


def test_a_foreign_carrier_lets_a_weaker_one_speak() -> None:
    found = match(entry(-100, end_to_end_id="NOTPROVIDED", remittance=f"x {NAME} y"), "safeguarded", known())
    assert (found.kind, found.carrier) == ("payout", "remittance")


def test_the_same_payment_twice_on_one_statement_is_booked_once() -> None:
    twice = [entry(-100, end_to_end_id=NAME), entry(-100, end_to_end_id=NAME)]
    first, second = match_all(twice, "safeguarded", known())
    assert first.bookings
    assert "it is booked" in second.why


def test_the_same_collection_twice_is_taken_once() -> None:
    twice = [entry(300, remittance="TOPUP-20261120"), entry(300, remittance="TOPUP-20261120")]
    first, second = match_all(twice, "safeguarded", known())
    assert first.bookings
    assert "0 are outstanding" in second.why


def test_another_account_is_a_near_miss() -> None:
    found = match(entry(-100, end_to_end_id=NAME), "operator", known())
    assert "ordered from safeguarded" in found.why


def test_what_the_bank_takes_back_is_no_payment() -> None:
    reversal = Entry(1, -100, DAY, "", True, (Part(end_to_end_id=NAME),))
    found = match(reversal, "safeguarded", known())
    assert found.bookings == ()
    assert "takes back" in found.why


def test_what_nothing_names_has_no_carrier() -> None:
    found = match(entry(-100, remittance="100 won"), "safeguarded", known())
    assert (found.carrier, found.bookings, found.why) == ("", (), "")
