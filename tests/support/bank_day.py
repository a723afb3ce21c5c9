"""A city's books of one business date, made by COPY: members, shops, what was paid and given back.

Shops are paid from a safeguarded account, two funders have accounts of their own, the third is billed, and
the operator gets the fees: everything that has to go through a bank.
"""

import random
from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, text

from switch.domain.calendar import day_of_date
from switch.domain.payment import Kind, Outcome, bucket_of
from switch.ledger.chart import Account
from switch.ledger.journal import Source
from switch.store.bulk import copy_rows
from tests.integration.settlement.books import Books

DAY: Final = date(2026, 11, 20)  # a Friday
SAFEGUARDED, OPERATOR, NATIONAL, CITY = "1005000000017", "1005000000031", "1005000000048", "1005000000055"
BANK: Final = "020"
PAYMENTS_EACH = 4
"""Of each member: within the first tier, which gives 10 % in three parts."""
PARTS = (("national", 4), ("city", 2), ("district", 4))
WON_MAX = 60_000
_WALLET = ("bucket", "wallet_id", "programme_no", "points_on", "seq", "lot_seq", "month", "month_spent",
           "month_basis", "day", "day_spent")  # fmt: skip
_LOT = ("bucket", "wallet_id", "lot_no", "kind", "balance", "granted", "opened", "expires")
_FUNDING = ("programme_no", "reference", "bucket", "wallet_id", "lot_no", "won")
_ENTRY = ("bucket", "business_date", "wallet_id", "seq", "line", "programme_no", "source", "debit", "credit",
          "won", "lot_no", "merchant_no", "funder_no")  # fmt: skip
_PAYMENT = ("bucket", "local_day", "local_time", "terminal_id", "stan", "kind", "wallet_id", "seq", "card_no",
            "merchant_no", "programme_no", "policy_no", "business_date", "transmission", "content", "amount",
            "approved", "outcome", "reason", "approval", "rrn", "channel", "basis", "usage_month",
            "usage_before", "cashback", "ledger_after", "available_after", "returned", "original_seq",
            "detail")  # fmt: skip
_MERCHANTS = """
    INSERT INTO merchant (merchant_no, merchant_id, programme_no, name, category, region, head_region, size,
        channels, opened, business_no, bank_code, account_no, account_holder, payout_days)
    SELECT n, 'SHOP' || lpad(n::text, 6, '0'), 1, '가게 ' || n, 'restaurant', 'seo', 'seo', 'small', '{pos}',
           '2025-01-01', lpad(n::text, 10, '0'), '088', '110-' || lpad(n::text, 6, '0') || '-01',
           '가게 ' || n, NULL
    FROM generate_series(1, CAST(:merchants AS integer)) AS n
"""
_SALES = """
    INSERT INTO merchant_sales (merchant_no, valid_from, annual_sales)
    SELECT n, '2025-01-01', (n % 8) * 100000000 + 1 FROM generate_series(1, CAST(:merchants AS integer)) AS n
"""


class City:
    """What was built: won of sales by shop, of cashback by funder, and what was charged to cards."""

    def __init__(self, owner: Engine, merchants: int, seed: int = 1) -> None:
        self.books = Books(owner)
        self.merchants = merchants
        self.sales: dict[int, int] = defaultdict(int)
        self.cashback: dict[str, int] = defaultdict(int)
        self.charged = 0
        self._draw = random.Random(seed)
        self._payments: list[tuple[object, ...]] = []
        self._entries: list[tuple[object, ...]] = []
        self._wallets: list[tuple[object, ...]] = []
        self._lots: list[tuple[object, ...]] = []
        self._funding: list[tuple[object, ...]] = []
        tickets = [shop for shop in range(1, merchants + 1) for _ in range(2)]
        self._draw.shuffle(tickets)
        for number, first in enumerate(range(0, len(tickets), PAYMENTS_EACH), start=1):
            self._member(number, tickets[first : first + PAYMENTS_EACH])
        with owner.begin() as connection:
            connection.execute(text("SELECT dure_ensure_day(:day)"), {"day": DAY})
            for statement in (_MERCHANTS, _SALES):
                connection.execute(text(statement), {"merchants": merchants})
            copy_rows(connection, "wallet", _WALLET, self._wallets)
            copy_rows(connection, "lot", _LOT, self._lots)
            copy_rows(connection, "funding", _FUNDING, self._funding)
            copy_rows(connection, "payment", _PAYMENT, self._payments)
            copy_rows(connection, "entry", _ENTRY, self._entries)
            connection.execute(text("ANALYZE"))  # as autovacuum has, by the time a day is over

    def account(self, merchant: int) -> str:
        """Where a shop is paid, to begin with."""
        return f"110-{merchant:06d}-01"

    def _member(self, number: int, shops: list[int]) -> None:
        """One who charges a card in the morning and pays at these shops."""
        bucket = bucket_of(number)
        amounts = [self._draw.randrange(1_000, WON_MAX, 100) for _ in shops]
        spent, opening = sum(amounts), PAYMENTS_EACH * WON_MAX
        self.charged += opening
        day, month = day_of_date(DAY), day_of_date(DAY) // 100
        self._wallets.append((bucket, number, 1, True, len(shops) + 1, 1, month, spent, spent, day, spent))
        self._lots.append((bucket, number, 1, 1, opening - spent, opening, day, 20301231))
        self._funding.append((1, f"open-{number}", bucket, number, 1, opening))
        self._book(number, 1, Source.FUNDING, [(Account.SAFEGUARDED, Account.CARD_MONEY, opening, 1, 0, 0)])
        before = 0
        for seq, (shop, won) in enumerate(zip(shops, amounts, strict=True), start=2):
            entries = [(Account.CARD_MONEY, Account.MERCHANT_PAYABLE, won, 1, shop, 0)]
            for funder, percent in PARTS:
                part = won * percent // 100
                self.cashback[funder] += part
                funder_no = self.books.funder_no[funder]
                entries.append((Account.FUNDER_DUE, Account.CASHBACK_ACCRUED, part, 0, 0, funder_no))
            self.sales[shop] += won
            self._book(number, seq, Source.PAYMENT, entries)
            stan = len(self._payments) + 1
            self._payments.append(
                (
                    *(
                        bucket,
                        DAY,
                        120_000,
                        f"T{shop:07d}",
                        stan % 1_000_000,
                        int(Kind.PURCHASE),
                        number,
                        seq,
                        1,
                    ),
                    *(shop, 1, 1, DAY, "0101000000", stan, won, won, int(Outcome.APPROVED), 0, "123456"),
                    *(f"{stan:012d}", "pos", won, month, before, won // 10, 0, 0, 0, 0, "{}"),
                )
            )
            before += won

    def _book(
        self, number: int, seq: int, source: Source, entries: list[tuple[int, int, int, int, int, int]]
    ) -> None:
        for line, (debit, credit, *rest) in enumerate(entries):
            self._entries.append(
                (bucket_of(number), DAY, number, seq, line, 1, int(source), int(debit), int(credit), *rest)
            )


def settlement_toml(database: str, folder: Path, delivery: str) -> str:
    """Settings for that city: files, clock and bank below `folder`, operators with passwords."""
    accounts = "".join(
        f'\n[{table}]\nname = "{name}"\naccount = "{account}"\nbank = "{BANK}"\n'
        for table, name, account in (
            ("originator.seoro", "서로 상품권", SAFEGUARDED),
            ("operator.seoro", "운영사", OPERATOR),
            ("funding.seoro.national", "행정안전부", NATIONAL),
            ("funding.seoro.city", "인천광역시", CITY),
        )
    )
    return (
        f'[database]\nurl = "{database}"\n[clock]\nmode = "simulated"\nfile = "{folder / "clock"}"\n'
        f'[files]\noutbox = "{folder / "outbox"}"\n[people]\nidentity = "password"\n'
        f"[delivery]\n{delivery}\n{accounts}"
    )


def switch_toml(database: str, folder: Path) -> str:
    """As much of a switch's settings as its proof needs."""
    return (
        f'[database]\nurl = "{database}"\n[clock]\nmode = "simulated"\nfile = "{folder / "clock"}"\n'
        f'[hsm]\nport = 1\n[[listener]]\nport = 0\n[vault]\nkey_file = "{folder / "vault.keys"}"\n'
    )
