"""Faults are drawn by chance from a seed, and written as people write them."""

from collections import Counter

import pytest

from switch.wire.dialect import CODECS
from terminal_sim.faults import (
    ABOUT,
    DELAY_MS_MAX,
    PPM,
    SKEW_MINUTES_MAX,
    Fault,
    FaultPlan,
    chances,
    flip_mac,
)


def test_chances_are_exact_and_come_from_the_seed() -> None:
    given = ["drop=0.01", "duplicate=0.02", "batch_mismatch=0.5"]
    plan = FaultPlan.read(given, 7)
    assert plan.ppm == {Fault.DROP: 10_000, Fault.DUPLICATE: 20_000, Fault.BATCH_MISMATCH: 500_000}
    drawn = [plan.draw() for _ in range(20_000)]
    again = FaultPlan.read(given, 7)
    assert drawn == [again.draw() for _ in range(20_000)]
    counts = Counter(drawn)
    assert set(counts) == {None, Fault.DROP, Fault.DUPLICATE}
    assert 140 <= counts[Fault.DROP] <= 260
    assert 320 <= counts[Fault.DUPLICATE] <= 480
    assert 400 <= sum(plan.batch_is_wrong() for _ in range(1_000)) <= 600


def test_every_fault_is_told_and_can_be_certain() -> None:
    assert ABOUT.keys() == set(Fault)
    for fault in Fault:
        plan = FaultPlan({fault: PPM}, 1)
        assert plan.draw() == (None if fault is Fault.BATCH_MISMATCH else fault)
    assert all(1 <= plan.delay_ms() <= DELAY_MS_MAX for _ in range(100))
    assert all(1 <= abs(plan.skew_minutes()) <= SKEW_MINUTES_MAX for _ in range(100))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("drip=0.1", "there is no drip; known are drop"),
        ("drop", "write name=probability"),
        ("drop=1e-3", "write name=probability"),
        ("drop=-0.1", "write name=probability"),
        ("drop=0.0000001", "up to six decimals"),
        ("drop=1.5", "0 to 1"),
    ],
)
def test_wrong_chances_are_told(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        FaultPlan.read([text], 1)


def test_chances_stand_once_and_stay_within_certainty() -> None:
    with pytest.raises(ValueError, match="stands twice"):
        chances(["drop=0.1", "drop=0.1"], tuple(Fault))
    with pytest.raises(ValueError, match="together not more than 1"):
        FaultPlan.read(["drop=0.6", "late=0.6"], 1)


@pytest.mark.parametrize("dialect", ["ascii", "bcd"])
def test_one_bit_of_the_mac_is_wrong(dialect: str) -> None:
    codec = CODECS[dialect]
    fields = {7: "1121031500", 11: "000001", 12: "121500", 13: "1121", 41: "T0000001", 70: "002"}
    for last in range(256):
        sealed = codec.with_mac(codec.encode_for_mac("0800", fields), f"00112233445566{last:02X}")
        flipped = codec.decode(flip_mac(sealed))
        assert flipped.fields == fields
        assert flipped.mac != f"00112233445566{last:02X}"
