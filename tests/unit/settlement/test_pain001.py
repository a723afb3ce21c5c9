"""pain.001: what is written, and what its controls catch when the bytes are changed."""

import io
from datetime import date, datetime

import pytest

from settlement.files import naming
from settlement.files.control import ControlError, Expected, Head, check
from settlement.files.pain001 import Order, OrderError, Party, Transfer, write
from switch.domain.calendar import SEOUL

PAY_ON = date(2026, 11, 24)
ORDER = Order(
    "DURE00001-20261120-01-20261124",
    "DURE00001-20261120-01-20261124-B1",
    datetime(2026, 11, 21, 0, 30, tzinfo=SEOUL),
    PAY_ON,
    Party("인천광역시 서구", "1005000000017", "020"),
    2,
    377_704,
    "서로e음 2026-11-20",
)
TRANSFERS = [
    Transfer("DURE00001-20261120-01-1-01", 50_674, Party("김 & Söhne <주>\x01\n", "110-222-333333", "088")),
    Transfer("DURE00001-20261120-01-2-01", 327_030, Party("서점", "3333010000001", "090")),
]
HEAD = Head(ORDER.message_id, PAY_ON, 2, 377_704)


def _expected(transfers: list[Transfer] = TRANSFERS) -> list[Expected]:
    return [Expected(t.end_to_end_id, t.won, t.payee.account, t.payee.bank) for t in transfers]


def _file() -> bytes:
    sink = io.BytesIO()
    write(sink, ORDER, TRANSFERS)
    return sink.getvalue()


def test_what_is_written_is_valid_and_adds_up() -> None:
    check(io.BytesIO(_file()), HEAD, _expected())
    text = _file().decode()
    assert '<InstdAmt Ccy="KRW">50674</InstdAmt>' in text
    assert "<Nm>김 &amp; Söhne &lt;주&gt;</Nm>" in text
    assert "<CreDtTm>2026-11-21T00:30:00+09:00</CreDtTm>" in text
    assert text.count("xmlns") == 1


def test_the_same_order_gives_the_same_bytes() -> None:
    assert _file() == _file()


def test_an_order_that_does_not_add_up_is_not_written() -> None:
    with pytest.raises(OrderError, match="announces 2 transfers"):
        write(io.BytesIO(), ORDER, TRANSFERS[:1])
    with pytest.raises(OrderError, match="above 0"):
        write(io.BytesIO(), ORDER, [Transfer("x", 0, TRANSFERS[0].payee)])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (">50674<", ">50675<", "50,675 won"),
        (">50674<", ">50674.50<", "only whole won"),
        (">50674<", ">-1<", "only whole won above 0"),
        (">50674<", ">0<", "only whole won above 0"),
        ('Ccy="KRW"', 'Ccy="USD"', "not in won"),
        ("<CtrlSum>377704<", "<CtrlSum>377705<", "CtrlSum"),
        ("<NbOfTxs>2<", "<NbOfTxs>3<", "NbOfTxs"),
        ("20261120-01-2-01", "20261120-01-1-01", "01-1-01 327,030 won"),
        ("<Dt>2026-11-24<", "<Dt>2026-11-25<", "ReqdExctnDt"),
        ("3333010000001", "3333010000002", "3333010000002"),
        ("<MmbId>090<", "<MmbId>088<", "to 088"),
        ("<PmtMtd>TRF<", "<PmtMtd>XXX<", "not valid"),
        ("<PmtMtd>TRF</PmtMtd>", "", "not valid"),
        ("<RmtInf><Ustrd>서로e음 2026-11-20</Ustrd></RmtInf>", "<Bogus/>", "not valid"),
        ("<MsgId>DURE", "<MsgId>DUPE", "MsgId"),
        ("</Document>", "", "cut off"),
    ],
)
def test_a_changed_file_does_not_pass(old: str, new: str, said: str) -> None:
    changed = _file().decode().replace(old, new)
    assert changed != _file().decode()
    with pytest.raises(ControlError, match=said):
        check(io.BytesIO(changed.encode()), HEAD, _expected())


def test_a_payout_that_is_missing_or_too_many_does_not_pass() -> None:
    more = Transfer("DURE00001-20261120-01-3-01", 1, TRANSFERS[1].payee)
    with pytest.raises(ControlError, match="01-3-01 of 1 won is missing"):
        check(io.BytesIO(_file()), HEAD, _expected([*TRANSFERS, more]))
    with pytest.raises(ControlError, match="no payout of the run"):
        check(io.BytesIO(_file()), HEAD, _expected(TRANSFERS[:1]))


def test_the_same_identity_twice_does_not_pass() -> None:
    twice = [TRANSFERS[0], Transfer(TRANSFERS[0].end_to_end_id, 327_030, TRANSFERS[1].payee)]
    sink = io.BytesIO()
    write(sink, ORDER, twice)
    with pytest.raises(ControlError, match="appears twice"):
        check(io.BytesIO(sink.getvalue()), HEAD, _expected(twice))


def test_identities_fit_the_format_at_their_longest() -> None:
    day = date(2026, 11, 20)
    assert len(naming.end_to_end_id(32_767, day, 99, 2_147_483_647, 99)) == naming.MAX35
    assert len(naming.payment_information_id(32_767, day, 99, day)) <= naming.MAX35
    assert naming.file_name("seoro", day, 1, PAY_ON) == "seoro_20261120_01_pay20261124.pain.001.xml"
