"""`status`: how far each programme is, and what its runs wait for."""

from datetime import date
from typing import Any

import msgspec
import typer
from sqlalchemy import Connection, select

from settlement.cli.app import app
from settlement.cli.runtime import DEFAULT_CONFIG, ConfigOption, JsonOption, exits, look, show_json
from settlement.domain.run import LATER, State, Step
from settlement.steps.later import unfinished
from settlement.store.schema import settlement_run, settlement_step
from switch.store.schema import programme as programme_table

RUNS_SHOWN = 14
NIGHT = [step for step in Step if step not in LATER]


class _RunStatus(msgspec.Struct):
    """One run: its steps' states, and what those that wait or were refused have told."""

    business_date: date
    cycle: int
    steps: dict[str, str]
    told: dict[str, str] = {}

    def night(self) -> str:
        """The night's steps in a word: done, or the one that is not."""
        for step in NIGHT:
            state = self.steps.get(step.value)
            if state not in (State.DONE.value, None):
                return f"{step.value} {state}"
        return "done" if self.steps.get(Step.EMIT_FILES.value) else "begun"


class _Status(msgspec.Struct):
    programme: str
    closed_through: date | None
    runs: list[_RunStatus]


@app.command()
def status(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show how far each programme is closed, its last runs, older ones that are not through, and why."""
    with exits():
        found = look(config, lambda connection, _, __: _read(connection))
    if as_json:
        show_json(found)
        return
    if not found:
        typer.echo("no programme has been applied yet: nothing to settle")
    for one in found:
        typer.echo(f"{one.programme}  closed through {one.closed_through or '(nothing yet)'}")
        if one.runs:
            later = " ".join(f"{step.value:<12}" for step in LATER)
            typer.echo(f"  {'date':<10} {'cycle':>5}  {'night':<24} {later}".rstrip())
        for each in one.runs:
            later = " ".join(f"{each.steps.get(step.value, '-'):<12}" for step in LATER)
            typer.echo(f"  {each.business_date} {each.cycle:>5}  {each.night():<24} {later}".rstrip())
            for step, why in each.told.items():
                typer.echo(f"    {step}: {why}")


def _read(connection: Connection) -> list[_Status]:
    programmes = connection.execute(select(programme_table).order_by(programme_table.c.programme_id)).all()
    return [
        _Status(row.programme_id, row.closed_through, _runs(connection, row.programme_no))
        for row in programmes
    ]


def _runs(connection: Connection, programme_no: int) -> list[_RunStatus]:
    run, step = settlement_run.c, settlement_step.c
    last = connection.execute(
        select(run.business_date, run.cycle)
        .where(run.programme_no == programme_no)
        .order_by(run.business_date.desc(), run.cycle.desc())
        .limit(RUNS_SHOWN)
    )
    keys = {(row.business_date, row.cycle) for row in last}
    keys |= {(key.business_date, key.cycle) for key in unfinished(connection, programme_no)}
    rows = connection.execute(
        select(step.business_date, step.cycle, step.step, step.state, step.outcome).where(
            step.programme_no == programme_no, step.business_date.in_({day for day, _ in keys})
        )
    )
    found = {key: _RunStatus(*key, {}) for key in sorted(keys, reverse=True)}
    for row in rows:
        if (row.business_date, row.cycle) in found:
            of_run = found[row.business_date, row.cycle]
            of_run.steps[row.step] = row.state
            why = _why(row.state, row.outcome)
            if why:
                of_run.told[row.step] = why
    return list(found.values())


def _why(state: str, outcome: str) -> str:
    told: Any = msgspec.json.decode(outcome) if state != State.DONE.value else {}
    return str(told.get("waits") or told.get("problem") or "") if isinstance(told, dict) else ""
