"""Imports of terminals with their keys under the LMK."""

from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine

from switch.service import import_rows as rows_of
from switch.service.import_books import ImportReport, refuse_twice, report
from switch.service.import_files import Problems, Progress, no_progress, read_rows
from switch.service.import_rows import TerminalRow
from switch.service.keyserial import initial_fault
from switch.store import keystore
from switch.store import reference_write as reference
from switch.store.bulk import bump_epoch, lock_administration
from switch.store.keystore import FORM_DEFAULT, MODE_DEFAULT, TerminalAt


def import_terminals(
    engine: Engine, path: Path, now: datetime, actor: str = "import", progress: Progress = no_progress
) -> ImportReport:
    """Import terminals; one that gets another merchant or key must sign on anew.

    What an optional column leaves empty stays as it is. `actor` stands in the audit of keys. Raises
    ImportRefusedError.
    """
    problems = Problems(path.name)
    rows = [TerminalRow(*row) for row in read_rows(path, rows_of.TERMINALS, problems, progress)]
    refuse_twice(problems, "terminal_id", ((row.line, row.terminal_id) for row in rows))
    problems.raise_any()
    with engine.begin() as connection:
        lock_administration(connection)
        merchants = reference.find_merchant_numbers(connection, sorted({row.merchant_id for row in rows}))
        known = keystore.find_terminals(connection, (row.terminal_id for row in rows))
        new: dict[str, TerminalAt] = {}
        changed: dict[str, TerminalAt] = {}
        for row in rows:
            merchant_no = merchants.get(row.merchant_id)
            if merchant_no is None:
                problems.add(row.line, "merchant_id", f'no merchant "{row.merchant_id}"', "import it first")
                continue
            before = known.get(row.terminal_id)
            wanted = _wanted(row, merchant_no, before)
            _check(problems, row.line, wanted)
            if before is None:
                new[row.terminal_id] = wanted
            elif before != wanted:
                changed[row.terminal_id] = wanted
        problems.raise_any()
        progress("writing", 0, len(new) + len(changed))
        keystore.add_terminals(connection, new, now)
        keystore.change_terminals(connection, changed, known, now)
        keyed = {
            name: one
            for name, one in (new | changed).items()
            if name in new or (known[name].tmk, known[name].bdk) != (one.tmk, one.bdk)
        }
        keystore.note(connection, now, actor, "import_terminal", [(n, _noted(o)) for n, o in keyed.items()])
        if new or changed:
            bump_epoch(connection)
    return report("terminals", path, len(rows), len(new), len(changed))


def _wanted(row: TerminalRow, merchant_no: int, before: TerminalAt | None) -> TerminalAt:
    old = before or TerminalAt(merchant_no, "", "")
    return TerminalAt(
        merchant_no=merchant_no,
        tmk=row.tmk,
        tmk_kcv=row.kcv,
        key_mode=row.key_mode or (old.key_mode if before else MODE_DEFAULT),
        key_form=row.key_form or (old.key_form if before else FORM_DEFAULT),
        bdk=row.bdk or old.bdk,
        ksn_id=row.ksn_id or old.ksn_id,
        notify=old.notify if row.notify is None else row.notify,
    )


def _check(problems: Problems, line: int, wanted: TerminalAt) -> None:
    if bool(wanted.tmk) != bool(wanted.tmk_kcv):
        problems.add(line, "kcv", "tmk and kcv go together", "fill in both")
    if wanted.key_mode == "session":
        if not wanted.tmk:
            problems.add(line, "tmk", "is empty", "a terminal with session keys needs its master key")
        return
    if wanted.bdk is None:
        problems.add(line, "bdk", "is empty", f"{wanted.key_mode} needs a base derivation key under the LMK")
    fault = initial_fault(wanted.ksn_id or "", wanted.key_mode)
    if fault:
        problems.add(line, "ksn_id", *fault)


def _noted(one: TerminalAt) -> str:
    return f"{one.key_mode}, master key {one.tmk_kcv or '-'}, serial {one.ksn_id or '-'}"
