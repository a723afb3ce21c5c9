from datetime import UTC, datetime, timedelta

import pytest

from switch.domain.calendar import SEOUL
from switch.domain.programme import NoPolicy
from tests.unit.domain.samples import policy, programme

FIRST = datetime(2025, 1, 1, tzinfo=SEOUL)
SIX = datetime(2025, 4, 1, 6, tzinfo=SEOUL)


def test_a_version_holds_from_its_very_instant() -> None:
    versions = programme(policy(version="a", effective_from=FIRST), policy(version="b", effective_from=SIX))
    assert versions.policy_at(FIRST).version == "a"
    assert versions.policy_at(SIX - timedelta(microseconds=1)).version == "a"
    assert versions.policy_at(SIX).version == "b"
    assert versions.policy_at(datetime(2025, 3, 31, 21, tzinfo=UTC)).version == "b"


def test_before_the_first_version_there_is_no_policy() -> None:
    with pytest.raises(NoPolicy, match="test has no policy"):
        programme(policy()).policy_at(FIRST - timedelta(seconds=1))


def test_the_cap_is_the_end_of_the_last_tier() -> None:
    assert policy().cap == 1_000_000
