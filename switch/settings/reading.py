"""The configuration file: read, made absolute, checked, and shown without its secrets."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from switch.domain.toml_reader import nearest
from switch.settings.base import ConfigError
from switch.settings.sections import Database, Settings
from switch.store.engine import EMBEDDED

FILE_CHARACTERS_MAX: Final = 200_000
_PATHS: Final = (
    ("database", "password_file"),
    ("vault", "key_file"),
    ("clock", "file"),
    ("mqtt", "ca_file"),
    ("mqtt", "cert_file"),
    ("mqtt", "key_file"),
    ("mqtt", "password_file"),
    ("listener", "tls", "certificate"),
    ("listener", "tls", "key"),
    ("listener", "tls", "client_ca"),
    ("listener", "tls", "crl"),
)
"""Settings that are paths, made absolute while reading."""


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
    for *tables, key in _PATHS:
        for table in _tables(data, tables):
            if isinstance(table.get(key), str) and table[key]:
                table[key] = str((base / Path(table[key]).expanduser()).resolve())
    database = data.get("database")
    if isinstance(database, dict) and isinstance(database.get("url"), str):
        url = database["url"]
        if url.startswith(EMBEDDED):
            database["url"] = EMBEDDED + str((base / Path(url.removeprefix(EMBEDDED)).expanduser()).resolve())


def _tables(data: object, names: list[str]) -> Iterator[dict[str, Any]]:
    """The tables of that name, each of them where the name stands for several."""
    if isinstance(data, list):
        for one in data:
            yield from _tables(one, names)
    elif isinstance(data, dict):
        if names:
            yield from _tables(data.get(names[0]), names[1:])
        else:
            yield data


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
    """The keys of the table at `loc`, found in the models themselves."""
    model: type[BaseModel] = Settings
    for step in loc:
        if isinstance(step, str):
            models = _models_in(model.model_fields[step].annotation) if step in model.model_fields else []
            if not models:
                return []
            model = models[0]
    return list(model.model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
