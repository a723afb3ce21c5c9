"""One database for each module of tests; every test adds members of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.acts.town import Town
from tests.support.postgres import shared_server


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """The programme `town` in a database of the module's own."""
    own = shared_server().migrated()
    yield Town(own, Path(tmp_path_factory.mktemp("town")))
    shared_server().drop(own)
