"""A small programme with campaigns and budgets in a database: members, and what the books say."""

import json
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from switch.domain.calendar import SEOUL, date_of_day
from switch.domain.payment import bucket_of
from switch.ledger.chart import Account
from switch.service.programmes import apply_programme
from switch.service.proofs import run as prove
from tests.support.postgres import Database

TODAY = date(2026, 6, 15)
NOON = datetime(2026, 6, 15, 12, tzinfo=SEOUL)
ACTOR = "kim"

PROGRAMME = """
[programme]
id = "town"
name = "Town"
cutover = "00:00"
bins = ["941061"]
member_tags = ["pupil", "club"]

[[funder]]
id = "national"
name = "National"

[[funder]]
id = "city"
name = "City"

[[budget]]
code = "school"
funder = "city"
monthly = 1_000_000
[budget.months]
"2026-07" = 50_000

[[budget]]
code = "issuance"
monthly = 1_000_000

[[campaign]]
code = "coupon"
name = "Ten thousand"
kind = "coupon"
starts = 2026-06-01T00:00:00+09:00
ends = 2026-07-01T00:00:00+09:00
funder = "city"
won = 10_000
min_spend = 30_000
total_max = 55_000
member_max = 2
valid_days = 10

[[campaign]]
code = "scholarship"
name = "Scholarship"
kind = "grant"
starts = 2026-06-01T00:00:00+09:00
ends = 2026-09-01T00:00:00+09:00
funder = "city"
won = 50_000
budget = "school"
audience = "pupil"
valid_until = 2026-12-31

[[campaign]]
code = "relief"
name = "Relief"
kind = "grant"
starts = 2026-06-01T00:00:00+09:00
ends = 2026-07-01T00:00:00+09:00
funder = "national"
won = 1_000
valid_days = 30

[[policy]]
version = "1"
effective_from = 2026-01-01T00:00:00+09:00
spending_order = ["coupon", "grant", "points", "charged"]
cashback_basis = ["charged"]
fee_default = "1.50 %"
points_expiry_months = 60
charged_expiry_months = 60
payout_days = 2
withdraw_days = 7
withdraw_after = "60 %"

[policy.limits]
holding_max = 2_000_000

[[policy.tier]]
above = 0
up_to = 500_000
rate = "10 %"
shares = { national = "4 %", city = "6 %" }

[[policy.fee_class]]
above = 0
up_to = 300_000_000
rate = "0.15 %"

[[policy]]
version = "2"
effective_from = 2026-06-10T00:00:00+09:00
spending_order = ["coupon", "grant", "points", "charged"]
cashback_basis = ["charged"]
fee_default = "1.50 %"
points_expiry_months = 60
charged_expiry_months = 60
payout_days = 2
withdraw_days = 3
withdraw_after = "80 %"

[policy.limits]
holding_max = 2_000_000

[[policy.tier]]
above = 0
up_to = 500_000
rate = "10 %"
shares = { national = "4 %", city = "6 %" }

[[policy.fee_class]]
above = 0
up_to = 300_000_000
rate = "0.15 %"
"""

_TOPUP = (
    "INSERT INTO lot VALUES (:bucket, :wallet, :lot, 1, 0, :won, :won, :opened, 20310614, 0)",
    (
        "INSERT INTO payment VALUES (:bucket, :day, 120000, 'T1', :stan, 3, :wallet, :seq, 1, 1, :no, 1,"
        " :day, '0614030000', 0, :won, :won, 1, 0, '1', '1', 'pos', 0, :month, 0, 0, 0, 0, 0, 0, :detail)"
    ),
    "INSERT INTO entry VALUES (:bucket, :day, :wallet, :seq, 1, :no, 1, 101, 201, :won, :lot, 0, 0, :budget)",
    "INSERT INTO budget_month VALUES (:budget, :month, 1000000, 1000000) ON CONFLICT DO NOTHING",
    "UPDATE budget_month SET free = free - :won WHERE budget_no = :budget AND month = :month",
    (
        "INSERT INTO budget_slot (budget_no, month, slot, granted) VALUES (:budget, :month, 1, :won)"
        " ON CONFLICT (budget_no, month, slot) DO UPDATE SET granted = budget_slot.granted + excluded.granted"
    ),
)


class Town:
    """The programme `town` in a database, with members M1, M2, … as they are added."""

    def __init__(self, database: Database, directory: Path) -> None:
        engine = database.engine()
        self.database = database
        self.engine = engine
        self.directory = directory
        file = directory / "town.toml"
        file.write_text(PROGRAMME)
        apply_programme(engine, file, NOON)
        self.no = int(self.scalar("SELECT programme_no FROM programme"))
        self.city = int(self.scalar("SELECT funder_no FROM funder WHERE funder_id = 'city'"))
        with engine.begin() as connection:
            for day in (TODAY, date(2026, 6, 1)):
                connection.execute(text("SELECT dure_ensure_day(:day)"), {"day": day})
        self._members = self._stan = 0

    def member(
        self,
        lots: Sequence[tuple[int, int, int, int]] = (),
        *,
        tags: int = 0,
        state: int = 1,
        receivable: int = 0,
    ) -> str:
        """A member with lots (kind, won, opened, expires), each booked as money received."""
        self._members += 1
        wallet_id, name = self._members, f"M{self._members}"
        at = {"bucket": bucket_of(wallet_id), "wallet": wallet_id, "no": self.no}
        with self.engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO wallet (bucket, wallet_id, programme_no, points_on, state, tags, seq,"
                    " lot_seq) VALUES (:bucket, :wallet, :no, false, :state, :tags, :lots, :lots)"
                ),
                {**at, "state": state, "tags": tags, "lots": len(lots)},
            )
            connection.execute(
                text("INSERT INTO member VALUES (:no, :name, :bucket, :wallet)"), {**at, "name": name}
            )
            for number, (kind, won, opened, expires) in enumerate(lots, 1):
                funder = self.city if kind > 2 else 0
                connection.execute(
                    text(
                        "INSERT INTO lot VALUES (:bucket, :wallet, :lot, :kind, :funder, :won, :won,"
                        " :opened, :expires, 0)"
                    ),
                    {**at, "lot": number, "kind": kind, "funder": funder, "won": won, "opened": opened,
                     "expires": expires},
                )  # fmt: skip
                debit = (101, 211, 111, 111)[kind - 1]
                connection.execute(
                    text(
                        "INSERT INTO entry VALUES (:bucket, :day, :wallet, :lot, 1, :no, 2, :debit,"
                        " :credit, :won, :lot, 0, :funder, 0)"
                    ),
                    {**at, "day": date(2026, 6, 1), "lot": number, "debit": debit, "credit": 200 + kind,
                     "won": won, "funder": funder},
                )  # fmt: skip
        if receivable:
            self.owe(name, receivable)
        return name

    def owe(self, member: str, won: int) -> None:
        """Let a member owe: a clawback that nothing was left to pay."""
        _, wallet = self.key(member)
        self.post(member, [(Account.MEMBER_RECEIVABLE, Account.CASHBACK_ACCRUED, won, 0, 0, 0)])
        self.run(f"UPDATE wallet SET receivable = receivable + {won} WHERE wallet_id = {wallet}")

    def spend(self, member: str, lot_no: int, won: int) -> None:
        """Take money out of a lot as a purchase does."""
        kind = int(self.lot(member, lot_no).kind)
        self.post(member, [(Account(200 + kind), Account.MERCHANT_PAYABLE, won, lot_no, 1, 0)])
        _, wallet = self.key(member)
        self.run(f"UPDATE lot SET balance = balance - {won} WHERE wallet_id = {wallet} AND lot_no = {lot_no}")

    def post(self, member: str, entries: Iterable[tuple[int, int, int, int, int, int]]) -> None:
        """One posting of a member's wallet: (debit, credit, won, lot, merchant, funder)."""
        bucket, wallet = self.key(member)
        with self.engine.begin() as connection:
            at = {"bucket": bucket, "wallet": wallet, "day": TODAY, "no": self.no}
            at["seq"] = connection.execute(
                text(f"UPDATE wallet SET seq = seq + 1 WHERE wallet_id = {wallet} RETURNING seq")
            ).scalar_one()
            for line, (debit, credit, won, lot, merchant, funder) in enumerate(entries, 1):
                connection.execute(
                    text(
                        "INSERT INTO entry VALUES (:bucket, :day, :wallet, :seq, :line, :no, 3, :debit,"
                        " :credit, :won, :lot, :merchant, :funder, 0)"
                    ),
                    {**at, "line": line, "debit": int(debit), "credit": int(credit), "won": won, "lot": lot,
                     "merchant": merchant, "funder": funder},
                )  # fmt: skip

    def topup(self, member: str, won: int, on: int, *, reference: str = "") -> int:
        """A top-up as the switch leaves it: payment, lot, usage of its month, the bound. Returns its seq."""
        named = {"outside_ref": reference} if reference else {}
        bucket, wallet = self.key(member)
        self._stan += 1
        budget = self.scalar("SELECT budget_no FROM budget WHERE code = 'issuance'")
        at = {"bucket": bucket, "wallet": wallet, "no": self.no, "won": won, "month": on // 100,
              "day": date_of_day(on), "opened": on, "stan": self._stan, "budget": budget}  # fmt: skip
        with self.engine.begin() as connection:
            connection.execute(text("SELECT dure_ensure_day(:day)"), at)
            row = connection.execute(
                text(
                    "UPDATE wallet SET seq = seq + 1, lot_seq = lot_seq + 1, month = :month,"
                    " month_topup = month_topup + :won WHERE bucket = :bucket AND wallet_id = :wallet"
                    " RETURNING seq, lot_seq"
                ),
                at,
            ).one()
            at |= {
                "seq": row.seq,
                "lot": row.lot_seq,
                "detail": json.dumps({"lot_no": row.lot_seq} | named),
            }
            for statement in _TOPUP:
                connection.execute(text(statement), at)
        return int(row.seq)

    def hold(self, member: str, lot_no: int, won: int) -> None:
        """Let a pre-authorisation hold money of a lot."""
        bucket, wallet = self.key(member)
        kind = int(self.lot(member, lot_no).kind)
        self.run(
            f"INSERT INTO hold VALUES ({bucket}, {wallet}, 900, '2026-06-15', 20260620, {won},"
            f" '[[{lot_no}, {kind}, {won}]]')"
        )
        self.run(f"UPDATE wallet SET holds = 1 WHERE wallet_id = {wallet}")

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────
    def owner(self) -> Engine:
        """The rights of the schema's owner, for tests that tamper."""
        return self.database.engine(owner=True)

    def run(self, statement: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement))

    def rows(self, query: str) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(query)))

    def scalar(self, query: str) -> Any:
        with self.engine.connect() as connection:
            return connection.execute(text(query)).scalar_one()

    def key(self, member: str) -> tuple[int, int]:
        """A member's (bucket, wallet_id)."""
        row = self.rows(f"SELECT bucket, wallet_id FROM member WHERE member_id = '{member}'")[0]
        return row.bucket, row.wallet_id

    def lot(self, member: str, lot_no: int) -> Any:
        return self.rows(f"SELECT * FROM lot WHERE wallet_id = {self.key(member)[1]} AND lot_no = {lot_no}")[
            0
        ]

    def lots(self, member: str) -> list[tuple[int, int, int]]:
        """(kind, balance, expires) of a member's lots."""
        wallet = self.key(member)[1]
        query = f"SELECT kind, balance, expires FROM lot WHERE wallet_id = {wallet} ORDER BY lot_no"
        return [tuple(row) for row in self.rows(query)]

    def pool(self, code: str, month: int = 0) -> tuple[int, int, int]:
        """(amount, what is left, granted less returned) of a budget's month."""
        row = self.rows(
            "SELECT m.amount, m.free + coalesce(sum(s.won), 0) AS rest,"
            " coalesce(sum(s.granted - s.returned), 0) AS granted"
            " FROM budget_month m JOIN budget USING (budget_no)"
            " LEFT JOIN budget_slot s USING (budget_no, month)"
            f" WHERE code = '{code}' AND month = {month} GROUP BY m.amount, m.free"
        )[0]
        return int(row[0]), int(row[1]), int(row[2])

    def broken(self) -> dict[str, tuple[str, ...]]:
        """The invariants that do not hold, but for those that hand-made books cannot meet."""
        by_hand = {"accrued_equals_credited", "holds_equal_preauthorisations", "payments_equal_entries"}
        checks = prove(self.engine).checks
        return {one.name: one.examples for one in checks if one.broken and one.name not in by_hand}
