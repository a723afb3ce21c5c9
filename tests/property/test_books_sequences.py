"""Random days through the pure core, against the model. A failure prints its seed; run it alone with -k."""

from typing import Any

import pytest

from switch.domain.payment import Outcome
from switch.domain.reasons import BY_NUMBER
from switch.domain.request import Request, Stored
from switch.ledger.chart import ALLOWED, Account
from switch.service.batch import Answer
from tests.unit.decide import world
from tests.unit.decide.books import Books
from tests.unit.decide.model import Model
from tests.unit.decide.sequences import LIMITS, Day, Night, sequence, wallets

ACCOUNTS = {
    "safeguarded": Account.SAFEGUARDED,
    "funder": Account.FUNDER_DUE,
    "owed": Account.MEMBER_RECEIVABLE,
    "charged": Account.CARD_MONEY,
    "points": Account.POINTS,
    "accrued": Account.CASHBACK_ACCRUED,
    "merchant": Account.MERCHANT_PAYABLE,
    "treasury": Account.TREASURY_RETURN,
}


def told(stored: Stored) -> tuple[object, ...]:
    """All of a stored payment that its repeats are answered with."""
    after = (stored.ledger_after, stored.available_after)
    return (stored.reason, stored.approval, stored.rrn, stored.cashback, after, stored.business_day)


@pytest.mark.parametrize("start", range(0, 320, 40))
def test_random_days_agree_with_the_model(start: int) -> None:
    for seed in range(start, start + 40):
        try:
            play(seed)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise


def play(seed: int) -> None:
    members = wallets(seed, 3)
    model = Model(members)
    opening = {(w.wallet_id, lot.lot_no): lot.balance for w in members.values() for lot in w.lots.values()}
    books = Books(members, world.reference(LIMITS))
    first: dict[object, tuple[object, ...]] = {}
    today = 0
    for act in sequence(seed, wallet_count=3, requests_a_day=24):
        if isinstance(act, Night):
            books.night(act)
            model.night(act)
        elif isinstance(act, Day):
            today = act.day
        else:
            compare(act, books.request(act, today), model.request(act, today), first)
        compare_wallets(books, model)
    compare_accounts(books, model, opening)


# What a few hundred random days must have met, or they prove less than they seem to.
MET = {
    *(
        "approved",
        "card_expired",
        "wrong_pin",
        "pin_tries_exceeded",
        "merchant_closed",
        "merchant_restricted",
    ),
    *("insufficient_funds", "over_payment_limit", "over_day_limit", "over_month_limit", "over_topup_limit"),
    *("over_holding_limit", "original_not_found", "original_not_approved", "over_remaining"),
    *("reversed_before", "acknowledged", "exception"),
}


def test_the_random_days_reach_every_reason_and_every_kind_of_entry() -> None:
    reasons: set[str] = set()
    pairs: set[tuple[Account, Account]] = set()
    for seed in range(120):
        books = Books(wallets(seed, 3), world.reference(LIMITS))
        today = 0
        for act in sequence(seed, wallet_count=3, requests_a_day=24):
            if isinstance(act, Night):
                books.night(act)
            elif isinstance(act, Day):
                today = act.day
            else:
                books.request(act, today)
        reasons |= {BY_NUMBER[stored.reason].name for stored in books.stored.values()}
        pairs |= {(line.entry.debit, line.entry.credit) for line in books.lines}
    assert reasons >= MET
    booked_elsewhere = {Account.FEE_INCOME, Account.PAYOUT_SENT, Account.VAT_DUE, Account.ROUNDING}
    booked_elsewhere |= {Account.MERCHANT_RESERVE, Account.FUNDER_PREPAID, Account.FUNDER_BANK}
    booked_elsewhere |= {Account.OPERATOR_BANK, Account.BANK_CLEARING, Account.BANK_CHARGES}
    booked_elsewhere |= {Account.PAYOUT_RETURNED, Account.SUSPENSE}
    by_acts = {Account.GRANTS, Account.COUPONS, Account.IN_TRANSIT}
    expected = {pair for pair in ALLOWED if not (booked_elsewhere | by_acts) & set(pair)}
    expected.discard((Account.FUNDER_DUE, Account.POINTS))  # granted points come by file
    lots, back = (Account.CARD_MONEY, Account.POINTS), (Account.TREASURY_RETURN, Account.FUNDER_DUE)
    expected -= {(lot, to) for lot in lots for to in back}  # expiry at night; corrections
    # A funder's gift to a merchant; a funder pays what it owes.
    expected -= {(Account.FUNDER_DUE, Account.MERCHANT_PAYABLE), (Account.SAFEGUARDED, Account.FUNDER_DUE)}
    owed = (Account.MEMBER_RECEIVABLE, Account.FUNDER_DUE)
    expected -= {owed, owed[::-1]}  # corrections
    assert pairs == expected


def compare(
    request: Request, answer: Answer, expected: dict[str, Any], first: dict[object, tuple[object, ...]]
) -> None:
    stored = answer.stored
    assert BY_NUMBER[stored.reason].name == expected["reason"], request
    assert answer.differs == (request.content != expected["request"].content)
    assert stored.approved == expected["approved"]
    assert (stored.cashback, stored.basis) == (expected["cashback"], expected["basis"]), request
    assert first.setdefault(request.key, told(stored)) == told(stored), "a repeat got another answer"
    if not answer.repeated and expected["reason"] == "approved":
        assert (stored.ledger_after, stored.available_after) == expected["after"], request


def compare_wallets(books: Books, model: Model) -> None:
    for number, wallet in books.wallets.items():
        expected = model.wallets[number]
        assert {no: lot.balance for no, lot in wallet.lots.items()} == {
            no: lot["won"] for no, lot in expected["lots"].items()
        }
        assert min(lot.balance for lot in wallet.lots.values()) >= 0
        assert wallet.receivable == expected["owed"]
        for month, usage in expected["usage"].items():
            counted = wallet.usage_of(month)
            assert (counted.spent, counted.basis, counted.topup) == tuple(usage.values())
            assert min(usage.values()) >= 0
        for day, spent in expected["days"].items():
            assert wallet.spent_on(day) == spent >= 0
        assert {no: card.pin_tries for no, card in wallet.cards.items()} == {
            no: expected["tries"][no] for no in wallet.cards
        }


def compare_accounts(books: Books, model: Model, opening: dict[tuple[int, int], int]) -> None:
    for stored in books.stored.values():
        known = model.payments[stored.key]
        assert 0 <= stored.returned <= stored.approved
        assert stored.returned == known["returned"]
        assert (stored.outcome == Outcome.RETURNED) == (0 < stored.approved == stored.returned)
    accounts = books.accounts()
    assert sum(accounts.values()) == 0
    expected = {(ACCOUNTS[name], part): won for (name, part), won in model.accounts.items() if won}
    assert {at: won for at, won in accounts.items() if won} == expected
    sums = books.lots()
    for number, wallet in books.wallets.items():
        for no, lot in wallet.lots.items():
            assert lot.balance == opening.get((number, no), 0) + sums[number, no]
        assert accounts[Account.MEMBER_RECEIVABLE, number] == wallet.receivable
    seqs: dict[int, set[int]] = {}
    for stored in books.stored.values():
        seqs.setdefault(stored.wallet_id, set()).add(stored.seq)
    for line in books.lines:
        seqs.setdefault(line.wallet_id, set()).add(line.seq)
    for number, found in seqs.items():
        last = books.wallets[number].seq
        assert found == set(range(last - len(found) + 1, last + 1)), "posting numbers have a gap"
