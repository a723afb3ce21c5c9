"""pain.001: what is written, and what its controls catch when the bytes are changed."""

import io
from datetime import date, datetime

import pytest

from settlement.files import naming
from settlement.files.orders import ControlError, Order, Party, Transfer
from settlement.files.pain001 import check, write
from switch.domain.calendar import SEOUL

PAY_ON = date(2026, 11, 24)
ORDER = Order(
    "DURE00001-20261120-01-000001",
    "DURE00001-20261120-01-000001-B1",
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


def _file() -> bytes:
    sink = io.BytesIO()
    write(sink, ORDER, TRANSFERS)
    return sink.getvalue()


def test_what_is_written_is_valid_and_adds_up() -> None:
    check(io.BytesIO(_file()), ORDER, TRANSFERS)
    text = _file().decode()
    assert '<InstdAmt Ccy="KRW">50674</InstdAmt>' in text
    assert "<Nm>김 &amp; Söhne &lt;주&gt;</Nm>" in text
    assert "<CreDtTm>2026-11-21T00:30:00+09:00</CreDtTm>" in text
    assert text.count("xmlns") == 1


def test_the_same_order_gives_the_same_bytes() -> None:
    assert _file() == _file()


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
        (
            "<NbOfTxs>2</NbOfTxs>\n<CtrlSum>377704</CtrlSum>\n<Reqd",
            "<NbOfTxs>2</NbOfTxs>\n<Reqd",
            "3 control",
        ),
        ("20261120-01-2-01", "20261120-01-1-01", "01-1-01 327,030 won"),
        ("<Dt>2026-11-24<", "<Dt>2026-11-25<", "ReqdExctnDt"),
        ("3333010000001", "3333010000002", "to 090 …0002"),
        ("<MmbId>090<", "<MmbId>088<", "to 088"),
        ("<Nm>서점<", "<Nm>서점2<", "서점2"),
        ("<Nm>인천광역시 서구</Nm></Dbtr>", "<Nm>인천</Nm></Dbtr>", "Dbtr"),
        ("<Id>1005000000017<", "<Id>1005000000018<", "DbtrAcct"),
        ("<MmbId>020<", "<MmbId>021<", "DbtrAgt"),
        ("000001-B1", "000002-B1", "PmtInfId"),
        ("00:30:00+09", "00:31:00+09", "CreDtTm"),
        ("20</Ustrd></RmtInf></CdtTrfTxInf>\n</Pmt", "21</Ustrd></RmtInf></CdtTrfTxInf>\n</Pmt", "Ustrd"),
        ("<PmtMtd>TRF<", "<PmtMtd>XXX<", "not valid"),
        ("<PmtMtd>TRF</PmtMtd>", "", "not valid"),
        ("2026-11-20</Ustrd></RmtInf>", "2026-11-20</Ustrd><Bogus/></RmtInf>", "not valid"),
        ("<MsgId>DURE", "<MsgId>DUPE", "MsgId"),
        ("</Document>", "", "cut off"),
    ],
)
def test_a_changed_file_does_not_pass(old: str, new: str, said: str) -> None:
    changed = _file().decode().replace(old, new)
    assert changed != _file().decode()
    with pytest.raises(ControlError, match=said):
        check(io.BytesIO(changed.encode()), ORDER, TRANSFERS)


def test_a_payout_that_is_missing_or_too_many_does_not_pass() -> None:
    more = Transfer("DURE00001-20261120-01-3-01", 1, TRANSFERS[1].payee)
    with pytest.raises(ControlError, match="01-3-01 of 1 won is missing"):
        check(io.BytesIO(_file()), ORDER, [*TRANSFERS, more])
    with pytest.raises(ControlError, match="none of its payouts"):
        check(io.BytesIO(_file()), ORDER, TRANSFERS[:1])


def test_the_same_identity_twice_does_not_pass() -> None:
    twice = [TRANSFERS[0], Transfer(TRANSFERS[0].end_to_end_id, 327_030, TRANSFERS[1].payee)]
    sink = io.BytesIO()
    write(sink, ORDER, twice)
    with pytest.raises(ControlError, match="appears twice"):
        check(io.BytesIO(sink.getvalue()), ORDER, twice)


def test_identities_fit_the_format_at_their_longest() -> None:
    day = date(2026, 11, 20)
    assert len(naming.end_to_end_id(32_767, day, 99, 2_147_483_647, 99)) == naming.MAX35
    assert len(naming.payment_information_id(32_767, day, 99, 2_147_483_647)) <= naming.MAX35
    assert naming.transfer_end_to_end_id(1, day, 1, "funding", 3, 1) == "DURE00001-20261120-01-FUNDING-3-01"
    assert len(naming.transfer_end_to_end_id(32_767, day, 99, "funding", 32_767, 99)) == naming.MAX35
    assert naming.message_id(1, day, 1, 42) == "DURE00001-20261120-01-000042"
    named = naming.file_name("seoro", day, 1, 42, PAY_ON, ".pain.001.xml")
    assert named == "seoro_20261120_01_000042_pay20261124.pain.001.xml"
