"""The tables of the switch's configuration, each value with its default and its bounds."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from sqlalchemy import make_url

from switch.settings.base import PORT_MAX, ConfigError, HostPort, Port, Section
from switch.settings.listener import Listener
from switch.settings.mqtt import Mqtt

KeyText = Annotated[str, Field(pattern=r"^U[0-9A-F]{32}$")]
"""A key under the LMK, double-length."""


class Database(Section):
    """Where the books live (see switch.store.engine). `size` tunes an embedded server's memory."""

    url: str
    password_file: str = ""
    size: Literal["small", "large"] = "small"


class Hsm(Section):
    """The hardware security module. `timeout_s` in seconds for one command.

    `standby`: "host:port" of others that hold the same LMK, asked in this order when the first is not well.
    `in_flight_max`: commands at the HSMs or waiting for one; `connections`: to each HSM.
    """

    host: str = "127.0.0.1"
    port: Port = 7702
    standby: list[HostPort] = Field(default=[], max_length=7)
    timeout_s: float = Field(default=1.0, gt=0, le=30, strict=False)
    in_flight_max: int = Field(default=4_096, ge=1, le=9_999)
    connections: int = Field(default=1, ge=1, le=16)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        addresses = [(self.host, self.port), *self.standby_addresses()]
        if len(set(addresses)) != len(addresses):
            raise ValueError("standby names an address twice, or the one of host and port")
        if any(port > PORT_MAX for _, port in addresses):
            raise ValueError(f"standby names a port above {PORT_MAX}")
        return self

    def standby_addresses(self) -> list[tuple[str, int]]:
        """The standby HSMs as host and port."""
        pairs = (one.rpartition(":") for one in self.standby)
        return [(host.strip("[]"), int(port)) for host, _, port in pairs]


class Keys(Section):
    """Keys under the LMK; the tables override each for a programme.

    `pvk` verifies PINs, `cvk` card verification values of stripes, keyed and e-commerce payments, `imk` the
    cryptograms of chips. Without a key its check is not made: such cards are not of this installation.

    A set of session keys is good for `session_hours` hours, and for `grace_s` seconds after the terminal has
    used the next one. Terminals are warned of it `warn_hours` hours before; a master key is old after
    `master_days` days.
    """

    pvk: str = Field(default="", pattern=r"^(U[0-9A-F]{32})?$", repr=False)
    cvk: str = Field(default="", pattern=r"^(U[0-9A-F]{32})?$", repr=False)
    imk: str = Field(default="", pattern=r"^(U[0-9A-F]{32})?$", repr=False)
    pvk_by_programme: dict[str, KeyText] = Field(default={}, repr=False)
    cvk_by_programme: dict[str, KeyText] = Field(default={}, repr=False)
    imk_by_programme: dict[str, KeyText] = Field(default={}, repr=False)
    session_hours: int = Field(default=24, ge=1, le=87_600)
    grace_s: int = Field(default=900, ge=1, le=86_400)
    warn_hours: int = Field(default=2, ge=1, le=720)
    master_days: int = Field(default=1_095, ge=1, le=3_650)


class VaultFile(Section):
    """The file with the keys that protect card numbers; `dure-switch vault new FILE` makes it."""

    key_file: str


class Lanes(Section):
    """Group commit: how many lanes, how many payments one commit takes, how many may wait per lane."""

    count: int = Field(default=2, ge=1, le=64)
    batch_max: int = Field(default=256, ge=1, le=1_024)
    queue_max: int = Field(default=4_096, ge=1, le=100_000)


class Limits(Section):
    """Limits of the switch itself; those of members stand in the programme.

    `local_days_back`: days by which a payment's own date may lie back. `drain_s`: seconds that a stop waits
    for work in flight. `pin_tries_max`, `cvv_tries_max`: wrong PINs and check values in a row that block a
    card. `probes_max` failures of one terminal (unknown cards, wrong PINs and check values) within
    `probes_window_s` seconds stop its payments until the window has passed; 0 never does. `working_max`
    messages are worked on at once; `waiting_max` more wait their turn, for `waiting_s` seconds at most.
    """

    local_days_back: int = Field(default=31, ge=0, le=366)
    drain_s: int = Field(default=10, ge=0, le=300)
    pin_tries_max: int = Field(default=3, ge=1, le=15)
    cvv_tries_max: int = Field(default=10, ge=1, le=100)
    probes_max: int = Field(default=60, ge=0, le=100_000)
    probes_window_s: int = Field(default=600, ge=1, le=86_400)
    working_max: int = Field(default=1_024, ge=1, le=100_000)
    waiting_max: int = Field(default=16_384, ge=0, le=1_000_000)
    waiting_s: int = Field(default=20, ge=1, le=300)


class ClockSetting(Section):
    """The clock. "simulated" reads an instant from `file` and needs a database marked as a simulation."""

    mode: Literal["system", "simulated"] = "system"
    file: str = ""

    @model_validator(mode="after")
    def _file_fits_mode(self) -> Self:
        if (self.mode == "simulated") != bool(self.file):
            raise ValueError('mode = "simulated" needs file, and mode = "system" takes none')
        return self


class Metrics(Section):
    """Prometheus metrics over HTTP; port 0 turns them off."""

    host: str = "127.0.0.1"
    port: Port = 0


class Log(Section):
    """How much is logged to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(Section):
    """All settings of dure-switch."""

    database: Database
    vault: VaultFile
    listener: list[Listener] = Field(default=[Listener()], min_length=1, max_length=16)
    hsm: Hsm = Hsm()
    keys: Keys = Keys()
    lanes: Lanes = Lanes()
    limits: Limits = Limits()
    clock: ClockSetting = ClockSetting()
    mqtt: Mqtt = Mqtt()
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
