"""Charged money paid back, and gifts: the rule of each lot's own day, true reasons, nothing twice."""

import pytest

from switch.ledger.chart import Account
from switch.service.admin import NotFoundError, RefusedError
from switch.service.giving.gift import GiftReport, gift
from switch.service.giving.refund import RefundReport, refund
from switch.store.acts import ActConflictError
from tests.integration.acts.town import ACTOR, NOON, Town

# Lots (kind, won, opened, expires). Version 1: 7 days, 60 %; version 2, from 10 June: 3 days, 80 %.
# Today is 15 June.
OLD = (1, 10_000, 20260608, 20310608)
OLDER = (1, 10_000, 20260607, 20310607)
NEW = (1, 10_000, 20260612, 20310612)
NEWER = (1, 10_000, 20260611, 20310611)


def back(town: Town, member: str, lot_no: int = 0, *, dry_run: bool = False) -> RefundReport:
    return refund(town.engine, "town", member, actor=ACTOR, now=NOON, lot_no=lot_no, dry_run=dry_run)


def give(
    town: Town, giver: str, receiver: str, won: int, reference: str, *, points: bool = False
) -> GiftReport:
    return gift(town.engine, "town", giver, receiver, won, reference, points=points, actor=ACTOR, now=NOON)


def test_an_unused_lot_is_paid_back_within_the_days_of_its_own_version(town: Town) -> None:
    member = town.member([OLD, OLDER, NEW, NEWER])
    told = back(town, member, dry_run=True)
    assert [(one.lot_no, one.won, one.until) for one in told.lots] == [
        (1, 10_000, 20260615),
        (2, 0, 0),
        (3, 10_000, 20260615),
        (4, 0, 0),
    ]
    assert [one.to_spend for one in told.lots] == [0, 6_000, 0, 8_000]
    assert "until 20260614" in told.lots[1].why
    assert town.lots(member)[0][1] == 10_000
    with pytest.raises(RefusedError, match="6,000 won of it must still be spent"):
        back(town, member, 2)
    report = back(town, member)
    assert (report.won, report.kept, report.paid) == (20_000, 0, 20_000)
    assert [balance for _, balance, _ in town.lots(member)] == [0, 10_000, 0, 10_000]
    with pytest.raises(RefusedError, match="lot 1 is empty"):
        back(town, member, 1)
    with pytest.raises(NotFoundError, match="no lot 9"):
        back(town, member, 9)
    assert town.broken() == {}


def test_what_is_left_is_paid_back_once_most_of_the_lot_is_spent(town: Town) -> None:
    member = town.member([OLD, NEW])
    town.spend(member, 1, 5_999)
    town.spend(member, 2, 7_999)
    with pytest.raises(RefusedError, match=r"lot 1 is partly used: 1 won .*60 % .*; lot 2 .* 1 won .*80 %"):
        back(town, member)
    town.spend(member, 1, 1)
    assert back(town, member).won == 4_000
    assert [balance for _, balance, _ in town.lots(member)] == [0, 2_001]
    assert town.broken() == {}


def test_money_paid_back_was_not_spent_when_a_cancelled_payment_fills_its_lot_again(town: Town) -> None:
    member = town.member([OLDER])
    town.spend(member, 1, 6_000)
    assert back(town, member).won == 4_000
    town.post(member, [(Account.MERCHANT_PAYABLE, Account.CARD_MONEY, 6_000, 1, 1, 0)])  # all cancelled
    town.run(f"UPDATE lot SET balance = 6000 WHERE wallet_id = {town.key(member)[1]}")
    with pytest.raises(RefusedError, match=r"3,600 won of it must still be spent \(60 % of 6,000\)"):
        back(town, member)
    town.spend(member, 1, 3_600)
    assert back(town, member).won == 2_400
    assert town.broken() == {}


def test_held_expired_and_public_money_is_not_paid_back(town: Town) -> None:
    member = town.member([NEW, (1, 5_000, 20210601, 20260614), (3, 7_000, 20260614, 20261231)])
    town.hold(member, 1, 1)
    told = back(town, member, dry_run=True)
    assert ["held" in told.lots[0].why, "expired" in told.lots[1].why] == [True, True]
    with pytest.raises(RefusedError, match="lot 3 is not charged money"):
        back(town, member, 3)
    assert town.broken() == {}


def test_what_the_member_owes_is_kept_from_it(town: Town) -> None:
    member = town.member([NEW, OLD], receivable=12_000)
    report = back(town, member)
    assert (report.won, report.kept, report.paid) == (20_000, 12_000, 8_000)
    wallet = town.key(member)[1]
    assert town.scalar(f"SELECT receivable FROM wallet WHERE wallet_id = {wallet}") == 0
    assert town.broken() == {}


def test_a_top_up_that_goes_back_whole_in_its_month_makes_room_again(town: Town) -> None:
    member = town.member()
    town.topup(member, 20_000, 20260614)
    town.topup(member, 30_000, 20260614)
    wallet = town.key(member)[1]
    town.spend(member, 2, 25_000)
    report = back(town, member)
    assert report.won == 25_000
    assert town.scalar(f"SELECT month_topup FROM wallet WHERE wallet_id = {wallet}") == 30_000
    assert town.pool("issuance", 202606) == (1_000_000, 970_000, 30_000)
    assert town.broken() == {}


def test_a_top_up_that_pays_off_a_debt_makes_its_whole_room_again(town: Town) -> None:
    """What is kept of it for the debt was issued too: budget and entries say the same of all of it."""
    before = town.pool("issuance", 202606)
    member = town.member(receivable=3_000)
    town.topup(member, 20_000, 20260614)
    town.topup(member, 1_000, 20260614)
    town.owe(member, 17_500)
    report = back(town, member)
    assert (report.won, report.kept, report.paid) == (21_000, 20_500, 500)
    assert town.pool("issuance", 202606) == before
    assert town.broken() == {}


def test_a_top_up_is_found_by_its_outside_reference(town: Town) -> None:
    member, other = town.member([NEW]), town.member([NEW])
    seq = town.topup(member, 7_000, 20260614, reference="bank-1")
    bucket, wallet = town.key(member)
    town.run(
        "INSERT INTO topup_reference (programme_no, reference, bucket, wallet_id, seq, local_day)"
        f" VALUES ({town.no}, 'bank-1', {bucket}, {wallet}, {seq}, '2026-06-14')"
    )
    known = {"actor": ACTOR, "now": NOON, "topup": "bank-1"}
    with pytest.raises(NotFoundError, match="no top-up"):
        refund(town.engine, "town", other, **known)
    assert refund(town.engine, "town", member, **known).paid == 7_000
    assert town.lots(member) == [(1, 10_000, 20310612), (1, 0, 20310614)]
    assert town.broken() == {}


def test_a_gift_opens_a_lot_of_the_same_kind_with_the_earliest_end_and_no_right_of_refund(town: Town) -> None:
    giver, receiver = town.member([NEW, OLD, (2, 3_000, 20260601, 20310630)]), town.member()
    report = give(town, giver, receiver, 15_000, "r1")
    assert report.lots == [(15_000, 20310608)]
    assert town.lots(giver)[:2] == [(1, 5_000, 20310612), (1, 0, 20310608)]
    assert town.lots(receiver) == [(1, 15_000, 20310608)]
    with pytest.raises(RefusedError, match="received as a gift"):
        back(town, receiver)
    again = give(town, giver, receiver, 15_000, "r1")
    assert (again.done_before, again.booked_on) == (True, report.booked_on)
    with pytest.raises(ActConflictError, match="15,000 won before"):
        give(town, giver, receiver, 14_000, "r1")
    assert give(town, giver, receiver, 1_000, "r2", points=True).lots == [(1_000, 20310630)]
    assert town.lots(receiver) == [(1, 15_000, 20310608), (2, 1_000, 20310630)]
    assert town.broken() == {}


def test_a_gift_that_may_not_be_says_why_and_moves_nothing(town: Town) -> None:
    giver, receiver = town.member([NEW]), town.member([(1, 1_995_000, 20260601, 20310601)])
    stopped, owing = town.member(state=2), town.member([NEW], receivable=1)
    company = town.member([(2, 1_000, 20260601, 20310630)])
    town.run(f"UPDATE wallet SET holder = 2 WHERE wallet_id = {town.key(company)[1]}")
    for said, arguments, points in (
        ("may hold 2,000,000 won, and the gift is 1 won over", (giver, receiver, 5_001), False),
        ("10,000 won of charged value to give: 1 too few", (giver, owing, 10_001), False),
        ("receiver is stopped", (giver, stopped, 1), False),
        ("owes 1 won", (owing, giver, 1), False),
        ("company", (company, giver, 1), True),
        ("same member", (giver, giver, 1), False),
        ("a gift is 1 to", (giver, receiver, 0), False),
    ):
        with pytest.raises(RefusedError, match=said):
            give(town, *arguments, "refused", points=points)
    assert town.lots(giver) == [(1, 10_000, 20310612)]
    assert town.rows("SELECT * FROM act WHERE reference = 'gift:refused'") == []
    assert town.broken() == {}
