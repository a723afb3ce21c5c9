"""The list of commands has every command once, on lines that fit."""

import typer
from typer.testing import CliRunner

from settlement.cli import app
from settlement.cli.app import SECTIONS

COLUMNS = 80


def test_every_command_stands_in_one_section() -> None:
    listed = [name for section in SECTIONS.values() for name in section]
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert sorted(listed) == sorted(commands)


def test_the_list_is_in_sections_whose_lines_fit() -> None:
    shown = CliRunner().invoke(app, ["--help"]).stdout
    for heading, commands in SECTIONS.items():
        part = shown.split(f"\n{heading}:\n", 1)[1].split("\n\n", 1)[0].splitlines()
        assert [line.split()[0] for line in part] == list(commands)
        assert all(len(line) <= COLUMNS for line in part)
