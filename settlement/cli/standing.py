"""After somebody has acted by hand: the record of every run says at once how it stands."""

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from settlement.domain.bankdays import facts as bank_facts
from settlement.domain.run import LATER
from settlement.frame import Frame, Observer, Silent
from settlement.people.identity import Actor
from settlement.pipeline import clock_of, run_lock
from settlement.reference import Facts, load_all
from settlement.settings import Settings
from settlement.steps import later
from settlement.store.runs import Run, RunKey
from switch.clock import Clock


def frame_of_today(
    connection: Connection, settings: Settings, facts: Facts, clock: Clock, actor: Actor, watching: Observer
) -> Frame:
    """A frame for work that belongs to no run: it reads and books on the date that is open."""
    now = clock.now()
    day = facts.open_date(now)
    calendar = bank_facts(day, settings.calendar.extra_closed, settings.calendar.extra_open)
    run = Run(RunKey(facts.programme_no, day), now.replace(microsecond=0), calendar)
    return Frame(connection, facts, run, settings, clock, watching, actor.name)


def note_standing(connection: Connection, settings: Settings, actor: Actor) -> None:
    """Note how every unfinished run stands. A programme that is being run is left to that run."""
    clock = clock_of(connection, settings)
    with connection.begin():
        found = load_all(connection, None)
    for facts in found:
        try:
            with run_lock(connection, facts.programme_no):
                later.look(frame_of_today(connection, settings, facts, clock, actor, Silent()), *LATER)
        except OperationalError:  # its lock is held: the run that holds it notes the same
            connection.rollback()
