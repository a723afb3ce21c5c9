"""Seeds that are new in each run, the same in all of its processes, and can be given again."""

import os
import random


def fresh(variable: str) -> int:
    """The seed that the environment names, else a new one: tests show it in their names."""
    given = int(os.environ.get(variable, "0"))
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")  # its processes must collect the same names
    draw = random.Random(f"{run} {variable}") if run else random.SystemRandom()
    return given or draw.randrange(1, 1 << 31)
