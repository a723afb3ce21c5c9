"""What an operator sets for the settlement: one TOML file, checked as a whole before anything is done.

Relative paths (the embedded database, the outbox, the clock's file) count from the folder of the settings
file itself, so that a command gives the same result wherever it is started. The environment changes
nothing: a stray variable must not move money to another account. Passwords stand in files of their own.
"""

import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from settlement.errors import ConfigurationError
from switch.store.engine import EMBEDDED

FILE_BYTES_MAX = 1_000_000
_PATHS = (
    *(("files", "outbox"), ("files", "inbox"), ("files", "archive")),
    *(("clock", "file"), ("database", "password_file")),
    *(("delivery", "folder"), ("delivery", "key_file"), ("delivery", "known_hosts")),
)

_Label = Annotated[str, StringConstraints(min_length=1, max_length=140, strip_whitespace=True)]
_Number = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z-]{1,34}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Database(_Part):
    """`url`: embedded:DIR, or postgresql://user@host/database with its password in `password_file`."""

    url: str
    password_file: str = ""

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
            raise ValueError("must hold no password: put it in a file and name that in password_file")
        return url

    def address(self) -> str:
        """The address to connect to, its password read now. Raises ConfigurationError."""
        if not self.password_file:
            return self.url
        try:
            password = Path(self.password_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"database.password_file {self.password_file}: cannot be read ({type(error).__name__})"
            ) from None
        return make_url(self.url).set(password=password).render_as_string(hide_password=False)


class ClockSetting(_Part):
    """`mode` "system", or "simulated" with `file` holding one ISO 8601 instant with its offset."""

    mode: Literal["system", "simulated"] = "system"
    file: str = ""

    @model_validator(mode="after")
    def _file_fits(self) -> Self:
        if (self.mode == "simulated") != bool(self.file):
            raise ValueError('mode = "simulated" needs file = "…"; mode = "system" takes none')
        return self


class Files(_Part):
    """`outbox`: the folder where files for the bank appear, finished ones with a .done beside them.

    `inbox`: where the bank's answers are put; `archive`: a tree by date where everything that left or came
    stays. Both stand beside the outbox where the file does not say. A file holds at most `transfers_max`
    transfers, in the form that `profile` names: pain.001, kr-bulk-sample, or the path of a layout (*.toml).
    """

    outbox: Path
    inbox: Path = Path()
    archive: Path = Path()
    transfers_max: int = Field(default=50_000, ge=1, le=100_000)
    profile: str = "pain.001"

    @model_validator(mode="before")
    @classmethod
    def _beside(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("outbox"):
            beside = Path(str(data["outbox"])).parent
            return {"inbox": beside / "inbox", "archive": beside / "archive", **data}
        return data

    def archived(self, business_date: date, name: str) -> Path:
        """Where a file for the bank stays: archive/out/2026/11/20/NAME, by the business date of its run."""
        return self.archive / f"out/{business_date:%Y/%m/%d}" / name


class Delivery(_Part):
    """How files reach the bank. SFTP: known hosts and a key, no passwords.

    The three remote folders lie below `folder` (which must be there: a share that is not mounted is no place
    to leave files), or below the folder that the SFTP server gives its user. Nobody but the bank and this
    program writes into them.
    """

    channel: Literal["none", "folder", "sftp"] = "none"
    folder: Path = Path()
    host: str = ""
    port: int = Field(default=22, ge=1, le=65_535)
    user: str = ""
    key_file: str = ""
    known_hosts: str = ""
    remote_outbox: str = "in"  # where the bank takes files from
    remote_inbox: str = "out"  # where the bank leaves its answers
    remote_taken: str = ""  # where the bank moves what it has taken, where it does: then it can be asked
    timeout_s: int = Field(default=60, ge=1, le=3_600)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.channel == "folder" and self.folder == Path():
            raise ValueError('channel = "folder" needs folder = "…"')
        lacking = [key for key in ("host", "user", "key_file", "known_hosts") if not getattr(self, key)]
        if self.channel == "sftp" and lacking:
            raise ValueError(f'channel = "sftp" needs {", ".join(lacking)}')
        return self


class People(_Part):
    """Who an operator is: the `system`'s login, or a name with a `password` (argon2id)."""

    identity: Literal["system", "password"] = "system"


class Retention(_Part):
    """Days (local) that payments and entries stay in the database before they may be archived."""

    days: int = Field(default=400, ge=400, le=36_600)


class Originator(_Part):
    """An account at a bank: its holder's name, its number, the bank's clearing code."""

    name: _Label
    account: _Number
    bank: Annotated[str, StringConstraints(pattern=r"^[0-9A-Z]{3,35}$")]


class Calendar(_Part):
    """Bank days that the calendar package does not know. `extra_open` cannot open a week-end."""

    extra_closed: tuple[date, ...] = ()
    extra_open: tuple[date, ...] = ()

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        both = set(self.extra_closed) & set(self.extra_open)
        if both:
            raise ValueError(f"{min(both)} is both in extra_closed and in extra_open: keep one")
        weekend = [day for day in self.extra_open if day.weekday() >= 5]
        if weekend:
            raise ValueError(f"extra_open has {weekend[0]}, a week-end: banks stay closed; remove it")
        return self


class Settings(_Part):
    """All of it. `originator` (the safeguarded account, which pays merchants) and `operator` (the operator's
    own account, which gets the fees) are keyed by programme id, `funding` (accounts of funders who pay in
    ahead) by programme id and funder id: a funder without one is owed to, and billed.
    """

    database: Database
    files: Files
    originator: dict[str, Originator] = Field(min_length=1)
    funding: dict[str, dict[str, Originator]] = {}
    operator: dict[str, Originator] = {}
    delivery: Delivery = Delivery()
    people: People = People()
    retention: Retention = Retention()
    clock: ClockSetting = ClockSetting()
    calendar: Calendar = Calendar()


def load(path: Path) -> Settings:
    """Read and check a settings file. Raises ConfigurationError: one line, every fault with its key."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ConfigurationError(
                f"{path}: larger than {FILE_BYTES_MAX:,} bytes: this is no settings file"
            )
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigurationError(
            f"{path}: there is no such file; copy config/settlement.toml and name it with --config"
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: is not UTF-8: save it as UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: {error}: correct the TOML there") from None
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be read ({error.strerror}): name a file that you may read"
        ) from None
    try:
        return Settings.model_validate(_anchored(data, path.resolve().parent))
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        lines = "; ".join(_line(fault["loc"], fault["msg"], fault["type"]) for fault in faults)
        raise ConfigurationError(f"{path}: {lines}") from None


def _line(where: tuple[int | str, ...], message: str, kind: str) -> str:
    key = ".".join(str(part) for part in where) or "(file)"
    if kind == "extra_forbidden":
        return f"{key}: there is no such key; remove it or mend its spelling"
    if kind == "missing":
        return f"{key}: is missing; config/settlement.toml shows how it is written"
    return f"{key}: {message.removeprefix('Value error, ')}"


def _anchored(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make relative paths absolute, counted from the settings file's folder."""
    for table, key in _PATHS:
        part = data.get(table)
        if isinstance(part, dict) and isinstance(part.get(key), str) and part[key]:
            part[key] = str(folder / Path(part[key]).expanduser())
    files = data.get("files")
    if isinstance(files, dict) and str(files.get("profile", "")).endswith(".toml"):
        files["profile"] = str(folder / Path(files["profile"]).expanduser())
    database = data.get("database")
    if isinstance(database, dict) and str(database.get("url", "")).startswith(EMBEDDED):
        directory = Path(database["url"].removeprefix(EMBEDDED)).expanduser()
        database["url"] = f"{EMBEDDED}{folder / directory}"
    return data
