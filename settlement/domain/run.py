"""A run and its steps: what follows what, and which state may follow which.

    close_day ─▶ expire_lots ─▶ credit_cashback ─▶ pay_merchants ─▶ emit_files

    (none) ─▶ running ─▶ done                 done is for good
                 │  ▲
                 ▼  │
               refused                        a control did not agree: look, mend, run again

A crash leaves `running`: the next run enters the step again, and every step can be entered again.
"""

from collections.abc import Collection
from enum import StrEnum


class Step(StrEnum):
    """The steps of a run in their order. The names are stored; never rename."""

    CLOSE_DAY = "close_day"
    EXPIRE_LOTS = "expire_lots"
    CREDIT_CASHBACK = "credit_cashback"
    PAY_MERCHANTS = "pay_merchants"
    EMIT_FILES = "emit_files"


class State(StrEnum):
    """How a step stands. The names are stored; never rename."""

    RUNNING = "running"
    REFUSED = "refused"
    DONE = "done"


NEXT: dict[State | None, frozenset[State]] = {
    None: frozenset({State.RUNNING}),
    State.RUNNING: frozenset({State.RUNNING, State.REFUSED, State.DONE}),
    State.REFUSED: frozenset({State.RUNNING, State.REFUSED}),
    State.DONE: frozenset(),
}


class StepError(ValueError):
    """A move that the table of states does not have. Always a fault of the program."""


def move(state: State | None, to: State) -> State:
    """Return `to` if a step in `state` may go there; raises StepError."""
    if to not in NEXT[state]:
        raise StepError(f"a step that is {state.value if state else 'not begun'} cannot become {to.value}")
    return to


def remaining(done: Collection[Step], until: Step | None = None) -> list[Step]:
    """The steps still to do, in order, up to and including `until`.

    Raises StepError if a later step is done while an earlier one is not: the record is damaged. A run that
    had credited its cashback before there was expire_lots goes on without: the next run takes its lots.
    """
    steps = [step for step in Step if step is not Step.EXPIRE_LOTS or _has_expiry(done)]
    first_open = next((index for index, step in enumerate(steps) if step not in done), len(steps))
    for step in steps[first_open:]:
        if step in done:
            raise StepError(f"{step.value} is done although {steps[first_open].value} is not")
    last = len(steps) if until is None or until not in steps else steps.index(until) + 1
    return steps[first_open:last]


def _has_expiry(done: Collection[Step]) -> bool:
    return Step.EXPIRE_LOTS in done or Step.CREDIT_CASHBACK not in done
