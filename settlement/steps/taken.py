"""What taking in the bank's answers tells, file by file."""

import msgspec

from settlement.errors import ExitCode, gravest

APPLIED, REPEATED, WAITS, REFUSED, THEIRS = "applied", "repeated", "waits", "refused", "other programme's"


class Applied(msgspec.Struct, frozen=True):
    """What one file came to. `conflicts` are lines about payments that a person must look at."""

    told: str
    state: str = APPLIED
    conflicts: tuple[str, ...] = ()


class TakenFile(msgspec.Struct, frozen=True):
    """One file of the inbox. `inbound_no` 0: it was not even archived."""

    inbound_no: int
    name: str
    kind: str
    state: str
    told: str
    conflicts: tuple[str, ...] = ()
    code: int = ExitCode.DONE


class InboxOutcome(msgspec.Struct, frozen=True):
    """Everything that was taken in; `resolved` are lines about entries that have left suspense by it."""

    files: tuple[TakenFile, ...] = ()
    resolved: tuple[str, ...] = ()

    @property
    def code(self) -> ExitCode:
        """3 where something was refused, waits or contradicts; 4 where the books and the bank differ."""
        return gravest([ExitCode(file.code) for file in self.files])

    @property
    def problems(self) -> list[str]:
        """A line for each thing that a person must look at."""
        lines = [f"{file.name} {file.told}" for file in self.files if file.state in (REFUSED, WAITS)]
        return lines + [line for file in self.files for line in file.conflicts]
