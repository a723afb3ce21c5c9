"""What an operator sets, read from one TOML file and checked before anything starts.

Relative paths are relative to the folder of that file. The file holds no secret: secrets are named by the
path of a file that holds them. The environment changes nothing: the file alone says how a switch runs.

`sections` and `listener` are the tables of the file with their defaults and bounds, `reading` makes them of a
file or says in one line what is wrong with it.
"""

from switch.settings.base import ConfigError
from switch.settings.listener import Listener, Tls
from switch.settings.mqtt import Mqtt
from switch.settings.reading import effective, load_settings
from switch.settings.sections import Database, Hsm, Keys, Limits, Settings

__all__ = [
    "ConfigError",
    "Database",
    "Hsm",
    "Keys",
    "Limits",
    "Listener",
    "Mqtt",
    "Settings",
    "Tls",
    "effective",
    "load_settings",
]
