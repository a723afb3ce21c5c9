"""Reading an operator's CSV: every fault has file, line, column, and what to do."""
# ruff: noqa: E501 - tables of cases, one a line

from collections.abc import Sequence
from pathlib import Path

import pytest

from switch.service import import_rows
from switch.service.import_files import PROBLEMS_MAX, Column, ImportRefusedError, Problems, read_rows

CANARY = "9410610000000019"
MERCHANT_HEAD = ",".join(column.name for column in import_rows.MERCHANTS if not column.optional)
MERCHANT = "S-1,seoro,가게,shop,seo,seo,small,pos,2024-03-02,1,2025-01-01,123-45-67890,088,110-123-456,가게,2,m:2025-01-01"


def _read(path: Path, columns: Sequence[Column], data: bytes) -> list[tuple[object, ...]]:
    path.write_bytes(data)
    problems = Problems(path.name)
    rows = read_rows(path, columns, problems)
    problems.raise_any()
    return rows


def test_a_byte_order_mark_blank_lines_and_column_order_do_not_matter(tmp_path: Path) -> None:
    data = "\ufeffpoints_on, programme ,member_id\r\nyes,seoro,M-1\r\n\r\nno,seoro,M-2\r\n".encode()
    rows = _read(tmp_path / "m.csv", import_rows.MEMBERS, data)
    assert rows == [(2, "M-1", "seoro", True, None, None), (4, "M-2", "seoro", False, None, None)]


def test_a_whole_merchant(tmp_path: Path) -> None:
    line = MERCHANT.replace("pos,", "pos; online,").replace(
        "m:2025-01-01", "b:2025-02-01..2025-02-28;a:2026-01-01"
    )
    (row,) = _read(tmp_path / "m.csv", import_rows.MERCHANTS, f"{MERCHANT_HEAD}\n{line}\n".encode())
    merchant = import_rows.MerchantRow(*row)  # type: ignore[arg-type]
    assert merchant.channels == ("pos", "online")
    assert merchant.groups == (("a", 20260101, 0), ("b", 20250201, 20250301))
    assert merchant.business_no == "1234567890"


@pytest.mark.parametrize(
    ("columns", "text", "expected"),
    [
        (import_rows.MEMBERS, "", "m.csv:1: has no header row: the first line must be member_id,programme,points_on"),
        (import_rows.MEMBERS, "M-1,seoro,yes\n", "has no header row"),
        (import_rows.MEMBERS, "member_id;programme;points_on\nM-1;seoro;yes\n", "m.csv:1: separated by semicolons, not by commas: save it"),
        (import_rows.MEMBERS, "member_id\tprogramme\tpoints_on\n", "m.csv:1: separated by tabs, not by commas"),
        (import_rows.MEMBERS, "member_id,program,points_on\n", 'm.csv:1: unknown column "program": did you mean "programme"?'),
        (import_rows.MEMBERS, "member_id,points_on\n", "m.csv:1: programme: the column is missing: add it"),
        (import_rows.MEMBERS, "member_id,programme,points_on,programme\n", "programme: stands twice"),
        (import_rows.MEMBERS, "member_id,programme,points_on\nM-1,seoro\n", "m.csv:2: 2 cells, but the header has 3"),
        (import_rows.MEMBERS, "member_id,programme,points_on\nM-1,seoro,true\n", "m.csv:2: points_on: 'true' is neither: write yes or no"),
        (import_rows.MEMBERS, "member_id,programme,points_on\n,seoro,yes\n", "m.csv:2: member_id: is empty: write a member id"),
        (import_rows.MEMBERS, 'member_id,programme,points_on\n"M-1,seoro,yes\n', "is no CSV"),
        (import_rows.CARDS, f"programme,member_id,pan,expiry,pvki,pvv\nseoro,M-1,{CANARY[:-1]}8,3012,,\n", "pan: the check digit is wrong"),
        (import_rows.CARDS, f"programme,member_id,pan,expiry,pvki,pvv\nseoro,M-1,{CANARY[:12]},3012,,\n", "pan: is no card number"),
        (import_rows.CARDS, f"programme,member_id,pan,expiry,pvki,pvv\nseoro,M-1,{CANARY},3013,,\n", "expiry: is no expiry: write it as YYMM"),
        (import_rows.CARDS, f"programme,member_id,pan,expiry,pvki,pvv\nseoro,{CANARY}!,M-1,3012,,\n", "member_id: '[removed]!' does not fit: write a member id"),
        (import_rows.CARDS, f"programme,member_id,pan,expiry,pvki,pvv,state\nseoro,M-1,{CANARY},3012,,,gone\n", "state: 'gone' is not known: write one of active"),
        (import_rows.FUNDING, "programme,reference,member_id,kind,won,funder,day\nseoro,B,M,charged,1.5,,2025-01-01\n", "won: '1.5' is no amount of won: write 1 to"),
        (import_rows.FUNDING, "programme,reference,member_id,kind,won,funder,day\nseoro,B,M,charged,0,,2025-01-01\n", "won: '0' is no amount"),
        (import_rows.FUNDING, "programme,reference,member_id,kind,won,funder,day\nseoro,B,M,coupon,1,,2025-01-01\n", "kind: 'coupon' is not known: write one of charged, points"),
        (import_rows.FUNDING, "programme,reference,member_id,kind,won,funder,day\nseoro,B,M,charged,1,,20250101\n", "day: '20250101' is no day: write it as YYYY-MM-DD"),
        (import_rows.TERMINALS, "terminal_id,merchant_id,tmk,kcv\nT1,S-1,U00,0\n", "m.csv:2: terminal_id: 'T1' does not fit: write a terminal id (DE41)"),
        (import_rows.MERCHANTS, f"{MERCHANT_HEAD}\n" + MERCHANT.replace("small", "huge"), "size: 'huge' is not known"),
        (import_rows.MERCHANTS, f"{MERCHANT_HEAD}\n" + MERCHANT.replace(",pos,", ",radio,"), "channels: 'radio' is no channel"),
        (import_rows.MERCHANTS, f"{MERCHANT_HEAD}\n" + MERCHANT.replace(",2,m", ",61,m"), "payout_days: '61' is no payout term"),
        (import_rows.MERCHANTS, f"{MERCHANT_HEAD}\n" + MERCHANT.replace("m:2025-01-01", "m"), "groups: 'm' is no dated group"),
        (import_rows.MERCHANTS, f"{MERCHANT_HEAD}\n{MERCHANT};m:2026-01-01", "groups: m overlaps itself"),
        (import_rows.MERCHANTS, f"{MERCHANT_HEAD}\n{MERCHANT}..2024-01-01", "ends before it starts"),
    ],
)  # fmt: skip
def test_faults(tmp_path: Path, columns: Sequence[Column], text: str, expected: str) -> None:
    with pytest.raises(ImportRefusedError) as caught:
        _read(tmp_path / "m.csv", columns, text.encode())
    assert expected in str(caught.value)
    assert CANARY not in str(caught.value)


def test_what_is_no_text_at_all(tmp_path: Path) -> None:
    with pytest.raises(ImportRefusedError, match="is not UTF-8"):
        _read(tmp_path / "m.csv", import_rows.MEMBERS, "member_id,programme,points_on\n회원".encode("cp949"))
    problems = Problems("m")
    assert read_rows(tmp_path, import_rows.MEMBERS, problems) == []
    assert problems.lines == ["m: cannot be read (IsADirectoryError): check the path and its rights"]


def test_faults_are_collected_up_to_a_limit(tmp_path: Path) -> None:
    text = "member_id,programme,points_on\n" + "!,seoro,yes\n" * (PROBLEMS_MAX + 5)
    with pytest.raises(ImportRefusedError) as caught:
        _read(tmp_path / "m.csv", import_rows.MEMBERS, text.encode())
    assert len(caught.value.problems) == PROBLEMS_MAX
    assert str(caught.value).endswith("… and 5 more")


def test_a_card_row_does_not_show_its_number() -> None:
    row = import_rows.CardRow(2, "seoro", "M-1", CANARY, 3012, "", "", None, None)
    assert CANARY not in repr(row)
    assert CANARY not in str([row])
