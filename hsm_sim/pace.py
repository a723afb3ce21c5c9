"""How fast the simulator works, by configuration: latency, jitter, and a cap on calls as licences have."""

import random
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

MS_MAX: Final = 60_000.0
_BURST_PART: Final = 10  # a bucket holds a tenth of a second unless told otherwise

ErrorCode = Annotated[str, Field(pattern=r"^(0[1-9A-Z]|[1-9A-Z][0-9A-Z])$")]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
Milliseconds = Annotated[float, Field(ge=0, le=MS_MAX)]


class Pace(BaseModel):
    """The section [pace]. Everything is off by default, and costs nothing then.

    `latency_ms` comes before every reply, and up to `jitter_ms` more, evenly distributed; so replies of one
    connection may overtake each other, as those of a unit with several processors do. `rate_max` is in calls
    a second over all clients, 0 for no cap; `burst` calls may come at once, 0 for a tenth of a second's.
    What is over the cap waits for its turn, the connections taking turns; over `queue_max` waiting commands a
    client is read no further ("wait"), or hears `refuse_code` at once ("refuse").
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    latency_ms: Milliseconds = 0.0
    jitter_ms: Milliseconds = 0.0
    rate_max: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    burst: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    queue_max: Annotated[int, Field(ge=0, le=100_000)] = 4_096
    over: Literal["wait", "refuse"] = "wait"
    refuse_code: ErrorCode = "67"
    seed: Seed | None = None

    @property
    def on(self) -> bool:
        """Whether anything differs from working as fast as one can."""
        return bool(self.latency_ms or self.jitter_ms or self.rate_max)


class Delay:
    """How long each reply is held back; the same seed gives the same times."""

    def __init__(self, pace: Pace, seed: int) -> None:
        self._fixed_s = pace.latency_ms / 1_000
        self._jitter_s = pace.jitter_ms / 1_000
        self._dice = random.Random(seed)

    def next_s(self) -> float:
        """Seconds for the next reply."""
        return self._fixed_s + self._jitter_s * self._dice.random() if self._jitter_s else self._fixed_s


class TokenBucket:
    """At most `rate` calls a second in the long run, `burst` at once. Sans-IO: the caller has the clock."""

    def __init__(self, rate: int, burst: int, now_s: float) -> None:
        self._rate = rate
        self._burst = float(burst or max(rate // _BURST_PART, 1))
        self._tokens = self._burst
        self._at_s = now_s

    def take(self, now_s: float) -> bool:
        """Takes one call if there is one."""
        self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._rate)
        self._at_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def wait_s(self) -> float:
        """Seconds from the last `take` until there is a call again."""
        return max(0.0, (1 - self._tokens) / self._rate)
