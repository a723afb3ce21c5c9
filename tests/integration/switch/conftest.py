"""One installation for all tests of the switch: each takes cards and terminals of its own."""

from collections.abc import Iterator

import pytest

from tests.integration.switch.house import House
from tests.support.killing import own_directory
from tests.support.stage import hsm


@pytest.fixture(scope="session")
def house() -> Iterator[House]:
    """Database, HSM and switch, as processes."""
    with own_directory() as directory, hsm(directory) as security:
        house = House(directory, security.port)
        try:
            yield house
        finally:
            house.close()
