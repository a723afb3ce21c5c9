"""TERMINALS.md says what the specification says."""

import re
from pathlib import Path

import pytest

from switch.wire.layout import BINARY, FORM
from switch.wire.presence import ENTRY_MAY, ENTRY_MUST, MESSAGES
from switch.wire.private import TAGS_OF
from switch.wire.spec import ENTRY_MODES, FIELDS, NETWORK_FUNCTIONS

PAPER = (Path(__file__).resolve().parents[3] / "TERMINALS.md").read_text(encoding="utf-8")


def rows(first: str, columns: int) -> list[list[str]]:
    """The cells of every row of a table with so many columns whose first cell looks like this."""
    lines = [line for line in PAPER.splitlines() if re.match(rf"\| (?:{first}) \|", line)]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if len(row) == columns]


def numbers(cell: str) -> set[int]:
    return {int(number) for number in cell.split() if number != "–"}


def test_messages() -> None:
    told = {(mti, code or None): tuple(rest) for mti, code, _, *rest in rows("[0-9]{4}", 6)}
    wanted = {(mti, code): one for mti, kinds in MESSAGES.items() for code, one in kinds.items()}
    assert told.keys() == {key for key in wanted if key[0][3] == "0"}
    for key, carries in wanted.items():
        must, may, entry = told[key[0][:3] + "0", key[1]]
        assert numbers(must) == carries.must, key
        assert numbers(may) == carries.may, key
        assert entry == carries.entry, key


def test_fields() -> None:
    told = {int(number): (name, form) for number, name, form in rows("[0-9]{1,3}", 3)}
    assert told.keys() == FIELDS.keys()
    for number, field in FIELDS.items():
        length = field.length // (2 if FORM[number] == BINARY else 1)
        form = f"{FORM[number]} {'..' if field.length_digits else ''}{length}"
        assert told[number] == (field.name, form)


def test_entry_modes() -> None:
    names = {"keyed": "keyed", "stripe": "stripe", "QR": "qr", "chip": "chip", "contactless": "contactless"}
    told = {}
    for modes, card, must, may in rows("[0-9]{2}(?:, [0-9]{2})?", 4):
        for mode in modes.split(", "):
            entry = names.get(card, "ecommerce")
            assert ENTRY_MODES[mode] == entry
            assert numbers(must) == ENTRY_MUST[entry]
            assert numbers(must) | numbers(may) == ENTRY_MAY[entry]
            told[mode] = entry
    assert told == ENTRY_MODES


def test_tags_of_requests() -> None:
    told = {tag: where for tag, where, _ in rows("[A-Z]{2}(?:, [A-Z]{2})?", 3)}
    everywhere = {family + "0" for family in TAGS_OF}
    for family, tags in TAGS_OF.items():
        for tag in tags:
            where = {"all": everywhere, "all but 0800": everywhere - {"0800"}}.get(
                told[tag], set(told[tag].split())
            )
            assert family + "0" in where, tag
    assert told.keys() >= set().union(*TAGS_OF.values())


@pytest.mark.parametrize("code", sorted(NETWORK_FUNCTIONS))
def test_network_functions(code: str) -> None:
    assert f"{code} {NETWORK_FUNCTIONS[code].replace('_', ' ').replace('sign ', 'sign-')}" in PAPER
