"""Fixed-width records: what stands in them byte for byte, how texts are cut, and what the reader catches."""

import io
from datetime import date, datetime
from importlib.resources import files
from pathlib import Path

import pytest

from settlement.files.fixed import Fixed, fitted, records
from settlement.files.fixed_layout import LayoutError, parse
from settlement.files.orders import ControlError, Order, OrderError, Party, Transfer
from switch.domain.calendar import SEOUL

SAMPLE = files("settlement.files").joinpath("layouts/kr-bulk-sample.toml").read_text("utf-8")
LAYOUT = parse(SAMPLE)
FORM = Fixed(LAYOUT)
ORDER = Order(
    "DURE00001-20261120-01-000001",
    "DURE00001-20261120-01-000001-B1",
    datetime(2026, 11, 21, 0, 30, tzinfo=SEOUL),
    date(2026, 11, 24),
    Party("인천광역시 서구", "1005000000017", "020"),
    2,
    377_704,
    "서로e음 2026-11-20",
)
TRANSFERS = [
    Transfer("DURE00001-20261120-01-1-01", 50_674, Party("김 & Söhne ☃ 똠방각하", "110-222-333333", "088")),
    Transfer("DURE00001-20261120-01-2-01", 327_030, Party("가" * 15 + "나", "3333010000001", "090")),
]


def _file(transfers: list[Transfer] = TRANSFERS) -> bytes:
    sink = io.BytesIO()
    FORM.write(sink, ORDER, transfers)
    return sink.getvalue()


def test_the_records_byte_for_byte() -> None:
    header, first, second, trailer, rest = _file().split(b"\r\n")
    assert {len(record) for record in (header, first, second, trailer)} == {200}
    assert rest == b""
    assert header == (
        b"10DUREBULK" + b"DURE00001-20261120-01-000001".ljust(35) + b"20261121" + b"003000" + b"20261124"
        + b"020    " + b"1005000000017".ljust(20) + "인천광역시 서구".encode("cp949").ljust(40)
        + b"KRW" + b" " * 63
    )  # fmt: skip
    assert first == (
        b"20" + b"0000001" + b"088    " + b"110222333333".ljust(20) + b"0000000050674"
        + "김 & Sohne ? 똠방각하".encode("cp949").ljust(30) + "서로e음 2026-11-20".encode("cp949").ljust(20)
        + b"DURE00001-20261120-01-1-01".ljust(35) + b" " * 66
    )  # fmt: skip
    assert second[49:79].decode("cp949") == "가" * 15
    assert trailer == b"30" + b"0000004" + b"0000002" + b"000000000377704" + b" " * 169


def test_what_is_written_is_read_back_and_the_same_each_time() -> None:
    FORM.check(io.BytesIO(_file()), ORDER, TRANSFERS)
    assert _file() == _file()
    kinds = [kind for kind, _ in records(io.BytesIO(_file()), LAYOUT)]
    assert kinds == ["header", "data", "data", "trailer"]


@pytest.mark.parametrize(
    ("text", "most", "kept"),
    [
        ("가나다", 6, "가나다"),
        ("가나다", 5, "가나"),  # never half a syllable
        ("가나다", 1, ""),
        ("a가b", 2, "a"),
        ("가 나", 3, "가"),
        ("가", 2, "가"),  # letters (Jamo) come together first
        ("똠방각하", 8, "똠방각하"),  # not in KS X 1001, but in CP949
        ("Æřö Ʒ☃", 20, "Æro ??"),  # CP949 has Æ; Ʒ has no base letter
        ("㈜서점 ①", 20, "㈜서점 ①"),
        ("₩1,000", 20, "?1,000"),
    ],
)
def test_texts_are_cut_between_characters(text: str, most: int, kept: str) -> None:
    assert fitted(text, most) == kept
    assert len(kept.encode("cp949")) <= most


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"0000000050674", b"0000000050675", "won in the file is 50675, it must be 50674"),
        (b"0000000050674", b"00000000 0674", "something else than digits"),
        (b"0000000050674", "０0000000674".encode("cp949").rjust(13, b"0")[:13], "something else than digits"),
        (b"200000002", b"200000003", "sequence in the file is 3"),
        (b"0000004" + b"0000002", b"0000005" + b"0000002", "records in the file is 5"),
        (b"0000004" + b"0000002", b"0000004" + b"0000003", "count in the file is 3"),
        (b"000000000377704", b"000000000377705", "won in the file is 377705"),
        (b"110222333333", b"110222333334", "payee_account in the file is …3334, it must be …3333"),
        (b"090    3333", b"088    3333", "payee_bank in the file is 088"),
        ("똠".encode("cp949"), "돔".encode("cp949"), "payee_name"),
        ("똠".encode("cp949"), b"\xff\xff", "no CP949"),
        (b"01-2-01", b"01-1-01", "end_to_end_id"),
        (b"20261124", b"20261125", "pay_on in the file is 20261125"),
        (b"DUREBULK", b"DUREBULL", "form is not the constant"),
        (b"KRW", b"USD", "currency is not the constant"),
        (b"\r\n200000002", b"\r\n210000002", "record 3 is a stranger"),
        (b"\r\n200000002", b"\r\n300000002", "something else|is not the constant"),
        (b"\r\n20", b"\n\r20", "line end"),
        (b"1005000000017", b"1005000000018", "debtor_account"),
        (b"-000001 ", b"-000002 ", "message_id"),
    ],
)
def test_a_changed_file_does_not_pass(old: bytes, new: bytes, said: str) -> None:
    changed = _file().replace(old, new)
    assert changed != _file()
    with pytest.raises(ControlError, match=said):
        FORM.check(io.BytesIO(changed), ORDER, TRANSFERS)


def test_records_that_are_missing_or_too_many_do_not_pass() -> None:
    lines = _file().splitlines(keepends=True)
    for changed, said in (
        (lines[:-1], "no trailer"),
        (lines[1:], "record 1 is a data"),
        ([*lines, lines[-1]], "record 5 is a trailer"),
        ([*lines, b"x"], "record 5 is not 200 bytes"),
        ([lines[0], lines[1], lines[3]], "is missing|count"),
        ([lines[0], lines[1], lines[2], lines[2], lines[3]], "none of its payouts"),
        ([], "no trailer"),
    ):
        with pytest.raises(ControlError, match=said):
            FORM.check(io.BytesIO(b"".join(changed)), ORDER, TRANSFERS)


def test_the_same_identity_twice_does_not_pass() -> None:
    twice = [TRANSFERS[0], Transfer(TRANSFERS[0].end_to_end_id, 327_030, TRANSFERS[1].payee)]
    with pytest.raises(ControlError, match="appears twice"):
        FORM.check(io.BytesIO(_file(twice)), ORDER, twice)


def test_what_does_not_fit_and_must_not_be_cut_is_refused() -> None:
    long = Transfer(TRANSFERS[0].end_to_end_id, 50_674, Party("가", "1234567890123456789012", "088"))
    with pytest.raises(OrderError, match="payee_account …9012 does not fit into the 20 bytes"):
        _file([long])
    much = Transfer(TRANSFERS[0].end_to_end_id, 10**13, TRANSFERS[0].payee)
    with pytest.raises(OrderError, match="won 10000000000000 does not fit"):
        _file([much])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("record_bytes = 200", "record_bytes = 201", "fields come to 200 bytes, record_bytes is 201"),
        ('suffix = ".kr-bulk.dat"', 'suffix = "/../x"', "is no end of a file name"),
        ('replacement = "?"', 'replacement = "⎵"', "one printable ASCII"),
        ('line_end = "crlf"', 'line_end = "cr"', "line_end"),
        ('field = "sequence"', 'field = "sequenze"', "data, sequenze: is no value there"),
        ('field = "payee_account", bytes = 20, digits', 'field = "payee_account", bytes = 20, cut',
         "payee_account: must not be cut"),
        ('field = "won", bytes = 13', 'field = "won", bytes = 13, digits = true', "digits = true is for"),
        ('field = "end_to_end_id", bytes = 35', 'field = "end_to_end_id", bytes = 34', "35 bytes, has 34"),
        ('field = "record", bytes = 2, is = "30"', 'field = "record", bytes = 2, is = "20"', "tell the"),
        ('field = "record", bytes = 2, is = "30"', 'field = "records", bytes = 2', "first field must be"),
        ('field = "currency", bytes = 3, is = "KRW"', 'field = "currency", bytes = 3, is = "KRWX"',
         "at most 3 bytes"),
        ('field = "payee_bank"', 'field = "remittance"', "remittance stands there twice"),
        ('field = "count", bytes = 7', 'field = "form", bytes = 7, is = ""', "trailer: lacks count"),
        ("data = [", "dada = [", "dada"),
        ("header = [", "header = [[", "correct the TOML"),
        ("bytes = 66", "bytes = 66, colour = 1", "colour"),
        ("bytes = 66", 'bytes = "66"', "Expected `int`"),
    ],
)  # fmt: skip
def test_a_bad_layout_gives_one_clear_error(old: str, new: str, said: str) -> None:
    assert SAMPLE.count(old) >= 1
    with pytest.raises(LayoutError, match=said) as refused:
        parse(SAMPLE.replace(old, new))
    assert "\n" not in str(refused.value)


def test_the_sample_stands_in_config_too() -> None:
    root = Path(__file__).resolve().parents[3]
    assert (root / "config/profiles/kr-bulk-sample.toml").read_text("utf-8") == SAMPLE
