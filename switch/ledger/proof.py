"""The invariants of the books, as a judgement over counted figures.

Whoever reads the database counts; what the counts must be is said here, once. A finding names the invariant,
how many rows break it, and the first few of them.
"""

from collections.abc import Mapping, Sequence

import msgspec

from switch.domain.wallet import LOT_KIND_NO
from switch.ledger.chart import LOT_ACCOUNT, Account

ASSETS = frozenset(
    {
        *(Account.SAFEGUARDED, Account.FUNDER_BANK, Account.OPERATOR_BANK),
        *(Account.FUNDER_DUE, Account.MEMBER_RECEIVABLE, Account.BANK_CHARGES),
    }
)
"""Accounts that grow by a debit: assets, and the one expense."""


class Counted(msgspec.Struct, frozen=True):
    """One invariant as counted: how many rows were looked at, how many break it, and examples of those."""

    name: str
    about: str
    rows: int
    broken: int
    examples: tuple[str, ...] = ()


class Balance(msgspec.Struct, frozen=True):
    """One account: won debited, won credited, and its balance on its own side."""

    account: str
    debit: int
    credit: int
    balance: int


class Proof(msgspec.Struct, frozen=True):
    """The verdict: `ok` only when every invariant holds."""

    ok: bool
    entries: int
    payments: int
    balances: tuple[Balance, ...]
    checks: tuple[Counted, ...]


def balances_of(debited: Mapping[int, int], credited: Mapping[int, int]) -> tuple[Balance, ...]:
    """The balance of every account that was moved: debit − credit for assets, credit − debit otherwise."""
    out = []
    for account in sorted(set(debited) | set(credited)):
        debit, credit = debited.get(account, 0), credited.get(account, 0)
        balance = debit - credit if account in ASSETS else credit - debit
        out.append(Balance(Account(account).name.lower(), debit, credit, balance))
    return tuple(out)


def totals(debited: Mapping[int, int], credited: Mapping[int, int], lots: Mapping[int, int]) -> list[Counted]:
    """Invariants over the sums: what was debited was credited, and the lots hold what the accounts say.

    `lots`: won in lots by their kind (switch.domain.wallet.LotKind).
    """
    debit, credit = sum(debited.values()), sum(credited.values())
    by_name = {balance.account: balance.balance for balance in balances_of(debited, credited)}
    assets = sum(by_name.get(account.name.lower(), 0) for account in ASSETS)
    others = sum(by_name.values()) - assets
    return [
        _equal("entries_balance", "all debits equal all credits", debit, credit),
        _equal("assets_equal_claims", "assets equal liabilities and income", assets, others),
        *(
            _equal(
                account.name.lower(),
                f"{name} lots hold what the account says",
                lots.get(LOT_KIND_NO[name], 0),
                by_name.get(account.name.lower(), 0),
            )
            for name, account in LOT_ACCOUNT.items()
        ),
        _equal(
            "in_transit",
            "nothing is on its way between wallets",
            by_name.get(Account.IN_TRANSIT.name.lower(), 0),
            0,
        ),
    ]


def judge(entries: int, payments: int, balances: tuple[Balance, ...], checks: Sequence[Counted]) -> Proof:
    """Put the verdict together."""
    return Proof(all(not check.broken for check in checks), entries, payments, balances, tuple(checks))


def _equal(name: str, about: str, left: int, right: int) -> Counted:
    examples = () if left == right else (f"{left:,} won against {right:,} won",)
    return Counted(name, about, 1, int(left != right), examples)
