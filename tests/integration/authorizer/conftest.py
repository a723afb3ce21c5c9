"""A ground for each test."""

import pytest

from tests.integration.authorizer.ground import Ground
from tests.support.postgres import Database, database, private_server

__all__ = ["database", "private_server"]


@pytest.fixture
def ground(database: Database) -> Ground:
    """An installation in a database of its own."""
    return Ground(database)
