"""One database for a module: its payments are made once and looked at from many sides."""

from tests.support.postgres import database

__all__ = ["database"]
