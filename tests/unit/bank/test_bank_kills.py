"""The bank is ended at each of its writes in turn, and comes to the same answers and the same money."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from terminal_sim.bank import Bank
from terminal_sim.bank_script import Script
from terminal_sim.bank_store import Store
from tests.unit.bank.orders import FRIDAY, HOUSE, MONDAY, TUESDAY, order, put, script

RULES = (
    '---\n[[payee]]\naccount = "222-2"\ndoes = "reject"\ncode = "AC04"\n'
    '[[payee]]\naccount = "333-3"\ndoes = "return"\ncode = "AC06"\n'
    f'[[credit]]\naccount = "{HOUSE}"\non = 2026-11-23\nwon = 900\nremittance = "TOPUP-20261120"\n'
    '[[file]]\nnumber = 2\nanswer = "twice"\n'
)
ORDERS = {
    "one.xml": order("M-1", MONDAY, [("A-1", 300, "111-1"), ("A-2", 200, "222-2"), ("A-3", 100, "333-3")]),
    "two.xml": order("M-2", TUESDAY, [("A-4", 999_999, "111-1"), ("A-5", 7, "444-4")], as_one=False),
}


class Killed(BaseException):
    """No handler of the bank's sees it."""


class Fuse:
    """Ends the bank before the `limit`th write, and afterwards lets it live."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.seen = 0

    def count(self) -> None:
        self.seen += 1
        if self.seen == self.limit:
            raise Killed


@pytest.fixture
def fuse(monkeypatch: pytest.MonkeyPatch) -> Fuse:
    """Counts statements, commits and renames."""
    found = Fuse(0)
    do, do_all, change, replace = Store.do, Store.do_all, Store.change, os.replace

    def counted_do(store: Store, statement: str, *values: object) -> None:
        found.count()
        do(store, statement, *values)

    def counted_all(store: Store, statement: str, rows: list[tuple[object, ...]]) -> None:
        found.count()
        do_all(store, statement, rows)

    @contextmanager
    def counted_change(store: Store) -> Iterator[None]:
        with change(store):
            yield
            found.count()  # before the commit
        found.count()  # after it

    def counted_replace(source: Path, target: Path) -> None:
        found.count()
        replace(source, target)
        found.count()

    monkeypatch.setattr(Store, "do", counted_do)
    monkeypatch.setattr(Store, "do_all", counted_all)
    monkeypatch.setattr(Store, "change", counted_change)
    monkeypatch.setattr(os, "replace", counted_replace)
    return found


def play(folder: Path, rules: Script) -> None:
    with Bank(folder, rules) as bank:
        if bank.closed_through < FRIDAY:
            bank.morning(FRIDAY)
        bank.evening(TUESDAY)


def result(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for place in ("in", "out", "taken", "refused")
        for path in (folder / place).iterdir()
    }


def test_killed_at_each_write_the_answers_are_the_same(tmp_path: Path, fuse: Fuse) -> None:
    def fresh(name: str) -> tuple[Path, Script]:
        rules = script(tmp_path / name, RULES)
        for file, data in ORDERS.items():
            put(tmp_path / name, file, data)
        return tmp_path / name, rules

    folder, rules = fresh("whole")
    play(folder, rules)
    whole, writes = result(folder), fuse.seen
    assert writes > 60
    assert sum(name.startswith("out/") for name in whole) == 10
    for point in range(1, writes + 1):
        folder, rules = fresh(f"{point}")
        fuse.seen, fuse.limit = 0, point
        with pytest.raises(Killed):
            play(folder, rules)
        play(folder, rules)
        assert result(folder) == whole, f"ended before write {point}"
