"""Programmes whose nights are played without payments."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from sqlalchemy import Engine

from settlement.settings import Settings
from tests.integration.settlement.merchants.nights import NOW, Nights

D = date(2026, 11, 16)
DAYS = 12


@pytest.fixture
def make(owner: Engine, engine: Engine, settings_at: Callable[..., Settings]) -> Callable[..., Nights]:
    """Makes programmes in the test's database, with room for the trade of twelve dates."""
    numbers = iter(range(1, 1_000))

    def made(**policy: object) -> Nights:
        nights = Nights(owner, engine, settings_at(NOW), next(numbers), **policy)
        for days in range(DAYS):
            nights.ensure(D + timedelta(days=days))
        return nights

    return made
