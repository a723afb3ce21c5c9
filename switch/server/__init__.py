"""Listeners: bytes in, messages to the desk, answers out; every bound of a line is kept here.

`server` holds the listeners of a process, `listener` one port (who may come in), `connection` one line (what
may come over it), `tls` the certificates, `open_files` the system's own bound. The bounds themselves stand in
the settings, `switch.settings.listener`. Whoever breaks one loses his connection, and nobody else notices.
"""

from switch.server.open_files import raise_open_files
from switch.server.server import Server
from switch.server.tls import load_tls

__all__ = ["Server", "load_tls", "raise_open_files"]
