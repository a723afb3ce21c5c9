"""What every step is given, and how a step tells that it goes on."""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection

from settlement.domain.run import Step
from settlement.reference import Facts
from settlement.settings import Settings
from settlement.store.runs import Run, RunKey
from switch.clock import Clock
from switch.domain.calendar import SEOUL


class Observer(Protocol):
    """Is told how far a run is. It may stop the run by raising; nothing is left half done by that."""

    def reached(self, point: str) -> None:
        """A point between two writings, such as credit_cashback:batch:64."""
        ...

    def progress(self, step: str, done: int, total: int) -> None:
        """`done` of about `total` items of a step."""
        ...


class Silent:
    """An observer that keeps quiet."""

    def reached(self, point: str) -> None:
        pass

    def progress(self, step: str, done: int, total: int) -> None:
        pass


class Frame:
    """One run as its steps see it: one database session, the frozen facts, the clock, the settings."""

    def __init__(
        self,
        connection: Connection,
        facts: Facts,
        run: Run,
        settings: Settings,
        clock: Clock,
        observer: Observer,
        actor: str = "system",
    ) -> None:
        self.connection = connection
        self.facts = facts
        self.run = run
        self.settings = settings
        self.observer = observer
        self.actor = actor
        self._clock = clock

    def of_run(self, run: Run) -> "Frame":
        """The same session, for another run of the programme."""
        return Frame(self.connection, self.facts, run, self.settings, self._clock, self.observer, self.actor)

    @property
    def key(self) -> RunKey:
        return self.run.key

    @property
    def day(self) -> date:
        """The business date that is settled."""
        return self.run.key.business_date

    @property
    def ordered_on(self) -> date:
        """The day (Korean) on which the run was begun: its orders to the bank can be for no earlier one."""
        return self.run.created_at.astimezone(SEOUL).date()

    @property
    def outbox(self) -> Path:
        return self.settings.files.outbox

    def now(self) -> datetime:
        return self._clock.now()

    def open_date(self) -> date:
        """The business date that is open now: what the night books goes there."""
        return self.facts.open_date(self.now())

    def of_day(self) -> dict[str, object]:
        """Parameters that most queries want."""
        return {"programme_no": self.key.programme_no, "day": self.day}

    def reporter(self, step: Step, total: int) -> Callable[[int], None]:
        """A function that reports `done` items of this step."""
        return lambda done: self.observer.progress(step.value, done, total)
