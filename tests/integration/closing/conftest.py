"""A small installation for the tests of batch closes."""

from collections.abc import Iterator

import pytest

from tests.integration.switch.house import House
from tests.support.killing import own_directory
from tests.support.stage import hsm


@pytest.fixture(scope="session")
def house() -> Iterator[House]:
    """Database, HSM and switch, as processes; each test takes cards and terminals of its own."""
    with own_directory() as directory, hsm(directory) as security:
        house = House(directory, security.port, people=40, shops=40)
        try:
            yield house
        finally:
            house.close()
