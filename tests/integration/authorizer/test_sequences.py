"""The random days again, through lanes and PostgreSQL: every table must say what the pure core says."""

import asyncio
from collections.abc import Iterator

import msgspec
import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from switch.domain.calendar import date_of_day
from switch.domain.decision import decode_detail, encode_detail
from switch.domain.request import Request
from switch.domain.wallet import Wallet
from switch.service.authorizer import Authorizer
from switch.service.batch import Answer
from switch.store import schema as t
from tests.integration.authorizer.ground import Ground, ask
from tests.support.postgres import Database
from tests.unit.decide import world
from tests.unit.decide.books import Books
from tests.unit.decide.estate import estate, members
from tests.unit.decide.estate import reference as estate_reference
from tests.unit.decide.sequences import LIMITS, Act, Day, Night, sequence, wallets


def as_told(answer: Answer) -> tuple[object, ...]:
    """What an answer tells, apart from what later payments change in its row."""
    plain = msgspec.structs.asdict(answer.stored)
    plain["detail"] = encode_detail(msgspec.structs.replace(decode_detail(answer.stored.detail), kept=None))
    return (answer.differs, *[plain[name] for name in plain if name not in ("returned", "outcome")])


@pytest.mark.parametrize(("seed", "batch_max"), [(1001, 96), (1002, 96), (1003, 7), (1004, 1)])
async def test_the_tables_are_what_the_core_says(ground: Ground, seed: int, batch_max: int) -> None:
    books = Books(wallets(seed, 12), world.reference(LIMITS))
    ground.add(wallets(seed, 12).values())
    await play(ground, books, sequence(seed, wallet_count=12, requests_a_day=110), batch_max)


@pytest.mark.parametrize(("seed", "batch_max"), [(3001, 96), (3002, 96), (3003, 7), (3004, 1)])
async def test_so_they_are_with_holds_voids_advices_and_cards_of_every_form(
    database: Database, seed: int, batch_max: int
) -> None:
    reference = estate_reference()
    ground = Ground(database, reference.programmes[world.PROGRAMME_NO])
    books = Books(members(seed, 12), reference)
    ground.add(members(seed, 12).values())
    await play(ground, books, estate(seed, wallet_count=12, requests_a_day=110), batch_max)


async def play(ground: Ground, books: Books, acts: Iterator[Act], batch_max: int) -> None:
    """The same acts through the core and through an authorizer; then every table is compared."""
    authorizer = ground.authorizer(batch_max=batch_max)
    await authorizer.start()
    today, waiting, expected = 0, list[Request](), list[tuple[object, ...]]()
    try:
        for act in acts:
            if isinstance(act, Request):
                waiting.append(act)
                expected.append(as_told(books.request(act, today)))
                continue
            await told(authorizer, waiting, expected)
            if isinstance(act, Day):
                today = act.day
                ground.set_day(today)
            else:
                books.night(act)
                credit(ground, books, act)
        await told(authorizer, waiting, expected)
    finally:
        await authorizer.stop()
    compare(ground, books)


async def test_two_programs_on_the_same_wallets_book_as_one(ground: Ground) -> None:
    """2,000 requests through two authorizers: whatever the order, the books agree with themselves."""
    count, seed = 16, 2001
    ground.add(wallets(seed, count).values())
    pair = [ground.authorizer(batch_max=32), ground.authorizer(batch_max=32)]
    await asyncio.gather(*[one.start() for one in pair])
    try:
        answers: dict[object, set[tuple[object, ...]]] = {}
        number = 0
        waiting: list[tuple[Request, asyncio.Future[Answer]]] = []
        for act in sequence(seed, wallet_count=count, requests_a_day=400):
            if isinstance(act, Day):
                ground.set_day(act.day)
            elif isinstance(act, Request):
                number += 1
                waiting.append((act, pair[number % 2].submit(act)))
            if len(waiting) > 300:
                await collect(waiting, answers)
        await collect(waiting, answers)
    finally:
        await asyncio.gather(*[one.stop() for one in pair])
    assert number >= 2_000
    assert all(len(told) == 1 for told in answers.values())
    assert ground.count() == len(answers)
    ground.check_books()


async def collect(
    waiting: list[tuple[Request, "asyncio.Future[Answer]"]],
    answers: dict[object, set[tuple[object, ...]]],
) -> None:
    for request, future in waiting:
        answer = await future
        told_so = as_told(answer)[1:]
        answers.setdefault(request.key, set()).add(told_so)
    waiting.clear()


async def told(authorizer: Authorizer, waiting: list[Request], expected: list[tuple[object, ...]]) -> None:
    """Submit what has gathered, all at once, and compare the answers in order."""
    answers = await ask(authorizer, waiting)
    for request, answer, wanted in zip(waiting, answers, expected, strict=True):
        assert as_told(answer) == wanted, request
    waiting.clear()
    expected.clear()


def credit(ground: Ground, books: Books, night: Night) -> None:
    """Write a night into the database as the core says: lots, entries, the mark of every bucket."""
    before = ground.wallets()
    booked = [line for line in books.lines if line.source == 3 and line.day == night.booked_on]
    touched = sorted({line.wallet_id for line in booked if line.seq > before[line.wallet_id].seq})
    with ground.engine.begin() as connection:
        connection.execute(text("SELECT dure_ensure_day(:day)"), {"day": date_of_day(night.booked_on)})
        for line in booked:
            if line.seq > before[line.wallet_id].seq:
                connection.execute(
                    insert(t.entry).values(
                        bucket=before[line.wallet_id].bucket, business_date=date_of_day(line.day),
                        wallet_id=line.wallet_id, seq=line.seq, line=line.line, source=line.source,
                        programme_no=world.PROGRAMME_NO, **msgspec.structs.asdict(line.entry),
                    )
                )  # fmt: skip
        for wallet_id in touched:
            wallet = books.wallets[wallet_id]
            here = (t.wallet.c.bucket == wallet.bucket, t.wallet.c.wallet_id == wallet_id)
            connection.execute(
                update(t.wallet)
                .where(*here)
                .values(seq=wallet.seq, lot_seq=wallet.lot_seq, receivable=wallet.receivable)
            )
            for lot in wallet.lots.values():
                row = {"bucket": wallet.bucket, "wallet_id": wallet_id, **msgspec.structs.asdict(lot)}
                connection.execute(
                    upsert(t.lot).values(**row).on_conflict_do_update(constraint=t.lot.primary_key, set_=row)
                )
        for bucket in {wallet.bucket for wallet in books.wallets.values()}:
            mark = {"programme_no": world.PROGRAMME_NO, "bucket": bucket}
            day = {"credited_through": date_of_day(night.day)}
            connection.execute(
                upsert(t.credit_mark)
                .values(**mark, **day)
                .on_conflict_do_update(constraint=t.credit_mark.primary_key, set_=day)
            )


def compare(ground: Ground, books: Books) -> None:
    """Every table against the books in memory."""
    found = ground.wallets()
    for wallet_id, wallet in books.wallets.items():
        assert comparable(found[wallet_id]) == comparable(wallet)
    stored = ground.stored()
    assert stored.keys() == books.stored.keys()
    for key, payment in books.stored.items():
        assert stored[key] == payment
    assert ground.lines() == sorted(books.lines, key=lambda line: (line.wallet_id, line.seq, line.line))
    with ground.engine.connect() as connection:
        columns = t.tombstone.c
        rows = connection.execute(
            select(columns.wallet_id, columns.terminal_id, columns.stan, columns.transmission)
        )
        assert {tuple(row) for row in rows} == books.loaded.tombstones
    ground.check_books()


def comparable(wallet: Wallet) -> Wallet:
    """Lots, cards and months in one order; days left behind are in the payments themselves."""
    wallet.past_days = {}
    for name in ("lots", "cards", "past", "held"):
        setattr(wallet, name, dict(sorted(getattr(wallet, name).items())))
    return wallet
