"""Steps in order of time, more than memory should hold: sorted runs in files, merged as they are read.

A step is packed so that the order of its bytes is the order of time, then of wallets, then of postings.
"""

from collections.abc import Iterator
from heapq import merge
from pathlib import Path
from struct import Struct

from switch.domain.replay_budget import Step

RUN_MAX = 100_000
"""Steps sorted in memory at once."""

_HEAD = Struct(">QQIBBBiIIIqq")
_PART = Struct(">iiq")
_LENGTH = Struct(">H")
_READ_BYTES = 1 << 18


class Spool:
    """Collects steps and writes them as sorted runs into a folder, under a name of its own."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._held: list[bytes] = []
        self.runs: list[Path] = []

    def add(self, step: Step) -> None:
        """Take a step."""
        self._held.append(pack(step))
        if len(self._held) >= RUN_MAX:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        if not self._held:
            return
        self._held.sort()
        path = self._folder / f"{self._name}-{len(self.runs)}"
        with path.open("wb", buffering=_READ_BYTES) as file:
            for raw in self._held:
                file.write(_LENGTH.pack(len(raw)) + raw)
        self._held.clear()
        self.runs.append(path)


def in_order(runs: list[Path]) -> Iterator[Step]:
    """The steps of all runs, in order of time."""
    return map(unpack, merge(*[_read(path) for path in runs]))


def pack(step: Step) -> bytes:
    """A step as bytes."""
    head = _HEAD.pack(
        step.moment,
        step.wallet_id,
        step.seq,
        step.form,
        step.returns,
        step.counted,
        step.merchant_no,
        step.business_day,
        step.month,
        step.of,
        step.rated,
        step.then,
    )
    return head + b"".join([_PART.pack(*part) for part in step.due])


def unpack(raw: bytes) -> Step:
    """The step of these bytes."""
    moment, wallet, seq, form, returns, counted, merchant, day, month, of, rated, then = _HEAD.unpack_from(
        raw
    )
    due = tuple([_PART.unpack_from(raw, at) for at in range(_HEAD.size, len(raw), _PART.size)])
    booked = (form, merchant, day, month, of, rated, then)
    return Step(moment, wallet, seq, *booked, due, bool(returns), bool(counted))


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=_READ_BYTES) as file:
        while size := file.read(_LENGTH.size):
            yield file.read(_LENGTH.unpack(size)[0])
