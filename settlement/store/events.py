"""What happens to a payout or a transfer beside its state, in order."""

from datetime import datetime

from sqlalchemy import Connection, func, insert, select

from settlement.domain.payouts import PayoutEvent
from settlement.store.schema_bank import payout_event


def note_event(
    connection: Connection,
    programme_no: int,
    end_to_end_id: str,
    event: PayoutEvent,
    at: datetime,
    *,
    inbound_no: int = 0,
    reason: str = "",
    told: str = "",
) -> None:
    """Put one event on record after those that are there, in the caller's transaction.

    The caller holds the programme's run lock or the payout's row: two at once would get the same number,
    and the second would fail in the database.
    """
    table = payout_event.c
    last = connection.execute(
        select(func.coalesce(func.max(table.event_no), 0)).where(
            table.programme_no == programme_no, table.end_to_end_id == end_to_end_id
        )
    ).scalar_one()
    connection.execute(
        insert(payout_event).values(
            programme_no=programme_no,
            end_to_end_id=end_to_end_id,
            event_no=last + 1,
            event=event.value,
            at=at,
            inbound_no=inbound_no,
            reason=reason,
            told=told,
        )
    )
