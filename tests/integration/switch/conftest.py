"""One installation for all tests of the switch: each takes cards and terminals of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.switch.house import House
from tests.support.stage import hsm


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Database, HSM and switch, as processes."""
    directory: Path = tmp_path_factory.mktemp("switch")
    with hsm(directory) as security:
        house = House(directory, security.port)
        try:
            yield house
        finally:
            house.close()
