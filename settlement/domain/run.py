"""A run and its steps: what follows what, and which state may follow which.

    close_day ─▶ expire_lots ─▶ credit_cashback ─▶ pay_merchants ─▶ emit_files       the night, by itself
    ─▶ approve ─▶ deliver ─▶ acknowledge ─▶ reconcile                                with people and the bank

    (none) ─▶ running ─▶ done                 done is for good
                 │  ▲
                 ▼  │
          refused, waiting                    refused: a control did not agree: look, mend, run again
                                              waiting: for a person or for the bank
A crash leaves `running`: the next run enters the step again, and every step can be entered again. The later
steps are entered at every run until they are done: each does what can be done, file by file. A later cycle of
a date pays what has become payable since; its date is closed and credited already.
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
    APPROVE = "approve"
    DELIVER = "deliver"
    ACKNOWLEDGE = "acknowledge"
    RECONCILE = "reconcile"


LATER = (Step.APPROVE, Step.DELIVER, Step.ACKNOWLEDGE, Step.RECONCILE)
"""The steps that wait for people and for the bank."""

FIRST_CYCLE_ONLY = (Step.CLOSE_DAY, Step.EXPIRE_LOTS, Step.CREDIT_CASHBACK)


class State(StrEnum):
    """How a step stands. The names are stored; never rename."""

    RUNNING = "running"
    REFUSED = "refused"
    WAITING = "waiting"
    DONE = "done"


NEXT: dict[State | None, frozenset[State]] = {
    None: frozenset({State.RUNNING}),
    State.RUNNING: frozenset({State.RUNNING, State.REFUSED, State.WAITING, State.DONE}),
    State.REFUSED: frozenset({State.RUNNING, State.REFUSED}),
    State.WAITING: frozenset({State.RUNNING}),
    State.DONE: frozenset(),
}


class StepError(ValueError):
    """A move that the table of states does not have. Always a fault of the program."""


def move(state: State | None, to: State) -> State:
    """Return `to` if a step in `state` may go there; raises StepError."""
    if to not in NEXT[state]:
        raise StepError(f"a step that is {state.value if state else 'not begun'} cannot become {to.value}")
    return to


def remaining(done: Collection[Step], until: Step | None = None, cycle: int = 1) -> list[Step]:
    """The steps still to do, in order, up to and including `until`.

    Raises StepError if a later step is done while an earlier one is not: the record is damaged. A run that
    had credited its cashback before there was expire_lots goes on without: the next run takes its lots.
    """
    steps = [step for step in Step if step is not Step.EXPIRE_LOTS or _has_expiry(done)]
    if cycle > 1:
        steps = [step for step in steps if step not in FIRST_CYCLE_ONLY]
    first_open = next((index for index, step in enumerate(steps) if step not in done), len(steps))
    for step in steps[first_open:]:
        if step in done:
            raise StepError(f"{step.value} is done although {steps[first_open].value} is not")
    last = len(steps) if until is None or until not in steps else steps.index(until) + 1
    return steps[first_open:last]


def _has_expiry(done: Collection[Step]) -> bool:
    return Step.EXPIRE_LOTS in done or Step.CREDIT_CASHBACK not in done
