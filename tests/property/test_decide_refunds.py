"""However a payment is taken back, in whatever pieces: what was granted comes back by funder, to the won."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from switch.domain.cashback import rate
from switch.domain.granting import by_funder
from switch.domain.payment import Kind, Outcome
from switch.domain.reasons import BY_NUMBER
from tests.unit.decide.world import FUNDERS, MARKET, PLAIN, Till, charged, points, wallet

SHARES = dict(enumerate(FUNDERS, 1))


@settings(print_blob=True, deadline=None, max_examples=150)
@given(
    used=st.sampled_from([0, 299_990, 270_000, 480_000, 999_000]),
    amount=st.integers(1, 90_000),
    own_points=st.integers(0, 9_000),
    cuts=st.lists(st.integers(1, 30_000), max_size=6),
    merchant=st.sampled_from([PLAIN, MARKET]),
    credited=st.booleans(),
)
def test_any_pieces_leave_what_the_remaining_amount_earns(
    used: int, amount: int, own_points: int, cuts: list[int], merchant: int, credited: bool
) -> None:
    till = Till(wallet(charged(1, 100_000), points(2, own_points), points_on=True, used=used))
    bought = till.send(Kind.PURCHASE, amount, merchant=merchant)
    standing = Counter(dict(by_funder(till.last.granted)))
    till.credited_through = bought.business_day if credited else 0
    policy = till.reference.policies[bought.policy_no][1]
    groups = till.reference.merchants[merchant].groups_on(20260610)
    lots_won = till.wallet.ledger_balance()
    for won in [*cuts, amount]:
        left = bought.approved - bought.returned
        won = min(won, left)
        if not won:
            break
        back = till.send(Kind.REFUND, won, day=20260611, merchant=merchant, of=bought)
        assert BY_NUMBER[back.reason].name == "approved"
        standing.subtract(dict(by_funder(till.last.taken)))
        basis = max(0, left - won - min(own_points, amount))
        kept = rate(policy, basis=basis, usage_before=used, groups=groups, channel="pos")
        assert {SHARES[n]: won for n, won in standing.items() if won} == dict(kept.by_funder)
        recovered = sum(won for _, _, won in till.last.recovered)
        assert recovered + till.last.receivable == (-back.cashback if credited else 0)
        lots_won += won - recovered
        assert till.wallet.ledger_balance() == lots_won == back.ledger_after
    assert bought.outcome == Outcome.RETURNED
    assert not any(standing.values())
    assert till.wallet.usage_of(202606).basis == used
