"""Why a payment was answered as it was, and how a member stands: read from the books, told in words."""

from datetime import date, datetime

import msgspec
from sqlalchemy import Engine

from switch.domain.calendar import SEOUL
from switch.domain.explain import explain_payment
from switch.domain.explain_facts import Explanation, PaymentFacts, StandingFacts
from switch.domain.explain_standing import explain_standing
from switch.service.review.finding import find_member, find_payment
from switch.service.review.names import Names
from switch.service.review.payment_facts import Reader
from switch.service.review.standing import standing_facts
from switch.service.vault import Vault


class Explained(msgspec.Struct, frozen=True):
    """The facts, and what is said of them in each language, by its code."""

    facts: PaymentFacts | StandingFacts
    told: dict[str, Explanation]


def explain(
    engine: Engine,
    name: str,
    now: datetime,
    *,
    programme_id: str | None = None,
    day: date | None = None,
    vault: Vault | None = None,
    languages: tuple[str, ...] = ("ko", "en"),
) -> Explained:
    """Explain the payment that `name` means, or the standing at `now` of the member behind a card or an id.

    One snapshot of the books. Raises NotFoundError, RefusedError.
    """
    with (
        engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection,
        connection.begin(),
    ):
        today = now.astimezone(SEOUL).date()
        row = find_payment(connection, name, programme_id=programme_id, day=day, today=today)
        if row is not None:
            names = Names(connection, row.programme_no)
            facts = Reader(connection, names, row.bucket, row.wallet_id).payment(row)
            return Explained(facts, {one: explain_payment(facts, one) for one in languages})
        who = find_member(connection, name, programme_id=programme_id, vault=vault)
        names = Names(connection, who.programme_no)
        standing = standing_facts(connection, names, who, now)
        return Explained(standing, {one: explain_standing(standing, one) for one in languages})
