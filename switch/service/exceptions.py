"""The exception list: what was answered 00 and needs a person to look at it (PROTOCOL cases 2, 6, 7, 17).

Two kinds: payments and reversals stored as an exception, whose note says why; and reversals that no payment
fits, until the payment comes after all and is refused.
"""

from datetime import date

from sqlalchemy import ColumnElement, Engine, and_, exists, or_
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import JSONB

from switch.domain.payment import Kind, Outcome
from switch.domain.reasons import REASONS
from switch.service.inspect_payments import PaymentView, payments_where
from switch.store.dayhash import payment_window
from switch.store.schema import payment, programme


def exception_list(
    engine: Engine, business_date: date, *, programme_id: str | None = None, last: int = 1_000
) -> list[PaymentView]:
    """The exceptions of a business date, newest last, at most `last` (and at most 1,000)."""
    first_day, last_day = payment_window(business_date)
    wanted: list[ColumnElement[bool]] = [
        payment.c.business_date == business_date,
        payment.c.local_day.between(first_day, last_day),
        or_(payment.c.reason == REASONS["exception"].number, _unmatched()),
    ]
    if programme_id is not None:
        wanted.append(programme.c.programme_id == programme_id)
    with engine.connect() as connection:
        return payments_where(connection, and_(*wanted), last)


def _unmatched() -> ColumnElement[bool]:
    late = payment.alias("late")
    named = sql_cast(payment.c.detail, JSONB)["named"]
    came = exists().where(
        late.c.bucket == payment.c.bucket,
        late.c.wallet_id == payment.c.wallet_id,
        late.c.terminal_id == payment.c.terminal_id,
        late.c.reason == REASONS["reversed_before"].number,
        late.c.stan == named[0].as_integer(),
        late.c.transmission == named[1].as_string(),
    )
    return and_(
        payment.c.kind == int(Kind.REVERSAL),
        payment.c.outcome == int(Outcome.ACKNOWLEDGED),
        payment.c.original_seq == 0,
        ~came,
    )
