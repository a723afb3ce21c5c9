"""Settings of the simulator: a TOML file, every key optional, unknown keys refused.

Relative paths are relative to the folder of that file.
"""

import json
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hsm_sim.crypto.lmk import TEST_LMK, Lmk
from hsm_sim.faults import Faults
from hsm_sim.pace import Pace


class ConfigError(Exception):
    """The settings cannot be used; the text names the key and says what to do."""


class Settings(BaseModel):
    """Limits and address. Sizes in bytes, times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 1500
    header_bytes: Annotated[int, Field(ge=1, le=255)] = 4
    frame_bytes_max: Annotated[int, Field(ge=64, le=65_535)] = 40_000
    connections_max: Annotated[int, Field(ge=1, le=10_000)] = 1_024
    # How many commands of one connection are answered before the others have their turn.
    commands_per_turn: Annotated[int, Field(ge=1, le=10_000)] = 128
    # Replies a client has not read; above this the client is not read either.
    unread_bytes_max: Annotated[int, Field(ge=1_024, le=16_777_216)] = 1_048_576
    # A frame that has begun is complete by then, or its connection is closed.
    frame_timeout_s: Annotated[float, Field(gt=0, le=3_600)] = 30.0
    idle_timeout_s: Annotated[float, Field(gt=0, le=86_400)] = 600.0
    stop_timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    keys_cached_max: Annotated[int, Field(ge=1, le=1_000_000)] = 65_536
    # A JSON list of 20 pairs of 32 hex digits, readable by its owner only; without it the published test LMK.
    lmk_file: Path | None = None
    # The ceremony's acts, a line each (see hsm_sim.ceremony.audit).
    audit_file: Path = Path("var/hsm-audit.jsonl")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    pace: Pace = Pace()
    faults: Faults = Faults()

    def lmk(self) -> Lmk:
        """The LMK these settings name. Raises ConfigError, never quoting the file."""
        if self.lmk_file is None:
            return TEST_LMK
        try:
            if self.lmk_file.stat().st_mode & 0o077:
                raise ConfigError(f"lmk_file {self.lmk_file} is open to others: run chmod 600 on it")
            pairs = json.loads(self.lmk_file.read_text("ascii"))
            return Lmk([bytes.fromhex(pair) for pair in pairs])
        except OSError as error:
            raise ConfigError(f"lmk_file {self.lmk_file} cannot be read: {error.strerror}") from None
        except (ValueError, TypeError):
            raise ConfigError(
                f"lmk_file {self.lmk_file} is no LMK: write a JSON list of 20 strings of 32 hex digits "
                "with odd parity"
            ) from None


_FILES = ("lmk_file", "audit_file")
"""Settings that are paths, relative to the folder of the configuration file."""
_SECTIONS: dict[str, type[BaseModel]] = {"pace": Pace, "faults": Faults}


def load(path: Path | None, **overrides: object) -> Settings:
    """The settings of a file with what the command line says on top. Raises ConfigError."""
    values: dict[str, object] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text("utf-8-sig"))
        except OSError as error:
            raise ConfigError(
                f"{path}: cannot be read ({error.strerror}): name a file that you may read"
            ) from None
        except UnicodeDecodeError:
            raise ConfigError(f"{path}: is not UTF-8: save it as UTF-8 text") from None
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{path}: {error}: correct the TOML there") from None
        for name in _FILES:
            if isinstance(values.get(name), str):
                values[name] = (path.resolve().parent / Path(str(values[name])).expanduser()).resolve()
    values.update({name: value for name, value in overrides.items() if value is not None})
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        faults = "; ".join(_fault(e["loc"], e["msg"], e["type"]) for e in error.errors(include_input=False))
        raise ConfigError(f"{path or 'the command line'}: {faults}") from None


def _fault(place: tuple[int | str, ...], message: str, kind: str) -> str:
    key = ".".join(map(str, place))
    if kind == "extra_forbidden":
        section = _SECTIONS.get(str(place[0]), Settings) if len(place) > 1 else Settings
        return f"{key}: unknown key: remove it, or use one of {', '.join(section.model_fields)}"
    message = message.removeprefix("Value error, ")
    return f"{key}: {message[:1].lower()}{message[1:]}: correct it"
