"""Repeats a draw from what was published, without the books."""

from pathlib import Path

import msgspec

from switch.domain.draw import DrawError, commitment, differences, tickets_drawn
from switch.service.draw.files import (
    ANNOUNCEMENT,
    RESULT,
    TICKETS,
    Announcement,
    Result,
    TicketFile,
    read_json,
)


class Check(msgspec.Struct, frozen=True):
    """One thing that must hold, and what is wrong with it; nothing when it holds."""

    about: str
    problems: list[str]

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


class Verdict(msgspec.Struct, frozen=True):
    """Every check, and whether all hold. `cancelled`: tickets that the operator says were lost meanwhile."""

    ok: bool
    name: str
    tickets: int
    prizes: int
    cancelled: int
    checks: list[Check]


def verify(folder: Path) -> Verdict:
    """Check the three files of a draw against each other. Raises RefusedError if one cannot be read."""
    said = read_json(folder / ANNOUNCEMENT, Announcement)
    result = read_json(folder / RESULT, Result)
    told = result.announcement
    checks = [
        Check("the result is of the draw that was announced", _unlike(said, told)),
        Check("the seed is the one that was committed to", _seed(said, result)),
    ]
    with TicketFile(folder / TICKETS) as tickets:
        sha256 = tickets.sha256()
        checks.append(
            Check("the ticket list has the published hash", _unequal("hash", sha256, result.list_sha256))
        )
        count, problems = tickets.check()
        checks.append(
            Check(
                "the tickets are numbered without a gap",
                problems or _unequal("number of tickets", count, result.tickets),
            )
        )
        if all(check.holds for check in checks):
            order = tickets_drawn(result.seed, sha256, count)
            drawn = [one.plain() for one in result.drawn]
            wrong = differences(drawn, order, said.prizes, once=said.once, member_of=tickets.member_of)
            checks.append(Check("the prizes fall to the tickets that the seed and the list draw", wrong))
    return Verdict(
        all(check.holds for check in checks),
        told.name,
        result.tickets,
        sum(1 for one in result.drawn if one.prize),
        sum(1 for one in result.drawn if one.cancelled),
        checks,
    )


def _unlike(said: Announcement, told: Announcement) -> list[str]:
    before, after = msgspec.structs.asdict(said), msgspec.structs.asdict(told)
    return [
        f"{name}: announced {before[name]}, the result says {after[name]}"
        for name in before
        if before[name] != after[name]
    ]


def _seed(said: Announcement, result: Result) -> list[str]:
    try:
        return _unequal("SHA-256 of the seed", commitment(result.seed), said.commitment)
    except DrawError as error:
        return [str(error)]


def _unequal(what: str, found: object, told: object) -> list[str]:
    return [] if found == told else [f"the {what} is {found}, not {told}"]
