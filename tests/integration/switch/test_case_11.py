"""A reversal that comes after the merchant was paid: the merchant's balance goes negative and is carried."""

import json
import subprocess
from datetime import date

from sqlalchemy import text

from tests.integration.switch.house import WON, House
from tests.support.killing import own_directory
from tests.support.stage import BIN, hsm


def settle(house: House, day: date) -> dict[str, object]:
    """Run the night of a business date; returns what it tells of the programme."""
    config = house.stage.directory / "settlement.toml"
    config.write_text(
        f"""
[database]
url = "{house.stage.url}"
[files]
outbox = "{house.stage.directory / "bank"}"
[clock]
mode = "simulated"
file = "{house.stage.clock}"
[originator.seoro]
name = "인천광역시 서구"
account = "1005000000017"
bank = "020"
"""
    )
    done = subprocess.run(
        [
            str(BIN / "dure-settlement"),
            "run",
            "--date",
            day.isoformat(),
            "--config",
            str(config),
            "--json",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, object] = json.loads(done.stdout)
    return told


def carried(house: House, day: date) -> tuple[int, int]:
    """(won paid, won carried on) of the only merchant with business on that date."""
    with house.stage.engine.connect() as connection:
        row = connection.execute(
            text("SELECT sum(paid), sum(carried_out) FROM merchant_net WHERE business_date = :d"), {"d": day}
        ).one()
        return int(row[0]), int(row[1])


def test_case_11_a_reversal_after_the_payout_makes_the_merchants_balance_negative_and_carries_it() -> None:
    with own_directory() as directory, hsm(directory) as security:
        house = House(directory, security.port, people=4, shops=2)
        try:
            card = house.card()
            with house.line() as line:
                terminal = house.till(line)
                paid = terminal.purchase(house.now, card, 100_000)
                assert line.exchange(terminal, paid).approved
                house.stage.set_clock("2026-11-19T09:00:00+09:00")
                settle(house, date(2026, 11, 18))
                sent, kept = carried(house, date(2026, 11, 18))
                assert (sent > 99_000, kept) == (True, 0)
                back = line.exchange(terminal, terminal.reversal(house.now, paid))
                assert (back.code, back.business_mmdd) == ("00", "1119")
            house.stage.set_clock("2026-11-20T09:00:00+09:00")
            settle(house, date(2026, 11, 19))
            # The fee is given back with the sale, so exactly what was paid out is owed.
            assert carried(house, date(2026, 11, 19)) == (0, -sent)
            assert house.balance(card) == WON
        finally:
            house.close()
