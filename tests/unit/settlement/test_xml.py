"""Hostile and broken XML is refused, in bounded time and memory, before anything acts upon it."""

import gzip
import io
import subprocess
import sys
import time
from pathlib import Path

import pytest

from settlement.files import xml
from settlement.files.pain002 import read
from settlement.files.xml import UnsafeXmlError, check_size, root_of
from tests.support.bank_messages import pain002

GOOD = pain002("DURE00001-20261120-01-000001", group="ACCP")
BODY = GOOD.split(b"?>", 1)[1]


def _both(data: bytes) -> None:
    root_of(io.BytesIO(data))
    read(io.BytesIO(data))


def refused(data: bytes) -> str:
    started = time.monotonic()
    with pytest.raises(UnsafeXmlError) as found:
        _both(data)
    assert time.monotonic() - started < 5
    assert len(str(found.value)) < 400
    return str(found.value)


def test_a_good_file_is_read() -> None:
    assert root_of(io.BytesIO(GOOD)) == ("urn:iso:std:iso:20022:tech:xsd:pain.002.001.10", "Document")
    assert read(io.BytesIO(GOOD)).group.code == "ACCP"


def test_billion_laughs() -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    data = f'<!DOCTYPE d [<!ENTITY l0 "ha">{laughs}]><d>&l11;</d>'.encode()
    assert "DOCTYPE" in refused(data)


def test_quadratic_blow_up() -> None:
    data = b'<!DOCTYPE d [<!ENTITY a "' + b"x" * 100_000 + b'">]><d>' + b"&a;" * 100_000 + b"</d>"
    assert "DOCTYPE" in refused(data)


def test_an_external_entity_reads_no_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("SECRET")
    data = b'<!DOCTYPE d [<!ENTITY x SYSTEM "file://%s">]>' % str(secret).encode()
    told = refused(data + BODY.replace(b"BANK-1", b"&x;"))
    assert "DOCTYPE" in told
    assert "SECRET" not in told


def test_an_external_doctype() -> None:
    assert "DOCTYPE" in refused(b'<!DOCTYPE d SYSTEM "http://127.0.0.1:1/d.dtd"><d/>')


def test_an_undefined_entity() -> None:
    assert "well-formed" in refused(BODY.replace(b"BANK-1", b"&x;"))


def test_deep_nesting() -> None:
    assert "deep" in refused(b"<a>" * 1_000_000)


def test_a_huge_text() -> None:
    assert "characters" in refused(BODY.replace(b"BANK-1", b"x" * 30_000_000))


def test_thousands_of_indented_payments_are_no_huge_text() -> None:
    payments = [(f"DURE00001-20261120-01-{number}-01", "ACCP") for number in range(3_000)]
    data = pain002("DURE00001-20261120-01-000001", payments=payments)
    indented = data.replace(b"<TxInfAndSts>", b"\n          <TxInfAndSts>")
    assert len(read(io.BytesIO(indented)).payments) == 3_000


def test_a_huge_attribute() -> None:
    told = refused(b'<a b="' + b"x" * 30_000_000 + b'"/>')
    assert "bytes" in told or "characters" in told


def test_a_huge_comment() -> None:
    assert "one piece" in refused(b"<a><!--" + b"x" * 30_000_000 + b"--></a>")


def test_many_attributes() -> None:
    many = " ".join(f'a{n}="1"' for n in range(1000))
    assert "attributes" in refused(f"<a {many}/>".encode())


def test_a_processing_instruction() -> None:
    assert "instruction" in refused(b'<?xml-stylesheet href="http://127.0.0.1:1/"?>' + BODY)


@pytest.mark.parametrize("encoding", ["EUC-KR", "UTF-16", "UTF-7", "ISO-8859-1"])
def test_another_encoding_is_named(encoding: str) -> None:
    told = refused(f'<?xml version="1.0" encoding="{encoding}"?>'.encode() + BODY)
    assert encoding in told
    assert "UTF-8" in told


def test_bytes_that_are_not_utf_8() -> None:
    assert "UTF-8" in refused(GOOD.replace(b"BANK-1", "은행".encode("cp949")))
    assert "UTF-8" in refused(GOOD.decode().encode("utf-16"))


@pytest.mark.parametrize("cut", [1, 30, 200, len(GOOD) // 2, len(GOOD) - 5])
def test_a_cut_off_file(cut: int) -> None:
    told = refused(GOOD[:cut])
    assert "cut off" in told or "well-formed" in told


def test_an_empty_file() -> None:
    assert "well-formed" in refused(b"")


def test_two_documents() -> None:
    assert "well-formed" in refused(BODY + BODY)


def test_a_gzip_bomb_is_not_unpacked() -> None:
    assert "compressed" in refused(gzip.compress(b"<a>" * 10_000_000))


def test_too_many_elements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml, "ELEMENTS_MAX", 1_000)
    assert "elements" in refused(b"<a>" + b"<b/>" * 2_000 + b"</a>")


def test_a_message_that_the_schema_does_not_know() -> None:
    assert "GrpStz" in refused(GOOD.replace(b"GrpSts", b"GrpStz"))
    assert "valid pain.002" in refused(GOOD.replace(b"<MsgId>BANK-1</MsgId>", b""))
    assert "valid pain.002" in refused(GOOD.replace(b"BANK-1", b"X" * 36))


def test_a_file_of_a_gigabyte_is_refused_by_its_size_alone() -> None:
    with pytest.raises(UnsafeXmlError, match="smaller files"):
        check_size(1_000_000_000)
    check_size(xml.FILE_BYTES_MAX)


def test_a_large_file_is_read_in_little_memory(tmp_path: Path) -> None:
    """40,000 payments, 16 MB: parsed in a process that may use 400 MB in all."""
    name = "DURE00001-20261120-01-{}-01"
    big = pain002(
        "DURE00001-20261120-01-000001",
        payments=[(name.format(number), "RJCT", "AC04", 1000) for number in range(40_000)],
    )
    path = tmp_path / "big.xml"
    path.write_bytes(big)
    code = (
        "import resource,sys; from settlement.files.pain002 import read\n"
        f"resource.setrlimit(resource.RLIMIT_AS, ({400 << 20}, {400 << 20}))\n"
        "print(len(read(open(sys.argv[1], 'rb')).payments))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60)
    assert done.stdout == "40000\n", done.stderr


@pytest.mark.parametrize("junk", [b"<x/>", b'<x a="1"/>', b'<x xmlns=""/>'])
def test_what_is_never_let_go_does_not_fill_the_memory(junk: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml, "KEPT_MAX", 1_000)
    told = refused(BODY.replace(b"<GrpHdr>", junk * 1_000 + b"<GrpHdr>", 1))
    assert "smaller files" in told


def test_what_is_let_go_is_not_counted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml, "KEPT_MAX", 3_000)
    payments = [(f"DURE00001-20261120-01-{number}-01", "ACCP") for number in range(2_500)]
    data = pain002("DURE00001-20261120-01-000001", payments=payments)
    assert len(read(io.BytesIO(data)).payments) == 2_500


def test_thousands_of_namespaces() -> None:
    many = " ".join(f'xmlns:n{number}="u{number}"' for number in range(9_000))
    assert "namespaces" in refused(BODY.replace(b"<GrpHdr>", f"<GrpHdr {many}>".encode(), 1))
