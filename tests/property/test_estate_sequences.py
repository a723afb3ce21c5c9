"""Random days of a whole estate through the pure core: what must hold whatever was sent.

A failure prints its seed; run it alone with -k.
"""

from collections import Counter
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from switch.domain.payment import POSTED, Kind, Outcome, PaymentKey
from switch.domain.reasons import BY_NUMBER
from switch.domain.request import OriginalRef, Request, Stored
from switch.domain.wallet import Wallet
from switch.ledger.chart import Account
from tests.unit.decide import world
from tests.unit.decide.books import Books
from tests.unit.decide.estate import estate, members, reference
from tests.unit.decide.sequences import Day, Night


def play(seed: int, books: Books, *, nights: bool = True) -> Iterator[tuple[Request, Stored, int]]:
    today = 0
    for act in estate(seed, wallet_count=3, requests_a_day=30):
        if isinstance(act, Day):
            today = act.day
        elif isinstance(act, Night):
            if nights:
                books.night(act)
        else:
            yield act, books.request(act, today).stored, today


@pytest.mark.parametrize("start", range(0, 160, 40))
def test_random_days_keep_the_books(start: int) -> None:
    for seed in range(start, start + 40):
        books = Books(members(seed, 3), reference())
        opening = {
            (w.wallet_id, no): lot.balance for w in books.wallets.values() for no, lot in w.lots.items()
        }
        try:
            for _ in play(seed, books):
                check_holds(books)
            check_books(books, opening)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise


def check_holds(books: Books) -> None:
    for wallet in books.wallets.values():
        held: Counter[int] = Counter()
        assert wallet.holds == len(wallet.held)
        for seq, hold in wallet.held.items():
            asked = [s for s in books.stored.values() if s.wallet_id == wallet.wallet_id]
            asked = [s for s in asked if s.key.kind == Kind.PREAUTH and seq in (s.seq, s.original_seq)]
            standing = sum(s.approved - s.returned for s in asked)
            assert hold.won == standing == sum(won for _, _, won in hold.uses) > 0
            assert all(s.outcome in POSTED for s in asked if s.approved)
            held.update({lot_no: won for lot_no, _, won in hold.uses})
        for lot_no, won in held.items():
            assert won <= wallet.lots[lot_no].balance
        assert min(lot.balance for lot in wallet.lots.values()) >= 0


def check_books(books: Books, opening: dict[tuple[int, int], int]) -> None:
    accounts = books.accounts()
    assert sum(accounts.values()) == 0
    sums = books.lots()
    for number, wallet in books.wallets.items():
        for no, lot in wallet.lots.items():
            assert lot.balance == opening.get((number, no), 0) + sums[number, no]
        assert accounts[Account.MEMBER_RECEIVABLE, number] == wallet.receivable
        spent: Counter[int] = Counter()
        months: Counter[int] = Counter()
        basis: Counter[int] = Counter()
        for s in books.stored.values():
            if s.wallet_id != number:
                continue
            basis[s.usage_month] += s.basis
            if s.key.kind == Kind.PURCHASE:
                spent[s.key.local_day] += s.approved - s.returned
                months[s.usage_month] += s.approved - s.returned
        for day, won in spent.items():
            assert wallet.spent_on(day) == won
        for month in months | basis:
            usage = wallet.usage_of(month)
            assert (usage.spent, usage.basis) == (months[month], basis[month])
    for s in books.stored.values():
        assert 0 <= s.returned <= s.approved
        # A reversal of a 0100 gives back what its completion took, which may be more.
        assert s.approved <= s.amount or s.key.kind == Kind.REVERSAL
        assert (s.approved == 0) or s.outcome in (*POSTED, Outcome.COMPLETED)


MET = {
    *("approved", "partial_approval", "acknowledged", "exception", "reversed_before", "hold_closed"),
    *("void_too_late", "amount_differs", "invalid_transaction", "over_remaining", "original_not_found"),
    *("pin_required", "atc_replayed", "cryptogram_failure", "cvv_failure", "entry_not_permitted"),
    *("insufficient_funds", "merchant_restricted", "over_day_limit", "over_payment_limit", "wrong_pin"),
}


def test_the_random_days_reach_what_they_are_for() -> None:
    reasons: set[str] = set()
    steps: set[tuple[Kind, Outcome]] = set()
    notes = b""
    for seed in range(60):
        for _, stored, _ in play(seed, Books(members(seed, 3), reference())):
            reasons.add(BY_NUMBER[stored.reason].name)
            steps.add((Kind(stored.key.kind), Outcome(stored.outcome)))
            notes += stored.detail
    assert reasons >= MET
    assert {(Kind.PREAUTH, Outcome.APPROVED), (Kind.PURCHASE, Outcome.ACKNOWLEDGED)} <= steps
    for told in (b"above the hold", b"could not be booked", b"closed or has expired", b"payments fit"):
        assert told in notes


@pytest.mark.parametrize("seed", range(40))
def test_taking_everything_back_leaves_the_wallet_as_it_was(seed: int) -> None:
    """Newest first, as terminals can: lots, limits and usage are then as before the first payment."""
    books = Books(members(seed, 3), reference())
    for lot in (lot for wallet in books.wallets.values() for lot in wallet.lots.values()):
        lot.expires = 20310630  # what has expired meanwhile goes to the treasury instead
    before = {number: lots_of(wallet) for number, wallet in books.wallets.items()}
    sent: dict[PaymentKey, Request] = {}
    last = 0
    for request, _, today in play(seed, books, nights=False):
        sent.setdefault(request.key, request)
        last = today
    for stan, request in enumerate(reversed(sent.values()), 900_001):
        stored = books.stored[request.key]
        if stored.key.kind not in (Kind.REVERSAL, Kind.INQUIRY):
            books.request(reversal(request, stored, stan), last)
    for number, wallet in books.wallets.items():
        assert {no: won for no, won in lots_of(wallet).items() if no in before[number]} == before[number], (
            seed
        )
        assert all(lot.balance == 0 for no, lot in wallet.lots.items() if no not in before[number])
        assert all(hold.expires < last for hold in wallet.held.values())
        counted = [wallet.usage_of(month) for month in (202606, 202607)]
        assert {(usage.spent, usage.basis, usage.topup) for usage in counted} == {(0, 0, 0)}
    assert not {at: won for at, won in books.accounts().items() if won}


def lots_of(wallet: Wallet) -> dict[int, int]:
    return {no: lot.balance for no, lot in wallet.lots.items()}


def reversal(of: Request, stored: Stored, stan: int) -> Request:
    ref = OriginalRef(
        of.key.stan, of.transmission, (of.key.kind,), of.key.terminal_id, of.key.local_day, day_exact=True
    )
    return replace(
        of,
        key=PaymentKey(*(of.key.bucket, of.key.local_day, of.key.local_time, of.key.terminal_id, stan, 5)),
        amount=stored.amount,
        content=stan,
        original=ref,
        advice=False,
        replacement=-1,
    )


@pytest.mark.parametrize("kind", [Kind.PURCHASE, Kind.PREAUTH])
@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("advice", [False, True])
def test_a_payment_and_its_reversal_come_to_nothing_in_either_order(
    kind: Kind, early: bool, advice: bool
) -> None:
    if advice and kind == Kind.PREAUTH:
        return
    books = Books(
        {1: world.wallet(world.charged(1, 50_000), world.points(2, 700), points_on=True)}, reference()
    )
    key = PaymentKey(books.wallets[1].bucket, 20260629, 120_000, "T1", 1, kind)
    asked = Request(
        *(key, 1, 1, 1, world.MARKET, 30_000, "pos", "0629030000", "1" * 12, "111111", 1),
        *(0, None, None),  # type: ignore[arg-type] # no PIN
        advice=advice,
    )
    back = replace(
        asked,
        key=replace(key, stan=2, kind=Kind.REVERSAL),
        original=OriginalRef(1, "0629030000", (kind,), "T1", 20260629),
        advice=False,
    )
    for request in (back, asked) if early else (asked, back):
        books.request(request, 20260629)
    wallet = books.wallets[1]
    assert (lots_of(wallet), wallet.held) == ({1: 50_000, 2: 700}, {})
    assert wallet.spent_on(20260629) == 0
    assert not {at: won for at, won in books.accounts().items() if won}
