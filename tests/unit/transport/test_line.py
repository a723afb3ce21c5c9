"""A line knows for whom it may speak and for whom it does; askers share statements; a gate keeps order."""

import asyncio
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from switch.server.gate import Gate
from switch.service.line import Line, Speakers
from switch.settings import Limits
from switch.store.gather import Gather
from switch.wire.dialect import CODECS

NOW = datetime(2026, 11, 18, tzinfo=UTC)


def _line(
    speakers: Speakers,
    number: int,
    *,
    permitted: tuple[str, ...] | None = None,
    closed: list[int] | None = None,
) -> Line:
    gone = [] if closed is None else closed
    return Line(
        codec=CODECS["ascii"],
        number=number,
        opened_at=NOW,
        speakers=speakers,
        permitted=permitted,
        on_superseded=lambda: gone.append(number),
    )


def test_a_certificate_permits_its_terminals_and_no_others() -> None:
    line = _line(Speakers(), 1, permitted=("T0000001", "AB*", "SHORT"))
    assert [line.permits(one) for one in ("T0000001", "AB123456", "AB", "SHORT   ")] == [True] * 4
    assert [line.permits(one) for one in ("T0000002", "A", "SHORTER", "", "T00000010")] == [False] * 5
    assert not _line(Speakers(), 1, permitted=()).permits("T0000001")
    assert _line(Speakers(), 1).permits("T0000001")


def test_the_newest_line_speaks_and_the_one_before_ends_with_its_last_terminal() -> None:
    closed: list[int] = []
    speakers = Speakers()
    old, new = _line(speakers, 1, closed=closed), _line(speakers, 2, closed=closed)
    assert old.claim("A")
    assert old.claim("B")
    assert new.claim("A")
    assert closed == []  # it still speaks for B
    assert (old.may_speak("A"), old.may_speak("B"), new.may_speak("B")) == (False, True, True)
    assert not old.claim("A")
    assert new.claim("B")
    assert closed == [1]
    new.end()
    assert old.may_speak("A")
    assert old.claim("A")  # nobody newer is there


def test_what_a_line_claimed_is_forgotten_when_it_ends() -> None:
    speakers = Speakers()
    lines = [_line(speakers, number) for number in range(100)]
    for number, line in enumerate(lines):
        assert line.claim(f"T{number % 10}")
    assert len(speakers) == 10
    for line in lines:
        line.end()
    assert len(speakers) == 0


def test_the_claims_that_are_remembered_are_bounded() -> None:
    speakers = Speakers(most=3)
    first = _line(speakers, 1)
    for name in "ABCD":
        assert first.claim(name)
    assert len(speakers) == 3
    assert first.claim("A")  # forgotten, and claimed again
    assert len(speakers) == 3


@settings(print_blob=True)
@given(st.lists(st.tuples(st.integers(0, 7), st.sampled_from("ABC"), st.booleans()), max_size=60))
def test_a_terminal_never_has_two_lines(steps: list[tuple[int, str, bool]]) -> None:
    """Against the rule itself: of the lines that live and have claimed, the newest speaks."""
    speakers = Speakers()
    lines: dict[int, Line] = {}
    holder: dict[str, int] = {}
    number = 0
    for slot, name, ends in steps:
        if ends and slot in lines:
            gone = lines.pop(slot)
            gone.end()
            holder = {k: v for k, v in holder.items() if v != gone.number}
            continue
        if slot not in lines:
            number += 1
            lines[slot] = _line(speakers, number)
        line = lines[slot]
        expected = holder.get(name, 0) <= line.number
        assert line.claim(name) is expected
        if expected:
            holder[name] = line.number
    assert len(speakers) == len(holder)


async def test_what_is_asked_while_a_statement_runs_makes_the_next_one() -> None:
    statements: list[dict[str, int]] = []

    async def run(asked: dict[str, int]) -> dict[str, int]:
        statements.append(dict(asked))
        await asyncio.sleep(0.01)
        return {key: value * 2 for key, value in asked.items() if value >= 0}

    gather = Gather(run, RuntimeError, a_statement_max=50)
    first = gather.ask("first", 1)
    await asyncio.sleep(0)
    others = [gather.ask(f"k{n}", n) for n in range(100)]
    assert await first == 2
    assert await asyncio.gather(*others) == [n * 2 for n in range(100)]
    assert [len(one) for one in statements] == [1, 50, 50]
    assert await gather.ask("nothing", -1) is None


async def test_equal_questions_share_an_answer_and_different_ones_of_a_key_follow_in_order() -> None:
    seen: list[tuple[str, int]] = []

    async def run(asked: dict[str, int]) -> dict[str, int]:
        seen.extend(asked.items())
        await asyncio.sleep(0)
        return dict(asked)

    gather = Gather(run, RuntimeError)
    answers = await asyncio.gather(*(gather.ask("a", n) for n in (1, 1, 2, 1, 3)), gather.ask("b", 9))
    assert answers == [1, 1, 2, 1, 3, 9]
    assert [value for key, value in seen if key == "a"] == [1, 2, 1, 3]


async def test_a_failed_statement_fails_its_askers_and_no_others() -> None:
    async def run(asked: dict[str, int]) -> dict[str, int]:
        if "bad" in asked:
            raise OSError("gone")
        return dict(asked)

    gather = Gather(run, lambda: RuntimeError("too many"), a_statement_max=1, waiting_max=2)
    bad, good, over = gather.ask("bad", 1), gather.ask("good", 2), gather.ask("over", 3)
    told = await asyncio.gather(bad, good, over, return_exceptions=True)
    assert isinstance(told[0], OSError)
    assert told[1] == 2
    assert isinstance(told[2], RuntimeError)


class _Stub:
    """What the gate sees of a connection."""

    def __init__(self) -> None:
        self.begun: list[bytes] = []
        self.passed = 0
        self.gone = False

    def begin(self, payload: bytes) -> None:
        self.begun.append(payload)

    def passed_over(self) -> None:
        self.passed += 1


def test_a_gate_lets_messages_in_by_turn_and_drops_what_nobody_waits_for() -> None:
    gate = Gate(Limits(working_max=2, waiting_max=4, waiting_s=5))
    line, other = _Stub(), _Stub()
    entered = [gate.enter(line, bytes([n]), 100.0) for n in range(5)]  # type: ignore[arg-type]
    entered.append(gate.enter(other, b"o", 100.0))  # type: ignore[arg-type]
    assert entered == [True] * 6
    assert not gate.enter(line, b"over", 100.0)  # type: ignore[arg-type]
    assert (line.begun, gate.working, gate.waiting) == ([b"\0", b"\1"], 2, 4)
    gate.leave(101.0)
    assert line.begun == [b"\0", b"\1", b"\2"]
    line.gone = True
    gate.leave(101.0)  # each line has its turn: the other's one message stands before the two that are left
    assert (line.passed, other.begun, gate.waiting) == (0, [b"o"], 2)
    gate.leave(101.0)  # the two that are left of the line that has gone are passed over
    assert (line.passed, gate.waiting, gate.working) == (2, 0, 1)
    gate.enter(other, b"n", 101.0)  # type: ignore[arg-type]
    late = _Stub()
    gate.enter(late, b"1", 102.0)  # type: ignore[arg-type]
    gate.enter(late, b"2", 108.0)  # type: ignore[arg-type]
    gate.leave(109.0)
    assert (late.passed, late.begun) == (1, [b"2"])
