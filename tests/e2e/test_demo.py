"""The demonstration, small: it ends well, leaves nothing running, and its seed decides every byte."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.killing import own_directory

pytestmark = pytest.mark.timeout(600)  # beside other tests; by itself the demo takes half a minute
PROGRAM = Path(sys.executable).parent / "dure-terminal-sim"


def demo(directory: Path, *options: object) -> subprocess.CompletedProcess[str]:
    command = [str(PROGRAM), "demo", "--dir", str(directory), "--payments", "150", *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def played() -> Iterator[Path]:
    with own_directory() as folder:
        directory = folder / "one"
        finished = demo(directory)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        assert "the books balance" in finished.stdout
        assert str(directory / "outbox") in finished.stdout
        yield directory


def summary(directory: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((directory / "summary.json").read_text("utf-8"))
    return told


def bank_files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((directory / "outbox").rglob("*.xml"))}


def test_same_seed_same_file_bytes_and_summary(played: Path) -> None:
    first, bank = summary(played), bank_files(played)
    with own_directory() as folder:
        finished = demo(folder / "two")
        assert finished.returncode == 0, finished.stdout + finished.stderr
        second = summary(folder / "two")
        assert bank_files(folder / "two") == bank
    assert len(bank) == 2  # the night's, and the payout that the bank had refused
    for told in (first, second):
        del told["seconds"], told["proof"]
        for file in told["bank_files"]:
            del file["path"]
    assert first == second


def test_the_summary_adds_up(played: Path) -> None:
    told = summary(played)
    assert told["problems"] == []
    assert told["proof"]["holds"]
    assert told["won_sold"] > told["won_returned"] >= 0
    assert sum(share["granted"] for share in told["cashback"]) == told["cashback_told"]
    paid = sum(line["won"] for line in told["payouts"])
    assert paid == sum(file["won"] for file in told["bank_files"])
    # What shops are paid is what was sold and given, less what came back and the fees; what a shop owes for
    # more returns than sales is carried.
    owed = told["won_sold"] + told["won_given"] - told["won_returned"] - told["fees"]
    assert owed <= paid <= owed + told["won_returned"]


def test_the_bank_refuses_one_payout_and_nothing_is_open_at_the_end(played: Path) -> None:
    told = summary(played)
    banked, paid = told["banked"], sum(line["won"] for line in told["payouts"])
    refused = banked["rejected"]
    assert banked["made_by"] != banked["approved_by"]
    assert (refused["payouts"], refused["code"]) == (1, "AC04")
    assert banked["accepted"] == banked["booked"] - 1 > 0
    assert banked["accepted_won"] + refused["won"] == banked["booked_won"] == paid
    assert banked["bank_won"] == banked["ledger_won"]
    assert banked["open_items"] == 0
    answers = sorted(path.name.split("_", 2)[2] for path in (played / "bank" / "out").iterdir())
    assert answers == ["camt.053.xml"] * 3 + ["pain.002.xml"] * 2  # a statement for each of three bank days


def test_the_shop_that_was_paid_again_has_its_statement(played: Path) -> None:
    banked = summary(played)["banked"]
    page = "\n".join(banked["statement"])
    assert f"{banked['rejected']['won']:,}" in page
    assert banked["rejected"]["merchant"] in page
    assert (played / banked["statement_file"]).read_bytes().startswith(b"%PDF-")


def test_budgets_and_cashback_are_the_same_won_by_funder(played: Path) -> None:
    told = summary(played)
    month, pot = told["business_date"][:7], "for good"
    for share in told["cashback"]:
        lines = [row for row in told["budgets"] if row["funder"] == share["funder"]]
        from_budgets = sum(
            row["granted"] - row["returned"]
            for row in lines
            if (row["month"] == month and row["code"] != "issuance")
            or (row["month"] == pot and row["code"] == "campaign:sale_dining")
        )
        assert from_budgets == share["granted"] - share["taken_back"] > 0
    for row in told["budgets"]:
        assert row["amount"] == row["granted"] - row["returned"] + row["left"], row
    (issued,) = [row for row in told["budgets"] if (row["code"], row["month"]) == ("issuance", month)]
    assert issued["granted"] - issued["returned"] == told["won_topped_up"]


def test_the_markets_budget_ends_and_is_never_exceeded(played: Path) -> None:
    told = summary(played)
    (market,) = [row for row in told["budgets"] if (row["code"], row["month"]) == ("market", "2026-11")]
    assert market["granted"] - market["returned"] == market["amount"]
    assert market["left"] == 0
    assert told["shortage"]["payments"] > 0
    assert told["shortage"]["won"] > 0


def test_coupons_end_with_the_month_and_go_back_to_the_city(played: Path) -> None:
    told = summary(played)
    campaigns = {row["code"]: row for row in told["campaigns"]}
    for row in campaigns.values():
        if row["kind"] != "cashback":
            assert row["issued_won"] == row["spent"] + row["unspent"] + row["expired"], row
    assert campaigns["sale_coupon"]["spent"] > 0
    assert campaigns["sale_coupon"]["unspent"] == 0
    assert campaigns["sale_grant"]["expired"] == 0


def test_the_donation_case_took_what_it_needed(played: Path) -> None:
    told = summary(played)
    (case,) = told["cases"]
    assert case["given"] == case["points"] + case["charged"] == told["won_given"]
    assert 0 < case["given"] <= case["target"]


def test_after_midnight_the_next_months_rules_and_budgets_hold(played: Path) -> None:
    told = summary(played)
    number, won, cashback = told["midnight"]["after"]
    assert number > 0
    assert 0 < cashback <= won * 5 // 100
    december = [row for row in told["budgets"] if (row["code"], row["month"]) == ("cashback", "2026-12")]
    assert sum(row["granted"] - row["returned"] for row in december) == cashback


def test_one_payment_is_explained_in_both_languages(played: Path) -> None:
    explained = summary(played)["explained"]
    assert explained["ko"][0].endswith("승인되었습니다.")
    assert explained["en"][0].endswith("approved.")
    assert "won" in explained["en"][0]


def test_no_card_number_and_no_pin_is_left_behind(played: Path) -> None:
    from terminal_sim.town_plan import make_plan

    pans = [member.pan.encode() for member in make_plan(1, 150).members]
    left = [path for path in played.rglob("*") if path.is_file()]
    assert left
    for path in left:
        data = path.read_bytes()
        assert not [pan for pan in pans if pan in data], path


def test_nothing_is_left_running(played: Path) -> None:
    running = [
        path.read_bytes()
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if path.exists() and str(played).encode() in path.read_bytes()
    ]
    assert running == []


def test_somebody_elses_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear", "utf-8")
    refused = demo(tmp_path)
    assert refused.returncode == 2
    assert "--dir" in refused.stderr
    assert (tmp_path / "letter.txt").read_text("utf-8") == "dear"
