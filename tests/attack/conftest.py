"""One installation for all attacks, and a table of how they went."""

from collections.abc import Iterator

import pytest

from tests.attack.fort import Attack, Fort
from tests.support.killing import own_directory
from tests.support.stage import hsm

_ATTACKS: list[Attack] = []


@pytest.fixture(scope="session")
def fort() -> Iterator[Fort]:
    """Database, HSM and switch, as processes."""
    with own_directory() as directory, hsm(directory) as security:
        fort = Fort(directory, security.port)
        fort.attacks = _ATTACKS
        try:
            yield fort
        finally:
            fort.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was tried, and what it did."""
    if not _ATTACKS:
        return
    write = terminalreporter.write_line
    width = max(len(attack.name) for attack in _ATTACKS)
    write("")
    write(f"{'attack':{width}}  {'inputs':>9}  harmed  wrong  expected")
    for attack in _ATTACKS:
        note = f" ({attack.note})" if attack.note else ""
        write(
            f"{attack.name:{width}}  {attack.inputs:>9,}  {attack.harmed:>6}  {attack.wrong:>5}  "
            f"{attack.expects}{note}"
        )
    total = sum(attack.inputs for attack in _ATTACKS)
    harmed = sum(attack.harmed for attack in _ATTACKS)
    wrong = sum(attack.wrong for attack in _ATTACKS)
    write(f"inputs tried: {total:,} · connections harmed: {harmed} · money moved wrongly: {wrong}")
