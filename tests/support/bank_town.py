"""A city, its settlement and its bank: the day of tests.support.bank_day, through the programs' commands."""

import asyncio
import json
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import text

from switch.domain.calendar import SEOUL
from switch.service.vault import new_key_file
from switch.store.engine import APP_ROLE
from terminal_sim.bank import Bank
from terminal_sim.bank_script import load
from terminal_sim.processes import Finished
from terminal_sim.sandbox_commands import Commands
from tests.support.bank_day import (
    BANK,
    CITY,
    DAY,
    NATIONAL,
    OPERATOR,
    SAFEGUARDED,
    City,
    settlement_toml,
    switch_toml,
)
from tests.support.postgres import Database

MAKER, APPROVER = "haeun", "minjun"
PREPAID: Final = 10_000_000_000
PASSWORD_FILE: Final = "DURE_OPERATOR_PASSWORD_FILE"


class Programs:
    """Dure's commands, one after the other, each a process of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.Runner()
        self._commands = Commands(slots=1)

    def run(self, name: str, arguments: list[str], environment: dict[str, str]) -> Finished:
        """One command to its end."""
        return self._loop.run(self._commands.run(name, *arguments, environment=environment))

    def close(self) -> None:
        """End the interpreters."""
        self._loop.run(self._commands.close())
        self._loop.close()


class Town:
    """Everything of one day. `bank_folder` is where the bank's in/ and out/ are."""

    def __init__(
        self,
        programs: Programs,
        database: Database,
        folder: Path,
        merchants: int,
        *,
        bank_folder: Path,
        delivery: str,
        seed: int = 1,
    ) -> None:
        self._programs = programs
        self.database = database
        self.folder = folder
        self.bank_folder = bank_folder
        self.city = City(database.engine(owner=True), merchants, seed)
        address = database.app_url.set(drivername="postgresql", username=APP_ROLE).render_as_string()
        (folder / "settlement.toml").write_text(settlement_toml(address, folder, delivery), "utf-8")
        (folder / "switch.toml").write_text(switch_toml(address, folder), "utf-8")
        new_key_file(folder / "vault.keys")
        (folder / "password").write_text("rain on the market roof\n", "utf-8")
        self.at(DAY, 9)
        everything = ("maker", "approver", "deliverer", "reconciler", "admin")
        self.settlement("operator", "add", MAKER, *_each("--role", everything), *self._password())
        as_maker = ("--operator", MAKER)
        self.settlement("operator", "add", APPROVER, "--role", "approver", *self._password(), *as_maker)

    def _password(self) -> tuple[str, str]:
        return "--password-file", str(self.folder / "password")

    def at(self, day: date, hour: int) -> None:
        """Set the clock."""
        (self.folder / "clock").write_text(
            datetime(day.year, day.month, day.day, hour, tzinfo=SEOUL).isoformat()
        )

    def settlement(self, *arguments: str, code: int = 0) -> Finished:
        """`dure-settlement …` as a process of its own; its exit code must be `code`."""
        return self._run(
            "dure-settlement", [*arguments, "--config", str(self.folder / "settlement.toml")], code
        )

    def by(self, operator: str, *arguments: str, code: int = 0) -> Finished:
        """A verb of settlement's, by one of the operators."""
        return self.settlement(*arguments, "--operator", operator, code=code)

    def told(self, operator: str, *arguments: str, code: int = 0) -> Any:
        """The same, with what it prints as JSON."""
        return json.loads(self.by(operator, *arguments, "--json", code=code).output)

    def proof(self) -> None:
        """Let the books be proved."""
        self._run("dure-switch", ["--config", str(self.folder / "switch.toml"), "proof"], 0)

    def _run(self, name: str, arguments: list[str], code: int) -> Finished:
        environment = {PASSWORD_FILE: str(self.folder / "password")}
        finished = self._programs.run(name, arguments, environment)
        told = f"{finished.command}: exit code {finished.code}\n{finished.output}{finished.complaint}"
        assert finished.code == code, told
        return finished

    # The bank

    def script(self, rules: str = "", head: str = "") -> None:
        """How the bank behaves: `head` are keys of its own, `rules` what goes wrong."""
        accounts = "".join(
            f'[[account]]\nnumber = "{number}"\nname = "{name}"\n'
            for number, name in (
                *((SAFEGUARDED, "safeguarded"), (OPERATOR, "operator")),
                *((NATIONAL, "national"), (CITY, "city")),
            )
        )
        money = "".join(
            f'[[credit]]\naccount = "{account}"\non = {on}\nwon = {won}\nremittance = "{words}"\n'
            for account, on, won, words in (
                (NATIONAL, DAY, PREPAID, "PREPAY-national"),
                (CITY, DAY, PREPAID, "PREPAY-city"),
                (SAFEGUARDED, date(2026, 11, 23), self.city.charged, f"TOPUP-{DAY:%Y%m%d}"),
            )
        )
        (self.bank_folder / "bank.toml").write_text(
            f'code = "{BANK}"\nfirst_day = {DAY}\n{head}\n{accounts}{money}{rules}', "utf-8"
        )

    def bank(self) -> Bank:
        """The bank, as its script now says."""
        return Bank(self.bank_folder, load(self.bank_folder / "bank.toml"))

    # What the database says

    def rows(self, query: str, **values: object) -> Sequence[Any]:
        """All rows of a query."""
        with self.database.engine(owner=True).connect() as connection:
            return connection.execute(text(query), values).all()

    def one(self, query: str, **values: object) -> Any:
        """The first column of the first row."""
        return self.rows(query, **values)[0][0]

    def ledger(self, account: int) -> int:
        """Debits less credits of one account of the ledger, over everything."""
        return int(
            self.one(
                "SELECT coalesce(sum(CASE WHEN debit = :account THEN won ELSE 0 END)"
                " - sum(CASE WHEN credit = :account THEN won ELSE 0 END), 0)"
                " FROM (SELECT debit, credit, won FROM entry UNION ALL"
                " SELECT debit, credit, won FROM house_entry) e",
                account=account,
            )
        )


def _each(option: str, values: Sequence[str]) -> list[str]:
    return [word for value in values for word in (option, value)]
