"""Payouts that failed: ordered again by the next run once the merchant's account is another."""

from collections.abc import Callable
from datetime import date

from settlement.desk import ages, holds
from settlement.desk.merchants import set_account
from settlement.settings import Originator
from settlement.store.house import book
from switch.ledger.chart import Account
from switch.ledger.journal import entry
from switch.service.proofs_bank import CHECKS
from tests.integration.settlement.merchants.nights import AT, MAKER, Nights

D, NEXT = date(2026, 11, 16), date(2026, 11, 17)
RIGHT = Originator(name="김사장", account="999888777666", bank="004")

Make = Callable[..., Nights]


def fail(city: Nights, state: str, merchant_no: int, why: str = "AC04") -> None:
    """The bank rejects or returns a payout, as the answers book it."""
    account = {"rejected": Account.PAYOUT_SENT, "returned": Account.SAFEGUARDED}[state]
    to = {"rejected": Account.MERCHANT_PAYABLE, "returned": Account.PAYOUT_RETURNED}[state]
    city.sql(
        "UPDATE payout SET state = :s, reason = :r WHERE merchant_no = :m", s=state, r=why, m=merchant_no
    )
    booked = entry(account, to, 9_985, merchant_no=merchant_no)
    city.desk(book, city.no, D, f"{state}:{merchant_no}", [booked])


def test_a_rejected_payout_waits_for_its_account_and_then_goes_out_again(make: Make) -> None:
    city = make()
    shop = city.merchant(1)
    city.trade(D, 1, 10_000)
    city.pay(D)
    fail(city, "rejected", 1)
    assert city.balance(Account.MERCHANT_PAYABLE, 1) == 9_985
    assert city.pay(NEXT).again == 0  # the same account would fail again
    [old] = city.desk(ages.ages, city.facts(), date(2026, 11, 19)).carried
    assert (old.won, old.days, old.why) == (9_985, 3, "rejected by the bank (AC04): correct its account")

    assert city.desk(set_account, shop, RIGHT, MAKER, AT)
    assert not city.desk(set_account, shop, RIGHT, MAKER, AT)
    told = city.pay(NEXT, cycle=2)
    assert (told.again, told.again_won, told.paid) == (1, 9_985, 0)
    assert city.all(
        "SELECT business_date, cycle, attempt, pay_on, won, end_to_end_id, bank_code, account_no, state"
        " FROM payout ORDER BY attempt DESC LIMIT 1"
    ) == [
        (D, 1, 2, date(2026, 11, 19), 9_985, "DURE00001-20261116-01-1-02", "004", "999888777666", "ordered")
    ]
    assert city.all("SELECT end_to_end_id, event, told FROM payout_event") == [
        ("DURE00001-20261116-01-1-01", "represented", "DURE00001-20261116-01-1-02")
    ]
    assert city.balance(Account.MERCHANT_PAYABLE, 1) == 0
    assert city.balance(Account.PAYOUT_SENT, 1) == 9_985
    assert city.pay(date(2026, 11, 18)).again == 0
    audit = city.all("SELECT detail FROM settlement_audit")
    assert "…7666" in str(audit)
    assert "999888777666" not in str(audit)


def test_a_returned_payout_leaves_what_came_back(make: Make) -> None:
    city = make()
    shop = city.merchant(1)
    city.trade(D, 1, 10_000)
    city.pay(D)
    fail(city, "returned", 1)
    city.desk(set_account, shop, RIGHT, MAKER, AT)
    assert city.pay(NEXT).again == 1
    assert city.balance(Account.PAYOUT_RETURNED, 1) == 0
    assert city.balance(Account.MERCHANT_PAYABLE, 1) == 0


def test_nothing_failed_is_paid_again_while_it_is_held(make: Make) -> None:
    city = make()
    shop = city.merchant(1)
    city.trade(D, 1, 10_000)
    city.pay(D)
    fail(city, "rejected", 1)
    city.desk(set_account, shop, RIGHT, MAKER, AT)
    city.desk(holds.place, shop, "court order", MAKER, AT)
    assert city.pay(NEXT).again == 0
    city.desk(holds.release, shop, holds.HOLD, MAKER, AT)
    assert city.pay(NEXT, cycle=2).again == 1


def unpaid(city: Nights) -> object:
    """Merchants of whom the house has booked another sum than their nets and failed payouts come to."""
    [(_, broken, _)] = city.all({name: query for name, _, query in CHECKS}["merchants_payable"])
    return broken


def test_what_the_bank_rejects_for_a_fault_of_ours_is_paid_again_to_the_same_account(make: Make) -> None:
    city = make()
    for merchant in (1, 2):
        city.merchant(merchant)
        city.trade(D, merchant, 10_000)
    city.pay(D)
    fail(city, "rejected", 1, "AM04")
    fail(city, "returned", 2, "AM04")
    told = city.pay(NEXT)
    assert (told.again, told.again_won) == (1, 9_985), "a return came from the payee's bank"
    assert city.balances(Account.MERCHANT_PAYABLE) == {1: 0, 2: 0}


def test_an_account_that_is_said_to_be_right_is_paid_to_again_once(make: Make) -> None:
    city = make()
    shop = city.merchant(1)
    right = Originator(name="김사장", account="110222333333", bank="088")
    city.trade(D, 1, 10_000)
    city.pay(D)
    assert not city.desk(set_account, shop, right, MAKER, AT)
    fail(city, "rejected", 1, "MS03")
    assert city.pay(NEXT).again == 0
    assert unpaid(city) == 0
    assert city.desk(set_account, shop, right, MAKER, AT)
    assert not city.desk(set_account, shop, right, MAKER, AT)
    assert city.pay(NEXT, cycle=2).again == 1
    assert unpaid(city) == 0
    assert city.pay(NEXT, cycle=3).again == 0
    assert city.all("SELECT event FROM payout_event ORDER BY event_no") == [("confirmed",), ("represented",)]
    acts = city.all("SELECT act, detail FROM settlement_audit")
    assert acts == [("merchant:account confirmed", '{"payouts":1}')]
    stray = entry(Account.MERCHANT_PAYABLE, Account.FEE_INCOME, 5, merchant_no=1)
    city.desk(book, city.no, D, "stray", [stray])
    assert unpaid(city) == 1
