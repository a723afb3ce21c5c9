"""Applying a programme file: what is new is added, what payments were judged by is never changed."""

import hashlib
from datetime import datetime
from pathlib import Path

import msgspec
from sqlalchemy import Connection, Engine

from switch.domain.calendar import SEOUL, business_date
from switch.domain.programme import Policy, Programme
from switch.domain.programme_file import canonical_json, canonical_policy, canonical_sha256, parse_programme
from switch.service.programmes_given import apply_given
from switch.store import reference_write as reference
from switch.store.bulk import bump_epoch, hold_lanes, lock_administration
from switch.store.schema import funder, policy, programme

FILE_BYTES_MAX = 4_000_000


class ApplyRefusedError(Exception):
    """A programme that contradicts what is in force; `problems` are lines for people."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class ApplyReport(msgspec.Struct, frozen=True):
    """What was applied: versions new and changed, funders new. `changed` false: it was in force already."""

    programme_id: str
    sha256: str
    changed: bool
    new_versions: tuple[str, ...] = ()
    changed_versions: tuple[str, ...] = ()
    new_funders: tuple[str, ...] = ()


def read_programme(path: Path) -> Programme:
    """The programme in a file. Raises ProgrammeError (every fault), ApplyRefusedError (cannot be read)."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX)
        return parse_programme(data.decode("utf-8-sig"), str(path))
    except FileNotFoundError:
        raise ApplyRefusedError([f"{path}: there is no such file: check the path"]) from None
    except UnicodeDecodeError:
        raise ApplyRefusedError([f"{path}: is not UTF-8: save it as UTF-8 text"]) from None
    except OSError as error:
        raise ApplyRefusedError(
            [f"{path}: cannot be read ({error.strerror}): name a file that you may read"]
        ) from None


def apply_programme(engine: Engine, path: Path, now: datetime) -> ApplyReport:
    """Put a programme file in force, in one transaction. Raises ProgrammeError or ApplyRefusedError.

    A version that is stored stays as it is unless no payment was judged by it; versions and funders that are
    stored cannot be left out; a new version cannot start before payments that were judged without it.
    """
    wanted = read_programme(path)
    sha256 = canonical_sha256(wanted)
    with engine.begin() as connection:
        lock_administration(connection)
        before = reference.find_programmes(connection).get(wanted.programme_id)
        if before is not None and before.sha256 == sha256:
            return ApplyReport(wanted.programme_id, sha256, changed=False)
        number = (
            before.programme_no if before else reference.next_number(connection, programme, "programme_no")
        )
        if before is not None:
            # Batches judged by the old text are booked before we look which versions payments have used.
            hold_lanes(connection, number, business_date(now, before.programme.cutover))
        problems: list[str] = []
        new_funders = _funders(connection, wanted, before, number, problems)
        new, changed = _policies(connection, wanted, number, now, problems)
        numbers = reference.funder_numbers(connection, number)
        old = before.programme if before else None
        apply_given(connection, wanted, old, number, numbers, now, problems)
        if (
            before is not None
            and before.programme.cutover != wanted.cutover
            and before.closed_through is not None
        ):
            problems.append("programme.cutover: days have been closed by the old one: set it back")
        if problems:
            raise ApplyRefusedError([f"{path}: {problem}" for problem in problems])
        reference.put_row(
            connection,
            programme,
            {"programme_no": number},
            {
                "programme_id": wanted.programme_id,
                "name": wanted.name,
                "document": canonical_json(wanted).decode(),
                "sha256": sha256,
                "applied_at": now,
            },
        )
        bump_epoch(connection)
    return ApplyReport(wanted.programme_id, sha256, True, tuple(new), tuple(changed), tuple(new_funders))


def _funders(
    connection: Connection,
    wanted: Programme,
    before: reference.ProgrammeAt | None,
    number: int,
    problems: list[str],
) -> list[str]:
    known = before.funder_numbers if before else {}
    problems += [
        f'funder "{missing}": is in force and missing here: put it back, the books name it'
        for missing in sorted(known.keys() - {one.id for one in wanted.funders})
    ]
    new = [one.id for one in wanted.funders if one.id not in known]
    for one in wanted.funders:
        number_of = known.get(one.id) or reference.next_number(connection, funder, "funder_no")
        values = {"programme_no": number, "funder_id": one.id, "name": one.name}
        reference.put_row(connection, funder, {"funder_no": number_of}, values)
    return new


def _policies(
    connection: Connection, wanted: Programme, number: int, now: datetime, problems: list[str]
) -> tuple[list[str], list[str]]:
    known = reference.policies_of(connection, number)
    problems += [
        f'policy version "{missing}": is in force and missing here: put it back'
        for missing in sorted(known.keys() - {one.version for one in wanted.policies})
    ]
    new: list[str] = []
    changed: list[str] = []
    for one in wanted.policies:
        document = canonical_policy(one)
        sha256 = hashlib.sha256(document).hexdigest()
        policy_no, stored = known.get(one.version, (0, ""))
        if stored == sha256:
            continue
        if policy_no and reference.policy_in_use(connection, policy_no):
            problems.append(
                f'policy version "{one.version}": differs from what payments were judged by: put it'
                " back as it was and give the new rules a new version name"
            )
            continue
        if _starts_too_early(connection, number, one, now):
            problems.append(
                f'policy version "{one.version}": starts {one.effective_from.isoformat()}, and later payments'
                " were judged without it: let it start in the future"
            )
            continue
        (changed if policy_no else new).append(one.version)
        reference.put_row(
            connection,
            policy,
            {"policy_no": policy_no or reference.next_number(connection, policy, "policy_no")},
            {
                "programme_no": number,
                "version": one.version,
                "effective_from": one.effective_from,
                "document": document.decode(),
                "sha256": sha256,
            },
        )
    return new, changed


def _starts_too_early(connection: Connection, number: int, one: Policy, now: datetime) -> bool:
    day = one.effective_from.astimezone(SEOUL).date()
    return one.effective_from <= now and reference.payments_since(connection, number, day)
