"""Random holds through lanes and PostgreSQL, with the real settlement of every night among them."""

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from sqlalchemy import text

from settlement.pipeline import run
from settlement.settings import Settings
from switch.domain.calendar import date_of_day
from switch.domain.payment import bucket_of
from switch.domain.request import Request
from switch.domain.terminal_batch import totals_of
from switch.domain.wallet import Wallet
from switch.store.batches import records_of
from tests.integration.authorizer.ground import OPENING_DAY, Ground, ask
from tests.property.test_holds_model import DAYS, History, play
from tests.support.postgres import Database
from tests.unit.decide import world


@pytest.mark.parametrize(("start", "night_at"), [(5_000, 0), (5_050, 120)])
async def test_every_night_agrees_with_the_rules(
    database: Database, tmp_path: Path, start: int, night_at: int
) -> None:
    histories = {number: play(start + number) for number in range(1, 31)}
    reference = next(iter(histories.values())).books.reference
    ground = Ground(database, reference.programmes[world.PROGRAMME_NO])
    with database.engine(owner=True).begin() as connection:
        for number, (_, policy) in reference.policies.items():
            document = msgspec.json.encode(policy).decode()
            update = text("UPDATE policy SET document = :document WHERE policy_no = :number")
            connection.execute(update, {"document": document, "number": number})
    ground.add([fresh(start + number, number) for number in histories])
    settle(ground, tmp_path, OPENING_DAY)
    authorizer = ground.authorizer(batch_max=40)
    await authorizer.start()
    try:
        for number, day in enumerate(DAYS):
            ground.set_day(day)
            sent = [moved(request, to) for to, history in histories.items() for request in of(history, day)]
            if number:
                await ask(authorizer, sent[:night_at])
                settle(ground, tmp_path, DAYS[number - 1])
                sent = sent[night_at:]
            await ask(authorizer, sent)
            ground.check_books()
    finally:
        await authorizer.stop()
    ground.set_day(20260703)
    settle(ground, tmp_path, DAYS[-1])
    ground.check_books()
    assert ground.count("hold") > 0
    check_batches(ground)


def check_batches(ground: Ground) -> None:
    """What a terminal's batch counts is what its merchants get and give back, by the journal."""
    records = text(
        "SELECT kind, stan, transmission, approved, bucket, wallet_id, seq, original_seq FROM payment"
        " WHERE terminal_id = 'T' || :wallet AND approved > 0 AND kind IN (1, 2, 5, 7)"
    )
    owed = text(
        "SELECT coalesce(sum(CASE WHEN credit = 221 THEN won ELSE -won END), 0)::bigint FROM entry"
        " WHERE wallet_id = :wallet AND source = 1 AND 221 IN (debit, credit)"
    )
    with ground.engine.connect() as connection:
        for wallet in ground.wallets():
            rows = connection.execute(records, {"wallet": wallet}).all()
            totals = totals_of(records_of(rows))
            assert -totals.net == connection.execute(owed, {"wallet": wallet}).scalar_one()


def of(history: History, day: int) -> list[Request]:
    return [request for _, request, today in history.sent.values() if today == day]


def moved(request: Request, wallet_id: int) -> Request:
    """The request on another member's wallet, at a terminal of its own."""
    terminal = f"T{wallet_id}"
    bucket = bucket_of(wallet_id)
    key = replace(request.key, bucket=bucket, terminal_id=terminal)
    original = request.original and replace(request.original, terminal_id=terminal)
    return replace(request, key=key, wallet_id=wallet_id, original=original)


def fresh(seed: int, wallet_id: int) -> Wallet:
    wallet = History(seed).wallet
    wallet.wallet_id, wallet.bucket = wallet_id, bucket_of(wallet_id)
    return wallet


def settle(ground: Ground, tmp_path: Path, day: int) -> None:
    clock = tmp_path / "clock"
    clock.write_text(ground.now().isoformat())
    address = ground.database.app_url.set(drivername="postgresql").render_as_string(hide_password=False)
    settings = Settings.model_validate(
        {
            "database": {"url": address},
            "clock": {"mode": "simulated", "file": str(clock)},
            "files": {"outbox": str(tmp_path / "out")},
            "originator": {"test": {"name": "서구", "account": "1005000000017", "bank": "020"}},
        }
    )
    report = run(ground.engine, settings, date_of_day(day))
    assert [one.problem for one in report.programmes] == [""], day


async def test_two_switches_share_wallets_with_holds(database: Database) -> None:
    """Whatever the order in which two programs book: the books prove themselves."""
    histories = {number: play(6_000 + number) for number in range(1, 13)}
    reference = next(iter(histories.values())).books.reference
    ground = Ground(database, reference.programmes[world.PROGRAMME_NO])
    ground.add([fresh(6_000 + number, number) for number in histories])
    pair = [ground.authorizer(batch_max=16), ground.authorizer(batch_max=16)]
    for one in pair:
        await one.start()
    try:
        for day in DAYS:
            ground.set_day(day)
            sent = [moved(request, to) for to, history in histories.items() for request in of(history, day)]
            futures = [pair[at % 2].submit(request) for at, request in enumerate([*sent, *sent])]
            told = [(await future).stored for future in futures]
            for first, again in zip(told[: len(sent)], told[len(sent) :], strict=True):
                assert (first.key, first.seq, first.reason) == (again.key, again.seq, again.reason)
            ground.check_books()
    finally:
        for one in pair:
            await one.stop()
