"""Nights of one programme without payments: trade goes straight into the entries, only merchants are paid."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import TypeVar

import msgspec
from sqlalchemy import Engine, text

from settlement.domain.bankdays import facts as bank_facts
from settlement.domain.roles import Role
from settlement.frame import Frame, Silent
from settlement.people.identity import Actor
from settlement.reference import Facts
from settlement.report import PayOutcome
from settlement.settings import Settings
from settlement.steps import pay_merchants
from settlement.store.runs import RunKey, create_run
from switch.domain.calendar import SEOUL
from switch.domain.programme import Programme
from switch.domain.programme_file import canonical_json
from switch.ledger.chart import Account
from tests.integration.settlement.books import FUNDERS, programme

T = TypeVar("T")
NOW = "2026-11-16T12:00:00+09:00"
AT = datetime.fromisoformat(NOW)
MAKER = Actor("mina", frozenset({Role.MAKER}))
CHECKER = Actor("chulsoo", frozenset({Role.APPROVER}))


class Standing:
    """A clock that stands."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now


class Nights:
    """One programme; merchants have ids M<number>. Works as the owner builds and dure_app settles."""

    def __init__(self, owner: Engine, engine: Engine, settings: Settings, number: int = 1, **policy: object):
        self.owner, self.engine, self.settings, self.no = owner, engine, settings, number
        made: Programme = programme("seoro" if number == 1 else f"city{number}")
        self.policy = msgspec.structs.replace(made.policies[0], **policy)
        made = msgspec.structs.replace(made, policies=(self.policy,))
        self.funder_no = {each: number * 10 + index for index, each in enumerate(FUNDERS, 1)}
        self._seq = 0
        self.sql(
            "INSERT INTO programme VALUES (:no, :id, :id, :document, 'sha', now(), NULL)",
            no=number,
            id=made.programme_id,
            document=canonical_json(made).decode(),
        )
        for name, funder_no in self.funder_no.items():
            self.sql(
                "INSERT INTO funder VALUES (:funder, :no, :id, :id)", funder=funder_no, no=number, id=name
            )

    def sql(self, statement: str, **parameters: object) -> None:
        with self.owner.begin() as connection:
            connection.execute(text(statement), parameters)

    def all(self, query: str, **parameters: object) -> list[tuple[object, ...]]:
        with self.owner.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query), parameters)]

    def merchant(
        self,
        merchant_no: int,
        annual_sales: int | None = 200_000_000,
        *,
        account: str = "110222333333",
        payout_days: int | None = None,
    ) -> str:
        name = f"M{merchant_no:05d}"
        self.sql(
            "INSERT INTO merchant VALUES (:no, :id, :programme, :name, 'restaurant', 'seo', 'seo', 'small',"
            " '{pos}', '2025-01-01', NULL, '1234567890', '088', :account, '김사장', :days)",
            no=merchant_no,
            id=name,
            programme=self.no,
            name=f"가게 {merchant_no}",
            account=account,
            days=payout_days,
        )
        if annual_sales is not None:
            self.classed(merchant_no, date(2025, 1, 1), annual_sales)
        return name

    def classed(self, merchant_no: int, since: date, annual_sales: int) -> None:
        self.sql(
            "INSERT INTO merchant_sales VALUES (:no, :since, :won)",
            no=merchant_no,
            since=since,
            won=annual_sales,
        )

    def trade(self, day: date, merchant_no: int, sales: int = 0, refunds: int = 0) -> None:
        """What a merchant sold and took back on a date, as two entries of one wallet."""
        payable = int(Account.MERCHANT_PAYABLE)
        for debit, credit, won in ((201, payable, sales), (payable, 201, refunds)):
            if won:
                self._seq += 1
                self.sql(
                    "INSERT INTO entry VALUES (0, :day, 1, :seq, 0, :no, 1, :debit, :credit, :won, 1, :m, 0)",
                    day=day,
                    seq=self.no * 1_000_000 + self._seq,
                    no=self.no,
                    debit=debit,
                    credit=credit,
                    won=won,
                    m=merchant_no,
                )

    def ensure(self, day: date) -> None:
        """Partitions for a date."""
        self.sql("SELECT dure_ensure_day(:day)", day=day)

    def close(self, day: date) -> None:
        self.sql(
            "INSERT INTO business_day (programme_no, business_date, closed_at, payments, entries, won,"
            " previous_sha256, sha256) VALUES (:no, :day, now(), 0, 0, 0, '', :sha)"
            " ON CONFLICT DO NOTHING",
            no=self.no,
            day=day,
            sha=f"{day}",
        )

    def frame(self, connection: object, day: date, cycle: int = 1, now: datetime | None = None) -> Frame:
        """The run of a date as its steps see it, at half past midnight of the next day."""
        at = now or datetime.combine(day + timedelta(days=1), datetime.min.time(), SEOUL) + timedelta(
            minutes=30
        )
        extra = self.settings.calendar
        with connection.begin():  # type: ignore[attr-defined]
            rules = Facts(connection, self.no)  # type: ignore[arg-type]
            known = bank_facts(day, extra.extra_closed, extra.extra_open)
            run = create_run(connection, RunKey(self.no, day, cycle), at, known)  # type: ignore[arg-type]
        return Frame(connection, rules, run, self.settings, Standing(at), Silent(), "mina")  # type: ignore[arg-type]

    def pay(self, day: date, cycle: int = 1) -> PayOutcome:
        """Close a date and pay its merchants."""
        self.close(day)
        return self.do(day, pay_merchants.run, cycle)

    def do(self, day: date, what: Callable[[Frame], T], cycle: int = 1) -> T:
        with self.engine.connect() as connection:
            return what(self.frame(connection, day, cycle))

    def desk(self, act: Callable[..., T], *arguments: object, **more: object) -> T:
        """An act of the desk in a transaction of its own."""
        with self.engine.connect() as connection, connection.begin():
            return act(connection, *arguments, **more)

    def facts(self) -> Facts:
        with self.engine.connect() as connection:
            return Facts(connection, self.no)

    def nets(self, day: date, cycle: int = 1) -> dict[int, dict[str, object]]:
        """The rows of a run by merchant."""
        with self.owner.connect() as connection:
            rows = connection.execute(
                text(
                    "SELECT * FROM merchant_net WHERE programme_no = :no AND business_date = :day"
                    " AND cycle = :cycle"
                ),
                {"no": self.no, "day": day, "cycle": cycle},
            ).mappings()
            return {int(row["merchant_no"]): dict(row) for row in rows}

    def balance(self, account: Account, merchant_no: int) -> int:
        """A merchant's balance on an account of liabilities, from all entries."""
        return self.balances(account).get(merchant_no, 0)

    def balances(self, account: Account) -> dict[int, int]:
        """The balances of all merchants on an account of liabilities, from all entries."""
        found = self.all(
            "SELECT merchant_no, sum(CASE WHEN credit = :a THEN won ELSE -won END)::bigint FROM ("
            " SELECT debit, credit, won, merchant_no FROM entry WHERE programme_no = :no"
            " UNION ALL SELECT debit, credit, won, merchant_no FROM house_entry WHERE programme_no = :no) e"
            " WHERE :a IN (debit, credit) GROUP BY merchant_no",
            a=int(account),
            no=self.no,
        )
        return {int(str(merchant)): int(str(won)) for merchant, won in found}
