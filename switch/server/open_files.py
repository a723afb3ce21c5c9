"""How many files and sockets the system lets this process hold."""

import contextlib
import resource
from typing import Final

RESERVE: Final = 256
"""Files beside the terminals' connections: database, HSM, logs, certificates."""


def raise_open_files(connections: int) -> int:
    """Raise this process's own bound so that `connections` fit, as far as the system allows.

    Returns the connections that fit: fewer than asked when the hard bound is lower (`ulimit -Hn`, in systemd
    `LimitNOFILE=`).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return connections
    wanted = connections + RESERVE
    if wanted > soft:
        more = wanted if hard == resource.RLIM_INFINITY else max(soft, min(wanted, hard))
        with contextlib.suppress(ValueError, OSError):  # beyond what the kernel gives any process
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
            soft = more
    return max(0, min(connections, soft - RESERVE))
