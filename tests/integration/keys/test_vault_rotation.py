"""The vault's keys change while a switch takes payments: no card is unknown at any instant."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from switch.cli import run
from switch.service import vault_rotation
from switch.service.import_members import import_cards
from switch.service.vault import Vault, VaultError
from switch.store.engine import open_engine
from switch.store.keystore_cards import take_old_index
from terminal_sim.terminal import Terminal
from tests.integration.switch.house import House
from tests.support.killing import own_directory
from tests.support.stage import hsm, pan, start_switch
from tests.support.wire_client import Line

PEOPLE = 60


class Shoppers:
    """Terminals that pay without a pause, each card in turn, until they are told to stop."""

    def __init__(self, house: House, port: int, count: int) -> None:
        self._house = house
        self._stop = threading.Event()
        self.codes: list[str] = []
        self.faults: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._pay, args=(port, house.till(), number, count))
            for number in range(count)
        ]

    def __enter__(self) -> "Shoppers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _pay(self, port: int, terminal: Terminal, first: int, step: int) -> None:
        try:
            with Line(port) as line:
                self._house.ready(line, terminal)
                card = first
                while not self._stop.is_set():
                    payload = terminal.purchase(self._house.now, pan(card % PEOPLE), 10)
                    self.codes.append(line.exchange(terminal, payload).code)
                    card += step
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            self.faults.append(error)

    def round(self) -> None:
        """Wait until every card has been used once more."""
        wanted = len(self.codes) + PEOPLE
        while len(self.codes) < wanted:
            if self.faults:
                raise self.faults[0]
            self._stop.wait(0.01)


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with own_directory() as directory, hsm(directory) as security:
        house = House(directory, security.port, people=PEOPLE, shops=12)
        try:
            yield house
        finally:
            house.close()


def sealed(house: House) -> dict[int, int]:
    with house.stage.engine.connect() as connection:
        return dict(connection.execute(text("SELECT key_version, count(*) FROM card GROUP BY 1")).all())


def keys_of(path: Path) -> list[str]:
    return [line[:7] for line in path.read_text().splitlines() if line[:5] in ("index", "seal ")]


def test_keys_rotate_under_payments_and_none_is_declined(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(vault_rotation, "_SCAN", 10)
    config = str(house.stage.directory / "switch.toml")
    file = house.stage.vault_file
    old_file = house.stage.directory / "old.keys"
    old_file.write_bytes(file.read_bytes())
    old_file.chmod(0o600)
    idle = start_switch(house.configure("idle"))  # it has met no card when all is over
    try:
        with Shoppers(house, house.switch.port, 3) as shoppers:
            shoppers.round()
            assert run(["--config", config, "vault", "add-key"]) == 0
            assert run(["--config", config, "vault", "add-key"]) == 78  # one rotation at a time
            shoppers.round()
            broken_off(house)
            half = sealed(house)
            assert set(half) == {1, 2}
            shoppers.round()
            added = house.special_card(901)  # imported while cards of both versions stand
            assert run(["--config", config, "vault", "rotate"]) == 0
            assert sealed(house) == {2: PEOPLE + 1}
            assert house.count("card_index") == 2 * (PEOPLE + 1)
            shoppers.round()
            assert run(["--config", config, "vault", "retire"]) == 0
            assert house.count("card_index") == PEOPLE + 1
            shoppers.round()
            with house.line() as line:
                till = house.till(line)
                assert line.exchange(till, till.inquiry(house.now, added)).code == "00"
        assert not shoppers.faults
        assert set(shoppers.codes) == {"00"}
        with Shoppers(house, idle.port, 2) as late:  # the old keys are gone before it looks for any card
            late.round()
        assert set(late.codes) == {"00"}
        assert not late.faults
    finally:
        idle.stop()
    assert sorted(keys_of(file)) == ["index 2", "seal 2 "]
    assert file.stat().st_mode & 0o777 == 0o600
    assert run(["--config", config, "vault", "retire"]) == 0  # again: nothing is left to do
    with pytest.raises(VaultError, match="version 2"):
        import_cards(house.stage.engine, house.stage.directory / "special.csv", Vault.load(old_file))
    assert house.restart() == 0
    with house.line() as line:
        till = house.till(line)
        assert line.exchange(till, till.purchase(house.now, pan(7), 10)).code == "00"
    capsys.readouterr()
    assert run(["--config", config, "key", "audit", "--subject", "vault", "--json"]) == 0
    assert "vault_retire" in capsys.readouterr().out


def broken_off(house: House) -> None:
    """A rotation that ends in the middle."""

    def stop(_what: str, done: int, _total: int) -> None:
        if done >= PEOPLE // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vault_rotation.rotate(house.stage.engine, house.stage.vault_file, house.now, "tester", progress=stop)


def test_only_the_owner_of_the_tables_takes_index_rows(house: House) -> None:
    app = open_engine(house.stage.url)
    try:
        with pytest.raises(Exception, match="permission denied"), app.begin() as connection:
            take_old_index(connection, 10)
    finally:
        app.dispose()
