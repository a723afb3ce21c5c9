"""An estate at the embedded broker."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.brokers import Embedded
from tests.support.estate import Estate
from tests.support.postgres import Database, database

__all__ = ["database"]


@pytest.fixture
async def estate(database: Database, tmp_path: Path) -> AsyncIterator[Estate]:
    """Payments, soundboxes, and a broker that may be stopped."""
    broker = Embedded(tmp_path)
    await broker.start()
    estate = Estate(database, broker, tmp_path)
    await estate.authorizer.start()
    try:
        yield estate
    finally:
        await estate.authorizer.stop()
        await broker.stop()
