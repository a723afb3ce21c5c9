"""Faults by configuration: what an HSM, or the network before it, does on a bad day."""

import random
from enum import Enum
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hsm_sim.pace import ErrorCode, Milliseconds, Seed

_GARBAGE_BYTES_MAX: Final = 64

Probability = Annotated[float, Field(ge=0, le=1)]


class Fault(Enum):
    """What happens to one command instead of its proper answer."""

    NO_ANSWER = "no_answer"
    LATE = "late"
    ERROR = "error"
    GARBAGE = "garbage"
    CUT = "cut"
    HALF_FRAME = "half_frame"


class Faults(BaseModel):
    """The section [faults]: the probability of each fault for every command; their sum is at most 1.

    `no_answer`: the command is done and never answered. `late`: answered `late_ms` later. `error`: answered
    with `error_code`. `garbage`: the right header with noise behind it. `cut`: the connection is reset.
    `half_frame`: the first half of the reply, then the connection ends.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    no_answer: Probability = 0.0
    late: Probability = 0.0
    error: Probability = 0.0
    garbage: Probability = 0.0
    cut: Probability = 0.0
    half_frame: Probability = 0.0
    late_ms: Milliseconds = 3_000.0
    error_code: ErrorCode = "41"
    seed: Seed | None = None

    @model_validator(mode="after")
    def _sum_is_a_probability(self) -> Self:
        if sum(self.chances()) > 1:
            raise ValueError("the probabilities add up to more than 1: lower them")
        return self

    def chances(self) -> list[float]:
        """The probability of each member of Fault, in its order."""
        return [float(getattr(self, fault.value)) for fault in Fault]

    @property
    def on(self) -> bool:
        """Whether anything can go wrong."""
        return any(self.chances())


class FaultDice:
    """Decides command by command; the same seed gives the same faults."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self._dice = random.Random(seed)
        self._steps: list[tuple[float, Fault]] = []
        total = 0.0
        for fault, chance in zip(Fault, faults.chances(), strict=True):
            if chance:
                total += chance
                self._steps.append((total, fault))

    def roll(self) -> Fault | None:
        """The fault of the next command, or None."""
        thrown = self._dice.random()
        for below, fault in self._steps:
            if thrown < below:
                return fault
        return None

    def noise(self) -> bytes:
        """Bytes that mean nothing, at least one."""
        return self._dice.randbytes(self._dice.randint(1, _GARBAGE_BYTES_MAX))
