"""A draw on the books: announced, closed, drawn, verified from its files; what is taken back wins nothing."""

import csv
import hashlib
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from switch.cli import run as command
from switch.domain.draw import Rules, tickets_drawn
from switch.domain.payment import Kind
from switch.service.admin import NotFoundError, RefusedError
from switch.service.draw import steps
from switch.service.draw.files import Result, TicketFile, member_token
from switch.service.draw.verify import verify
from tests.integration.authorizer.ground import Ground, ask
from tests.integration.donations.conftest import message, reversal
from tests.support.postgres import shared_server
from tests.unit.decide import world

FIRST, LAST = date(2026, 6, 29), date(2026, 6, 29)
MEMBERS = 12


class Fair:
    """A ground with a day's payments and a folder for what is published."""

    def __init__(self, ground: Ground, directory: Path) -> None:
        self.ground = ground
        self.out = directory / "out"
        self.seed = directory / "seed"
        self.sent: list[Any] = []

    def announce(
        self, name: str, prizes: int, rules: Rules, *, once: bool = True, out: Path | None = None
    ) -> Any:
        return steps.announce(
            *(self.ground.engine, "test", name, FIRST, LAST, prizes, rules),
            once=once,
            seed_file=self.seed,
            out=out or self.out,
            actor="kim",
            now=self.ground.now(),
        )

    def close(self, name: str, out: Path | None = None) -> tuple[int, str]:
        return steps.close(
            self.ground.engine, "test", name, out=out or self.out, actor="lee", now=self.ground.now()
        )

    def run(self, name: str, seed: Path | None = None, out: Path | None = None) -> Result:
        return steps.run(
            *(self.ground.engine, "test", name),
            seed_file=seed,
            out=out or self.out,
            actor="kim",
            now=self.ground.now(),
        )

    async def tell(self, *requests: Any) -> None:
        lane = self.ground.authorizer(lanes=1)
        await lane.start()
        await ask(lane, requests)
        await lane.stop()


@pytest.fixture(scope="module")
def fair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fair]:
    database = shared_server().migrated()
    ground = Ground(database)
    ground.add(world.wallet(world.charged(1, 500_000), wallet_id=n) for n in range(1, MEMBERS + 1))
    with ground.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO member (programme_no, member_id, bucket, wallet_id)"
                " SELECT 1, 'M' || wallet_id, bucket, wallet_id FROM wallet"
            )
        )
        connection.execute(text("UPDATE card SET masked = '941061******' || lpad(wallet_id::text, 4, '0')"))
    yield Fair(ground, tmp_path_factory.mktemp("draw"))
    shared_server().drop(database)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


async def test_a_draw_from_its_announcement_to_its_verification(fair: Fair) -> None:
    said = fair.announce("summer", 5, Rules(10_000))
    assert said == fair.announce("summer", 5, Rules(10_000))  # again: the same
    assert fair.seed.stat().st_mode & 0o777 == 0o600
    assert said.commitment == hashlib.sha256(fair.seed.read_text().strip().encode()).hexdigest()
    with pytest.raises(RefusedError, match="other rules"):
        fair.announce("summer", 6, Rules(10_000))

    paid = [
        message(Kind.PURCHASE, number, 5_000 + 10_000 * (number % 4), merchant=world.PLAIN)
        for number in range(1, MEMBERS + 1)
    ]
    await fair.tell(*paid)
    # One taken back whole, one in part (35,000 → 20,000); one declined, one top-up: no tickets of theirs.
    back = message(Kind.REFUND, 3, 15_000, merchant=world.PLAIN, original=reversal(paid[2]).original)
    await fair.tell(
        reversal(paid[1]), back, message(Kind.PURCHASE, 4, 9_000_000, merchant=world.PLAIN),
        message(Kind.TOPUP, 4, 50_000, merchant=world.PLAIN),
    )  # fmt: skip

    with pytest.raises(RefusedError, match="business date 2026-06-29 is closed"):
        fair.close("summer")
    with pytest.raises(RefusedError, match="not fixed yet"):
        fair.run("summer", fair.seed)
    with fair.ground.database.engine(owner=True).begin() as connection:
        connection.execute(text("UPDATE programme SET closed_through = '2026-06-29'"))
    fair.ground.set_day(20260630)
    tickets, sha256 = fair.close("summer")
    wanted = {1: 1, 3: 2, 5: 1, 6: 2, 7: 3, 9: 1, 10: 2, 11: 3}  # 2 is gone; 4, 8 and 12 paid 5,000 only
    listed = rows(fair.out / "tickets.csv")
    assert tickets == sum(wanted.values()) == sum(int(row["tickets"]) for row in listed)
    with fair.ground.engine.connect() as connection:
        key = connection.scalar(text("SELECT member_key FROM prize_draw"))
    tokens = {member_token(key, f"M{number}"): number for number in range(1, MEMBERS + 1)}
    assert {tokens[row["member"]]: int(row["tickets"]) for row in listed} == wanted
    assert hashlib.sha256((fair.out / "tickets.csv").read_bytes()).hexdigest() == sha256
    assert fair.close("summer") == (tickets, sha256)  # again: the same bytes
    mine = steps.tickets_of(fair.ground.engine, "test", "summer", "M7")
    assert (tokens[mine.token], [one[1] for one in mine.tickets]) == (7, [3])

    result = fair.run("summer", fair.seed)
    assert result.seed == fair.seed.read_text().strip()
    assert [one.prize for one in result.drawn] == [1, 2, 3, 4, 5]
    assert len({one.member for one in result.drawn}) == 5
    assert all(one.card == f"941061******{tokens[one.member]:04d}" for one in result.drawn)
    assert fair.run("summer") == result  # again, and without the seed: as it stands
    verdict = verify(fair.out)
    assert verdict.ok, verdict.checks
    assert (verdict.prizes, verdict.cancelled, len(verdict.checks)) == (5, 0, 5)


async def test_a_payment_taken_back_after_the_close_wins_nothing(fair: Fair, tmp_path: Path) -> None:
    with fair.ground.database.engine(owner=True).begin() as connection:
        connection.execute(text("UPDATE programme SET closed_through = NULL"))
    fair.ground.set_day(20260629)
    fair.announce("late", 3, Rules(), once=False, out=tmp_path)
    with fair.ground.database.engine(owner=True).begin() as connection:
        connection.execute(text("UPDATE programme SET closed_through = '2026-06-29'"))
    fair.ground.set_day(20260630)
    tickets, sha256 = fair.close("late", tmp_path)
    # Ask the draw itself who would win first, and take that payment back.
    order = tickets_drawn(fair.seed.read_text().strip(), sha256, tickets)
    would = [next(order) for _ in range(4)]
    with fair.ground.engine.begin() as connection:
        where = (
            "(bucket, wallet_id, seq) IN (SELECT bucket, wallet_id, seq FROM draw_ticket WHERE draw_no = 2"
        )
        connection.execute(
            text(f"UPDATE payment SET returned = approved WHERE {where} AND first_ticket = {would[0]})")
        )
    result = fair.run("late", fair.seed, tmp_path)
    assert [(one.ticket, one.prize, one.cancelled) for one in result.drawn] == [
        *((would[0], 0, True), (would[1], 1, False), (would[2], 2, False), (would[3], 3, False)),
    ]
    verdict = verify(tmp_path)
    assert (verdict.ok, verdict.cancelled) == (True, 1)


def test_only_the_announced_seed_draws(fair: Fair, tmp_path: Path) -> None:
    with fair.ground.engine.begin() as connection:
        connection.execute(text("UPDATE prize_draw SET seed = NULL, run_at = NULL WHERE name = 'late'"))
        other = tmp_path / "seed"
        other.write_text("0" * 64 + "\n")
    with pytest.raises(RefusedError, match="not the one that was announced"):
        fair.run("late", other, tmp_path)
    with pytest.raises(RefusedError, match="--seed-file"):
        fair.run("late", None, tmp_path)
    with pytest.raises(NotFoundError, match="draw list"):
        fair.run("never", other, tmp_path)


@pytest.mark.parametrize(
    ("name", "change", "about"),
    [
        ("announcement.json", lambda told: told | {"prizes": 4}, "announced"),
        ("announcement.json", lambda told: told | {"commitment": "0" * 64}, "announced"),
        ("result.json", lambda told: told | {"seed": "0" * 64}, "committed"),
        ("result.json", lambda told: told | {"drawn": told["drawn"][::-1]}, "fall to"),
        ("result.json", lambda told: told | {"drawn": told["drawn"][1:]}, "fall to"),
        (
            "result.json",
            lambda told: (
                told | {"drawn": [told["drawn"][0] | {"cancelled": True, "prize": 0}, *told["drawn"][1:]]}
            ),
            "fall to",
        ),
    ],
)
def test_what_was_tampered_with_is_told(
    fair: Fair, tmp_path: Path, name: str, change: Any, about: str
) -> None:
    for path in fair.out.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert verify(tmp_path).ok
    (tmp_path / name).write_text(json.dumps(change(json.loads((tmp_path / name).read_text()))))
    verdict = verify(tmp_path)
    assert not verdict.ok
    assert any(about in check.about for check in verdict.checks if check.problems)


def test_a_changed_list_is_told(fair: Fair, tmp_path: Path) -> None:
    for path in fair.out.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    lines = (tmp_path / "tickets.csv").read_text().splitlines()
    (tmp_path / "tickets.csv").write_text("\n".join([lines[0], *lines[2:]]) + "\n")
    wrong = [check.about for check in verify(tmp_path).checks if check.problems]
    assert wrong == ["the ticket list has the published hash", "the tickets are numbered without a gap"]


def test_every_ticket_of_a_list_is_found_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "tickets.csv"
    first, lines = 1, ["first_ticket,tickets,day,member"]
    owners: list[str] = []
    for number in range(1, 200):
        many = number * 7 % 13 + 1
        lines.append(f"{first},{many},2026-06-29,m{number}")
        owners += [f"m{number}"] * many
        first += many
    path.write_text("\n".join(lines) + "\n")
    with TicketFile(path) as tickets:
        assert tickets.check() == (first - 1, [])
        assert [tickets.member_of(ticket) for ticket in range(1, first)] == owners
        for beyond in (0, first):
            with pytest.raises(RefusedError, match="has no ticket"):
                tickets.member_of(beyond)


def test_anyone_verifies_without_an_installation(
    fair: Fair, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = ["--config", str(tmp_path / "none.toml"), "draw", "verify", str(fair.out)]
    assert command(nowhere) == 0
    assert "5 prizes" in capsys.readouterr().out
    told = (fair.out / "result.json").read_text()
    (fair.out / "result.json").write_text(told.replace('"prize": 2', '"prize": 9'))
    assert command([*nowhere, "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_too_late_or_wrong(fair: Fair, tmp_path: Path) -> None:
    fair.ground.set_day(20260630)
    with pytest.raises(RefusedError, match="before the end of its period"):
        fair.announce("past", 3, Rules(), out=tmp_path)
    fair.ground.set_day(20260629)
    with pytest.raises(RefusedError, match="1,000 won or more"):
        fair.announce("small", 3, Rules(999), out=tmp_path)
    with pytest.raises(RefusedError, match="1 to 100,000 prizes"):
        fair.announce("many", 100_001, Rules(), out=tmp_path)
