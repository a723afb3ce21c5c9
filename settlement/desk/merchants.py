"""Merchants as the desk asks for them: by their id; where they are paid is corrected here."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from settlement.desk import represent
from settlement.errors import UsageError
from settlement.files.orders import masked
from settlement.people.audit import note
from settlement.people.identity import Actor
from settlement.settings import Originator
from switch.store.schema import merchant


def find(connection: Connection, merchant_id: str, *, lock: bool = False) -> Row[Any]:
    """The merchant, its row locked if asked for. Raises UsageError."""
    query = select(merchant).where(merchant.c.merchant_id == merchant_id)
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        raise UsageError(f"there is no merchant {merchant_id[:60]!r}: its id is that of the merchants' file")
    return row


def set_account(
    connection: Connection, merchant_id: str, account: Originator, actor: Actor, at: datetime
) -> bool:
    """Pay a merchant there from the next run on, in the caller's transaction; False where it is so already.

    What is ordered keeps the account it was ordered for. The account that it has, named once more, is said to
    be right: payouts that failed there are paid there again. Raises UsageError.
    """
    row = find(connection, merchant_id, lock=True)
    if (row.bank_code, row.account_no, row.account_holder) == (account.bank, account.account, account.name):
        again = represent.confirm(connection, row.programme_no, row.merchant_no, at)
        if again:
            note(connection, at, actor.name, "merchant:account confirmed", merchant_id, {"payouts": again})
        return bool(again)
    connection.execute(
        update(merchant)
        .where(merchant.c.merchant_no == row.merchant_no)
        .values(bank_code=account.bank, account_no=account.account, account_holder=account.name)
    )
    detail: dict[str, object] = {
        "was": f"{row.bank_code} {masked(row.account_no)}",
        "now": f"{account.bank} {masked(account.account)}",
        "holder": account.name,
    }
    note(connection, at, actor.name, "merchant:account", merchant_id, detail)
    return True
