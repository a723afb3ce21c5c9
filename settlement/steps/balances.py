"""An account as the bank and as the ledger have it, and what is on its way between them."""

import msgspec

from settlement.domain.matching import SAFEGUARDED
from settlement.frame import Frame
from settlement.steps.accounts import ledger_of
from settlement.store import statements


class Balance(msgspec.Struct, frozen=True):
    """Won. `bank` is the last statement's closing; `ledger` that and `outstanding`, top-ups on their way."""

    account: str
    statement: str
    bank: int
    ledger: int
    outstanding: int
    outstanding_days: int


def balance_of(frame: Frame, code: str) -> Balance:
    """How an own account stands, in the caller's transaction."""
    account, funder_no = ledger_of(frame.facts, code)
    connection, number = frame.connection, frame.key.programme_no
    last = statements.last_before(connection, number, code)
    house = statements.in_the_ledger(connection, number, account, funder_no)
    on_its_way = statements.outstanding(connection, number) if code == SAFEGUARDED else {}
    coming = sum(on_its_way.values())
    return Balance(
        code,
        last.statement_id if last else "",
        last.closing if last else 0,
        house + coming,
        coming,
        len(on_its_way),
    )
