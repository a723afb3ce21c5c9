"""The commands: what they print, and their exit codes."""

import json
from pathlib import Path

import pytest
from sqlalchemy import text

from switch.cli import run
from tests.integration.acts.town import Town


@pytest.fixture(scope="module")
def config(town: Town) -> Path:
    """A switch's settings for the town's database, at noon of its day."""
    clock = town.directory / "clock"
    clock.write_text("2026-06-15T12:00:00+09:00\n")
    file = town.directory / "switch.toml"
    url = town.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    file.write_text(
        f'[database]\nurl = "{url}"\n[vault]\nkey_file = "none"\n[[listener]]\nport = 0\n[hsm]\nport = 1\n'
        f'[keys]\npvk = "U{"0" * 32}"\n[clock]\nmode = "simulated"\nfile = "{clock}"\n'
    )
    return file


def test_a_campaign_from_issue_to_status(
    town: Town, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = [town.member() for _ in range(6)]
    file = town.directory / "people.csv"
    file.write_text("\n".join(["member_id", *people]) + "\n")
    own = ("--config", str(config))

    def told(*arguments: str, code: int = 0) -> str:
        assert run([*own, *arguments]) == code
        out = capsys.readouterr()
        return out.out if not code else out.err

    campaign = ("--programme", "town", "coupon")
    issued = told("campaign", "issue", *campaign, "--members", str(file))
    assert "50,000" in issued
    assert f"first left out for want of money: {people[5]}" in issued
    again = json.loads(told("campaign", "issue", *campaign, "--all", "--json"))
    assert (again["issued"], again["had_it"]) == (0, 5)
    assert "--members FILE, --tag TAG or --all" in told("campaign", "issue", *campaign, code=2)
    assert "10,000 won of coupon taken back" in told("campaign", "revoke", *campaign, people[0])
    status = told("campaign", "status", *campaign)
    assert "in wallets" in status
    assert "40,000" in status
    assert "scholarship" in told("campaign", "list", "--programme", "town")
    assert "no campaign" in told("campaign", "status", "--programme", "town", "cupon", code=2)


def test_money_and_budgets(town: Town, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    giver, receiver = town.member([(1, 10_000, 20260612, 20310612)]), town.member()
    own = ("--config", str(config))

    def told(*arguments: str, code: int = 0) -> str:
        assert run([*own, *arguments]) == code
        out = capsys.readouterr()
        return out.out if not code else out.err

    gift = ("money", "gift", "--programme", "town", giver, receiver, "4000", "--reference", "g1")
    assert "4,000 won of charged value" in told(*gift)
    assert "booked already" in told(*gift)
    other = [*gift[:6], "5000", "--reference", "g1"]
    assert "a new gift needs a reference of its own" in told(*other, code=2)
    dry = told("money", "refund", "--programme", "town", giver, "--dry-run")
    assert "would be paid to the member: 0 won" in dry
    assert "4,000 won of it must still be spent (80 % of 10,000)" in dry
    assert "nothing can be paid back" in told("money", "refund", "--programme", "town", giver, code=2)
    town.spend(giver, 1, 4_000)
    assert "pay the member 2,000 won" in told("money", "refund", "--programme", "town", giver)
    budget = ("--programme", "town", "school")
    change = ("budget", "adjust", *budget, "-1000", "--month", "2026-06", "--reference", "b1")
    assert "changed by -1,000 won" in told(*change)
    assert "changed before" in told(*change)
    assert "999,000" in told("budget", "show", *budget, "--month", "2026-06")
    assert "issuance" in told("budget", "list", "--programme", "town")
    assert "is no month" in told("budget", "show", *budget, "--month", "June", code=2)
    with town.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM budget_change")).scalar_one() == 1
