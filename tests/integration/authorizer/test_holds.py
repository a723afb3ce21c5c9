"""Holds in the tables: across batches, in the proof, on the exception list; the counters of cards."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import msgspec
import pytest

from switch.domain.payment import Kind, Outcome, PaymentKey
from switch.domain.reasons import BY_NUMBER
from switch.domain.request import Entry, OriginalRef, Proof, Request
from switch.service.authorizer import Authorizer
from switch.service.exceptions import exception_list
from switch.service.proofs import run
from tests.integration.authorizer.ground import Ground, ask
from tests.integration.authorizer.test_lanes import TODAY, members, purchase
from tests.unit.decide import world


@pytest.fixture
async def authorizer(ground: Ground) -> AsyncIterator[Authorizer]:
    ground.add(members(3))
    one = ground.authorizer(lanes=1)
    await one.start()
    yield one
    await one.stop()


def asked(kind: Kind, stan: int, amount: int, of: Request | None = None, **more: Any) -> Request:
    plain = purchase(1, stan, amount)
    ref = None
    if of is not None:
        ref = OriginalRef(of.key.stan, of.transmission, (of.key.kind,), "T0000001", of.key.local_day)
    key = PaymentKey(plain.key.bucket, TODAY, 120_000, "T0000001", stan, kind)
    # A DE7 of its own, so that each message can be named.
    return msgspec.structs.replace(plain, key=key, transmission=f"0629{stan:06d}", original=ref, **more)


async def tell(authorizer: Authorizer, *requests: Request) -> list[str]:
    """Each in a batch of its own; the reasons."""
    found = []
    for request in requests:
        (answer,) = await ask(authorizer, [request])
        found.append(BY_NUMBER[answer.stored.reason].name)
    return found


async def test_a_hold_lives_in_the_tables_until_its_completion(
    ground: Ground, authorizer: Authorizer
) -> None:
    first = asked(Kind.PREAUTH, 1, 40_000)
    more = asked(Kind.PREAUTH, 2, 20_000, first)
    done = asked(Kind.PURCHASE, 3, 55_000, more, advice=True)
    again = asked(Kind.PURCHASE, 4, 55_000, more, advice=True)
    assert await tell(authorizer, first, more, asked(Kind.PURCHASE, 9, 40_001)) == [
        *("approved", "approved", "insufficient_funds"),
    ]
    wallet = ground.wallets()[1]
    assert (wallet.holds, wallet.held[2].won, wallet.held[2].uses) == (1, 60_000, ((1, 1, 60_000),))
    ground.check_books()
    assert await tell(authorizer, done, again, first) == ["approved", "acknowledged", "approved"]
    wallet = ground.wallets()[1]
    assert (wallet.holds, wallet.held, wallet.lots[1].balance) == (0, {}, 45_000)
    assert ground.stored()[first.key].outcome == Outcome.COMPLETED
    ground.check_books()


async def test_what_lies_behind_is_found_step_by_step(ground: Ground, authorizer: Authorizer) -> None:
    first = asked(Kind.PREAUTH, 1, 40_000)
    more = asked(Kind.PREAUTH, 2, 20_000, first)
    void = asked(Kind.VOID, 3, 20_000, more)
    back = asked(Kind.REVERSAL, 4, 20_000, void)
    assert await tell(authorizer, first, more, void, back) == ["approved"] * 4
    assert ground.wallets()[1].held[2].won == 60_000
    done = asked(Kind.PURCHASE, 5, 60_000, more, advice=True)
    undone = asked(Kind.REVERSAL, 6, 40_000, first)  # after its completion: a refund of that
    assert await tell(authorizer, done, undone) == ["approved", "approved"]
    assert ground.wallets()[1].lots[1].balance == 100_000
    assert ground.stored()[done.key].outcome == Outcome.RETURNED
    ground.check_books()


async def test_a_reversal_before_its_0100_stops_the_completion_too(
    ground: Ground, authorizer: Authorizer
) -> None:
    never = asked(Kind.PREAUTH, 1, 40_000)
    done = asked(Kind.PURCHASE, 3, 40_000, never, advice=True)
    told = await tell(authorizer, asked(Kind.REVERSAL, 2, 40_000, never), done, never)
    assert told == ["acknowledged", "exception", "reversed_before"]
    assert ground.wallets()[1].lots[1].balance == 100_000
    ground.check_books()


async def test_an_expired_hold_is_removed_by_the_next_decision(
    ground: Ground, authorizer: Authorizer
) -> None:
    assert await tell(authorizer, asked(Kind.PREAUTH, 1, 100_000)) == ["approved"]
    ground.set_day(20260707)  # seven days are its time, and 6 July its last
    assert await tell(authorizer, asked(Kind.PURCHASE, 2, 100_000)) == ["approved"]
    assert (ground.count("hold"), ground.wallets()[1].holds) == (0, 0)
    ground.check_books()


async def test_an_original_named_in_part_is_found_in_the_tables(
    ground: Ground, authorizer: Authorizer
) -> None:
    one, two = asked(Kind.PURCHASE, 1, 5_000), asked(Kind.PURCHASE, 2, 5_000)
    ref = OriginalRef(
        *(0, "", (Kind.PURCHASE,), "T0000001", TODAY),
        day_exact=True, rrn=one.rrn, amount=5_000, merchant_no=world.PLAIN,
    )  # fmt: skip
    back = msgspec.structs.replace(asked(Kind.REVERSAL, 3, 5_000), original=ref)
    unclear = msgspec.structs.replace(
        asked(Kind.REVERSAL, 4, 5_000), original=msgspec.structs.replace(ref, rrn="")
    )
    assert await tell(authorizer, one, two, unclear, back) == [
        *("approved", "approved", "exception", "approved"),
    ]
    assert ground.stored()[one.key].outcome == Outcome.RETURNED
    assert ground.stored()[two.key].outcome == Outcome.APPROVED


async def test_the_exception_list_names_what_a_person_must_look_at(
    ground: Ground, authorizer: Authorizer
) -> None:
    first = asked(Kind.PREAUTH, 1, 40_000)
    late = asked(Kind.PURCHASE, 7, 100)
    await tell(
        authorizer,
        first,
        asked(Kind.PURCHASE, 2, 41_000, first, advice=True),
        asked(Kind.REVERSAL, 3, 1_000, asked(Kind.PURCHASE, 99, 1_000)),  # never comes
        asked(Kind.REVERSAL, 4, 100, late),
        late,
        asked(Kind.PURCHASE, 5, 100),
    )
    found = exception_list(ground.engine, date(2026, 6, 29))
    assert [(one.stan, one.kind, one.detail["note"]) for one in found] == [
        ("000002", "purchase", "1000 won above the hold"),
        ("000003", "reversal", "no payment fits what the reversal names"),
    ]
    assert exception_list(ground.engine, date(2026, 6, 28)) == []
    assert exception_list(ground.engine, date(2026, 6, 29), programme_id="another") == []


async def test_counters_of_a_card_are_kept(ground: Ground, authorizer: Authorizer) -> None:
    chip = asked(Kind.PURCHASE, 1, 1_000, entry=Entry.CHIP, atc=41, proof=Proof.OK)
    same = asked(Kind.PURCHASE, 2, 1_000, entry=Entry.CHIP, atc=41, proof=Proof.OK)
    tap = asked(Kind.PURCHASE, 3, 2_000, entry=Entry.CONTACTLESS, atc=42, proof=Proof.OK)
    wrong = asked(Kind.PURCHASE, 4, 2_000, entry=Entry.ECOMMERCE, proof=Proof.WRONG_CVV)
    assert await tell(authorizer, chip, same, tap, wrong) == [
        *("approved", "atc_replayed", "approved", "cvv_failure"),
    ]
    card = ground.wallets()[1].cards[1]
    assert (card.atc, card.tap_count, card.tap_won, card.cvv_tries) == (42, 1, 2_000, 1)


DAMAGE = {
    "holds_within_lots": "UPDATE hold SET uses = '[[1, 1, 100001]]', won = 100001",
    "wallets_count_holds": "UPDATE wallet SET holds = 2 WHERE wallet_id = 1",
    "holds_equal_preauthorisations": "UPDATE hold SET uses = '[[1, 1, 39999]]', won = 39999",
}


@pytest.mark.parametrize("name", list(DAMAGE))
async def test_the_proof_tells_a_hold_that_is_not_what_it_should_be(
    ground: Ground, authorizer: Authorizer, name: str
) -> None:
    await tell(authorizer, asked(Kind.PREAUTH, 1, 40_000))
    assert run(ground.engine).ok
    ground.bump(DAMAGE[name])
    broken = {check.name for check in run(ground.engine).checks if check.broken}
    assert name in broken
