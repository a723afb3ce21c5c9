"""The terminal's end of a batch close: its totals (0500), and its details (0320) when they differ.

A terminal that keeps batches gives every payment the number of the open one. Closed in balance, or after an
upload, the next number begins.
"""

from datetime import datetime
from typing import Final

from terminal_sim.journal import Line, Totals, batch_lines, batch_totals, read_journal
from terminal_sim.reply import TerminalError
from terminal_sim.terminal import Terminal

OUT_OF_BALANCE: Final = "95"
BATCH_MAX: Final = 999_999


def close_message(terminal: Terminal, now: datetime, *, off_by: int = 0) -> bytes:
    """0500 with the totals of the open batch. `off_by` won are added to the debits: totals that are wrong.

    Raises TerminalError when the terminal keeps no batches.
    """
    totals = _totals(terminal)
    totals.debit_won += off_by
    totals.debits += off_by != 0
    return terminal.batch_message("0500", now, totals.fields())


def detail_messages(terminal: Terminal, now: datetime) -> list[bytes]:
    """0320 for every payment of the open batch that moved money, the last one marked as the last.

    An empty batch has no details. Raises TerminalError when the terminal keeps no batches.
    """
    _open_batch(terminal)
    lines = batch_lines(_lines(terminal), terminal.batch_no)
    return [_detail(terminal, now, line, last=line is lines[-1]) for line in lines]


def next_batch(terminal: Terminal) -> None:
    """The close was answered: the next number begins."""
    terminal.batch_no = _open_batch(terminal) % BATCH_MAX + 1


def _detail(terminal: Terminal, now: datetime, line: Line, *, last: bool) -> bytes:
    fields = {
        3: line.processing_code,
        4: f"{line.approved - line.taken_back:012d}",
        12: line.time,
        13: line.day,
        90: f"{line.mti}{line.stan}{line.transmission}".ljust(42, "0"),
    }
    if line.rrn:
        fields[37] = line.rrn
    if line.approval:
        fields[38] = line.approval
    return terminal.batch_message("0320", now, fields, **({"LB": "1"} if last else {}))


def _totals(terminal: Terminal) -> Totals:
    return batch_totals(_lines(terminal), _open_batch(terminal))


def _lines(terminal: Terminal) -> list[Line]:
    return read_journal(terminal.journal, terminal.codec.decode)


def _open_batch(terminal: Terminal) -> int:
    if not terminal.batch_no:
        raise TerminalError("this terminal keeps no batches")
    if terminal.journal_full:
        raise TerminalError("the journal is full: its totals would be wrong")
    return terminal.batch_no
