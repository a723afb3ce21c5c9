"""What is refused before a file is made, whatever its form; both forms, there and back, on random payouts."""

import io
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from pyiso20022.pain.pain_001_001_09 import Document
from xsdata.formats.dataclass.parsers import XmlParser

from settlement.files.fixed import fitted
from settlement.files.orders import (
    Order,
    OrderError,
    Party,
    Transfer,
    admit_order,
    admitted,
    printable,
)
from settlement.files.pain001 import CLEARING_SYSTEM
from settlement.files.profiles import PAIN001, ProfileError, packaged
from switch.domain.calendar import SEOUL, BankCalendar

OWN = Party("인천광역시 서구", "1005000000017", "020")
CREATED = datetime(2026, 11, 21, 0, 30, tzinfo=SEOUL)
FIXED = packaged("kr-bulk-sample")
CALENDAR = BankCalendar(frozenset({date(2026, 11, 25)}))


def _order(transfers: list[Transfer]) -> Order:
    return Order(
        "DURE00001-20261120-01-000001", "DURE00001-20261120-01-000001-B1", CREATED, date(2026, 11, 24), OWN,
        len(transfers), sum(one.won for one in transfers), "서로e음 & 2026-11-20",
    )  # fmt: skip


def _one(**changes: Any) -> Transfer:
    payee = {"name": "서점", "account": "3333010000001", "bank": "090"}
    payee |= {key: changes.pop(key) for key in tuple(changes) if key in payee}
    return Transfer(
        **{"end_to_end_id": "DURE00001-20261120-01-1-01", "won": 1_000, "payee": Party(**payee)} | changes
    )


@pytest.mark.parametrize(
    ("transfer", "said"),
    [
        (_one(won=0), "pays 0 won: it must be above 0"),
        (_one(won=-5), "pays -5 won"),
        (_one(end_to_end_id="A" * 36), "is not 1 to 35"),
        (_one(end_to_end_id="A B"), "is not 1 to 35"),
        (_one(account=""), "payee's account … is no account number"),
        (_one(account="12 34567"), "payee's account …4567 is no account number"),
        (_one(account="1" * 35), "is no account number"),
        (_one(bank=""), "payee's bank '' is no clearing code"),
        (_one(bank="9"), "clearing code"),
        (_one(name=" \x00\u200b\n"[:2]), "payee has no name"),
        (_one(account="100-5000-000017", bank="020"), "pays the account …0017 that it comes from"),
    ],
)
def test_a_transfer_that_no_bank_may_get_is_refused(transfer: Transfer, said: str) -> None:
    with pytest.raises(OrderError, match=said):
        list(admitted(_order([transfer]), [transfer]))


def test_transfers_that_do_not_come_to_their_order_are_refused() -> None:
    one, two = _one(), _one(end_to_end_id="DURE00001-20261120-01-2-01")
    assert list(admitted(_order([one, two]), [one, two])) == [one, two]
    with pytest.raises(OrderError, match="announces 2 transfers of 2,000 won, has 1 of 1,000"):
        list(admitted(_order([one, two]), [one]))
    with pytest.raises(OrderError, match="01-1-01 appears twice"):
        list(admitted(_order([one, one]), [one, one]))
    with pytest.raises(OrderError, match="announces 1 transfers of 1,001 won"):
        list(admitted(replace(_order([one]), won=1_001), [one]))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pay_on": date(2026, 11, 20)}, "is made on 2026-11-21 for 2026-11-20, which is over"),
        ({"pay_on": date(2026, 11, 25)}, "pays on 2026-11-25, on which banks are closed"),
        ({"pay_on": date(2026, 11, 22)}, "banks are closed"),
        ({"debtor": Party("x", "", "020")}, "debtor's account"),
        ({"debtor": Party("\x07", "1005000000017", "020")}, "debtor has no name"),
        ({"remittance": "\n"}, "no remittance"),
    ],
)
def test_a_head_that_no_bank_may_get_is_refused(changes: dict[str, Any], said: str) -> None:
    order = _order([_one()])
    admit_order(order, CALENDAR.is_open)
    with pytest.raises(OrderError, match=said):
        admit_order(replace(order, **changes), CALENDAR.is_open)


def test_a_form_that_there_is_not_is_refused() -> None:
    with pytest.raises(ProfileError, match=r"'pain.008' is not known: pain.001, kr-bulk-sample, or the path"):
        packaged("pain.008")


NASTY = [
    "]]>",
    "<![CDATA[가]]>",
    "A&B <b>",
    "\"'",
    "한" * 141,
    "é" * 139 + "각",
    "서점\u2028둘",
    "\ufffe가",
    "😀",
]
names = st.one_of(
    st.sampled_from(NASTY),
    st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=160),
    st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3), min_size=1, max_size=160),
).filter(lambda name: bool(printable(name)))
payees = st.builds(
    Party,
    names,
    st.from_regex(r"[0-9][0-9-]{3,17}[0-9]", fullmatch=True).filter(
        lambda account: account.replace("-", "") != OWN.account
    ),
    st.from_regex(r"[0-9]{3}([0-9]{4})?", fullmatch=True),
)
payments = st.lists(st.tuples(payees, st.integers(1, 10**12)), min_size=1, max_size=12)


@settings(print_blob=True, deadline=None, max_examples=60)
@given(payments)
def test_both_forms_come_back_as_they_were_ordered(drawn: list[tuple[Party, int]]) -> None:
    transfers = [
        Transfer(f"DURE00001-20261120-01-{number}-01", won, payee)
        for number, (payee, won) in enumerate(drawn, 1)
    ]
    order = _order(transfers)
    for form in (PAIN001, FIXED):
        sink, again = io.BytesIO(), io.BytesIO()
        form.write(sink, order, admitted(order, transfers))
        form.write(again, order, transfers)
        assert sink.getvalue() == again.getvalue()
        form.check(io.BytesIO(sink.getvalue()), order, transfers)
        if form is PAIN001:
            _judge_by_another_parser(sink.getvalue(), order, transfers)
        else:
            _judge_by_plain_slices(sink.getvalue(), transfers)


def _judge_by_another_parser(raw: bytes, order: Order, transfers: list[Transfer]) -> None:
    """pyiso20022 with xsdata's parser, neither of which the writer or its own reader knows."""
    message = XmlParser().from_bytes(raw, Document).cstmr_cdt_trf_initn
    [batch] = message.pmt_inf
    for head in (message.grp_hdr, batch):
        assert (int(head.nb_of_txs), int(head.ctrl_sum)) == (order.count, order.won)
    assert message.grp_hdr.msg_id == order.message_id
    assert batch.pmt_inf_id == order.payment_information_id
    assert batch.reqd_exctn_dt.dt.to_date() == order.pay_on
    assert datetime.fromisoformat(str(message.grp_hdr.cre_dt_tm)) - CREATED == timedelta(0)
    assert (batch.dbtr.nm, batch.dbtr_acct.id.othr.id) == (OWN.name, OWN.account)
    assert batch.dbtr_acct.ccy == "KRW"
    assert len(batch.cdt_trf_tx_inf) == len(transfers)
    for found, due in zip(batch.cdt_trf_tx_inf, transfers, strict=True):
        assert found.pmt_id.end_to_end_id == due.end_to_end_id
        assert (int(found.amt.instd_amt.value), found.amt.instd_amt.ccy) == (due.won, "KRW")
        assert found.cdtr.nm == printable(due.payee.name)
        assert 1 <= len(found.cdtr.nm) <= 140
        assert found.cdtr_acct.id.othr.id == due.payee.account
        member = found.cdtr_agt.fin_instn_id.clr_sys_mmb_id
        assert (member.mmb_id, member.clr_sys_id.prtry) == (due.payee.bank, CLEARING_SYSTEM)
        assert found.rmt_inf.ustrd == [order.remittance]


def _judge_by_plain_slices(raw: bytes, transfers: list[Transfer]) -> None:
    rows = raw.split(b"\r\n")
    assert len(rows) == len(transfers) + 3
    assert {len(row) for row in rows[:-1]} == {200}
    for row, due in zip(rows[1:-2], transfers, strict=True):
        assert row[9:16].decode().strip() == due.payee.bank
        assert row[16:36].decode().strip() == due.payee.account.replace("-", "")
        assert int(row[36:49]) == due.won
        assert row[49:79].decode("cp949").rstrip(" ") == fitted(printable(due.payee.name), 30)
        assert row[99:134].decode().strip() == due.end_to_end_id
    assert (int(rows[-2][9:16]), int(rows[-2][16:31])) == (len(transfers), sum(t.won for t in transfers))


def test_names_at_the_edges_of_what_a_file_can_say() -> None:
    assert printable("한" * 141) == "한" * 140
    assert printable(" 김\x00\x1f\x85사장\u2028 ") == "김 사장"
    transfers = [_one(name=name, end_to_end_id=f"E-{index}") for index, name in enumerate(NASTY)]
    order, sink = _order(transfers), io.BytesIO()
    PAIN001.write(sink, order, transfers)
    _judge_by_another_parser(sink.getvalue(), order, transfers)
