"""The switch turns away the serial numbers that its HSM would refuse, and no others."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsm_sim.crypto import dukpt_aes, dukpt_tdes
from hsm_sim.crypto.dukpt import BadSerialNumber, Scheme
from switch.service.keyserial import counted, split

KINDS = {
    "dukpt_tdes": ("FFFF9876543210E00000", dukpt_tdes.SCHEME),
    "dukpt_aes": ("1234567890123456" + "0" * 8, dukpt_aes.SCHEME),
}


def refused(scheme: Scheme, counter: int) -> bool:
    """Whether the HSM refuses."""
    try:
        scheme.check(counter)
    except BadSerialNumber:
        return True
    return False


@settings(print_blob=True, max_examples=200, deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.integers(0, (1 << 21) - 1) | st.integers(0, (1 << 32) - 1))
def test_switch_and_hsm_know_the_same_counters(mode: str, number: int) -> None:
    initial, scheme = KINDS[mode]
    counter = number % (1 << scheme.bits)
    serial = split(f"{int(initial, 16) | counter:0{len(initial)}X}", mode)
    assert serial is not None
    assert serial.initial == initial
    assert serial.counter == counter
    assert counted(serial, mode) != refused(scheme, counter)


@pytest.mark.parametrize("mode", KINDS)
def test_the_first_and_the_last_counter(mode: str) -> None:
    _, scheme = KINDS[mode]
    last = ((1 << scheme.ones_max) - 1) << (scheme.bits - scheme.ones_max)
    assert not refused(scheme, 1)
    assert not refused(scheme, last)
    assert scheme.following(last) == 0
