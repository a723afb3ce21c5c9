"""A watched ground for each test: real payments through the lanes, rules of the programme's own."""

import pytest

from tests.integration.watch.beat import Beat
from tests.support.postgres import Database, database

__all__ = ["database"]


@pytest.fixture
def beat(database: Database) -> Beat:
    """An installation in a database of its own."""
    return Beat(database)
