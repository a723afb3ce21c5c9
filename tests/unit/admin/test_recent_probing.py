"""What a process remembers: trace numbers of payments, and terminals that guess."""

from datetime import datetime

from switch.domain.calendar import SEOUL, moment_of
from switch.domain.payment import Kind, PaymentKey
from switch.service.probing import Probing
from switch.service.recent import Recent

OPENED = moment_of(datetime(2025, 6, 10, 12, 0, 0, tzinfo=SEOUL))


def key(*, bucket: int = 1, time: int = 120_001, stan: int = 7, terminal: str = "T0000001") -> PaymentKey:
    return PaymentKey(bucket, 20250610, time, terminal, stan, int(Kind.PURCHASE))


class Books:
    """Answers who holds a number, and counts how often it was asked."""

    def __init__(self, holder: int | None = None) -> None:
        self.holder = holder
        self.asked = 0

    async def used_by(self, _: PaymentKey) -> int | None:
        self.asked += 1
        return self.holder


async def test_the_same_number_with_a_card_of_another_bucket_clashes() -> None:
    recent = Recent(Books().used_by)
    assert not await recent.clashes(key(bucket=1), 100, OPENED)
    assert not await recent.clashes(key(bucket=1), 100, OPENED)  # its own repeat
    assert await recent.clashes(key(bucket=2), 200, OPENED)
    assert not await recent.clashes(key(bucket=2, stan=8), 200, OPENED)
    assert not await recent.clashes(key(bucket=2, terminal="T0000002"), 200, OPENED)


async def test_a_payment_of_before_the_line_is_looked_up_in_the_books() -> None:
    books = Books(holder=100)
    recent = Recent(books.used_by)
    assert await recent.clashes(key(bucket=2, time=115_959), 200, OPENED)
    assert books.asked == 1
    assert not await recent.clashes(key(bucket=1, time=115_959), 100, OPENED)


async def test_a_payment_of_after_the_line_asks_nobody() -> None:
    books = Books(holder=100)
    assert not await Recent(books.used_by).clashes(key(bucket=2), 200, OPENED)
    assert books.asked == 0


async def test_a_number_whose_payment_was_not_booked_is_free_again() -> None:
    recent = Recent(Books().used_by)
    assert not await recent.clashes(key(bucket=1), 100, OPENED)
    recent.forget(key(bucket=1))
    assert not await recent.clashes(key(bucket=2), 200, OPENED)


async def test_memory_is_bounded_and_keeps_the_latest() -> None:
    recent = Recent(Books().used_by, remembered_max=100)
    for stan in range(1, 1001):
        assert not await recent.clashes(key(stan=stan), 100, OPENED)
    assert len(recent) <= 102
    assert await recent.clashes(key(bucket=2, stan=1000), 200, OPENED)
    assert await recent.clashes(key(bucket=2, stan=960), 200, OPENED)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_terminal_that_guesses_is_stopped_until_the_window_has_passed() -> None:
    clock = Clock()
    probing = Probing(clock, failures_max=3, window_s=60)
    assert [probing.failed("T0000001") for _ in range(3)] == [False, False, True]
    assert probing.stopped("T0000001")
    assert not probing.stopped("T0000002")
    assert not probing.failed("T0000001")  # told once
    clock.now += 61
    assert not probing.stopped("T0000001")
    assert not probing.failed("T0000001")


def test_failures_that_lie_far_apart_do_not_add_up() -> None:
    clock = Clock()
    probing = Probing(clock, failures_max=3, window_s=60)
    for _ in range(10):
        assert not probing.failed("T0000001")
        clock.now += 40
        assert not probing.stopped("T0000001")


def test_nothing_is_counted_when_turned_off() -> None:
    probing = Probing(Clock(), failures_max=0, window_s=60)
    for _ in range(100):
        assert not probing.failed("T0000001")
    assert not probing.stopped("T0000001")
    assert len(probing) == 0


def test_what_has_happened_is_heard_five_times_as_long_and_then_not() -> None:
    clock = Clock()
    probing = Probing(clock, failures_max=3, window_s=60)
    for number in range(1, 16):
        assert probing.stopped("T0000001") == (number > 3)
        assert not probing.stopped("T0000001", told=True)
        assert probing.failed("T0000001") == (number == 3)
    assert probing.stopped("T0000001", told=True)
    clock.now += 61
    assert not probing.stopped("T0000001", told=True)
