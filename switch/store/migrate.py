"""Brings a database to the schema of this program, one revision after another."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, insert, select

from switch.store.schema import control


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    return config


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Run the missing migrations as the owner of the schema. Safe to run again."""
    config = _config()
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()


def mark(engine: Engine, *, simulation: bool) -> None:
    """Say once, for good, whether this database is a simulation."""
    with engine.begin() as connection:
        if connection.execute(select(control.c.id)).first() is None:
            connection.execute(insert(control).values(id=1, reference_epoch=1, simulation=simulation))


def missing_revisions(engine: Engine) -> list[str]:
    """The revisions this program has and the database has not, oldest first."""
    script = ScriptDirectory.from_config(_config())
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    return [revision.revision for revision in script.iterate_revisions("head", current or "base")][::-1]
