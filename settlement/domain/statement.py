"""A bank statement (camt.053) as such: does it add up, and does it follow the one before it?"""

from datetime import date
from enum import StrEnum

import msgspec

from settlement.domain.matching import Entry


class StatementError(ValueError):
    """A statement that cannot be taken: the text says what does not fit, and what to ask the bank for."""


class Statement(msgspec.Struct, frozen=True):
    """One account's statement. Amounts in won; `sequence` None where the bank does not number."""

    statement_id: str
    sequence: int | None
    account: str
    bank: str
    opening: int
    closing: int
    first: date
    last: date
    entries: tuple[Entry, ...]


class Before(msgspec.Struct, frozen=True):
    """The account's last statement that was taken."""

    statement_id: str
    sequence: int | None
    last: date
    closing: int


class Follows(StrEnum):
    """How a statement stands to the last one."""

    NEXT = "next"
    LATER = "later"  # one between is missing


def add_up(one: Statement) -> None:
    """Raise StatementError unless opening + entries = closing."""
    moved = sum(entry.won for entry in one.entries)
    if one.opening + moved != one.closing:
        raise StatementError(
            f"statement {one.statement_id} opens with {one.opening:,} won, its {len(one.entries):,} entries"
            f" move {moved:,}, and it closes with {one.closing:,}: ask the bank for the right one"
        )
    if one.first > one.last:
        raise StatementError(
            f"statement {one.statement_id} ends on {one.last}, before it begins: ask the bank"
        )


def follow(one: Statement, before: Before | None) -> Follows:
    """Whether a statement is the next. Raises StatementError for one that can never be."""
    if before is None:
        return Follows.NEXT
    if one.sequence is not None and before.sequence is not None:
        if one.first.year > before.last.year and one.sequence <= before.sequence:
            return _new_year(one, before)  # some banks number by the year
        if one.sequence <= before.sequence:
            raise StatementError(
                f"statement {one.statement_id} has number {one.sequence}, taken is {before.sequence} already,"
                f" as {before.statement_id}: ask the bank which is right"
            )
        if one.sequence > before.sequence + 1:
            return Follows.LATER
    if one.opening == before.closing and one.first >= before.last:
        return Follows.NEXT
    if one.sequence is None and one.first > before.last:
        return Follows.LATER
    raise StatementError(
        f"statement {one.statement_id} opens on {one.first} with {one.opening:,} won; {before.statement_id}"
        f" closed on {before.last} with {before.closing:,}: ask the bank for the right one"
    )


def _new_year(one: Statement, before: Before) -> Follows:
    return Follows.NEXT if one.sequence == 1 and one.opening == before.closing else Follows.LATER


def missing(one: Statement, before: Before) -> str:
    """What to ask the bank for."""
    if before.sequence is None or (one.sequence or 0) <= before.sequence:
        return f"the statements between {before.last} and {one.first}"
    last = (one.sequence or 0) - 1
    first = before.sequence + 1
    return f"statement {first}" if first == last else f"statements {first} to {last}"
