"""The lane's queue: equal shares of batch and room, order kept, nothing lost, one alone has all."""

from collections import Counter
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from switch.domain.payment import Kind, PaymentKey
from switch.domain.request import PinCheck, Request
from switch.service.fair_queue import FairQueue, Waiting

_PLAIN = Request(
    PaymentKey(1, 20260629, 120_000, "T1", 1, Kind.PURCHASE),
    *(1, 1, 1, 1, 1_000, "pos", "", "", "", 0, PinCheck.NONE, None, None),
)


def waiting(programme: int, number: int) -> Waiting:
    return Waiting(replace(_PLAIN, programme_no=programme, content=number), cast("Any", None), number / 10)


def told(batch: list[Waiting]) -> list[tuple[int, int]]:
    return [(one.request.programme_no, one.request.content) for one in batch]


def test_one_programme_alone_is_a_plain_queue_and_may_fill_it() -> None:
    queue = FairQueue()
    for number in range(5):
        assert queue.put(waiting(1, number), 5) is None
    late = waiting(1, 9)
    assert queue.put(late, 5) is late
    assert told(queue.take(3)) == [(1, 0), (1, 1), (1, 2)]
    assert told(queue.take(3)) == [(1, 3), (1, 4)]
    assert (queue.take(3), len(queue)) == ([], 0)


def test_a_quiet_programme_is_in_the_next_batch_whatever_stands_before_it() -> None:
    queue = FairQueue()
    for number in range(900):
        queue.put(waiting(1, number), 1_000)
    for number in range(3):
        queue.put(waiting(2, number), 1_000)
    batch = queue.take(10)
    assert [one for one in told(batch) if one[0] == 2] == [(2, 0), (2, 1), (2, 2)]
    assert [one for one in told(batch) if one[0] == 1] == [(1, n) for n in range(7)]  # what is left over


def test_two_in_a_rush_halve_a_batch_and_more_programmes_than_places_take_turns() -> None:
    queue = FairQueue()
    for number in range(100):
        for programme in (1, 2):
            queue.put(waiting(programme, number), 1_000)
    assert Counter(p for p, _ in told(queue.take(10))) == {1: 5, 2: 5}
    many = FairQueue()
    for number in range(4):
        for programme in range(7):
            many.put(waiting(programme, number), 1_000)
    served = [p for _ in range(14) for p, _ in told(many.take(2))]
    assert Counter(served[:7]) == Counter(range(7))
    assert Counter(served) == dict.fromkeys(range(7), 4)


def test_when_the_room_is_full_the_one_that_holds_most_gives_up_its_newest() -> None:
    queue = FairQueue()
    for number in range(6):
        queue.put(waiting(1, number), 6)
    assert [told([given]) for n in range(3) if (given := queue.put(waiting(2, n), 6))] == [
        [(1, 5)], [(1, 4)], [(1, 3)]
    ]  # fmt: skip
    late = waiting(2, 3)
    assert queue.put(late, 6) is late  # they hold the same now
    assert len(queue) == 6


def test_what_is_too_old_goes_from_every_programme() -> None:
    queue = FairQueue()
    for number in range(10):
        queue.put(waiting(number % 2, number), 100)
    assert told(queue.take_older(0.45)) == [(0, 0), (0, 2), (0, 4), (1, 1), (1, 3)]
    assert len(queue) == 5
    assert sorted(told(queue.take(9))) == [(0, 6), (0, 8), (1, 5), (1, 7), (1, 9)]


@settings(max_examples=150, deadline=None, print_blob=True)
@given(
    st.lists(st.one_of(st.integers(0, 4), st.integers(10, 19)), max_size=120),
    st.integers(1, 30),
    st.integers(1, 9),
)  # fmt: skip
def test_nothing_is_lost_or_doubled_and_a_programme_keeps_its_order(
    acts: list[int], most: int, size: int
) -> None:
    queue = FairQueue()
    came: list[tuple[int, int]] = []
    out: list[tuple[int, int]] = []
    refused: list[tuple[int, int]] = []
    for number, act in enumerate(acts):
        if act >= 10:
            out += told(queue.take(size))
        else:
            came.append((act, number))
            if (given := queue.put(waiting(act, number), most)) is not None:
                refused += told([given])
        assert len(queue) <= most
    while batch := queue.take(size):
        assert len(batch) <= size
        out += told(batch)
    assert Counter(out) + Counter(refused) == Counter(came)
    for programme in range(5):
        mine = [number for p, number in out if p == programme]
        assert mine == sorted(mine)
