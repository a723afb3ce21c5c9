"""What a throw-away installation is made from: its configuration files and its test keys."""

import hashlib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hsm_sim.crypto.cvv import CvvKey
from hsm_sim.crypto.lmk import TEST_LMK
from hsm_sim.crypto.refused import KeyRefused
from hsm_sim.crypto.tdes import Tdes, odd_parity
from terminal_sim.card import IssuerKeys
from terminal_sim.processes import ProgramError
from terminal_sim.scenario import Line

PVK_TYPE: Final = "002"
CVK_TYPE: Final = "402"
IMK_TYPE: Final = "109"
PKI_FOLDER: Final = "pki"

_SWITCH_TOML: Final = """\
# Written by dure-terminal-sim for a simulation; nothing in it guards real money.
[database]
url = "embedded:db"
size = "small"

[[listener]]
host = "127.0.0.1"
port = 0
connections_max = 100
in_flight_max = 1024

[hsm]
host = "127.0.0.1"
port = {hsm_port}
timeout_s = 5.0

[keys]
session_hours = 8760
pvk = "{pvk}"
cvk = "{cvk}"
imk = "{imk}"

[vault]
key_file = "vault.key"

[clock]
mode = "simulated"
file = "clock"

[metrics]
port = 0

[log]
level = "warning"
"""

_SETTLEMENT_TOML: Final = """\
# Written by dure-terminal-sim for a simulation.
[database]
url = "embedded:db"

[clock]
mode = "simulated"
file = "clock"

[files]
outbox = "outbox"

[originator.{programme}]
name = "{programme} settlement account"
account = "{account}"
bank = "{bank}"
"""
_THROUGH_BANK: Final = """\

[people]
identity = "password"

[delivery]
channel = "folder"
folder = "bank"
remote_taken = "taken"
"""
HOUSE_ACCOUNT: Final = "100200300400"
HOUSE_BANK: Final = "088"
_LISTENER: Final = """\

[[listener]]
host = "127.0.0.1"
port = 0
dialect = "{dialect}"
tpdu = {tpdu}
length_inclusive = {inclusive}
connections_max = 100
in_flight_max = 1024
"""

_LISTENER_TLS: Final = f"""\
[listener.tls]
certificate = "{PKI_FOLDER}/switch.pem"
key = "{PKI_FOLDER}/switch.key"
client_ca = "{PKI_FOLDER}/ca.pem"
client_certificates = "required"
"""


def switch_toml(hsm_port: int, seed: int, lines: Mapping[str, Line | None]) -> str:
    """The switch's configuration: a plain listener, then one for each of `lines`. Test keys from `seed`."""
    text = _SWITCH_TOML.format(
        hsm_port=hsm_port,
        pvk=_test_key(PVK_TYPE, "PVK", seed),
        cvk=_test_key(CVK_TYPE, "CVK", seed),
        imk=_test_key(IMK_TYPE, "IMK", seed),
    )
    for given in lines.values():
        line = given or Line()
        flags = {"tpdu": str(line.tpdu).lower(), "inclusive": str(line.inclusive).lower()}
        text += _LISTENER.format(dialect=line.dialect, **flags)
        text += _LISTENER_TLS if line.tls else ""
    return text


def settlement_toml(programme_id: str, *, through_bank: bool = False) -> str:
    """Settlement's configuration, for the merchants of one programme.

    `through_bank`: operators have names and passwords, and files are delivered to the folder `bank`.
    """
    text = _SETTLEMENT_TOML.format(programme=programme_id, account=HOUSE_ACCOUNT, bank=HOUSE_BANK)
    return text + _THROUGH_BANK if through_bank else text


def _test_key(key_type: str, name: str, seed: int) -> str:
    key = odd_parity(hashlib.sha256(f"test {name}/{seed}".encode()).digest()[:16])
    return TEST_LMK.encrypt(key_type, "U", key)


def issuer_keys(config: Path) -> IssuerKeys:
    """The issuer's keys of a configuration, which must be under the test LMK. Raises ProgramError."""
    try:
        written = config.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ProgramError(f"{config}: cannot be read: {why}: name the switch's configuration") from None
    try:
        keys = tomllib.loads(written)["keys"]
        cvk, imk = keys.get("cvk"), keys.get("imk")
        return IssuerKeys(
            Tdes(TEST_LMK.decrypt(PVK_TYPE, keys["pvk"])),
            CvvKey(TEST_LMK.decrypt(CVK_TYPE, cvk)) if cvk else None,
            TEST_LMK.decrypt(IMK_TYPE, imk) if imk else None,
        )
    except (ValueError, KeyError, TypeError, KeyRefused):
        raise ProgramError(
            f"{config}: has no keys.pvk under the test LMK: PINs are made for it here, so use a test key"
        ) from None
