"""What an operator sets, read from one TOML file and checked before anything starts.

Relative paths are relative to the folder of that file. The file holds no secret: secrets are named by the
path of a file that holds them. The environment changes nothing: the file alone says how a switch runs.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from switch.domain.toml_reader import nearest
from switch.store.engine import EMBEDDED

Port = Annotated[int, Field(ge=0, le=65_535)]
FILE_CHARACTERS_MAX = 200_000
_PATHS = (("database", "password_file"), ("vault", "key_file"), ("clock", "file"))
"""Settings that are paths, made absolute while reading."""


class ConfigError(Exception):
    """A configuration that cannot be used: one line with file, key and what to do."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Database(_Section):
    """Where the books live (see switch.store.engine). `size` tunes an embedded server's memory."""

    url: str
    password_file: str = ""
    size: Literal["small", "large"] = "small"


class Listener(_Section):
    """One port for terminals. `frame_max` in bytes, `idle_s` in seconds; port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: Port = 7701
    frame_max: int = Field(default=4_096, ge=128, le=65_535)
    connections_max: int = Field(default=2_000, ge=1, le=100_000)
    in_flight_max: int = Field(default=256, ge=1, le=10_000)
    idle_s: int = Field(default=300, ge=1, le=86_400)


class Hsm(_Section):
    """The hardware security module. `timeout_s` in seconds for one command."""

    host: str = "127.0.0.1"
    port: Port = 7702
    timeout_s: float = Field(default=1.0, gt=0, le=30, strict=False)
    in_flight_max: int = Field(default=4_096, ge=1, le=9_999)
    connections: int = Field(default=1, ge=1, le=16)


class Keys(_Section):
    """Keys under the LMK; the tables override each for a programme.

    `pvk` verifies PINs, `cvk` card verification values of stripes, keyed and e-commerce payments, `imk` the
    cryptograms of chips. Without a key its check is not made: such cards are not of this installation.
    """

    pvk: str = Field(default="", pattern=r"^(U[0-9A-F]{32})?$")
    cvk: str = Field(default="", pattern=r"^(U[0-9A-F]{32})?$")
    imk: str = Field(default="", pattern=r"^(U[0-9A-F]{32})?$")
    pvk_by_programme: dict[str, Annotated[str, Field(pattern=r"^U[0-9A-F]{32}$")]] = {}
    cvk_by_programme: dict[str, Annotated[str, Field(pattern=r"^U[0-9A-F]{32}$")]] = {}
    imk_by_programme: dict[str, Annotated[str, Field(pattern=r"^U[0-9A-F]{32}$")]] = {}


class VaultFile(_Section):
    """The file with the keys that protect card numbers; `dure-switch vault new FILE` makes it."""

    key_file: str


class Lanes(_Section):
    """Group commit: how many lanes, how many payments one commit takes, how many may wait per lane."""

    count: int = Field(default=2, ge=1, le=64)
    batch_max: int = Field(default=256, ge=1, le=1_024)
    queue_max: int = Field(default=4_096, ge=1, le=100_000)


class Limits(_Section):
    """Limits of the switch itself; those of members stand in the programme.

    `local_days_back`: days by which a payment's own date may lie back. `drain_s`: seconds that a stop waits
    for work in flight. `pin_tries_max`, `cvv_tries_max`: wrong PINs and check values in a row that block a
    card. `probes_max` failures of one terminal (unknown cards, wrong PINs and check values) within
    `probes_window_s` seconds stop its payments until the window has passed; 0 never does.
    """

    local_days_back: int = Field(default=31, ge=0, le=366)
    drain_s: int = Field(default=10, ge=0, le=300)
    pin_tries_max: int = Field(default=3, ge=1, le=15)
    cvv_tries_max: int = Field(default=10, ge=1, le=100)
    probes_max: int = Field(default=60, ge=0, le=100_000)
    probes_window_s: int = Field(default=600, ge=1, le=86_400)


class ClockSetting(_Section):
    """The clock. "simulated" reads an instant from `file` and needs a database marked as a simulation."""

    mode: Literal["system", "simulated"] = "system"
    file: str = ""

    @model_validator(mode="after")
    def _file_fits_mode(self) -> Self:
        if (self.mode == "simulated") != bool(self.file):
            raise ValueError('mode = "simulated" needs file, and mode = "system" takes none')
        return self


class Metrics(_Section):
    """Prometheus metrics over HTTP; port 0 turns them off."""

    host: str = "127.0.0.1"
    port: Port = 0


class Log(_Section):
    """How much is logged to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(_Section):
    """All settings of dure-switch."""

    database: Database
    vault: VaultFile
    listener: list[Listener] = Field(default=[Listener()], min_length=1, max_length=16)
    hsm: Hsm = Hsm()
    keys: Keys = Keys()
    lanes: Lanes = Lanes()
    limits: Limits = Limits()
    clock: ClockSetting = ClockSetting()
    metrics: Metrics = Metrics()
    log: Log = Log()

    def database_url(self) -> str:
        """The address for switch.store.engine, with the password of `password_file` where one is named.

        Raises ConfigError when that file cannot be read.
        """
        if not self.database.password_file:
            return self.database.url
        try:
            password = Path(self.database.password_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{self.database.password_file}: database.password_file: cannot be read"
                f" ({type(error).__name__}): put the password there, mode 0600"
            ) from None
        return make_url(self.database.url).set(password=password).render_as_string(hide_password=False)


def load_settings(path: Path) -> Settings:
    """Read and check the file. Raises ConfigError with one clear line."""
    data = _read(path)
    _resolve_paths(data, path.resolve().parent)
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        raise ConfigError(_first(path, error)) from None
    _check_database(path, settings.database)
    return settings


def effective(settings: Settings) -> dict[str, Any]:
    """The values in force, for people: keys shown only as set or not set, paths absolute."""
    shown = settings.model_dump()
    shown["keys"] = _redacted(shown["keys"])
    return shown


def _redacted(keys: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {programme: _is_set(key) for programme, key in value.items()}
        if isinstance(value, dict)
        else _is_set(value)
        if isinstance(value, str)
        else value
        for name, value in keys.items()
    }


def _is_set(secret: str) -> str:
    return "(set)" if secret else "(not set)"


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: there is no such file: name one with --config, config/switch.toml is an example"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8: save it as UTF-8 text") from None
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}): name a file that you may read"
        ) from None
    if len(text) > FILE_CHARACTERS_MAX:
        raise ConfigError(f"{path}: more than {FILE_CHARACTERS_MAX:,} characters: this is no configuration")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{path}: {error}: correct the TOML there (text in double quotes, one key once)"
        ) from None


def _resolve_paths(data: dict[str, Any], base: Path) -> None:
    for section, key in _PATHS:
        table = data.get(section)
        if isinstance(table, dict) and isinstance(table.get(key), str) and table[key]:
            table[key] = str((base / Path(table[key]).expanduser()).resolve())
    database = data.get("database")
    if isinstance(database, dict) and isinstance(database.get("url"), str):
        url = database["url"]
        if url.startswith(EMBEDDED):
            database["url"] = EMBEDDED + str((base / Path(url.removeprefix(EMBEDDED)).expanduser()).resolve())


def _check_database(path: Path, database: Database) -> None:
    if database.url.startswith(EMBEDDED):
        if database.password_file:
            raise ConfigError(
                f"{path}: database.password_file: an embedded server has no password: remove it"
            )
        return
    try:
        url = make_url(database.url)
    except ArgumentError:
        url = None
    if url is None or not url.drivername.startswith("postgresql"):
        raise ConfigError(
            f'{path}: database.url: is no address of a database: write "embedded:DIR" or "postgresql://user@host/name"'
        )
    if url.password:
        raise ConfigError(
            f"{path}: database.url: holds a password: take it out and put it in a file named by password_file"
        )


def _first(path: Path, error: ValidationError) -> str:
    """One line for the first fault; the inputs are left out, they may be what was meant to be secret."""
    faults = error.errors(include_input=False, include_url=False, include_context=False)
    fault = faults[0]
    place = ".".join(str(step + 1) if isinstance(step, int) else step for step in fault["loc"]) or "(file)"
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    if fault["type"] == "extra_forbidden":
        known = _known_keys(fault["loc"][:-1])
        return f"{path}: {place}: unknown key: {nearest(str(fault['loc'][-1]), known)}{more}"
    if fault["type"] == "missing":
        return f"{path}: {place}: is missing: add it, config/switch.toml shows how{more}"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{path}: {place}: {message[0].lower()}{message[1:]}: correct it{more}"


def _known_keys(loc: tuple[int | str, ...]) -> list[str]:
    if not loc:
        return list(Settings.model_fields)
    sections: dict[str, type[BaseModel]] = {
        "database": Database,
        "vault": VaultFile,
        "listener": Listener,
        "hsm": Hsm,
        "keys": Keys,
        "lanes": Lanes,
        "limits": Limits,
        "clock": ClockSetting,
        "metrics": Metrics,
        "log": Log,
    }
    section = sections.get(str(loc[0]))
    return list(section.model_fields) if section else []
