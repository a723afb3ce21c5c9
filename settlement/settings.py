"""What an operator sets for the settlement: one TOML file, checked as a whole before anything is done.

Relative paths (the embedded database, the outbox, the clock's file) count from the folder of the settings
file itself, so that a command gives the same result wherever it is started. Passwords never stand in it:
PostgreSQL's own password file (PGPASSFILE) or service file does that.
"""

import re
import tomllib
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from settlement.errors import ConfigurationError
from switch.domain.calendar import SEOUL
from switch.store.engine import EMBEDDED

CLOCK_BYTES_MAX = 64

_Label = Annotated[str, StringConstraints(min_length=1, max_length=140, strip_whitespace=True)]
_Number = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z-]{1,34}$")]


class _Part(BaseSettings):
    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)  # the file alone: a stray variable must not move money to another account


class Database(_Part):
    """`url`: embedded:DIR, or postgresql://host/database."""

    url: str

    @field_validator("url")
    @classmethod
    def _known(cls, url: str) -> str:
        if url.startswith(EMBEDDED):
            return url
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise ValueError("must be embedded:DIR or postgresql://host/database") from error
        if parsed.get_backend_name() != "postgresql":
            raise ValueError("must be embedded:DIR or postgresql://host/database")
        if parsed.password is not None:
            raise ValueError("must hold no password: put it in PostgreSQL's password file (PGPASSFILE)")
        return url


class Clock(_Part):
    """`mode` "system", or "simulated" with `file` holding one ISO 8601 instant with its offset."""

    mode: Literal["system", "simulated"] = "system"
    file: Path | None = None

    @model_validator(mode="after")
    def _file_fits(self) -> "Clock":
        if (self.mode == "simulated") != (self.file is not None):
            raise ValueError('mode = "simulated" needs file = "…"; mode = "system" takes none')
        return self

    def now(self) -> datetime:
        """The present instant, aware. A simulated clock is read anew each time.

        Raises ConfigurationError when the clock's file does not hold an instant.
        """
        if self.file is None:
            return datetime.now(SEOUL)
        try:
            with self.file.open(encoding="ascii") as file:
                instant = datetime.fromisoformat(file.read(CLOCK_BYTES_MAX).strip())
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"clock.file {self.file}: write one instant such as 2026-11-21T00:30:00+09:00 into it ({error})"
            ) from error
        if instant.tzinfo is None:
            raise ConfigurationError(f"clock.file {self.file}: the instant has no offset; add +09:00")
        return instant.astimezone(SEOUL)


class Files(_Part):
    """`outbox`: the folder where files for the bank appear, finished ones with a .done beside them."""

    outbox: Path


class Originator(_Part):
    """Who orders the payouts of a programme, and the account they leave."""

    name: _Label
    account: _Number
    bank: Annotated[str, StringConstraints(pattern=r"^[0-9A-Z]{3,35}$")]


class Calendar(_Part):
    """Bank days that the calendar package does not know. `extra_open` cannot open a week-end."""

    extra_closed: tuple[date, ...] = ()
    extra_open: tuple[date, ...] = ()

    @model_validator(mode="after")
    def _sensible(self) -> "Calendar":
        both = set(self.extra_closed) & set(self.extra_open)
        if both:
            raise ValueError(f"{min(both)} is both in extra_closed and in extra_open: keep one")
        weekend = [day for day in self.extra_open if day.weekday() >= 5]
        if weekend:
            raise ValueError(f"extra_open has {weekend[0]}, a week-end: banks stay closed; remove it")
        return self


class Settings(_Part):
    """All of it. `originator` is keyed by programme id."""

    database: Database
    files: Files
    originator: dict[str, Originator] = Field(min_length=1)
    clock: Clock = Clock()
    calendar: Calendar = Calendar()


def load(path: Path) -> Settings:
    """Read and check a settings file. Raises ConfigurationError: one line per fault, with its key."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"{path}: there is no such file; copy config/settlement.toml and name it with --config"
        ) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
    try:
        return Settings(**_anchored(data, path.resolve().parent))
    except ValidationError as error:
        lines = "; ".join(_line(fault["loc"], fault["msg"], fault["type"]) for fault in error.errors())
        raise ConfigurationError(f"{path}: {lines}") from error


def _line(where: tuple[int | str, ...], message: str, kind: str) -> str:
    key = ".".join(str(part) for part in where)
    if kind == "extra_forbidden":
        return f"{key}: there is no such key; remove it or mend its spelling"
    return f"{key}: {re.sub('^Value error, ', '', message)}"


def _anchored(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make relative paths absolute, counted from the settings file's folder."""

    def anchor(table: str, key: str) -> None:
        part = data.get(table)
        if isinstance(part, dict) and isinstance(part.get(key), str):
            part[key] = str(folder / Path(part[key]).expanduser())

    anchor("files", "outbox")
    anchor("clock", "file")
    database = data.get("database")
    if isinstance(database, dict) and str(database.get("url", "")).startswith(EMBEDDED):
        directory = Path(database["url"].removeprefix(EMBEDDED)).expanduser()
        database["url"] = f"{EMBEDDED}{folder / directory}"
    return data
