"""What holds for every test."""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def _logging_as_at_the_start() -> Iterator[None]:
    """A program that is run within a test sends the logs of all that follows to a stream that is gone."""
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
