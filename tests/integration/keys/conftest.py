"""A database of the test's own, a simulated HSM, and switches' key rooms on them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from switch.service.vault import new_key_file
from tests.integration.hsm_harness import client, simulator
from tests.integration.keys.room import Ground
from tests.support.postgres import (
    Database,
    database,  # noqa: F401 - a fixture
)


@pytest.fixture
async def ground(database: Database, tmp_path: Path) -> AsyncIterator[Ground]:  # noqa: F811
    """An estate without terminals, and an HSM."""
    new_key_file(tmp_path / "vault.keys")
    async with simulator() as (_, port), client(port) as hsm:
        estate = Ground(database, hsm, tmp_path / "vault.keys")
        yield estate
        await estate.close()
