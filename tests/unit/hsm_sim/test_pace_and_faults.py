"""The knobs of the simulator without a socket: the cap, the delays, the dice, and their settings."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsm_sim.faults import Fault, FaultDice, Faults
from hsm_sim.pace import Delay, Pace, TokenBucket
from hsm_sim.settings import ConfigError, load


@settings(print_blob=True)
@given(
    rate=st.integers(1, 5_000),
    burst=st.integers(0, 500),
    steps=st.lists(st.floats(0, 0.5, allow_nan=False), min_size=1, max_size=60),
)
def test_a_bucket_never_gives_more_than_its_rate_and_its_burst(
    rate: int, burst: int, steps: list[float]
) -> None:
    bucket = TokenBucket(rate, burst, 100.0)
    now, taken = 100.0, 0
    for step in steps:
        now += step
        while bucket.take(now):
            taken += 1
        assert taken <= (burst or max(rate // 10, 1)) + (now - 100.0) * rate + 1e-6
        assert 0 < bucket.wait_s() <= 1 / rate + 1e-9


def test_what_a_bucket_says_of_its_wait_is_true() -> None:
    bucket = TokenBucket(60, 1, 0.0)
    assert bucket.take(0.0)
    assert not bucket.take(0.0)
    assert bucket.take(bucket.wait_s() + 1e-9)


def test_delays_stay_in_their_range_and_repeat_with_their_seed() -> None:
    pace = Pace(latency_ms=20, jitter_ms=10)
    times = [Delay(pace, 7).next_s() for _ in range(3)]
    assert times == [times[0]] * 3
    delay = Delay(pace, 7)
    many = [delay.next_s() for _ in range(200)]
    assert many[0] == times[0]
    assert all(0.02 <= one <= 0.03 for one in many)
    assert len(set(many)) > 100
    assert Delay(Pace(latency_ms=5), 1).next_s() == 0.005


def test_dice_follow_their_probabilities_and_their_seed() -> None:
    faults = Faults(no_answer=0.1, error=0.2, cut=0.05)
    dice, again = FaultDice(faults, 42), FaultDice(faults, 42)
    rolled = [dice.roll() for _ in range(10_000)]
    assert rolled == [again.roll() for _ in range(10_000)]
    count = Counter(rolled)
    assert set(count) == {None, Fault.NO_ANSWER, Fault.ERROR, Fault.CUT}
    assert 800 < count[Fault.NO_ANSWER] < 1_200
    assert 1_700 < count[Fault.ERROR] < 2_300
    assert FaultDice(Faults(garbage=1), 1).roll() is Fault.GARBAGE
    assert all(1 <= len(dice.noise()) <= 64 for _ in range(100))


def test_nothing_is_on_unless_it_is_said() -> None:
    assert not Pace().on
    assert not Faults().on
    assert Pace(rate_max=60).on
    assert Faults(late=0.001).on


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[pace]\nlatency = 5", "pace.latency: unknown key: remove it, or use one of latency_ms"),
        ("[fault]\ncut = 1", "fault: unknown key: remove it, or use one of host"),
        ("[faults]\ncut = 0.6\nerror = 0.6", "faults: the probabilities add up to more than 1: lower them"),
        ("[faults]\ncut = 1.5", "faults.cut: "),
        ('[faults]\nerror_code = "00"', "faults.error_code: "),
        ('[pace]\nover = "drop"', "pace.over: "),
        ("[pace]\nlatency_ms = -1", "pace.latency_ms: "),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "hsm.toml"
    file.write_text(text + "\n", "utf-8")
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert says in str(caught.value)


def test_files_are_looked_for_beside_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "hsm.toml"
    file.write_text('lmk_file = "lmk.json"\naudit_file = "log/audit.jsonl"\n', "utf-8")
    settings = load(file)
    assert settings.lmk_file == tmp_path / "lmk.json"
    assert settings.audit_file == tmp_path / "log" / "audit.jsonl"
