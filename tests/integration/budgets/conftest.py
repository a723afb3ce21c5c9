"""A database for each test."""

from tests.support.postgres import database, private_server

__all__ = ["database", "private_server"]
