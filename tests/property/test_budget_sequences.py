"""Random rules, budgets and days: what funders gave is in every instant at most what they set, and adds up.

The days are those of tests/unit/decide/sequences (payments, refunds, reversals, repeats, late ones, nights,
the end of a month and a new policy with it); rules and budgets are drawn here.
"""

import random
from collections import Counter
from datetime import datetime

import pytest
from msgspec.structs import replace

from switch.domain.budget import Budget, Line, Pools
from switch.domain.calendar import SEOUL
from switch.domain.campaign import Campaign
from switch.domain.cashback import rate
from switch.domain.decision import decode_detail
from switch.domain.granting import kept_of, total, windows_again
from switch.domain.payment import Kind, Outcome
from switch.domain.programme import Bonus, Tier
from switch.domain.reasons import BY_NUMBER
from switch.domain.request import Request, Stored
from switch.ledger.chart import Account
from switch.ledger.journal import Source
from switch.store.reference import ProgrammeGiven, Reference
from tests.unit.decide import world
from tests.unit.decide.books import Books
from tests.unit.decide.sequences import LIMITS, Day, Night, sequence, wallets

SEEDS = range(60)
MONTHS = (202606, 202607)
LAST = 20260703


def shares(draw: random.Random, least: int) -> tuple[tuple[str, int], ...]:
    chosen = [(funder, draw.choice((0, 5_000, 20_000, 33_333, 70_001))) for funder in world.FUNDERS]
    kept = tuple((funder, ppm) for funder, ppm in chosen if ppm)
    return kept if len(kept) >= least else ((world.FUNDERS[0], 10_000),)


def tiers(draw: random.Random) -> tuple[Tier, ...]:
    ends = sorted(draw.sample(range(5_000, 400_000, 5_000), draw.randint(1, 3)))
    found = []
    for above, end in zip([0, *ends], ends, strict=False):
        parts = shares(draw, 0)
        found.append(Tier(above, end, sum(ppm for _, ppm in parts), parts))
    return tuple(found)


def bonuses(draw: random.Random) -> tuple[Bonus, ...]:
    parts = shares(draw, 1)
    budget = draw.choice(("", "market"))
    inside = draw.random() < 0.7
    one = Bonus("market", "traditional_market", None, sum(ppm for _, ppm in parts), parts, inside, budget)
    return (one,) if draw.random() < 0.6 else ()


def campaign(draw: random.Random) -> Campaign:
    parts = shares(draw, 1)
    return Campaign(
        code="rush",
        name="rush",
        kind="cashback",
        starts=datetime(2026, 6, 30, 6, tzinfo=SEOUL),
        ends=datetime(2026, 7, 2, 18, tzinfo=SEOUL),
        shares=parts,
        rate_ppm=sum(ppm for _, ppm in parts),
        min_spend=draw.choice((0, 1_000)),
        member_max=draw.choice((0, 700)),
        total_max=draw.choice((1_500, 1_000_000)),
        inside_cap=draw.random() < 0.5,
    )


def installation(draw: random.Random) -> tuple[Reference, Pools]:
    reopen = draw.random() < 0.7
    lines = [
        Budget(
            code=code,
            funder=funder,
            monthly=draw.choice((0, 40, 3_000, 10_000_000)),
            reopen=reopen,
        )
        for code in ("cashback", "market")
        for funder in world.FUNDERS
        if draw.random() < 0.7
    ]
    one = campaign(draw)
    programme = replace(world.programme(LIMITS), budgets=tuple(lines), campaigns=(one,))
    numbered = {
        number: Line(number, world.PROGRAMME_NO, world.FUNDERS.index(line.funder) + 1, line)
        for number, line in enumerate(programme.lines(), 1)
    }
    given = ProgrammeGiven(
        budget_no={(line.budget.code, line.budget.funder): number for number, line in numbered.items()},
        windows={one.code: (1, one)},
        member_bound=bool(one.member_max),
    )
    reference = world.reference(LIMITS, given)
    for number, (owner, policy) in reference.policies.items():
        rules = replace(policy, tiers=tiers(draw), bonuses=bonuses(draw))
        reference.policies[number] = (owner, rules)
    left = {
        line.key(month): line.budget.amount_of(line.key(month)[1])
        for line in numbered.values()
        for month in MONTHS
    }
    return reference, Pools(numbered, left)


class Watcher:
    """Checks the books after every act."""

    def __init__(self, books: Books, amounts: dict[tuple[int, int], int]) -> None:
        self.books, self.amounts = books, amounts
        self.net: Counter[tuple[int, int]] = Counter()
        self.gross: Counter[tuple[int, int]] = Counter()
        self._read = 0
        self.member: Counter[int] = Counter()

    def look(self, stored: Stored | None) -> None:
        """What the last act booked: no pool is over; what is left and what was granted is the whole of it."""
        books, pools = self.books, self.books.loaded.pools
        for line in books.lines[self._read :]:
            entry = line.entry
            if line.source != Source.PAYMENT or not entry.budget_no:
                continue
            assert stored is not None
            key = pools.lines[entry.budget_no].key(stored.usage_month)
            sign = 1 if entry.debit == Account.FUNDER_DUE else -1
            self.net[key] += sign * entry.won
            self.gross[key] += max(0, sign * entry.won)
        self._read = len(books.lines)
        for key, amount in self.amounts.items():
            change = pools.changes.get(key)
            returned, retired = (change.returned, change.retired) if change else (0, 0)
            granted = change.granted if change else 0
            assert self.net[key] == granted - returned
            assert 0 <= self.net[key] <= amount, key
            assert pools.left.get(key, 0) + granted - returned + retired == amount, key

    def usage(self) -> None:
        """Every month counts the basis of its payments, whatever came back since and when."""
        counted: Counter[tuple[int, int]] = Counter()
        for stored in self.books.stored.values():
            if stored.outcome in (Outcome.APPROVED, Outcome.RETURNED_PARTLY, Outcome.RETURNED):
                counted[stored.wallet_id, stored.usage_month] += stored.basis
        for number, wallet in self.books.wallets.items():
            for month in MONTHS:
                assert wallet.usage_of(month).basis == counted[number, month]

    def purchases(self) -> tuple[int, int]:
        """Each purchase keeps what its remainder rates, or what was granted of it where a budget ended."""
        whole = cut = 0
        reference = self.books.reference
        for stored in self.books.stored.values():
            if stored.key.kind != Kind.PURCHASE or not stored.approved:
                continue
            detail = decode_detail(stored.detail)
            terms = reference.terms_of(
                stored.policy_no, stored.merchant_no, stored.key.local_day, stored.channel
            )
            left = stored.basis + self._returned(stored)
            rating = rate(
                terms.policy,
                basis=left,
                usage_before=stored.usage_before,
                groups=terms.groups,
                channel=stored.channel,
                windows=windows_again(terms, detail, stored.approved - stored.returned),
            )
            kept = kept_of(detail)
            if detail.missed or self._missed_again(stored):
                assert total(kept) <= rating.total
                cut += 1
            else:
                assert total(kept) == rating.total, stored.key
                whole += 1
        return whole, cut

    def _returns(self, of: Stored) -> list[Stored]:
        return [
            one
            for one in self.books.stored.values()
            if one.wallet_id == of.wallet_id and one.approved and self._root(one) is of
        ]

    def _root(self, one: Stored) -> Stored | None:
        while one.original_seq:
            found = [
                s
                for s in self.books.stored.values()
                if s.wallet_id == one.wallet_id and s.seq == one.original_seq
            ]
            one = found[0]
        return one if one.key.kind == Kind.PURCHASE else None

    def _returned(self, of: Stored) -> int:
        return sum(one.basis for one in self._returns(of) if one is not of)

    def _missed_again(self, of: Stored) -> bool:
        return any(decode_detail(one.detail).missed for one in self._returns(of))

    def members(self) -> bool:
        """No member has more of a window than its bound, and the count is what its pots granted."""
        one = self.books.reference.given[world.PROGRAMME_NO].windows["rush"][1]
        pots = {n for n, line in self.books.loaded.pools.lines.items() if line.budget.code == one.budget_code}
        won: Counter[int] = Counter()
        for line in self.books.lines:
            if line.source == Source.PAYMENT and line.entry.budget_no in pots:
                sign = 1 if line.entry.debit == Account.FUNDER_DUE else -1
                won[line.wallet_id] += sign * line.entry.won
        if one.member_max:
            assert all(0 <= won[number] <= one.member_max for number in self.books.wallets)
            for number, wallet in self.books.wallets.items():
                assert wallet.campaign_won.get(1, 0) == won[number]
        return any(won.values())

    def accrual(self) -> None:
        """granted − clawed back = credited + open: after the last night nothing is open."""
        accounts = self.books.accounts()
        open_won = sum(won for (account, _), won in accounts.items() if account == Account.CASHBACK_ACCRUED)
        assert open_won == 0
        due = sum(won for (account, _), won in accounts.items() if account == Account.FUNDER_DUE)
        told = sum(stored.cashback for stored in self.books.stored.values())
        assert due == told


def play(seed: int) -> tuple[Watcher, set[str], tuple[int, int]]:
    draw = random.Random(f"budgets {seed}")
    reference, pools = installation(draw)
    books = Books(wallets(seed, 3), reference)
    books.loaded.pools = pools
    watcher = Watcher(books, dict(pools.left))
    today, reasons = 0, set()
    for act in sequence(seed, wallet_count=3, requests_a_day=20):
        stored = None
        if isinstance(act, Night):
            books.night(act)
        elif isinstance(act, Day):
            today = act.day
        else:
            assert isinstance(act, Request)
            stored = books.request(act, today).stored
            reasons.add(BY_NUMBER[stored.reason].name)
        watcher.look(stored)
        watcher.usage()
    books.night(Night(LAST, LAST))
    watcher.accrual()
    return watcher, reasons, watcher.purchases()


@pytest.mark.parametrize("first", SEEDS[::10])
def test_no_budget_is_ever_exceeded_and_every_won_adds_up(first: int) -> None:
    met_whole = met_cut = reopened = rushed = 0
    for seed in range(first, first + 10):
        try:
            watcher, _, (whole, cut) = play(seed)
            rushed += watcher.members()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        met_whole, met_cut = met_whole + whole, met_cut + cut
        reopened += any(watcher.gross[key] > amount > 0 for key, amount in watcher.amounts.items())
    assert met_whole
    assert met_cut
    assert rushed
    assert reopened, "no budget gave out money that had come back"
