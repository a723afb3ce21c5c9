"""An estate at a real Mosquitto, with the configuration, the ACL and the certificates of production."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.brokers import MOSQUITTO, Mosquitto
from tests.support.estate import Estate
from tests.support.postgres import Database, database

__all__ = ["database"]


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    """A Mosquitto that is running; DURE_MOSQUITTO=required fails where there is none instead of skipping."""
    if shutil.which(MOSQUITTO) is None and os.environ.get("DURE_MOSQUITTO") != "required":
        pytest.skip("no mosquitto on this machine")
    broker = Mosquitto(tmp_path / "mosquitto")
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()


@pytest.fixture
async def estate(database: Database, broker: Mosquitto, tmp_path: Path) -> AsyncIterator[Estate]:
    """Payments and soundboxes at that Mosquitto."""
    estate = Estate(database, broker, tmp_path)
    await estate.authorizer.start()
    try:
        yield estate
    finally:
        await estate.authorizer.stop()
