"""What two sides count of a batch, and how its close is judged."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switch.domain.payment import Kind
from switch.domain.terminal_batch import (
    AHEAD_MAX,
    DIFFERENCES_KEPT,
    Batch,
    Difference,
    Record,
    State,
    Totals,
    close,
    differences,
    last_closed,
    totals_of,
)

DAY = 20261118
SOLD = Record(Kind.PURCHASE, 1, "1118030000", 30_000)
CUT = Record(Kind.PURCHASE, 2, "1118030100", 5_000, reversed_won=2_000)
UNDONE = Record(Kind.PURCHASE, 3, "1118030200", 7_000, reversed_won=7_000)
RETURNED = Record(Kind.REFUND, 4, "1118030300", 4_000)
VOIDED = Record(Kind.VOID, 5, "1118030400", 1_000)
BOOKS = (SOLD, CUT, UNDONE, RETURNED, VOIDED)


def open_batch(told: Totals, *, uploaded: bool = False) -> Batch:
    return Batch(
        state=State.OPEN_DIFFERS, told=told, host=totals_of(BOOKS), business_day=DAY - 1, uploaded=uploaded
    )


def test_totals() -> None:
    totals = totals_of(BOOKS)
    assert totals == Totals(
        credits=2, credit_won=5_000, debits=3, debit_won=42_000, debits_reversed=2, debit_reversed_won=9_000
    )
    assert totals.net == 5_000 - 42_000 + 9_000
    assert totals_of(()) == Totals()


def test_a_payment_that_was_undone_before_it_was_answered_may_lack_on_one_side() -> None:
    terminal = totals_of([one for one in BOOKS if one is not UNDONE])
    assert terminal != totals_of(BOOKS)
    assert terminal.agrees_with(totals_of(BOOKS))
    assert differences(BOOKS, [one for one in BOOKS if one is not UNDONE]) == []


@pytest.mark.parametrize("lost", [SOLD, CUT, RETURNED, VOIDED])
def test_whatever_else_is_lost_is_seen(lost: Record) -> None:
    fewer = [one for one in BOOKS if one is not lost]
    assert not totals_of(fewer).agrees_with(totals_of(BOOKS))
    assert [one.what for one in differences(BOOKS, fewer)] == ["terminal_lacks"]
    assert [one.what for one in differences(fewer, BOOKS)] == ["host_lacks"]


def test_equal_sums_of_different_numbers_do_not_agree() -> None:
    one, two = [Record(Kind.PURCHASE, 1, "1118030000", 10)], [
        Record(Kind.PURCHASE, 1, "1118030000", 4),
        Record(Kind.PURCHASE, 2, "1118030000", 6),
    ]  # fmt: skip
    assert not totals_of(one).agrees_with(totals_of(two))


def test_the_same_trace_number_at_another_time_or_of_another_kind_is_another_record() -> None:
    for other in (
        Record(Kind.PURCHASE, 1, "1118090000", 30_000),
        Record(Kind.REFUND, 1, "1118030000", 30_000),
    ):
        assert {one.what for one in differences([SOLD], [other])} == {"terminal_lacks", "host_lacks"}


def test_a_close_in_balance() -> None:
    closed = close(None, totals_of(BOOKS), DAY, BOOKS, ())
    assert (closed.batch.state, closed.batch.business_day, closed.kept) == (State.CLOSED, DAY, ())


def test_a_close_out_of_balance_waits_for_the_details() -> None:
    told = totals_of([SOLD])
    first = close(None, told, DAY, BOOKS, ()).batch
    assert (first.state, first.host, first.told) == (State.OPEN_DIFFERS, totals_of(BOOKS), told)
    assert close(first, told, DAY, BOOKS, ()).batch.state is State.OPEN_DIFFERS
    again = close(open_batch(told, uploaded=True), told, DAY, BOOKS, [SOLD])
    assert (again.batch.state, again.batch.differences, again.batch.business_day) == (
        State.CLOSED_DIFFERS, 3, DAY,
    )  # fmt: skip
    assert [(one.what, one.stan) for one in again.kept] == [
        ("terminal_lacks", 2),
        ("terminal_lacks", 4),
        ("terminal_lacks", 5),
    ]


def test_details_that_agree_close_the_batch_whatever_the_sums_were() -> None:
    closed = close(open_batch(totals_of([SOLD]), uploaded=True), totals_of([SOLD]), DAY, BOOKS, BOOKS)
    assert (closed.batch.state, closed.batch.differences) == (State.CLOSED, 0)


def test_totals_that_come_right_close_the_batch_without_details() -> None:
    assert close(open_batch(Totals(debits=1)), totals_of(BOOKS), DAY, BOOKS, ()).batch.state is State.CLOSED


def test_a_terminal_that_has_nothing_to_upload_may_close() -> None:
    assert close(None, Totals(), DAY, BOOKS, ()).batch.state is State.OPEN_DIFFERS
    closed = close(open_batch(Totals()), Totals(), DAY, BOOKS, ())
    assert (closed.batch.state, closed.batch.differences) == (State.CLOSED_DIFFERS, 4)


def test_a_closed_batch_stays_as_it_is() -> None:
    known = close(None, totals_of(BOOKS), DAY, BOOKS, ()).batch
    again = close(known, totals_of(BOOKS), DAY + 1, (), ())
    assert (again.batch, again.differs) == (known, False)
    assert close(known, Totals(), DAY + 1, (), ()).differs


def test_differences_are_counted_all_and_kept_to_a_bound() -> None:
    many = [Record(Kind.PURCHASE, stan, "1118030000", 1) for stan in range(1, DIFFERENCES_KEPT + 500)]
    told = Totals(debits=1)
    closed = close(open_batch(told, uploaded=True), told, DAY, many, ())
    assert closed.batch.differences == len(many)
    assert len(closed.kept) == DIFFERENCES_KEPT
    assert closed.kept[0] == Difference("terminal_lacks", Kind.PURCHASE, 1, "1118030000", 1, 0)


RECORDS = st.lists(
    st.builds(
        lambda kind, stan, approved, part: Record(kind, stan, "1118030000", approved, approved * part // 4),
        st.sampled_from([Kind.PURCHASE, Kind.REFUND, Kind.VOID]),
        st.integers(1, 9),
        st.integers(1, 50),
        st.sampled_from([0, 0, 1, 4]),
    ),
    max_size=8,
    unique_by=lambda one: (one.kind, one.stan),
)


@settings(max_examples=200, print_blob=True)
@given(RECORDS, RECORDS)
def test_no_difference_means_agreement_of_the_won_and_differences_explain_them(
    host: list[Record], terminal: list[Record]
) -> None:
    found = differences(host, terminal)
    ours, theirs = totals_of(host), totals_of(terminal)
    sign = {Kind.PURCHASE: -1, Kind.REFUND: 1, Kind.VOID: 1}
    explained = sum(sign[Kind(one.kind)] * (one.host_won - one.terminal_won) for one in found)
    assert ours.net - theirs.net == explained
    assert (not found) == (
        {(o.kind, o.stan): o.standing for o in host if o.standing}
        == {(o.kind, o.stan): o.standing for o in terminal if o.standing}
    )


def test_the_last_closed_number_rises_and_no_slip_locks_the_following_out() -> None:
    assert last_closed(0, 700_000) == 700_000  # its first one may be any
    assert last_closed(12, 13) == 13
    assert last_closed(12, 12 + AHEAD_MAX) == 12 + AHEAD_MAX
    assert last_closed(12, 13 + AHEAD_MAX) == 12
    assert last_closed(12, 11) == 12
    assert last_closed(12, 12) == 12
