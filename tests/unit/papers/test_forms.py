"""A paper says the same in every form: as text, CSV, XLSX and PDF; and always in the same bytes."""

import csv
import io
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from settlement.errors import UsageError
from settlement.papers import as_pdf
from settlement.papers.as_csv import defused, write_csv
from settlement.papers.as_text import WIDTH_MAX, as_text, width
from settlement.papers.as_xlsx import write_xlsx
from settlement.papers.forms import Form, forms_of, write
from settlement.papers.paper import Cell, Column, Fact, Kind, Paper, Table, percent

DAY = date(2026, 11, 20)
COLUMNS = (
    Column("영업일", Kind.DATE),
    Column("가맹점", wide=True),
    Column("매출", Kind.WON),
    Column("율", Kind.RATE),
    Column("부가세", Kind.WON, spare=True),
)
ROWS: list[tuple[Cell, ...]] = [
    (DAY, "=1+1", 1_234_567_890_123, 1_500, 0),
    (DAY, "김밥 <&> #천국 *[", -5, 9_000, 0),
]


def _paper(rows: Sequence[tuple[Cell, ...]] = tuple(ROWS), title: str = "정산 내역서") -> Paper:
    table = Table("일자별", COLUMNS, rows, ("합계", None, 1_234_567_890_118, None, 0), ("쪽지",))
    facts = (Fact("기간", "2026-11"), Fact("지급액", 5_400, Kind.WON), Fact("날", DAY, Kind.DATE))
    return Paper("stem", title, "서로 · 가게", facts, (table,), ("읽는 법",), "ko", DAY, "{} / {} 쪽", "요약")


def test_a_page_of_text() -> None:
    assert as_text(_paper()).splitlines() == [
        "정산 내역서",
        "서로 · 가게",
        "",
        "  기간    2026-11",
        "  지급액  5,400",
        "  날      2026-11-20",
        "",
        "일자별",
        "  영업일      가맹점                          매출      율",
        "  2026-11-20  =1+1               1,234,567,890,123  0.15 %",
        "  2026-11-20  김밥 <&> #천국 *[                 -5   0.9 %",
        "  합계                           1,234,567,890,118",
        "  쪽지",
        "",
        "* 읽는 법",
    ]


@settings(print_blob=True, max_examples=50)
@given(
    cells=st.lists(st.tuples(st.text(max_size=30), st.integers(-(10**15), 10**15)), min_size=1, max_size=3),
    columns=st.integers(1, 20),
    note=st.text(alphabet="가a ", max_size=300),
)
def test_no_line_is_wider_than_a_terminal(cells: list[tuple[str, int]], columns: int, note: str) -> None:
    names = tuple(Column(f"열{at}", Kind.WON if at % 2 else Kind.TEXT) for at in range(columns * 2))
    rows = [
        tuple(
            value for at in range(columns) for value in (text.replace("\n", " ").replace("\r", " "), won + at)
        )
        for text, won in cells
    ]
    plain = [
        tuple("".join(c for c in v if c.isprintable()) if isinstance(v, str) else v for v in row)
        for row in rows
    ]
    paper = Paper("s", "t", "u", (), (Table("표", names, plain),), (note,), "ko", DAY, "{}/{}", "요약")
    assert all(width(line) <= WIDTH_MAX for line in as_text(paper).splitlines())


def test_csv_is_what_spreadsheets_open() -> None:
    sink = io.BytesIO()
    write_csv(_paper(), sink)
    raw = sink.getvalue()
    assert raw.startswith(b"\xef\xbb\xbf")
    assert raw.count(b"\n") == raw.count(b"\r\n")
    rows = list(csv.reader(io.StringIO(raw.decode("utf-8-sig"))))
    assert ["2026-11-20", "'=1+1", "1234567890123", "0.15 %", "0"] in rows
    assert ["2026-11-20", "김밥 <&> #천국 *[", "-5", "0.9 %", "0"] in rows
    assert ["합계", "", "1234567890118", "", "0"] in rows


@pytest.mark.parametrize("evil", ["=cmd()", "+1", "-1", "@x", "\t=1", "\r=1", " =1", "=1"])
def test_no_text_becomes_a_formula(evil: str) -> None:
    assert defused(evil) == f"'{evil}"
    assert defused("가게 = 1") == "가게 = 1"


def test_xlsx_has_numbers_heads_and_our_sums(tmp_path: Path) -> None:
    write_xlsx(_paper(), tmp_path / "a.xlsx")
    book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    summary, sheet = book["요약"], book["일자별"]
    assert ("지급액", 5_400) in list(summary.iter_rows(values_only=True))
    assert sheet.freeze_panes == "B2"
    rows = list(sheet.iter_rows(values_only=True))
    assert rows[0] == ("영업일", "가맹점", "매출", "율", "부가세")
    assert rows[1] == (datetime(2026, 11, 20), "=1+1", 1_234_567_890_123, 0.0015, 0)  # noqa: DTZ001
    assert rows[3][:3] == ("합계", None, sum(row[2] for row in rows[1:3]))  # type: ignore[misc, arg-type]
    assert sheet["B2"].data_type == "s"
    assert "9000" not in str(rows)
    assert sheet.column_dimensions["B"].width > sheet.column_dimensions["C"].width


def test_pdf_can_be_read_and_is_numbered() -> None:
    many: list[tuple[Cell, ...]] = [(DAY, f"가게 {number}", number, 1_500, 0) for number in range(100)]
    reader = PdfReader(io.BytesIO(as_pdf.pdf(_paper(many))))
    pages = [page.extract_text() for page in reader.pages]
    assert len(pages) > 1
    assert "정산 내역서" in pages[0]
    assert "가게 99" in "".join(pages)
    for number, page in enumerate(pages, 1):
        assert f"{number} / {len(pages)} 쪽" in page
        assert "영업일" in page  # the table's head stands on every page
    sizes = {(round(float(page.mediabox.width)), round(float(page.mediabox.height))) for page in reader.pages}
    assert sizes == {(595, 842)}  # A4
    first = PdfReader(io.BytesIO(as_pdf.pdf(_paper()))).pages[0].extract_text()
    assert "김밥 <&> #천국 *[" in first  # text is never read as markup
    assert "1,234,567,890,123" in first


def test_a_table_too_wide_for_an_upright_page_is_set_across() -> None:
    columns = tuple(Column(f"금액 {at}", Kind.WON) for at in range(14))
    table = Table("넓은 표", columns, [tuple(10**11 + at for at in range(14))])
    paper = Paper("s", "t", "u", (), (table,), (), "ko", DAY, "{}/{}", "요약")
    [page] = PdfReader(io.BytesIO(as_pdf.pdf(paper))).pages
    assert page.mediabox.width > page.mediabox.height
    assert "100,000,000,013" in page.extract_text()


def test_the_same_paper_has_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write(_paper, tuple(Form), tmp_path / folder)
    for form in Form:
        name = f"stem.{form.value}"
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["stem.csv", "stem.pdf", "stem.xlsx"]


def test_too_long_for_paper_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    rows = [ROWS[0]] * (as_pdf.ROWS_MAX + 1)
    with pytest.raises(UsageError, match="too many for a PDF"):
        write(lambda: _paper(rows), (Form.PDF,), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_forms_and_places_are_checked(tmp_path: Path) -> None:
    assert forms_of("csv, pdf,csv") == (Form.CSV, Form.PDF)
    with pytest.raises(UsageError, match="pdf, xlsx, csv"):
        forms_of("docx")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="--to"):
        write(_paper, (Form.CSV,), tmp_path / "file")


def test_percentages_have_no_more_digits_than_they_need() -> None:
    assert [percent(ppm) for ppm in (0, 1_500, 9_000, 100_000, 11_501, -1_500)] == [
        *("0 %", "0.15 %", "0.9 %", "10 %", "1.1501 %", "-0.15 %")
    ]
