"""What a process that handles cards asks of the system: to leave no copy of its memory behind.

A crash would otherwise write all of it to a file: numbers of cards just paid with, and in an HSM clear keys.
"""

import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4  # prctl(2)


def forbid_core_dumps() -> bool:
    """Let no crash write a core file, nor another process of this user read the memory; False if refused.

    Linux: RLIMIT_CORE 0 and PR_SET_DUMPABLE 0. Programs started from here decide for themselves.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not sys.platform.startswith("linux"):
        return False
    failed: int = ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    return failed == 0
