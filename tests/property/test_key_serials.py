"""Key serial numbers: taken apart as X9.24 lays them out, and each counter taken once, in any order."""

from hypothesis import given, settings
from hypothesis import strategies as st

from switch.service.keyserial import WINDOW, Window, initial_fault, split

MODES = {"dukpt_tdes": (20, 21), "dukpt_aes": (24, 32)}


@settings(print_blob=True, max_examples=300)
@given(st.integers(-1, 200), st.lists(st.integers(0, 300), max_size=120))
def test_a_counter_is_taken_once_and_never_from_behind_the_window(last: int, asked: list[int]) -> None:
    window = Window("", last)
    taken: set[int] = set(range(-WINDOW * 2, last + 1))  # what was before a restart counts as taken
    for counter in asked:
        free = counter not in taken and counter > max(taken) - WINDOW
        assert window.take(counter) == free
        taken.add(counter) if free else None
        assert window.last == max(taken)


@given(st.sampled_from(sorted(MODES)), st.data())
def test_a_serial_number_is_its_identity_and_its_counter(mode: str, data: st.DataObject) -> None:
    digits, bits = MODES[mode]
    identity = data.draw(st.integers(0, (1 << (digits * 4 - bits)) - 1))
    counter = data.draw(st.integers(0, (1 << bits) - 1))
    serial = split(f"{identity << bits | counter:0{digits}x}", mode)
    assert serial is not None
    assert (int(serial.initial, 16) >> bits, serial.counter) == (identity, counter)
    assert serial.initial == f"{identity << bits:0{digits}X}"
    assert initial_fault(serial.initial, mode) is None
    counting = f"{identity << bits | counter:0{digits}X}"
    assert (initial_fault(counting, mode) is None) == (counter == 0)


@given(st.sampled_from(sorted(MODES)), st.text(max_size=30))
def test_what_is_no_serial_number_is_none(mode: str, text: str) -> None:
    digits, _ = MODES[mode]
    try:
        good = len(text) == digits and text.isascii() and text.isalnum() and int(text, 16) >= 0
    except ValueError:
        good = False
    assert (split(text, mode) is not None) == good
