"""Offline purchases, voids, partial approvals and partial reversals (PROTOCOL cases 6 to 8, 16, 17)."""

from typing import Any

import pytest

from switch.domain.decision import ForbiddenTransitionError, OriginalChange, apply
from switch.domain.payment import FIRST, NEXT, Kind, Outcome
from switch.domain.programme import Limits
from switch.domain.reasons import BY_NUMBER, CODE
from switch.domain.request import OriginalRef, Stored
from tests.unit.decide.world import DEPARTMENT, GONE, LIQUOR, PLAIN, Till, charged, points, wallet


def why(stored: Stored) -> str:
    return BY_NUMBER[stored.reason].name


# ── offline purchases ───────────────────────────────────────────────────────────────────────────────────────
def test_an_offline_purchase_within_the_rules_is_a_purchase_of_its_own_day() -> None:
    till = Till(wallet(charged(1, 50_000)))
    done = till.send(Kind.PURCHASE, 20_000, day=20260610, booked=20260612, advice=True)
    assert (why(done), done.approved, done.cashback) == ("approved", 20_000, 2_000)
    assert till.wallet.spent_on(20260610) == 20_000
    assert done.business_day == 20260612


@pytest.mark.parametrize(
    ("fault", "amount", "merchant", "booked", "told"),
    [
        ("blocked", 20_000, PLAIN, 20_000, b"card_blocked"),
        ("wrong form", 20_000, PLAIN, 20_000, b"entry_not_permitted"),
        ("", 31_000, PLAIN, 31_000, b"over_payment_limit"),
        ("", 20_000, GONE, 20_000, b"merchant_closed"),
        ("", 50_001, PLAIN, 50_000, b"1 won could not be booked"),
        ("", 20_000, LIQUOR, 8_000, b"merchant_restricted; 12000 won could not be booked"),
        ("", 20_000, DEPARTMENT, 0, b"merchant_restricted; 20000 won could not be booked"),
    ],
)
def test_an_offline_purchase_that_breaks_a_rule_is_an_exception(
    fault: str, amount: int, merchant: int, booked: int, told: bytes
) -> None:
    till = Till(wallet(charged(1, 42_000), points(2, 8_000), points_on=True), Limits(payment_max=30_000))
    if fault == "blocked":
        till.wallet.cards[1].state = "blocked"
    elif fault:
        till.wallet.cards[1].form = "qr"
    done = till.send(Kind.PURCHASE, amount, day=20260702, advice=True, merchant=merchant)
    assert (why(done), CODE[done.reason], done.approved) == ("exception", "00", booked)
    assert done.outcome == (Outcome.APPROVED if booked else Outcome.EXCEPTION)
    assert told in done.detail
    assert till.balance(1) + till.balance(2) == 50_000 - booked
    back = till.send(Kind.REVERSAL, amount, day=20260702, of=done, merchant=merchant)
    assert back.approved == booked
    assert till.balance(1) + till.balance(2) == 50_000


def test_an_advice_whose_reversal_came_first_is_refused() -> None:
    till = Till(wallet(charged(1, 50_000)))
    done = till.send(Kind.PURCHASE, 20_000, advice=True, tombstoned=True)
    assert (done.outcome, why(done)) == (Outcome.DECLINED, "reversed_before")


# ── voids ───────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_void_takes_a_payment_back_and_its_reversal_gives_it_again() -> None:
    till = Till(wallet(charged(1, 50_000), points(2, 3_000), points_on=True))
    bought = till.send(Kind.PURCHASE, 20_000)
    gone = till.send(Kind.VOID, 20_000, of=bought)
    assert (why(gone), gone.approved, gone.cashback) == ("approved", 20_000, -1_700)
    assert (till.balance(1), till.balance(2), bought.outcome) == (50_000, 3_000, Outcome.RETURNED)
    assert till.wallet.usage_of(202606).spent == 0
    again = till.send(Kind.REVERSAL, 20_000, of=gone)
    assert (why(again), again.approved, again.cashback) == ("approved", 20_000, 1_700)
    assert (till.balance(1), till.balance(2), bought.outcome) == (33_000, 0, Outcome.APPROVED)
    assert gone.outcome == Outcome.RETURNED
    assert till.wallet.usage_of(202606).spent == 20_000


def test_a_void_of_a_hold_and_its_reversal() -> None:
    till = Till(wallet(charged(1, 50_000)))
    asked = till.send(Kind.PREAUTH, 20_000)
    gone = till.send(Kind.VOID, 20_000, of=asked)
    assert (why(gone), gone.approved, till.wallet.held, asked.outcome) == (
        *("approved", 0, {}),
        Outcome.RETURNED,
    )
    till.send(Kind.REVERSAL, 20_000, of=gone)
    assert till.wallet.held[asked.seq].won == 20_000
    assert (asked.outcome, asked.returned, gone.outcome) == (Outcome.APPROVED, 0, Outcome.RETURNED)
    second = till.send(Kind.VOID, 20_000, of=asked)
    till.send(Kind.PURCHASE, 40_000)
    stuck = till.send(Kind.REVERSAL, 20_000, of=second)
    assert (stuck.outcome, till.wallet.held) == (Outcome.EXCEPTION, {})
    assert b"has been spent" in stuck.detail


def test_a_void_of_a_completion_leaves_the_hold_closed() -> None:
    till = Till(wallet(charged(1, 50_000)))
    asked = till.send(Kind.PREAUTH, 20_000)
    done = till.send(Kind.PURCHASE, 20_000, of=asked, advice=True)
    assert why(till.send(Kind.VOID, 20_000, of=asked)) == "hold_closed"
    assert why(till.send(Kind.VOID, 20_000, of=done)) == "approved"
    assert (till.balance(1), till.wallet.held, asked.outcome) == (50_000, {}, Outcome.COMPLETED)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("original_not_found", "25"),
        ("original_not_approved", "12"),
        ("invalid_transaction", "12"),
        ("void_too_late", "12"),
        ("amount_differs", "13"),
        ("over_remaining", "13"),
        ("hold_closed", "12"),
    ],
)
def test_a_void_is_refused(name: str, code: str) -> None:
    till = Till(wallet(charged(1, 50_000)))
    bought = till.send(Kind.PURCHASE, 20_000)
    if name == "original_not_found":
        done = till.send(Kind.VOID, 20_000, of=bought, merchant=LIQUOR)
    elif name == "original_not_approved":
        done = till.send(Kind.VOID, 90_000, of=till.send(Kind.PURCHASE, 90_000))
    elif name == "invalid_transaction":
        done = till.send(Kind.VOID, 20_000, of=till.send(Kind.REFUND, 20_000, of=bought))
    elif name == "void_too_late":
        done = till.send(Kind.VOID, 20_000, day=20260611, of=bought)
    elif name == "amount_differs":
        done = till.send(Kind.VOID, 19_999, of=bought)
    elif name == "over_remaining":
        till.send(Kind.REFUND, 1, of=bought)
        done = till.send(Kind.VOID, 20_000, of=bought)
    else:
        asked = till.send(Kind.PREAUTH, 20_000)
        asked.business_day = 20260630
        done = till.send(Kind.VOID, 20_000, day=20260630, of=asked)
    assert (why(done), CODE[done.reason], done.approved) == (name, code, 0)


# ── partial approval and partial reversal ───────────────────────────────────────────────────────────────────
def test_a_partial_approval_takes_what_there_is_and_is_what_comes_back() -> None:
    till = Till(wallet(charged(1, 12_000)))
    bought = till.send(Kind.PURCHASE, 20_000, partial=True)
    assert (why(bought), CODE[bought.reason]) == ("partial_approval", "10")
    assert (bought.amount, bought.approved, bought.cashback) == (20_000, 12_000, 1_200)
    assert bought.approval
    assert why(till.send(Kind.REFUND, 12_001, of=bought)) == "over_remaining"
    back = till.send(Kind.REVERSAL, 20_000, of=bought)
    assert (back.approved, till.balance(1)) == (12_000, 12_000)
    again = till.send(Kind.PURCHASE, 20_000, partial=True)
    assert till.send(Kind.REVERSAL, 12_000, of=again).approved == 12_000


@pytest.mark.parametrize(
    ("amount", "merchant", "limits", "reason", "approved"),
    [
        (9_000, PLAIN, Limits(), "approved", 9_000),
        (20_000, LIQUOR, Limits(), "partial_approval", 2_000),
        (20_000, DEPARTMENT, Limits(), "merchant_restricted", 0),
        (20_000, PLAIN, Limits(payment_max=13_000), "over_payment_limit", 0),
        (20_000, PLAIN, Limits(payment_max=14_000), "partial_approval", 14_000),
    ],
)
def test_only_money_is_approved_in_part(
    amount: int, merchant: int, limits: Limits, reason: str, approved: int
) -> None:
    till = Till(wallet(charged(1, 12_000), points(2, 2_000), points_on=True), limits)
    done = till.send(Kind.PURCHASE, amount, merchant=merchant, partial=True)
    assert (why(done), done.approved) == (reason, approved)


def test_without_any_money_a_partial_approval_is_a_decline() -> None:
    till = Till(wallet())
    assert why(till.send(Kind.PURCHASE, 1, partial=True)) == "insufficient_funds"


def test_the_replacement_amount_is_absolute_and_full_after_partial_frees_the_rest() -> None:
    till = Till(wallet(charged(1, 50_000)))
    bought = till.send(Kind.PURCHASE, 20_000)
    part = till.send(Kind.REVERSAL, 20_000, of=bought, replacement=15_000)
    assert (why(part), part.approved, part.cashback) == ("approved", 5_000, -500)
    assert (bought.outcome, bought.returned) == (Outcome.RETURNED_PARTLY, 5_000)
    same = till.send(Kind.REVERSAL, 20_000, of=bought, replacement=15_000)
    assert (same.outcome, same.approved) == (Outcome.ACKNOWLEDGED, 0)
    above = till.send(Kind.REVERSAL, 20_000, of=bought, replacement=15_001)
    assert (above.outcome, above.approved) == (Outcome.EXCEPTION, 0)
    assert b"1 won above what stands" in above.detail
    rest = till.send(Kind.REVERSAL, 20_000, of=bought, replacement=0)
    assert (rest.approved, bought.outcome, till.balance(1)) == (15_000, Outcome.RETURNED, 50_000)


def test_a_top_up_is_not_reversed_in_part() -> None:
    till = Till(wallet())
    first = till.send(Kind.TOPUP, 20_000)
    assert till.send(Kind.REVERSAL, 20_000, of=first, replacement=1).outcome == Outcome.EXCEPTION
    assert till.send(Kind.REVERSAL, 20_000, of=first, replacement=0).approved == 20_000


# ── matching ────────────────────────────────────────────────────────────────────────────────────────────────
def reference(of: Stored, **other: Any) -> OriginalRef:
    known: dict[str, Any] = {
        "stan": of.key.stan,
        "transmission": of.transmission,
        "kinds": (Kind.PURCHASE,),
        "terminal_id": "T1",
        "day": of.key.local_day,
        "day_exact": True,
        "rrn": of.rrn,
        "amount": of.amount,
        "merchant_no": of.merchant_no,
    }
    return OriginalRef(**{**known, **other})


@pytest.mark.parametrize(
    ("other", "found"),
    [
        ({}, True),
        ({"rrn": "another", "amount": 1, "merchant_no": 9, "day": 20200101}, True),  # DE90 is enough
        ({"stan": 0}, True),
        ({"transmission": ""}, True),
        ({"stan": 0, "transmission": ""}, True),
        ({"stan": 0, "transmission": "", "rrn": ""}, True),
        ({"stan": 0, "day": 20260611, "day_exact": False}, True),
        ({"stan": 0, "day": 20260611}, False),
        ({"stan": 0, "rrn": "another"}, False),
        ({"stan": 0, "amount": 20_001}, False),
        ({"stan": 0, "merchant_no": 9}, False),
        ({"stan": 0, "terminal_id": "T2"}, False),
        ({"stan": 0, "kinds": (Kind.TOPUP,)}, False),
        ({"stan": 99}, False),
    ],
)
def test_an_original_is_found_by_all_that_is_given(other: dict[str, Any], found: bool) -> None:
    till = Till(wallet(charged(1, 50_000)))
    bought = till.send(Kind.PURCHASE, 20_000)
    till.send(Kind.PURCHASE, 7_000)
    back = till.send(Kind.REVERSAL, 20_000, ref=reference(bought, **other))
    assert (back.approved == 20_000) is found
    assert (back.outcome == Outcome.ACKNOWLEDGED) is not found


def test_of_several_that_fit_none_is_taken() -> None:
    till = Till(wallet(charged(1, 50_000)))
    first = till.send(Kind.PURCHASE, 10_000)
    till.send(Kind.PURCHASE, 10_000)
    back = till.send(Kind.REVERSAL, 10_000, ref=reference(first, stan=0, rrn="", transmission=""))
    assert (back.outcome, back.approved, till.balance(1)) == (Outcome.EXCEPTION, 0, 30_000)
    assert b"2 payments fit" in back.detail
    assert till.last.tombstone is None
    assert till.send(Kind.REVERSAL, 10_000, ref=reference(first, stan=0, transmission="")).approved == 10_000


@pytest.mark.parametrize(
    ("other", "stone"), [({}, True), ({"stan": 0}, False), ({"transmission": ""}, False)]
)
def test_only_a_reversal_that_names_all_leaves_a_tombstone(other: dict[str, Any], stone: bool) -> None:
    till = Till(wallet(charged(1, 50_000)))
    known: dict[str, Any] = {
        "stan": 77,
        "transmission": "0610120000",
        "kinds": (Kind.PURCHASE,),
        "terminal_id": "T1",
    }
    ref = OriginalRef(**{**known, "day": 20260610, **other})
    back = till.send(Kind.REVERSAL, 10_000, ref=ref)
    assert back.outcome == Outcome.ACKNOWLEDGED
    assert (till.last.tombstone == ("T1", 77, "0610120000")) is stone
    assert b'"named":[' in back.detail


# ── the life cycle ──────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("before", list(Outcome))
@pytest.mark.parametrize("after", list(Outcome))
def test_a_payment_moves_only_along_the_lines_of_its_life_cycle(
    kind: Kind, before: Outcome, after: Outcome
) -> None:
    till = Till(wallet(charged(1, 50_000)))
    one = till.send(Kind.PURCHASE, 1_000)
    till.send(Kind.INQUIRY)
    one.key = type(one.key)(*(one.key.bucket, one.key.local_day, one.key.local_time, "T1", 1, kind))
    one.outcome = before
    till.last.originals = (OriginalChange(one, 0, after),)
    if kind in NEXT[before].get(after, ()):
        apply(till.last, till.wallet)
        assert one.outcome == after
    else:
        with pytest.raises(ForbiddenTransitionError, match=kind.name):
            apply(till.last, till.wallet)
        assert one.outcome == before


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_payment_is_born_only_as_its_kind_may(kind: Kind, outcome: Outcome) -> None:
    till = Till(wallet(charged(1, 50_000)))
    born = till.send(Kind.INQUIRY)
    born.key = type(born.key)(*(born.key.bucket, born.key.local_day, born.key.local_time, "T1", 1, kind))
    born.outcome = outcome
    if outcome in FIRST[kind]:
        apply(till.last, till.wallet)
    else:
        with pytest.raises(ForbiddenTransitionError):
            apply(till.last, till.wallet)


def test_nothing_leaves_an_end_and_every_end_is_reached() -> None:
    ends = {outcome for outcome, lines in NEXT.items() if not lines}
    assert ends == {Outcome.DECLINED, Outcome.ACKNOWLEDGED, Outcome.EXCEPTION, Outcome.COMPLETED}
    born = frozenset().union(*FIRST.values())
    reached = born | {after for lines in NEXT.values() for after in lines}
    assert reached == set(Outcome)
