"""The broker of the terminal estate."""

from typing import Literal, Self

from pydantic import Field, model_validator

from switch.settings.base import Port, Section


class Mqtt(Section):
    """Where `dure-switch notify` publishes; without a host nothing is published, and payments go on.

    With `tls` the broker's certificate is checked against `ca_file`, and `cert_file` with `key_file` say who
    the switch is. `protocol` 3.1.1 is for brokers that know no expiry of messages. `poll_s` seconds between
    looks into the outbox, `timeout_s` for one answer of the broker; `keys_warn_s` seconds before the end of
    its keys a terminal is warned; after `keep_days` days what nobody has acknowledged is dropped and counted.
    """

    host: str = ""
    port: Port = 8883
    tls: bool = True
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    username: str = Field(default="", max_length=64)
    password_file: str = ""
    client_id: str = Field(default="dure-switch", pattern=r"^[0-9A-Za-z_-]{1,64}$")
    protocol: Literal["5", "3.1.1"] = "5"
    poll_s: float = Field(default=0.2, ge=0.01, le=60, strict=False)
    timeout_s: float = Field(default=5.0, ge=0.1, le=60, strict=False)
    keys_warn_s: int = Field(default=7_200, ge=60, le=31_536_000)
    keep_days: int = Field(default=90, ge=1, le=3_660)
    metrics_port: Port = 0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file go together")
        if not self.tls and (self.ca_file or self.cert_file):
            raise ValueError("tls = false takes no certificate: remove the files, or set tls = true")
        if self.tls and self.host and not self.ca_file:
            raise ValueError("tls = true needs ca_file, the authority that signed the broker's certificate")
        if bool(self.username) != bool(self.password_file):
            raise ValueError("username and password_file go together")
        return self
