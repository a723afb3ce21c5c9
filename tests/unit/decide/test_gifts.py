"""Gifts: what they are made from, what a case takes, and their taking back."""

from typing import Any

import pytest
from msgspec.structs import replace

from switch.domain.decision import Detail, apply, decode_detail
from switch.domain.donation import Case
from switch.domain.payment import Kind, Outcome
from switch.domain.programme import Limits
from switch.domain.reasons import BY_NUMBER
from switch.domain.request import Entry, PinCheck, Proof, Stored
from switch.domain.terminal_batch import totals_of
from switch.domain.wallet import Lot, LotKind, Wallet
from switch.ledger.chart import Account
from switch.ledger.postings import entries_of
from switch.store.batches import records_of
from tests.unit.decide.world import CITY, DEPARTMENT, MARKET, NATIONAL, PLAIN, Till, charged, points, wallet

GROUP = "traditional_market"
DAY = 20260610


def case(**other: Any) -> Case:
    given: dict[str, Any] = {
        "code": "HEART-1", "merchant_no": MARKET, "target": 100_000, "given": 0, "deadline": 20260630,
        "open": True,
    }  # fmt: skip
    return Case(**{**given, **other})


class Box(Till):
    """A terminal of a donation merchant, and the cases as a batch has them locked."""

    def __init__(self, at: Wallet, *cases: Case) -> None:
        super().__init__(at, donation_group=GROUP)
        self.cases = {one.code: one for one in cases or (case(),)}

    def give(self, won: int, code: str = "HEART-1", **more: Any) -> Stored:
        more.setdefault("merchant", MARKET)
        self.case = self.cases.get(code)
        stored = self.send(Kind.GIFT, won, case=code, **more)
        if self.last.gift is not None:
            self.cases[self.last.gift[0]].given += self.last.gift[1]
        return stored


def reason(stored: Stored) -> str:
    return BY_NUMBER[stored.reason].name


def told(stored: Stored) -> Detail:
    return decode_detail(stored.detail)


def test_points_and_charged_money_in_the_programmes_order_and_nothing_else() -> None:
    grant = Lot(3, LotKind.GRANT, CITY, 30_000, 30_000, 20260601, 20261231, 1)
    at = Box(wallet(charged(1, 50_000), points(2, 8_000), grant, points_on=True))
    stored = at.give(20_000)
    assert (stored.outcome, stored.approved) == (Outcome.APPROVED, 20_000)
    assert at.last.spent == ((2, LotKind.POINTS, 8_000), (1, LotKind.CHARGED, 12_000))
    assert (at.balance(1), at.balance(2), at.balance(3)) == (38_000, 0, 30_000)
    assert at.cases["HEART-1"].given == 20_000
    assert told(stored).case == "HEART-1"
    assert [(e.debit, e.credit, e.won, e.merchant_no) for e in entries_of(at.last)] == [
        (Account.POINTS, Account.MERCHANT_PAYABLE, 8_000, MARKET),
        (Account.CARD_MONEY, Account.MERCHANT_PAYABLE, 12_000, MARKET),
    ]


def test_no_cashback_no_usage_no_limit() -> None:
    at = Box(wallet(charged(1, 90_000), used=299_000))
    at.reference = Till(at.wallet, Limits(payment_max=1_000, day_max=1_000), donation_group=GROUP).reference
    stored = at.give(90_000)
    assert stored.approved == 90_000
    assert (stored.cashback, stored.basis, at.last.usage, at.last.granted) == (0, 0, None, ())
    assert at.wallet.usage_of(202606).spent == 299_000


def test_the_member_names_the_money() -> None:
    at = Box(wallet(charged(1, 50_000), points(2, 8_000)))
    assert at.give(3_000).approved == 3_000
    assert at.last.spent == ((1, LotKind.CHARGED, 3_000),)  # points are not switched on
    at.give(3_000, gift_from="points")
    assert at.last.spent == ((2, LotKind.POINTS, 3_000),)  # but named
    assert reason(at.give(6_000, gift_from="points")) == "insufficient_funds"
    at.give(3_000, gift_from="charged")
    assert at.last.spent == ((1, LotKind.CHARGED, 3_000),)


@pytest.mark.parametrize(
    ("one", "won", "why", "short"),
    [
        (case(code="OTHER"), 1_000, "unknown_case", 0),
        (case(merchant_no=PLAIN), 1_000, "case_elsewhere", 0),
        (case(open=False), 1_000, "case_closed", 0),
        (case(deadline=20260609), 1_000, "case_over", 0),
        (case(given=100_000), 1_000, "case_filled", 1_000),
        (case(given=99_001), 1_000, "case_filled", 1),
    ],
)
def test_why_not(one: Case, won: int, why: str, short: int) -> None:
    at = Box(wallet(charged(1, 50_000)), one)
    stored = at.give(won)
    assert (stored.outcome, reason(stored), stored.approved) == (Outcome.DECLINED, why, 0)
    assert told(stored).short == short
    assert at.balance(1) == 50_000
    assert at.last.gift is None


def test_the_last_day_counts() -> None:
    assert Box(wallet(charged(1, 50_000)), case(deadline=DAY)).give(1_000).approved == 1_000


def test_a_case_takes_what_it_needs_and_a_member_gives_what_there_is() -> None:
    at = Box(wallet(charged(1, 5_000)), case(given=97_000))
    stored = at.give(4_000, partial=True)
    assert (reason(stored), stored.approved, at.cases["HEART-1"].left) == ("partial_approval", 3_000, 0)
    assert (told(stored).limit, told(stored).used, told(stored).short) == (100_000, 97_000, 1_000)
    at = Box(wallet(charged(1, 5_000)))
    assert reason(at.give(8_000)) == "insufficient_funds"
    stored = at.give(8_000, partial=True)
    assert (reason(stored), stored.approved, at.balance(1)) == ("partial_approval", 5_000, 0)
    assert told(stored).limit == 0  # the member had no more: it is not the case that needed none
    assert reason(at.give(8_000, partial=True)) == "insufficient_funds"


def test_a_donation_merchant_takes_gifts_only_and_others_none() -> None:
    at = Box(wallet(charged(1, 50_000)))
    assert reason(at.send(Kind.PURCHASE, 1_000, merchant=MARKET)) == "gifts_only"
    assert reason(at.send(Kind.PREAUTH, 1_000, merchant=MARKET)) == "gifts_only"
    assert at.send(Kind.PURCHASE, 1_000, merchant=PLAIN).approved == 1_000
    assert at.send(Kind.TOPUP, 1_000, merchant=MARKET).approved == 1_000
    at.cases["PLAIN"] = case(code="PLAIN", merchant_no=PLAIN)
    assert reason(at.give(1_000, "PLAIN", merchant=PLAIN)) == "case_elsewhere"


def test_an_offline_payment_at_a_donation_merchant_is_left_to_a_person() -> None:
    at = Box(wallet(charged(1, 50_000)))
    assert reason(at.send(Kind.PURCHASE, 1_000, merchant=MARKET, advice=True)) == "exception"


def test_money_that_may_not_be_spent_there_is_not_given_there() -> None:
    at = Box(wallet(charged(1, 50_000)), case(merchant_no=DEPARTMENT))
    at.reference.merchants[DEPARTMENT] = _in_group(at, DEPARTMENT)
    stored = at.give(1_000, merchant=DEPARTMENT)
    assert reason(stored) == "merchant_restricted"
    assert told(stored).rules == ("large_store",)


def _in_group(at: Box, number: int) -> Any:
    return replace(at.reference.merchants[number], groups=((GROUP, 20250101, 0),))


def test_a_reversal_gives_back_to_the_lots_and_takes_from_the_case() -> None:
    at = Box(wallet(charged(1, 50_000), points(2, 8_000), points_on=True))
    stored = at.give(20_000)
    at.cases["HEART-1"].open = False  # a closed case gives back all the same
    back = at.send(Kind.REVERSAL, 20_000, of=stored, merchant=MARKET)
    assert back.outcome == Outcome.APPROVED
    assert at.last.gift == ("HEART-1", -20_000)
    assert at.last.restored == ((1, LotKind.CHARGED, 12_000), (2, LotKind.POINTS, 8_000))
    assert (at.balance(1), at.balance(2)) == (50_000, 8_000)
    assert (stored.outcome, stored.returned) == (Outcome.RETURNED, 20_000)
    assert at.send(Kind.REVERSAL, 20_000, of=stored, merchant=MARKET).outcome == Outcome.ACKNOWLEDGED
    assert at.last.gift is None


def test_what_has_expired_meanwhile_goes_to_the_treasury() -> None:
    at = Box(
        wallet(
            charged(1, 50_000),
            points(2, 3_000, expires=DAY, funder_no=CITY),
            points(3, 2_000, expires=DAY),
            points_on=True,
        )
    )
    stored = at.give(7_000)
    at.send(Kind.REVERSAL, 7_000, of=stored, merchant=MARKET, day=DAY, booked=DAY + 1)
    assert at.last.restored == ((1, LotKind.CHARGED, 2_000),)
    assert at.last.treasury == ((NATIONAL, 2_000), (CITY, 3_000))  # of nobody in particular: the first funder


def test_a_gift_is_neither_refunded_nor_voided_nor_reversed_in_part() -> None:
    at = Box(wallet(charged(1, 50_000)))
    stored = at.give(20_000)
    for kind in (Kind.REFUND, Kind.VOID):
        assert reason(at.send(kind, 20_000, of=stored, merchant=MARKET)) == "invalid_transaction"
    back = at.send(Kind.REVERSAL, 20_000, of=stored, merchant=MARKET, replacement=5_000)
    assert reason(back) == "exception"
    assert (stored.returned, at.balance(1)) == (0, 30_000)


def test_holds_are_not_given_away() -> None:
    at = Box(wallet(charged(1, 10_000)))
    at.send(Kind.PREAUTH, 6_000, merchant=PLAIN)
    assert reason(at.give(5_000)) == "insufficient_funds"
    assert at.give(4_000).approved == 4_000


def test_a_contactless_gift_without_a_pin_counts_as_a_tap() -> None:
    at = Box(wallet(charged(1, 10_000)))
    stored = at.give(4_000, entry=Entry.CONTACTLESS, pin=PinCheck.NONE, proof=Proof.OK, atc=1)
    assert stored.approved == 4_000
    assert at.wallet.cards[1].tap_won == 4_000
    at.send(Kind.REVERSAL, 4_000, of=stored, merchant=MARKET)
    assert at.wallet.cards[1].tap_won == 0


def test_apply_is_what_the_books_say() -> None:
    """The decision alone changes the wallet: the case is the batch's."""
    at = Box(wallet(charged(1, 10_000)))
    at.give(4_000)
    again = wallet(charged(1, 10_000))
    apply(at.last, again, at.pools)
    assert again.lots[1].balance == 6_000


def test_a_gift_counts_in_its_terminals_batch_as_a_payment() -> None:
    rows = [(Kind.GIFT, 1, "a", 7_000, 0, 1, 1, 0), (Kind.GIFT, 2, "b", 3_000, 0, 1, 2, 0)]
    totals = totals_of(records_of([*rows, (Kind.REVERSAL, 3, "c", 3_000, 0, 1, 3, 2)]))
    assert (totals.debits, totals.debit_won, totals.debits_reversed, totals.debit_reversed_won) == (
        *(2, 10_000, 1, 3_000),
    )
    assert (totals.credits, totals.net) == (0, -7_000)
