"""A small city that lived for some days at real lanes, and stricter rules to ask about."""

from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from switch.domain.budget import Budget
from switch.domain.programme import Programme
from switch.domain.request import Request
from tests.integration.authorizer.ground import Ground, ask
from tests.unit.decide.estate import estate
from tests.unit.decide.sequences import Day

Night = Callable[[], Awaitable[None]]


async def live(ground: Ground, seed: int, wallets: int, a_day: int, at_night: Night | None = None) -> None:
    """Random days with all that terminals send, across a month's end and a change of policy."""
    authorizer = ground.authorizer()
    await authorizer.start()
    waiting: list[Request] = []
    try:
        for act in estate(seed, wallet_count=wallets, requests_a_day=a_day):
            if isinstance(act, Request):
                waiting.append(act)
                continue
            await ask(authorizer, waiting)
            waiting.clear()
            if isinstance(act, Day):
                ground.set_day(act.day)
            if at_night is not None:
                await at_night()
        await ask(authorizer, waiting)
    finally:
        await authorizer.stop()


def stricter(programme: Programme) -> Programme:
    """Nothing above 20,000 won a payment, and a budget of the first funder that ends."""
    policies = tuple(
        replace(policy, limits=replace(policy.limits, payment_max=20_000)) for policy in programme.policies
    )
    budget = Budget(code="cashback", funder=programme.funders[0].id, monthly=3_000)
    return replace(programme, policies=policies, budgets=(budget,))
