"""What became of a correction's line."""

from enum import IntEnum


class LineState(IntEnum):
    """States of a line. The numbers are stored."""

    OPEN = 0
    POSTED = 1
    LEFT_OUT = 2  # the payment had changed since it was approved: the next proposal finds it
