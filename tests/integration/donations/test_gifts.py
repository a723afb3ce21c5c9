"""Gifts in the tables: a case takes exactly what it needs, by message and command, from any number."""

import asyncio
import csv
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from switch.domain.payment import Kind
from switch.domain.reasons import BY_NUMBER
from switch.service.admin import NotFoundError, RefusedError
from switch.service.giving.case_file import NewCase, case_of, read_cases
from switch.service.giving.cases import CaseView, OpenReport, case_views, close_case, open_cases
from switch.service.giving.donations import DonationReport, donate
from switch.service.giving.receipts import write_receipts
from switch.service.import_files import ImportRefusedError, Problems
from switch.service.proofs_donations import CHECKS
from switch.store.acts import ActConflictError
from tests.integration.authorizer.ground import Ground, ask
from tests.integration.donations.conftest import message, reversal

MERCHANT = "SHOP2"


def case(code: str, target: int = 100_000, **other: Any) -> NewCase:
    given = {"kind": "medical", "title": "수술비", "text": "두 줄\n이야기", "deadline": date(2026, 6, 30)}
    return NewCase(line=0, code=code, target=target, merchant=MERCHANT, **{**given, **other})


def opened(ground: Ground, *cases: NewCase) -> OpenReport:
    problems = Problems("cases.csv")
    return open_cases(ground.engine, "test", cases, problems, actor="kim", now=ground.now())


def shown(ground: Ground, code: str) -> CaseView:
    (one,) = case_views(ground.engine, "test", code)
    return one


def give(ground: Ground, member: str, code: str, won: int, reference: str, kind: str = "") -> DonationReport:
    return donate(
        ground.engine, "test", member, code, won, reference, kind=kind, actor="kim", now=ground.now()
    )


def why(answer: Any) -> str:
    return BY_NUMBER[answer.stored.reason].name


async def test_many_give_the_last_won_at_once(ground: Ground, start: Callable[..., Any]) -> None:
    opened(ground, case("RACE", 100_500), case("OTHER", 30_000))
    one, two = await start(lanes=2, batch_max=4), await start(lanes=2, batch_max=4)
    asked = [
        message(Kind.GIFT, number, 5_000, case="RACE" if number % 3 else "OTHER", partial=True)
        for number in range(1, 41)
    ]
    answers = await asyncio.gather(ask(one, asked[::2]), ask(two, asked[1::2]))
    found = [answer.stored for part in answers for answer in part]
    assert shown(ground, "RACE").left == shown(ground, "OTHER").left == 0
    assert sum(stored.approved for stored in found) == 130_500
    assert {BY_NUMBER[stored.reason].name for stored in found} >= {
        *("approved", "partial_approval", "case_filled"),
    }
    assert shown(ground, "RACE").points == 100_500  # points first: the programme's order
    ground.check_books()


async def test_a_reversal_makes_room_in_the_same_batch_too(ground: Ground, start: Callable[..., Any]) -> None:
    opened(ground, case("BACK", 6_000))
    lane = await start(lanes=1)
    first = message(Kind.GIFT, 41, 6_000, case="BACK")
    full = message(Kind.GIFT, 42, 1_000, case="BACK")
    assert [why(answer) for answer in await ask(lane, [first, full])] == ["approved", "case_filled"]
    again = message(Kind.GIFT, 42, 2_000, case="BACK", gift_from="charged")
    assert [why(answer) for answer in await ask(lane, [reversal(first), again])] == ["approved", "approved"]
    found = shown(ground, "BACK")
    assert (found.given, found.gifts, found.returned, found.charged, found.points) == (2_000, 1, 1, 2_000, 0)
    assert (await ask(lane, [first]))[0].repeated
    refund = message(Kind.REFUND, 42, 2_000, original=reversal(again).original)
    assert [why(answer) for answer in await ask(lane, [refund])] == ["invalid_transaction"]
    ground.check_books()


async def test_no_such_case(ground: Ground, start: Callable[..., Any]) -> None:
    lane = await start(lanes=1)
    assert [why(one) for one in await ask(lane, [message(Kind.GIFT, 1, 1_000, case="NONE")])] == [
        "unknown_case"
    ]
    assert [why(one) for one in await ask(lane, [message(Kind.PURCHASE, 1, 1_000)])] == ["gifts_only"]


async def test_a_gift_by_command_is_the_same_gift(ground: Ground, start: Callable[..., Any]) -> None:
    opened(ground, case("BOTH", 20_000))
    done = give(ground, "M43", "BOTH", 12_000, "app-1")
    assert (done.points, done.charged, done.left, done.done_before) == (10_000, 2_000, 8_000, False)
    again = give(ground, "M43", "BOTH", 12_000, "app-1")
    assert (again.done_before, again.points, again.charged, again.left) == (True, 10_000, 2_000, 8_000)
    with pytest.raises(ActConflictError, match="a reference of its own"):
        give(ground, "M43", "BOTH", 11_000, "app-1")
    with pytest.raises(ActConflictError):
        give(ground, "M44", "BOTH", 12_000, "app-1")
    with pytest.raises(RefusedError, match="still needs 8,000 won"):
        give(ground, "M43", "BOTH", 8_001, "app-2")
    with pytest.raises(RefusedError, match="0 won that may be given, 100 too few"):
        give(ground, "M43", "BOTH", 100, "app-3", "points")
    lane = await start(lanes=1)
    assert why((await ask(lane, [message(Kind.GIFT, 44, 8_001, case="BOTH")]))[0]) == "case_filled"
    assert why((await ask(lane, [message(Kind.GIFT, 44, 7_000, case="BOTH")]))[0]) == "approved"
    assert give(ground, "M43", "BOTH", 1_000, "app-4", "charged").left == 0
    found = shown(ground, "BOTH")
    assert (found.given, found.gifts, found.members, found.points) == (20_000, 3, 2, 17_000)
    ground.check_books()


def test_commands_and_messages_race_for_one_case(ground: Ground) -> None:
    opened(ground, case("DUEL", 10_000))

    async def both() -> int:
        lane = ground.authorizer(lanes=1)
        await lane.start()
        asked = [message(Kind.GIFT, number, 1_000, case="DUEL") for number in range(45, 57)]
        tries = [asyncio.to_thread(_try, ground, f"M{number}", f"duel-{number}") for number in range(45, 57)]
        answers = [lane.submit(request) for request in asked]
        won = sum(await asyncio.gather(*tries))
        won += sum(answer.stored.approved for answer in await asyncio.gather(*answers))
        await lane.stop()
        return won

    assert asyncio.run(both()) == 10_000
    assert shown(ground, "DUEL").left == 0
    ground.check_books()


def _try(ground: Ground, member: str, reference: str) -> int:
    try:
        return give(ground, member, "DUEL", 1_000, reference, "charged").won
    except RefusedError:
        return 0


def test_what_a_case_was_opened_with_never_changes(ground: Ground, tmp_path: Path) -> None:
    assert opened(ground, case("SAME")) == OpenReport(1, 0)
    assert opened(ground, case("SAME"), case("MORE")) == OpenReport(1, 1)
    with pytest.raises(ImportRefusedError, match="SAME stands with other contents"):
        opened(ground, case("SAME", 1), case("NEW"))
    with pytest.raises(NotFoundError, match="NEW"):
        shown(ground, "NEW")
    for bad, told in (
        (case("PAST", deadline=date(2026, 6, 28)), "is over"),
        (NewCase(1, "SHOP", "k", "t", "", 1, date(2026, 6, 30), "SHOP1"), "is not in the group"),
        (NewCase(1, "NOSHOP", "k", "t", "", 1, date(2026, 6, 30), "SHOP99"), "no merchant"),
    ):
        with pytest.raises(ImportRefusedError, match=told):
            opened(ground, bad)
    file = tmp_path / "cases.csv"
    file.write_text(
        "code,kind,title,text,target,deadline,merchant_id\nF-1,medical,하나,,1000,2026-06-30,SHOP2\n"
        'f-2,medical,둘,"두 줄",0,someday,SHOP2\n'
    )
    cases, problems = read_cases(file)
    assert [one.code for one in cases] == ["F-1"]
    with pytest.raises(ImportRefusedError) as faults:
        open_cases(ground.engine, "test", cases, problems, actor="kim", now=ground.now())
    assert [line.split(":")[2].strip() for line in faults.value.problems] == ["code", "target", "deadline"]
    with pytest.raises(RefusedError, match="--merchant: is empty"):
        case_of(
            {"code": "X", "kind": "k", "title": "t", "text": "", "target": "1", "deadline": "2026-06-30",
             "merchant_id": ""}
        )  # fmt: skip


async def test_a_closed_case_takes_nothing(ground: Ground, start: Callable[..., Any]) -> None:
    opened(ground, case("SHUT"))
    give(ground, "M57", "SHUT", 3_000, "shut-1")
    assert close_case(ground.engine, "test", "SHUT", actor="lee", now=ground.now()).closed_by == "lee"
    with pytest.raises(RefusedError, match="closed already"):
        close_case(ground.engine, "test", "SHUT", actor="lee", now=ground.now())
    with pytest.raises(RefusedError, match="the donation case is closed"):
        give(ground, "M57", "SHUT", 3_000, "shut-2")
    lane = await start(lanes=1)
    assert why((await ask(lane, [message(Kind.GIFT, 57, 1_000, case="SHUT")]))[0]) == "case_closed"


async def test_receipts_are_numbered_without_gap(
    ground: Ground, start: Callable[..., Any], tmp_path: Path
) -> None:
    opened(ground, case("PAPER"))
    lane = await start(lanes=1)
    first, second = (message(Kind.GIFT, number, 1_000, case="PAPER") for number in (58, 59))
    await ask(lane, [first, second])
    give(ground, "M60", "PAPER", 500, "paper-1")
    day = date(2026, 6, 29)
    out = tmp_path / "receipts.csv"
    before = write_receipts(ground.engine, "test", day, day, "PAPER", out)
    assert (before.receipts, before.open) == (0, 3)  # the date is open still
    with ground.database.engine(owner=True).begin() as connection:
        connection.execute(text("UPDATE programme SET closed_through = '2026-06-29'"))
    ground.set_day(20260630)
    await ask(lane, [reversal(first)])  # before it has a number: it never gets one
    done = write_receipts(ground.engine, "test", day, day, "PAPER", out)
    assert (done.receipts, done.cancelled, done.won) == (2, 0, 1_500)
    await ask(lane, [reversal(second)])  # after: the number stays
    again = write_receipts(ground.engine, "test", day, day, "PAPER", out)
    assert (again.receipts, again.new, again.cancelled, again.won) == (2, 0, 1, 500)
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["member_id"], row["state"], row["won"]) for row in rows} == {
        ("M59", "cancelled", "1000"),
        ("M60", "issued", "500"),
    }
    whole = write_receipts(ground.engine, "test", day, day, "", out)
    with out.open(newline="") as file:
        assert [int(row["receipt"]) for row in csv.DictReader(file)] == list(range(1, whole.receipts + 1))
    ground.check_books()


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ("UPDATE donation_case SET given = given - 1 WHERE code = 'RACE'", "donation_cases"),
        (
            "UPDATE gift SET points = points + 1, charged = charged - 1 WHERE charged > 1",
            "gifts_equal_entries",
        ),
        ("UPDATE gift SET returned = NOT returned WHERE case_code = 'BOTH'", "gifts_equal_entries"),
        ("DELETE FROM donation_receipt WHERE number = 1", "donation_receipts"),
        ("INSERT INTO topup_reference VALUES (1, 'ghost', 1, 1, 1, '2026-06-29')", "topup_references"),
    ],
)
def test_the_proof_would_tell(ground: Ground, wrong: str, name: str) -> None:
    query = next(query for known, _, query in CHECKS if known == name)
    with ground.database.engine(owner=True).connect() as connection:
        assert connection.execute(text(query)).one()[1] == 0
        assert connection.execute(text(wrong)).rowcount > 0
        assert connection.execute(text(query)).one()[1] > 0
        connection.rollback()
