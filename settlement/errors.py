"""Why a settlement stops, and the exit code that says so to whoever started it."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of `dure-settlement`."""

    DONE = 0
    USAGE = 2
    EXCEPTIONS = 3
    MISMATCH = 4
    RETRY = 75
    NOT_ALLOWED = 77
    CONFIGURATION = 78


_GRAVITY = (
    ExitCode.DONE,
    ExitCode.EXCEPTIONS,
    ExitCode.USAGE,
    ExitCode.NOT_ALLOWED,
    ExitCode.RETRY,
    ExitCode.MISMATCH,
    ExitCode.CONFIGURATION,
)


def gravest(codes: list[ExitCode]) -> ExitCode:
    """The one exit code of several programmes' settlements."""
    return max(codes, key=_GRAVITY.index, default=ExitCode.DONE)


class SettlementError(RuntimeError):
    """A settlement that stops. The text is one line and says what to do."""

    code = ExitCode.RETRY


class UsageError(SettlementError):
    """Asked for something that cannot be settled: an open date, an unknown programme."""

    code = ExitCode.USAGE


class NotAllowedError(SettlementError):
    """Whoever asks may not: an unknown or barred operator, a wrong password, a missing role."""

    code = ExitCode.NOT_ALLOWED


class ControlMismatchError(SettlementError):
    """Two numbers that must agree do not. Nothing has been emitted; a person must look."""

    code = ExitCode.MISMATCH


class RetryLaterError(SettlementError):
    """Locked or unreachable: the same command, later, goes on where this one stopped."""

    code = ExitCode.RETRY


class ConfigurationError(SettlementError):
    """The settings do not fit the database or themselves."""

    code = ExitCode.CONFIGURATION
