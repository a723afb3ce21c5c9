"""A day of 5,000 shops through the bank, with everything that goes wrong between; and small days at random.

The bank is terminal_sim's, written from ISO 20022 alone; the SFTP server is a real one, in its own process.
At the end every won is where the books say, the bank says the same, and nothing is open.
"""

import json
import random
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from switch.ledger.chart import Account
from tests.support.bank_day import CITY as CITY_ACCOUNT
from tests.support.bank_day import DAY, NATIONAL, OPERATOR, SAFEGUARDED
from tests.support.bank_town import APPROVER, MAKER, PREPAID, Programs, Town
from tests.support.postgres import Database, database
from tests.support.sftp import Bank as SftpServer

__all__ = ["database"]

SATURDAY, MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = (DAY + timedelta(days=n) for n in (1, 3, 4, 5, 6, 7))
USER = "dure"
BY_VERB = 5
"""Accounts that are corrected by the command; the others by a list, as merchants' files are taken in."""


@pytest.fixture(scope="module")
def programs() -> Iterator[Programs]:
    found = Programs()
    yield found
    found.close()


@pytest.fixture
def sftp(tmp_path: Path) -> Iterator[SftpServer]:
    server = SftpServer(tmp_path)
    yield server
    server.stop()


def rules(town: Town, rejected: list[int], returned: list[int], answer: str) -> str:
    """What the bank does with these shops' accounts, and how it answers."""
    rejects = "".join(
        f'[[payee]]\naccount = "{town.city.account(shop)}"\ndoes = "reject"\ncode = "AC04"\n'
        for shop in rejected
    )
    returns = "".join(
        f'[[payee]]\naccount = "{town.city.account(shop)}"\ndoes = "return"\ncode = "AC06"\n'
        for shop in returned
    )
    return f'{rejects}{returns}[[file]]\nnumber = 0\nanswer = "{answer}"\n'


def night(town: Town) -> None:
    """The funders' money is there, the night runs, a second person approves."""
    with town.bank() as bank:
        bank.evening(DAY)
    town.at(DAY, 22)
    town.by(MAKER, "reconcile", *map(str, sorted((town.bank_folder / "out").glob("*.xml"))))
    town.at(SATURDAY, 2)
    town.by(MAKER, "run", "--date", DAY.isoformat())
    town.by(MAKER, "approve", "--yes", code=77)  # not by the maker, whatever the roles
    town.by(APPROVER, "approve", "--yes")


def bank_days(town: Town, first: date, last: date) -> None:
    """The bank from one morning to another evening; then its answers and statements are taken in."""
    with town.bank() as bank:
        bank.morning(first)
        bank.evening(last)
    town.at(last, 20)
    town.by(MAKER, "run", "--date", DAY.isoformat())


def correct(town: Town, shops: list[int]) -> None:
    """These shops have new accounts."""
    for shop in shops[:BY_VERB]:
        town.by(
            MAKER, "account", f"SHOP{shop:06d}",
            "--bank", "088", "--account", f"220-{shop:06d}-02", "--holder", f"가게 {shop}",
        )  # fmt: skip
    with town.database.engine(owner=True).begin() as connection:
        connection.exec_driver_sql(
            "UPDATE merchant SET account_no = '220-' || lpad(merchant_no::text, 6, '0') || '-02'"
            " WHERE merchant_no = ANY(%s)",
            (shops[BY_VERB:],),
        )


def again(town: Town, day: date) -> None:
    """A later cycle pays what failed, approved and delivered like the first."""
    town.at(day, 21)
    town.by(MAKER, "run", "--date", DAY.isoformat(), "--again")
    town.by(APPROVER, "approve", "--yes")
    town.by(MAKER, "deliver")


def opened(town: Town) -> list[dict[str, Any]]:
    """What the command `open` lists."""
    found = json.loads(town.settlement("open", "--json").output)
    return [item for programme in found for item in programme["items"]]


def settled(town: Town) -> None:
    """Every won is where the books say, and the bank says the same."""
    town.proof()
    for account in ("PAYOUT_SENT", "PAYOUT_RETURNED", "SUSPENSE", "BANK_CLEARING"):
        assert town.ledger(Account[account]) == 0, account
    nets = {
        row.merchant_no: row.won
        for row in town.rows("SELECT merchant_no, sum(paid)::bigint AS won FROM merchant_net GROUP BY 1")
    }
    with town.bank() as bank:
        for shop, net in nets.items():
            paid = [
                bank.balance(f"088/{account}") for account in (town.city.account(shop), f"220-{shop:06d}-02")
            ]
            assert sum(paid) == net, shop
        assert bank.balance(SAFEGUARDED) == town.ledger(Account.SAFEGUARDED)
        assert bank.balance(OPERATOR) == town.ledger(Account.OPERATOR_BANK)
        funders = bank.balance(NATIONAL) + bank.balance(CITY_ACCOUNT)
        assert funders == town.ledger(Account.FUNDER_BANK)
        assert funders == 2 * PREPAID - town.city.cashback["national"] - town.city.cashback["city"]
        total = sum(bank.balance(one) for one in (SAFEGUARDED, OPERATOR, NATIONAL, CITY_ACCOUNT))
        assert total + sum(nets.values()) == town.city.charged + 2 * PREPAID
    assert opened(town) == []
    states = {row.state for row in town.rows("SELECT DISTINCT state FROM payout")}
    assert states <= {"booked", "rejected", "returned"}
    waiting = town.rows("SELECT step, business_date, cycle FROM settlement_step WHERE state <> 'done'")
    assert not waiting


@pytest.mark.slow
@pytest.mark.timeout(900)  # half a minute's work, which beside others takes as long as they let it
def test_a_day_of_5000_shops_through_the_bank(
    programs: Programs, database: Database, tmp_path: Path, sftp: SftpServer
) -> None:
    delivery = (
        f'channel = "sftp"\nhost = "127.0.0.1"\nport = {sftp.port}\nuser = "{USER}"\nremote_taken = "taken"\n'
        f'key_file = "{sftp.key_file}"\nknown_hosts = "{sftp.known_hosts}"\ntimeout_s = 20\n'
    )
    town = Town(programs, database, tmp_path, 5_000, bank_folder=sftp.root(USER), delivery=delivery)
    rejected = [shop for shop in range(1, 5_001) if shop % 100 in (7, 38, 91)]
    returned = [shop for shop in range(1, 5_001) if shop % 100 == 50]
    town.script(rules(town, rejected, returned, "again"))
    night(town)

    town.at(MONDAY, 9)
    sftp.fault(USER, "write", "die")
    town.by(MAKER, "deliver", code=75)
    sftp.start()
    sftp.fault(USER, "renamed", "die")
    town.by(MAKER, "deliver", code=75)
    sftp.start()
    town.by(MAKER, "deliver")
    assert {row.state for row in town.rows("SELECT state FROM bank_file")} == {"delivered"}

    bank_days(town, MONDAY, MONDAY)
    assert town.one("SELECT count(*) FROM payout WHERE state = 'rejected'") == len(rejected) == 150
    bank_days(town, TUESDAY, WEDNESDAY)
    assert town.one("SELECT count(*) FROM payout WHERE state = 'returned'") == len(returned) == 50
    assert sum(item["payments"] for item in opened(town)) == 200

    correct(town, [*rejected, *returned])
    again(town, WEDNESDAY)
    bank_days(town, THURSDAY, FRIDAY)
    settled(town)
    assert town.one("SELECT count(*) FROM payout WHERE attempt = 2 AND state = 'booked'") == 200


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", [1, 2])
def test_small_days_with_random_scripts(
    programs: Programs, database: Database, tmp_path: Path, seed: int
) -> None:
    draw = random.Random(seed)
    bank = tmp_path / "bank"
    for name in ("in", "out", "taken"):
        (bank / name).mkdir(parents=True)
    delivery = f'channel = "folder"\nfolder = "{bank}"\nremote_taken = "taken"\n'
    town = Town(programs, database, tmp_path, 50, bank_folder=bank, delivery=delivery, seed=seed)
    shops = draw.sample(range(1, 51), 12)
    rejected, returned = shops[:8], shops[8:]
    town.script(
        rules(town, rejected, returned, draw.choice(("at_once", "twice", "again", "late"))), _head(draw)
    )
    night(town)
    town.at(MONDAY, 9)
    town.by(MAKER, "deliver")
    bank_days(town, MONDAY, THURSDAY)
    correct(town, shops)
    again(town, THURSDAY)
    bank_days(town, FRIDAY, FRIDAY + timedelta(days=5))
    settled(town)


def _head(draw: random.Random) -> str:
    choices: dict[str, tuple[Any, ...]] = {
        "booking": ("as_ordered", "batch", "single"),
        "batch_details": ("true", "false"),
        "report": ("all", "refused"),
    }
    picked = {key: draw.choice(values) for key, values in choices.items()}
    return "\n".join(
        f"{key} = {value}" if key == "batch_details" else f'{key} = "{value}"'
        for key, value in picked.items()
    )
