"""The one way in: acts are booked once, move lots as their entries say, and leave held money alone."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from switch.domain.acts import ActKind
from switch.domain.wallet import Lot, LotKind
from switch.ledger.chart import Account
from switch.ledger.journal import entry
from switch.store.acts import Act, ActBatch, LotFullError, NotInLotError
from switch.store.funding import hold_open_date
from tests.integration.acts.town import ACTOR, NOON, TODAY, Town


@contextmanager
def batch(town: Town, *members: str) -> Iterator[ActBatch]:
    """A batch with the wallets of these members locked; written at the end."""
    with town.engine.begin() as connection:
        one = ActBatch(connection, town.no, hold_open_date(connection, town.no, TODAY), ACTOR, NOON)
        one.lock(town.key(member) for member in members)
        yield one
        one.write()


def test_an_act_opens_a_lot_and_the_next_one_of_the_same_batch_takes_from_it(town: Town) -> None:
    member = town.member([(1, 30_000, 20260601, 20310601)])
    with batch(town, member) as acts:
        wallet = acts.wallets[town.key(member)]
        lot = Lot(2, LotKind.GRANT, town.city, 5_000, 5_000, 20260615, 20261231)
        into = entry(Account.FUNDER_DUE, Account.GRANTS, 5_000, lot_no=2, funder_no=town.city)
        acts.add(Act("a1", ActKind.ISSUE, wallet, (into,), (lot,), lot_no=2))
        out = entry(Account.GRANTS, Account.FUNDER_DUE, 2_000, lot_no=2, funder_no=town.city)
        acts.add(Act("a2", ActKind.REVOKE, wallet, (out,), lot_no=2))
        assert wallet.lots[2].balance == 3_000
    assert town.lots(member) == [(1, 30_000, 20310601), (3, 3_000, 20261231)]
    booked = town.rows("SELECT seq, won, actor FROM act WHERE reference IN ('a1', 'a2') ORDER BY reference")
    assert [tuple(row) for row in booked] == [(2, 5_000, ACTOR), (3, 2_000, ACTOR)]
    with batch(town, member) as acts:
        known = acts.known(["a1", "a2", "a3"])
        assert set(known) == {("a1", 0), ("a2", 0)}
        assert known["a1", 0].same(ActKind.ISSUE, town.key(member), 5_000)
        assert not known["a1", 0].same(ActKind.ISSUE, town.key(member), 5_001)
    assert town.broken() == {}


def test_held_money_and_more_than_there_is_cannot_be_taken(town: Town) -> None:
    member = town.member([(1, 10_000, 20260601, 20310601)])
    town.hold(member, 1, 4_000)
    for won in (6_001, 10_001):
        out = entry(Account.CARD_MONEY, Account.SAFEGUARDED, won, lot_no=1)
        with batch(town, member) as acts:
            one = Act("h1", ActKind.REFUND, acts.wallets[town.key(member)], (out,))
            with pytest.raises(NotInLotError):
                acts.add(one)
    with batch(town, member) as acts:
        out = entry(Account.CARD_MONEY, Account.SAFEGUARDED, 6_000, lot_no=1)
        acts.add(Act("h1", ActKind.REFUND, acts.wallets[town.key(member)], (out,)))
    assert town.lots(member) == [(1, 4_000, 20310601)]
    assert town.broken() == {}


def test_a_command_that_stands_still_keeps_its_locks_a_few_seconds_only(town: Town) -> None:
    """The server ends its transaction; members' payments wait less long than their lanes try."""
    shown = "SHOW idle_in_transaction_session_timeout"
    with batch(town, town.member([(1, 10_000, 20260601, 20310601)])) as acts:
        assert acts.connection.exec_driver_sql(shown).scalar() == "5s"
    assert town.scalar(shown) == "0"


def test_a_wallet_with_too_many_lots_takes_no_more(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("switch.store.acts.LOTS_MAX", 1)
    member = town.member([(1, 10_000, 20260601, 20310601)])
    lot = Lot(2, LotKind.GRANT, town.city, 1, 1, 20260615, 20261231)
    into = entry(Account.FUNDER_DUE, Account.GRANTS, 1, lot_no=2, funder_no=town.city)
    with batch(town, member) as acts:
        one = Act("f1", ActKind.ISSUE, acts.wallets[town.key(member)], (into,), (lot,))
        with pytest.raises(LotFullError):
            acts.add(one)
    assert len(town.lots(member)) == 1


def test_what_cannot_be_meant_is_refused(town: Town) -> None:
    member = town.member([(1, 10_000, 20260601, 20310601)])
    with batch(town, member) as acts:
        wallet = acts.wallets[town.key(member)]
        out = entry(Account.CARD_MONEY, Account.SAFEGUARDED, 1, lot_no=1)
        points = entry(Account.POINTS, Account.FUNDER_DUE, 1, lot_no=1, funder_no=town.city)
        settled = entry(Account.CASHBACK_ACCRUED, Account.MEMBER_RECEIVABLE, 1)
        faults = (
            (Act("", ActKind.REFUND, wallet, (out,)), "reference"),
            (Act("x", ActKind.REFUND, wallet, ()), "entry"),
            (Act("x", ActKind.REFUND, wallet, (points,)), "of that kind"),
            (Act("x", ActKind.REFUND, wallet, (settled,)), "not owe"),
        )
        for fault, said in faults:
            with pytest.raises(ValueError, match=said):
                acts.add(fault)
        wallet.receivable = 0
        with pytest.raises(RuntimeError, match="once"):
            acts.lock([town.key(member)])
    assert town.lots(member) == [(1, 10_000, 20310601)]
