"""The simulated clock, from the side of whoever moves it: a text file with one ISO 8601 instant.

The switch and settlement read it (`clock.mode = "simulated"`); `dure-switch clock set` writes it just so.
"""

import os
from datetime import datetime
from pathlib import Path

from terminal_sim.terminal import KOREA


def set_clock(file: Path, instant: datetime) -> None:
    """Replaces the instant in one step: a reader sees the old one or the new one, never half of either.

    Raises ValueError when `instant` has no offset from UTC.
    """
    if instant.tzinfo is None:
        raise ValueError("a clock is set to an instant with its offset, such as 2026-11-18T09:00:00+09:00")
    draft = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    draft.write_text(instant.astimezone(KOREA).isoformat() + "\n", encoding="ascii")
    draft.replace(file)
