"""Decision → entries. One posting per decision; the order of its lines is fixed, so the day's hash is."""

from switch.domain.decision import Decision
from switch.ledger.chart import Account
from switch.ledger.journal import Entry, entry

# Looked up once: an enumeration's member costs a search at each use.
_CARD_MONEY = Account.CARD_MONEY
_CASHBACK_ACCRUED = Account.CASHBACK_ACCRUED
_FUNDER_DUE = Account.FUNDER_DUE
_MEMBER_RECEIVABLE = Account.MEMBER_RECEIVABLE
_MERCHANT_PAYABLE = Account.MERCHANT_PAYABLE
_POINTS = Account.POINTS
_SAFEGUARDED = Account.SAFEGUARDED
_TREASURY_RETURN = Account.TREASURY_RETURN

_LOT: dict[int, Account] = {  # by switch.domain.wallet.LotKind
    1: _CARD_MONEY,
    2: _POINTS,
    3: Account.GRANTS,
    4: Account.COUPONS,
}


def entries_of(decision: Decision) -> list[Entry]:
    """The entries of a decision; empty when no money moves. Raises UnbookableError on a faulty rule."""
    merchant = decision.stored.merchant_no
    out: list[Entry] = []
    for lot_no, kind, won in decision.spent:
        out.append(entry(_LOT[kind], _MERCHANT_PAYABLE, won, lot_no=lot_no, merchant_no=merchant))
    for lot_no, kind, won in decision.restored:
        out.append(entry(_MERCHANT_PAYABLE, _LOT[kind], won, lot_no=lot_no, merchant_no=merchant))
    for funder, won in decision.treasury:
        pair = (_MERCHANT_PAYABLE, _TREASURY_RETURN)
        debit, credit = pair if won > 0 else pair[::-1]
        out.append(entry(debit, credit, abs(won), merchant_no=merchant, funder_no=funder))
    if decision.opened is not None:
        lot = decision.opened  # its balance moves on with the batch; what was granted stays
        budget = decision.issued[0][0] if decision.issued else 0  # the bound on top-ups that it counts in
        out.append(entry(_SAFEGUARDED, _LOT[lot.kind], lot.granted, lot_no=lot.lot_no, budget_no=budget))
    if decision.removed is not None:
        lot_no, kind, won = decision.removed
        budget = decision.issued[0][0] if decision.issued else 0
        out.append(entry(_LOT[kind], _SAFEGUARDED, won, lot_no=lot_no, budget_no=budget))
    for funder, budget, won in decision.granted:
        out.append(entry(_FUNDER_DUE, _CASHBACK_ACCRUED, won, funder_no=funder, budget_no=budget))
    for funder, budget, won in decision.taken:
        pair = (_CASHBACK_ACCRUED, _FUNDER_DUE)
        debit, credit = pair if won > 0 else pair[::-1]
        out.append(entry(debit, credit, abs(won), funder_no=funder, budget_no=budget))
    for lot_no, kind, won in decision.recovered:
        pair = (_LOT[kind], _CASHBACK_ACCRUED)
        debit, credit = pair if won > 0 else pair[::-1]
        out.append(entry(debit, credit, abs(won), lot_no=lot_no))
    if decision.receivable:
        out.append(entry(_MEMBER_RECEIVABLE, _CASHBACK_ACCRUED, decision.receivable))
    return out
