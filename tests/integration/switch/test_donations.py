"""Gifts and referenced top-ups over TCP: DC, DF and XR in field 48, and what the terminal is told."""

import json
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import text

from switch.cli import run
from switch.service.giving.case_file import NewCase
from switch.service.giving.cases import case_views, open_cases
from switch.service.import_files import Problems
from switch.wire.message import decode
from switch.wire.private import decode_private, encode_private
from terminal_sim.terminal import Terminal
from tests.integration.switch.house import WON, House
from tests.integration.switch.messages import payment, reversal
from tests.support.wire_client import Line


def share(house: House, line: Line, code: str, target: int) -> Terminal:
    """A terminal of a merchant that takes gifts, and a case of it."""
    terminal = house.till(line)
    with house.stage.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO merchant_group (merchant_no, group_code, valid_from)"
                " SELECT merchant_no, 'donation', '2026-01-01' FROM merchant WHERE merchant_id = :id"
            ),
            {"id": terminal.merchant_id},
        )
        connection.execute(text("UPDATE control SET reference_epoch = reference_epoch + 1"))
    case = NewCase(0, code, "medical", "수술비", "", target, date(2026, 12, 31), terminal.merchant_id)
    open_cases(house.stage.engine, "seoro", [case], Problems("cases"), actor="kim", now=house.now)
    return terminal


def given(house: House, code: str) -> int:
    (one,) = case_views(house.stage.engine, "seoro", code)
    return one.given


def test_a_gift_from_its_message_to_its_reversal(house: House) -> None:
    with house.line() as line:
        terminal, card = share(house, line, "WIRE-1", 50_000), house.card()
        asked = payment(terminal, house.now, "0200", card, 30_000, private={"DC": "WIRE-1"})
        reply = line.exchange(terminal, asked)
        assert (reply.code, reply.cashback) == ("00", None)
        assert (house.balance(card), given(house, "WIRE-1")) == (WON - 30_000, 30_000)
        assert line.ask(asked) == line.ask(asked)  # a repeat is answered, not booked
        over = {"DC": "WIRE-1", "DF": "C"}
        assert (
            line.exchange(terminal, payment(terminal, house.now, "0200", card, 20_001, private=over)).code
            == "61"
        )
        part = payment(terminal, house.now, "0200", card, 20_001, private=over | {"PA": "1"})
        reply = line.exchange(terminal, part)
        assert (reply.code, decode(line.ask(part)).fields[4]) == ("10", "000000020000")
        assert given(house, "WIRE-1") == 50_000
        assert line.exchange(terminal, terminal.refund(house.now, asked, 30_000)).code == "12"
        void = payment(terminal, house.now, "0200", card, 30_000, code="020000", original=asked)
        assert line.exchange(terminal, void).code == "12"
        assert line.exchange(terminal, reversal(terminal, house.now, asked)).approved
        assert (house.balance(card), given(house, "WIRE-1")) == (WON - 20_000, 20_000)
        assert [row["kind"] for row in house.payments(terminal)].count(8) == 3


def test_who_takes_gifts_and_who_does_not(house: House) -> None:
    with house.line() as line:
        terminal, card = share(house, line, "WIRE-2", 50_000), house.card()
        assert line.exchange(terminal, terminal.purchase(house.now, card, 1_000)).code == "57"
        none = payment(terminal, house.now, "0200", card, 1_000, private={"DC": "WIRE-9"})
        assert line.exchange(terminal, none).code == "25"
        other = house.till(line)
        elsewhere = payment(other, house.now, "0200", card, 1_000, private={"DC": "WIRE-2"})
        assert line.exchange(other, elsewhere).code == "57"
        assert (house.balance(card), given(house, "WIRE-2")) == (WON, 0)


@pytest.mark.parametrize(
    ("code", "private"),
    [
        ("210000", {"DC": "X"}),
        ("000000", {"DF": "P"}),
        ("000000", {"DC": "small"}),
        ("000000", {"DC": "X", "DF": "G"}),
        ("000000", {"XR": "bank-1"}),
        ("210000", {"XR": "two words"}),
    ],
)
def test_what_is_no_gift_and_no_reference(house: House, code: str, private: dict[str, str]) -> None:
    with house.line() as line:
        terminal = house.till(line)
        reply = decode(
            line.ask(payment(terminal, house.now, "0200", house.card(), 1, code=code, private=private))
        )
        assert (reply.fields[39], reply.fields[44]) == ("30", "048")


def test_a_top_up_sent_three_times_debits_once_across_a_restart(house: House) -> None:
    card = house.card()
    reference = {"XR": "bank:2026-11-18/77".replace("/", ".")}
    with house.line() as line:
        terminal = house.till(line)
        sends = [
            payment(terminal, house.now, "0200", card, 40_000, code="210000", private=reference)
            for _ in range(3)
        ]
        assert len({decode(one).fields[11] for one in sends}) == 3
        first, second = (line.exchange(terminal, one) for one in sends[:2])
        assert (first.code, second.code) == ("00", "00")
        assert first.approval == second.approval
        stranger = house.card()
        taken = payment(terminal, house.now, "0200", stranger, 40_000, code="210000", private=reference)
        assert line.exchange(terminal, taken).code == "94"
        assert (house.balance(card), house.balance(stranger)) == (WON + 40_000, WON)
    house.restart()
    with house.line() as line:
        third = line.exchange(terminal, sends[2])
        assert (third.code, third.approval) == ("00", first.approval)
        assert house.balance(card) == WON + 40_000
        back = decode(reversal(terminal, house.now, sends[2])).fields | {48: encode_private(reference)}
        assert decode_private(back[48]) == reference
        assert line.exchange(terminal, terminal.seal("0420", back)).approved
        assert house.balance(card) == WON
        again = payment(terminal, house.now, "0200", card, 40_000, code="210000", private=reference)
        assert line.exchange(terminal, again).approved
        assert house.balance(card) == WON + 40_000


def test_the_operators_commands(house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def command(*arguments: str) -> tuple[int, str, str]:
        code = run(
            ["--config", str(house.stage.directory / "switch.toml"), *arguments, "--programme", "seoro"]
        )
        told = capsys.readouterr()
        return code, told.out, told.err

    with house.line() as line:
        terminal, card = share(house, line, "CLI-1", 50_000), house.card()
    member = house.member(card)
    file = tmp_path / "cases.csv"
    file.write_text(
        "code,kind,title,text,target,deadline,merchant_id\n"
        f"CLI-2,tuition,등록금,두 아이,3000000,2026-12-31,{terminal.merchant_id}\n"
    )
    assert command("donation", "open", str(file))[:2] == (0, "1 opened, 0 stood already\n")
    assert command("donation", "open", str(file))[:2] == (0, "0 opened, 1 stood already\n")
    assert command("donation", "open", str(file), "--code", "X")[0] == 2
    code, out, err = command("donation", "give", member, "CLI-2", "7000", "--charged", "--reference", "cli-1")
    assert (code, "7,000 won given" in out, "still needs 2,993,000" in out) == (0, True, True), err
    assert "was given before" not in out
    code, out, _ = command("donation", "give", member, "CLI-2", "7000", "--charged", "--reference", "cli-1")
    assert (code, "7,000 won was given before" in out) == (0, True)
    code, _, err = command("donation", "give", member, "CLI-2", "9000", "--charged", "--reference", "cli-1")
    assert (code, "a reference of its own" in err) == (2, True)
    assert house.balance(card) == WON - 7_000
    code, out, _ = command("donation", "show", "CLI-2", "--json")
    assert (code, json.loads(out)["given"], json.loads(out)["members"]) == (0, 7_000, 1)
    code, out, _ = command("donation", "list")
    assert (code, "CLI-1" in out, "등록금" in out) == (0, True, True)
    code, out, _ = command("donation", "close", "CLI-2")
    assert (code, "closed" in out) == (0, True)
    assert command("donation", "close", "CLI-2")[0] == 2
    days = ("--from", "2026-11-18", "--to", "2026-11-18", "--case", "CLI-2")
    code, out, err = command("donation", "receipts", *days, "--out", str(tmp_path / "r.csv"))
    assert (code, "0 receipts" in out, "wait for theirs" in err) == (0, True, True)

    draw = (
        "--from",
        "2026-11-18",
        "--to",
        "2026-11-18",
        "--prizes",
        "3",
        "--seed-file",
        str(tmp_path / "seed"),
    )
    assert command("draw", "announce", "one", *draw, "--out", str(tmp_path))[0] == 2  # for what is a ticket?
    code, out, _ = command("draw", "announce", "one", *draw, "--per-payment", "--out", str(tmp_path))
    assert (code, "keep" in out) == (0, True)
    assert (tmp_path / "seed").read_text().strip() not in out
    code, _, err = command("draw", "close", "one", "--out", str(tmp_path))
    assert (code, "2026-11-18 is closed" in err) == (2, True)
    assert command("draw", "run", "one", "--out", str(tmp_path))[0] == 2
    code, out, _ = command("draw", "list")
    assert (code, "announced" in out) == (0, True)
    code, out, _ = command("draw", "show", "one", "--json")
    assert json.loads(out)["state"] == "announced"
    assert command("draw", "show", "none")[0] == 2
    (tmp_path / "bad").write_text("no seed\n")
    bad = (*draw[:-1], str(tmp_path / "bad"))
    code, _, err = command("draw", "announce", "two", *bad, "--per-won", "10000", "--out", str(tmp_path))
    assert (code, "64 hex digits" in err) == (2, True)
