"""The small world of tests/unit/decide in a database, and the tables read back as the core's values."""

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, Engine, insert, select, text, update

from switch.domain.calendar import SEOUL, date_of_day, day_of_date
from switch.domain.payment import PaymentKey
from switch.domain.programme import Programme
from switch.domain.programme_file import canonical_json
from switch.domain.request import Request, Stored
from switch.domain.wallet import LOT_KIND_NAME, Card, Hold, Lot, MonthUsage, Wallet
from switch.ledger.chart import LOT_ACCOUNT, Account
from switch.ledger.journal import Entry, Source
from switch.service.authorizer import Authorizer, Limits
from switch.service.batch import Answer
from switch.service.holder import ReferenceHolder
from switch.service.proofs import run
from switch.store import schema as t
from switch.store import schema_programme as given
from switch.store.reference import load_reference
from tests.support.postgres import Database
from tests.unit.decide import world
from tests.unit.decide.books import Line
from tests.unit.decide.sequences import LIMITS

OPENING_DAY = 20260601
_new_wallet: Callable[..., Wallet] = Wallet  # rows come as tuples of anything
_new_stored: Callable[..., Stored] = Stored


class Ground:
    """An installation without terminals: reference data and members in a database, a clock, authorizers."""

    def __init__(self, database: Database, programme: Programme | None = None) -> None:
        self.database = database
        self.engine: Engine = database.engine()
        self.time = datetime(2026, 6, 29, 12, tzinfo=SEOUL)
        with self.engine.begin() as connection:
            _write_reference(connection, programme or world.programme(LIMITS))

    def now(self) -> datetime:
        """The simulated time."""
        return self.time

    def set_day(self, day: int) -> None:
        """Noon of a day (yyyymmdd)."""
        self.time = datetime(day // 10_000, day // 100 % 100, day % 100, 12, tzinfo=SEOUL)

    def add(self, wallets: Iterable[Wallet]) -> None:
        """Write wallets as they stand; each lot gets the entry that opened it."""
        with self.engine.begin() as connection:
            connection.execute(text("SELECT dure_ensure_day(:day)"), {"day": date_of_day(OPENING_DAY)})
            for wallet in wallets:
                _write_wallet(connection, wallet)

    def authorizer(self, *, lanes: int = 2, batch_max: int = 96, give_up_s: float = 8.0) -> Authorizer:
        """An authorizer with reference data of its own; start and stop it."""
        holder = ReferenceHolder(self.engine, load_reference(self.engine))
        limits = Limits(batch_max=batch_max, give_up_s=give_up_s, pin_tries_max=world.PIN_TRIES_MAX)
        return Authorizer(self.database.conninfo, holder, self.now, lanes=lanes, limits=limits)

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────
    def wallets(self) -> dict[int, Wallet]:
        """Every wallet with lots, cards and past months."""
        with self.engine.connect() as connection:
            found = {
                row.wallet_id: _new_wallet(
                    *row[:3], row.state == 1, *row[4:], lots={}, past={}, cards={}
                )
                for row in connection.execute(select(t.wallet))
            }  # fmt: skip
            for row in connection.execute(select(t.lot)):
                found[row.wallet_id].lots[row.lot_no] = Lot(*row[2:])
            for row in connection.execute(select(t.card)):
                card = Card(
                    *(row.card_no, row.state, row.expiry, row.pin_tries, row.form),
                    *(row.atc, row.tap_count, row.tap_won, row.cvv_tries),
                )
                found[row.wallet_id].cards[row.card_no] = card
            for row in connection.execute(select(t.hold)):
                uses = tuple((lot_no, kind, won) for lot_no, kind, won in json.loads(row.uses))
                found[row.wallet_id].held[row.seq] = Hold(
                    row.seq, day_of_date(row.local_day), row.expires, row.won, uses
                )
            for row in connection.execute(select(t.usage_month)):
                found[row.wallet_id].past[row.month] = MonthUsage(row.spent, row.basis, row.topup)
        return found

    def stored(self) -> dict[PaymentKey, Stored]:
        """Every payment."""
        found = {}
        with self.engine.connect() as connection:
            for row in connection.execute(select(t.payment)):
                key = PaymentKey(row.bucket, day_of_date(row.local_day), *row[2:6])
                found[key] = _new_stored(
                    key,
                    *row[6:12],
                    day_of_date(row.business_date),
                    *row[13:30],
                    row.batch_no,
                    row.detail.encode(),
                )
        return found

    def lines(self) -> list[Line]:
        """Every entry but the opening ones."""
        with self.engine.connect() as connection:
            rows = connection.execute(
                select(t.entry)
                .where(t.entry.c.source != int(Source.FUNDING))
                .order_by(t.entry.c.wallet_id, t.entry.c.seq, t.entry.c.line)
            )
            return [
                Line(
                    day_of_date(row.business_date), row.wallet_id, row.seq, row.line, row.source,
                    Entry(Account(row.debit), Account(row.credit), *row[9:13]),
                )
                for row in rows
            ]  # fmt: skip

    def check_books(self) -> None:
        """The proof holds; every lot is the sum of its entries, every wallet's postings are 1, 2, 3 …"""
        broken = {check.name: check.examples for check in run(self.engine).checks if check.broken}
        assert broken == {}
        sides = " UNION ALL ".join(
            f"SELECT bucket, wallet_id, lot_no, {sign} won AS won FROM entry WHERE {side} BETWEEN 201 AND 204"
            for side, sign in (("credit", "+"), ("debit", "-"))
        )
        wrong_lots = text(
            f"SELECT l.wallet_id, l.lot_no, l.balance, coalesce(sum(e.won), 0) FROM lot l"
            f" LEFT JOIN ({sides}) e USING (bucket, wallet_id, lot_no)"
            " GROUP BY 1, 2, 3 HAVING l.balance <> coalesce(sum(e.won), 0)"
        )
        gaps = text(
            "SELECT w.wallet_id, w.seq, count(DISTINCT s.seq), max(s.seq) FROM wallet w LEFT JOIN"
            " (SELECT bucket, wallet_id, seq FROM payment UNION SELECT bucket, wallet_id, seq FROM entry) s"
            " USING (bucket, wallet_id) GROUP BY 1, 2"
            " HAVING w.seq <> count(DISTINCT s.seq) OR w.seq <> max(s.seq)"
        )
        with self.engine.connect() as connection:
            assert connection.execute(wrong_lots).all() == []
            assert connection.execute(gaps).all() == []

    def count(self, table: str = "payment") -> int:
        """Rows of a table."""
        with self.engine.connect() as connection:
            found: int = connection.scalar(text(f"SELECT count(*) FROM {table}"))
            return found

    def bump(self, change: str = "SELECT 1") -> None:
        """Change reference data, as an operator's command does."""
        with self.engine.begin() as connection:
            connection.execute(text(change))
            connection.execute(update(t.control).values(reference_epoch=t.control.c.reference_epoch + 1))


async def ask(authorizer: Authorizer, requests: Sequence[Request]) -> list[Answer]:
    """Submit all at once, wait for all."""
    return list(await asyncio.gather(*[authorizer.submit(request) for request in requests]))


def _write_reference(connection: Connection, one: Programme) -> None:
    epoch = datetime(2026, 1, 1, tzinfo=SEOUL)
    connection.execute(
        insert(t.programme).values(
            programme_no=world.PROGRAMME_NO, programme_id="test", name="Test", sha256="", applied_at=epoch,
            document=canonical_json(one).decode(),
        )
    )  # fmt: skip
    for number, policy in enumerate(one.policies, 1):
        connection.execute(
            insert(t.policy).values(
                policy_no=number, programme_no=world.PROGRAMME_NO, version=policy.version, document="",
                effective_from=policy.effective_from, sha256="",
            )
        )  # fmt: skip
    for number, funder in enumerate(world.FUNDERS, 1):
        connection.execute(
            insert(t.funder).values(
                funder_no=number, programme_no=world.PROGRAMME_NO, funder_id=funder, name=funder
            )
        )
    funder_no = {funder: number for number, funder in enumerate(world.FUNDERS, 1)}
    for number, line in enumerate(one.lines(), 1):
        connection.execute(
            insert(given.budget).values(
                budget_no=number, programme_no=world.PROGRAMME_NO, code=line.code,
                funder_no=funder_no.get(line.funder, 0),
            )
        )  # fmt: skip
    for number, campaign in enumerate(one.campaigns, 1):
        connection.execute(
            insert(given.campaign).values(
                campaign_no=number, programme_no=world.PROGRAMME_NO, code=campaign.code, sha256=""
            )
        )
    for number, shop in world.MERCHANTS.items():
        connection.execute(
            insert(t.merchant).values(
                merchant_no=number, merchant_id=shop.merchant_id, programme_no=world.PROGRAMME_NO,
                name=shop.name, category=shop.category, region=shop.region, head_region=shop.head_region,
                size=shop.size, channels=list(shop.channels), opened=date_of_day(shop.opened_day),
                closed=date_of_day(shop.closed_day) if shop.closed_day else None,
                business_no="", bank_code="004", account_no="", account_holder="",
            )
        )  # fmt: skip
        for code, since, _ in shop.groups:
            connection.execute(
                insert(t.merchant_group).values(
                    merchant_no=number, group_code=code, valid_from=date_of_day(since)
                )
            )


def _write_wallet(connection: Connection, wallet: Wallet) -> None:
    at = {"bucket": wallet.bucket, "wallet_id": wallet.wallet_id}
    plain = msgspec.structs.asdict(wallet)
    for name in ("lots", "past", "past_days", "held", "cards", "active", "campaign_won"):
        del plain[name]
    connection.execute(insert(t.wallet).values(**plain))
    for seq, lot in enumerate(wallet.lots.values(), 1):
        connection.execute(insert(t.lot).values(**at, **msgspec.structs.asdict(lot)))
        source = Account.FUNDER_DUE if lot.funder_no else Account.SAFEGUARDED
        kind = LOT_ACCOUNT[LOT_KIND_NAME[lot.kind]]
        connection.execute(
            insert(t.entry).values(
                **at, business_date=date_of_day(OPENING_DAY), seq=seq, line=1,
                programme_no=wallet.programme_no, source=int(Source.FUNDING), debit=int(source),
                credit=int(kind), won=lot.balance, lot_no=lot.lot_no, merchant_no=0, funder_no=lot.funder_no,
            )
        )  # fmt: skip
    for card in wallet.cards.values():
        connection.execute(
            insert(t.card).values(
                **at, **msgspec.structs.asdict(card), pan_hmac=b"", pan_box=b"", key_version=1, masked=""
            )
        )
