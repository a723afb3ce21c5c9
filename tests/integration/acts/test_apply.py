"""What a programme file may no longer change once it has been promised or paid from."""

import pytest

from switch.service.programmes import ApplyRefusedError, apply_programme
from tests.integration.acts.town import NOON, PROGRAMME, Town

WINDOW = """
[[campaign]]
code = "night"
name = "Night"
kind = "cashback"
starts = 2026-06-01T00:00:00+09:00
ends = 2026-07-01T00:00:00+09:00
rate = "1 %"
shares = { city = "1 %" }

[[policy]]
version = "1\""""


def test_a_window_that_is_open_cannot_be_moved_or_made_another(town: Town) -> None:
    file = town.directory / "night.toml"
    file.write_text(PROGRAMME.replace('[[policy]]\nversion = "1"', WINDOW.lstrip()))
    apply_programme(town.engine, file, NOON)
    begun = file.read_text()
    for old, new in (
        ('rate = "1 %"\nshares = { city = "1 %" }', 'rate = "2 %"\nshares = { city = "2 %" }'),
        ("starts = 2026-06-01T00:00:00+09:00\nends = 2026-07-01T00:00:00+09:00\nrate",
         "starts = 2026-06-20T00:00:00+09:00\nends = 2026-07-01T00:00:00+09:00\nrate"),
    ):  # fmt: skip
        assert old in begun
        file.write_text(begun.replace(old, new))
        with pytest.raises(ApplyRefusedError, match='campaign "night": has begun'):
            apply_programme(town.engine, file, NOON)
