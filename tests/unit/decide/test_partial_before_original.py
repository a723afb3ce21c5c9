"""A partial reversal (DE95) before its original: part of the sale stands, and nobody may lose it."""

from switch.domain.payment import Kind, Outcome
from switch.domain.request import OriginalRef
from tests.unit.decide import world

REF = OriginalRef(7, "0610120000", (Kind.PURCHASE,), "T1", 20260610)


def test_it_is_for_a_person_to_look_at_and_still_stops_the_original() -> None:
    till = world.Till(world.wallet(world.charged(1, 50_000)))
    told = till.send(Kind.REVERSAL, 10_000, ref=REF, replacement=3_000)
    assert told.outcome == Outcome.EXCEPTION
    assert till.last.tombstone == ("T1", 7, "0610120000")
    assert b"leaves 3000 won standing" in told.detail
    assert till.send(Kind.PURCHASE, 10_000, tombstoned=True).outcome == Outcome.DECLINED
    assert till.balance(1) == 50_000


def test_a_whole_one_is_acknowledged() -> None:
    for replacement in (-1, 0):
        till = world.Till(world.wallet(world.charged(1, 50_000)))
        told = till.send(Kind.REVERSAL, 10_000, ref=REF, replacement=replacement)
        assert told.outcome == Outcome.ACKNOWLEDGED
