"""The draw: repeatable, fair, each ticket once, each member once, whatever was cancelled."""

import hashlib
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switch.domain.draw import (
    DrawError,
    Rules,
    commitment,
    differences,
    draw,
    tickets_drawn,
)

SEED = hashlib.sha256(b"seed").hexdigest()
LIST = hashlib.sha256(b"list").hexdigest()
hexes = st.binary(min_size=32, max_size=32).map(bytes.hex)


def test_the_order_is_what_the_paper_says() -> None:
    """By hand: SHA-256 of the text, 15 digits, what is left of a division by the tickets, and one."""
    order, seen = [], set()
    for turn in range(1, 60):
        number = int(hashlib.sha256(f"{SEED}:{LIST}:{turn}".encode()).hexdigest()[:15], 16)
        ticket = number % 1_000 + 1
        if number < 2**60 - 2**60 % 1_000 and ticket not in seen:
            seen.add(ticket)
            order.append(ticket)
    assert list(islice(tickets_drawn(SEED, LIST, 1_000), len(order))) == order
    assert order[:3] == [612, 619, 376]
    assert commitment(SEED) == hashlib.sha256(SEED.encode()).hexdigest()


@settings(print_blob=True, max_examples=60)
@given(hexes, hexes, st.integers(1, 300))
def test_every_ticket_comes_once_and_always_in_the_same_order(seed: str, of: str, tickets: int) -> None:
    order = list(tickets_drawn(seed, of, tickets))
    assert sorted(order) == list(range(1, tickets + 1))
    assert order == list(tickets_drawn(seed, of, tickets))


def test_every_ticket_wins_about_as_often() -> None:
    """10,000 draws of 10 tickets: each first about 1,000 times; five standard deviations are 150."""
    first = [0] * 10
    for turn in range(10_000):
        of = hashlib.sha256(str(turn).encode()).hexdigest()
        first[next(tickets_drawn(SEED, of, 10)) - 1] += 1
    assert all(850 < won < 1_150 for won in first)


@settings(print_blob=True, max_examples=100)
@given(
    hexes,
    hexes,
    st.lists(st.integers(0, 8), min_size=1, max_size=60),
    st.integers(1, 20),
    st.booleans(),
    st.data(),
)
def test_a_draw_and_its_repetition(
    seed: str, of: str, members: list[int], prizes: int, once: bool, data: st.DataObject
) -> None:
    gone = data.draw(st.sets(st.integers(1, len(members))))
    found = draw(
        tickets_drawn(seed, of, len(members)),
        prizes,
        once=once,
        member_of=lambda ticket: str(members[ticket - 1]),
        cancelled=gone.__contains__,
    )
    winners = [one for one in found if one.prize]
    assert [one.prize for one in winners] == list(range(1, len(winners) + 1))
    assert len({one.ticket for one in found}) == len(found)
    assert not {one.ticket for one in winners} & gone
    assert {one.ticket for one in found if one.cancelled} <= gone
    standing = [str(member) for ticket, member in enumerate(members, 1) if ticket not in gone]
    most = len(set(standing)) if once else len(standing)
    assert len(winners) == min(prizes, most)  # no prize is left while somebody could win it
    if once:
        assert len({one.member for one in winners}) == len(winners)

    def again(told: list) -> list[str]:  # type: ignore[type-arg]
        return differences(
            *(told, tickets_drawn(seed, of, len(members)), prizes),
            once=once,
            member_of=lambda ticket: str(members[ticket - 1]),
        )

    assert again(found) == []
    if len(winners) > 1:
        assert again(found[::-1])
        assert again(found[:-1])


@pytest.mark.parametrize(
    ("rules", "won", "tickets"),
    [
        *(
            (Rules(), 1, 1),
            (Rules(), 0, 0),
            (Rules(min_won=5_000), 4_999, 0),
            (Rules(min_won=5_000), 5_000, 1),
        ),
        *((Rules(10_000), 9_999, 0), (Rules(10_000), 35_000, 3), (Rules(10_000, 20_000), 19_999, 0)),
        (Rules(10_000, 20_000), 20_000, 2),
    ],
)
def test_tickets_of_a_payment(rules: Rules, won: int, tickets: int) -> None:
    assert rules.tickets(won) == tickets


@pytest.mark.parametrize(
    ("seed", "of", "tickets"),
    [("", LIST, 5), (SEED.upper(), LIST, 5), (SEED, LIST[:-1], 5), (SEED, LIST, 0), (SEED, LIST, 1 << 41)],
)
def test_what_is_no_draw(seed: str, of: str, tickets: int) -> None:
    with pytest.raises(DrawError) as refused:
        next(tickets_drawn(seed, of, tickets))
    assert SEED.upper() not in str(refused.value)


def test_a_draw_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """One member holds nearly all tickets and wins once: the search for the others is bounded."""
    monkeypatch.setattr("switch.domain.draw.DRAWS_MAX", 500)
    asked: list[int] = []

    def member_of(ticket: int) -> str:
        asked.append(ticket)
        return "one"

    order = tickets_drawn(SEED, LIST, 1 << 40)
    found = draw(order, 2, once=True, member_of=member_of, cancelled=lambda _: False)
    assert (len(found), len(asked)) == (1, 500)
