"""Which of our accounts a number at a bank is."""

from collections.abc import Collection

import msgspec

from settlement.domain.matching import SAFEGUARDED
from settlement.domain.statement import StatementError
from settlement.reference import Facts
from settlement.settings import Originator, Settings
from switch.ledger.chart import Account

OPERATOR = "operator"
FUNDER = "funder:"


class OwnAccount(msgspec.Struct, frozen=True):
    """`code` is safeguarded, funder:ID or operator."""

    programme_id: str
    code: str
    account: Originator


def own_accounts(settings: Settings) -> list[OwnAccount]:
    """All accounts of the settings."""
    found = [OwnAccount(name, SAFEGUARDED, one) for name, one in settings.originator.items()]
    found += [OwnAccount(name, OPERATOR, one) for name, one in settings.operator.items()]
    for name, funders in settings.funding.items():
        found += [OwnAccount(name, f"{FUNDER}{funder}", one) for funder, one in funders.items()]
    return found


def find_account(settings: Settings, programmes: Collection[str], number: str, bank: str) -> OwnAccount:
    """The account of these programmes with that number (and bank, if it is said). Raises StatementError."""
    plain = _plain(number)
    found = [
        one
        for one in own_accounts(settings)
        if one.programme_id in programmes
        and plain
        and _plain(one.account.account) == plain
        and bank in ("", one.account.bank)
    ]
    shown = f"…{plain[-4:]}{f' at bank {bank}' if bank else ''}"
    if not found:
        raise StatementError(f"is about the account {shown}, which is none of ours: look at the settings")
    if len(found) > 1:
        uses = ", ".join(f"{one.programme_id} {one.code}" for one in found)
        raise StatementError(f"is about the account {shown}, which the settings use twice ({uses}): keep one")
    return found[0]


def _plain(number: str) -> str:
    return number.replace("-", "").replace(" ", "")


def ledger_of(facts: Facts, code: str) -> tuple[Account, int]:
    """The ledger's account of an own account, and the funder's number, 0 where it has none.

    Raises StatementError for a funder that the programme does not have.
    """
    if code == SAFEGUARDED:
        return Account.SAFEGUARDED, 0
    if code == OPERATOR:
        return Account.OPERATOR_BANK, 0
    funder = facts.funder_no.get(code.removeprefix(FUNDER))
    if funder is None:
        raise StatementError(f"is about {code}, and the programme has no such funder: look at the settings")
    return Account.FUNDER_BANK, funder
