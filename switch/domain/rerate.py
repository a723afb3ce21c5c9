"""Rating a stored payment once more: by its own version or another, from what stands with it.

A programme may name a budget in the middle of a month, and payments of releases before budgets have none:
what such a payment was granted stays without a bound, whatever the programme says today.
"""

from collections.abc import Mapping

from switch.domain.budget import Grants
from switch.domain.campaign import Campaign
from switch.domain.decision import Detail
from switch.domain.granting import Key, first_grants, kept_of
from switch.domain.merchant import Merchant
from switch.domain.programme import Policy
from switch.domain.request import Terms

# What is rated again asks no merchant: its groups stand with the payment.
_NOWHERE = Merchant(
    merchant_no=0, merchant_id="", programme_id="", name="", category="", region="", head_region=""
)


def rating_terms(
    policy: Policy,
    policy_no: int,
    funder_no: dict[str, int],
    budget_no: dict[tuple[str, str], int],
    windows: dict[str, tuple[int, Campaign]],
) -> Terms:
    """The terms of a version as far as rating asks for them; no payment is decided by these."""
    return Terms(
        policy=policy,
        policy_no=policy_no,
        merchant=_NOWHERE,
        groups=frozenset(),
        refused={},
        funder_no=funder_no,
        merchant_open=True,
        budget_no=budget_no,
        windows_by_code=windows,
    )


def as_charged(wanted: Mapping[Key, int], detail: Detail) -> dict[Key, int]:
    """What is due, by the budgets that a purchase was charged to: none, if its funder had none by then."""
    charged = {(funder, budget) for funder, budget, _ in (*first_grants(detail), *detail.missed)}
    found: dict[Key, int] = {}
    for (funder, budget), won in wanted.items():
        key = (funder, budget)
        if key not in charged and (funder, 0) in charged:
            key = (funder, 0)
        found[key] = found.get(key, 0) + won
    return found


def kept_by(detail: Detail, returned: int, rated: Mapping[Key, int]) -> Grants:
    """What stands of a purchase's grants. `rated`: what its rest rates by the version that judged it.

    That is asked where something came back by a release that did not note what was kept.
    """
    if returned and detail.kept is None and detail.funders:
        return tuple([(*key, won) for key, won in as_charged(rated, detail).items() if won])
    return kept_of(detail)
