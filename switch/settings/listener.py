"""One port for terminals: how its messages are written, who may come, and every bound that holds there."""

from typing import Literal, Self

from pydantic import Field, model_validator

from switch.settings.base import Port, Section


class Tls(Section):
    """TLS of a listener, from accept on. All are paths of PEM files.

    `certificate` (with its chain) and `key` are the switch's own. `client_ca` are the authorities whose
    client certificates are taken, `crl` their revocation lists. `client_certificates`: "none" asks for none,
    "optional" takes terminals without one too, "required" refuses them in the handshake. A certificate binds
    its line to the terminals of its SAN URIs `dure:terminal:ID` (ID may end in `*`). `minimum` is the least
    version of the protocol. The files are looked at every `reload_s` seconds, and at once on SIGHUP.
    """

    certificate: str = Field(min_length=1)
    key: str = Field(min_length=1)
    client_ca: str = ""
    client_certificates: Literal["none", "optional", "required"] = "none"
    crl: str = ""
    minimum: Literal["1.2", "1.3"] = "1.2"
    reload_s: int = Field(default=5, ge=1, le=3_600)

    @model_validator(mode="after")
    def _authorities_fit(self) -> Self:
        if (self.client_certificates != "none") != bool(self.client_ca):
            raise ValueError(
                'client_certificates = "optional" or "required" needs client_ca, and "none" takes none'
            )
        if self.crl and not self.client_ca:
            raise ValueError("crl is for client certificates: set client_ca and client_certificates too")
        return self


class Listener(Section):
    """One port for terminals; port 0 takes a free one.

    The wire: `dialect` of the fields, `tpdu` before each message or not, `length_inclusive` when the two
    bytes of length count themselves. Bounds in bytes: `frame_max` of what follows the length, `unread_max`
    of answers that a terminal leaves unread. Bounds in numbers: `connections_max` of this port,
    `per_address_max` of them from one address (0: no bound of its own), `in_flight_max` requests of a
    connection that wait for their answer, `handshakes_max` at once. Bounds in seconds: `idle_s` of silence,
    `half_frame_s` for a frame that has begun, `handshake_s` for TLS.
    """

    host: str = "127.0.0.1"
    port: Port = 7701
    dialect: Literal["ascii", "bcd"] = "ascii"
    tpdu: bool = False
    length_inclusive: bool = False
    frame_max: int = Field(default=4_096, ge=128, le=65_535)
    unread_max: int = Field(default=1 << 20, ge=4_096, le=1 << 26)
    connections_max: int = Field(default=8_000, ge=1, le=100_000)
    per_address_max: int = Field(default=0, ge=0, le=100_000)
    in_flight_max: int = Field(default=256, ge=1, le=10_000)
    handshakes_max: int = Field(default=256, ge=1, le=10_000)
    idle_s: int = Field(default=300, ge=1, le=86_400)
    half_frame_s: int = Field(default=10, ge=1, le=300)
    handshake_s: int = Field(default=5, ge=1, le=60)
    tls: Tls | None = None
