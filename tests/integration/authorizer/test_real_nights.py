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
from switch.domain.wallet import Wallet
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
