"""What operators look at of a merchant: its dated facts and its terminals. Read only."""

from typing import Any

import msgspec
from sqlalchemy import Engine, select

from switch.service.admin import NotFoundError
from switch.store.merchant_facts import read_facts
from switch.store.reference_write import find_merchants
from switch.store.schema import programme, terminal


class MerchantView(msgspec.Struct, frozen=True):
    """A merchant with its dated facts and terminals; days yyyymmdd, a group's end exclusive, 0 open-ended.

    `facts` are those that it began with, `changes` (day, category, size, region, head region) the later ones.
    """

    merchant: str
    merchant_no: int
    programme: str
    facts: dict[str, Any]
    changes: list[tuple[int, str, str, str, str]]
    annual_sales: dict[str, int]
    groups: list[tuple[str, int, int]]
    terminals: list[str]


def merchant_view(engine: Engine, merchant_id: str) -> MerchantView:
    """A merchant. Raises NotFoundError."""
    with engine.connect() as connection:
        found = find_merchants(connection, [merchant_id]).get(merchant_id)
        if found is None:
            raise NotFoundError(f'no merchant "{merchant_id}": check the id')
        return MerchantView(
            merchant=merchant_id,
            merchant_no=found.merchant_no,
            programme=connection.scalar(
                select(programme.c.programme_id).where(programme.c.programme_no == found.programme_no)
            )
            or "",
            facts={**found.facts, "opened": found.facts["opened"].isoformat()},
            changes=[
                (one.valid_from, one.category, one.size, one.region, one.head_region)
                for one in read_facts(connection, [found.merchant_no]).get(found.merchant_no, ())
            ],
            annual_sales={str(day): won for day, won in sorted(found.sales.items())},
            groups=list(found.groups),
            terminals=list(
                connection.scalars(
                    select(terminal.c.terminal_id)
                    .where(terminal.c.merchant_no == found.merchant_no)
                    .order_by(terminal.c.terminal_id)
                )
            ),
        )
