"""The chain of the audit log: any change of any line shows."""

import hashlib
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settlement.domain.audit import GENESIS, ChainError, Line, canonical, fingerprint, follow, link

AT = datetime(2026, 11, 21, 0, 30, tzinfo=UTC)
TEXTS = st.text(max_size=20)


def _log(*acts: str) -> list[Line]:
    lines: list[Line] = []
    for number, act in enumerate(acts):
        previous = lines[-1] if lines else None
        lines.append(
            link(previous, AT + timedelta(seconds=number), "kim", act, "file", canonical({"n": number}))
        )
    return lines


def test_a_chain_starts_at_the_beginning_and_each_line_holds_the_one_before() -> None:
    one, two = _log("a", "b")
    assert (one.audit_no, one.previous_sha256, two.audit_no, two.previous_sha256) == (
        1,
        GENESIS,
        2,
        one.sha256,
    )
    assert follow([one, two]) == two
    assert follow([two], one) == two
    assert follow([]) is None


def test_the_fingerprint_is_one_that_anybody_can_compute() -> None:
    """sha256 of: 64 zeros, line feed, the fields as JSON."""
    (line,) = _log("a")
    written = (
        '{"act":"a","actor":"kim","at":"2026-11-21T00:30:00.000000+00:00","audit_no":1,'
        '"detail":"{\\"n\\":0}","subject":"file"}'
    )
    assert line.sha256 == hashlib.sha256(f"{'0' * 64}\n{written}".encode()).hexdigest()


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_missing_line_shows(missing: int) -> None:
    lines = _log("a", "b", "c", "d")
    del lines[missing]
    with pytest.raises(ChainError, match=f"line {missing + 1} is missing"):
        follow(lines)


def test_a_line_rewritten_with_its_fingerprint_shows_in_the_next_one() -> None:
    lines = _log("a", "b")
    changed = msgspec.structs.replace(lines[0], actor="lee")
    lines[0] = msgspec.structs.replace(changed, sha256=fingerprint(changed))
    with pytest.raises(ChainError, match="line 2 does not follow"):
        follow(lines)


@settings(print_blob=True)
@given(
    acts=st.lists(TEXTS, min_size=1, max_size=6),
    field=st.sampled_from(["at", "actor", "act", "subject", "detail"]),
    where=st.integers(0, 5),
    put=TEXTS,
)
def test_any_changed_field_shows(acts: list[str], field: str, where: int, put: str) -> None:
    lines = _log(*acts)
    at = where % len(lines)
    value: object = AT - timedelta(microseconds=1) if field == "at" else put
    if getattr(lines[at], field) == value:
        return
    lines[at] = msgspec.structs.replace(lines[at], **{field: value})
    with pytest.raises(ChainError, match=f"line {at + 1} is not what was written"):
        follow(lines)


def test_the_same_instant_in_another_zone_is_the_same_line() -> None:
    (line,) = _log("a")
    moved = msgspec.structs.replace(line, at=AT.astimezone())
    assert fingerprint(moved) == line.sha256
