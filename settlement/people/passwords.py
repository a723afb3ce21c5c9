"""Passwords: argon2id (RFC 9106, second recommended parameters) and nothing else."""

from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from settlement.errors import UsageError

SHORTEST = 12
LONGEST = 1_024

_HASHER = PasswordHasher()


def hashed(password: str) -> str:
    """The stored form of a new password. Raises UsageError for one too short or too long."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise UsageError(f"a password has {SHORTEST} to {LONGEST:,} characters: choose another one")
    return _HASHER.hash(password)


def fits(stored: str, password: str) -> bool:
    """Whether it is the password. An operator that is not there (stored is empty) costs as much work."""
    try:
        return _HASHER.verify(stored or _nobody(), password[:LONGEST]) and bool(stored)
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobody() -> str:
    return _HASHER.hash("x" * SHORTEST)
