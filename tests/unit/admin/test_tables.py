"""Tables on stdout: columns stand below each other in any script."""

import pytest

from switch.cli.output import show_table


def test_hangul_takes_two_columns(capsys: pytest.CaptureFixture[str]) -> None:
    show_table("Cases", ("title", "won"), [("수술비", 1_000), ("winter", 5)])
    assert capsys.readouterr().out == "Cases:\n  title     won\n  수술비  1,000\n  winter      5\n"
