"""The auditor's bundle: whole, always the same, and a script that stands alone finds every change in it."""

import hashlib
import random
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from settlement.errors import ControlMismatchError, UsageError
from settlement.papers import verify_bundle
from settlement.papers.bundle import MANIFEST, VERIFIER, Bundle, write_bundle
from settlement.papers.period import Period, span
from tests.integration.settlement.papers.conftest import FRIDAY, SATURDAY, SUNDAY, Month, Tell

WHOLE = span(FRIDAY, SUNDAY)
SEED = random.randrange(2**32)
_AT = "2026-11-23T01:00:00+09:00"
# A file that two people stood for, the bank's answer, its statement, a payout that was paid again.
_BANKED = f"""
    INSERT INTO file_approval SELECT 1, file_no, 1, sha256, made_by, 'kim', '{_AT}' FROM bank_file;
    UPDATE bank_file SET state = 'delivered';
    INSERT INTO file_delivery SELECT 1, file_no, 1, 'folder', 'lee', '{_AT}', '{_AT}', 'delivered'
        FROM bank_file;
    INSERT INTO bank_statement VALUES
        (1, 'safeguarded', 'S1', 1, '{FRIDAY}', '{FRIDAY}', 1000, 733, 1, 1),
        (1, 'safeguarded', 'S2', 2, '{SATURDAY}', '{SATURDAY}', 733, 740, 1, 1);
    INSERT INTO bank_entry VALUES
        (1, 'safeguarded', 'S1', 1, '{FRIDAY}', -267, '', '', '', '', '', '', 'matched'),
        (1, 'safeguarded', 'S2', 1, '{SATURDAY}', 7, '', '', '', '', '', '', 'matched');
    INSERT INTO payout SELECT programme_no, business_date, cycle, merchant_no, 2, pay_on, won,
        left(end_to_end_id, -2) || '02', '004', '9-9', account_holder, 'ordered' FROM payout
        WHERE won = 267570;
    UPDATE payout SET state = 'rejected', reason = 'AC04' WHERE won = 267570 AND attempt = 1;
    INSERT INTO payout_event SELECT 1, end_to_end_id, 1, 'represented', '{_AT}' FROM payout
        WHERE won = 267570 AND attempt = 1;
    INSERT INTO house_entry VALUES (1, '2026-11-23', 'reject:1', 1, 231, 221, 267570, 1, 0),
        (1, '2026-11-23', 'represent:1', 1, 221, 231, 267570, 1, 0)
"""


def _banked(month: Month) -> None:
    for statement in _BANKED.split(";"):
        month.sql(statement)
    answer = b"<Document>what the bank said</Document>"
    month.sql(
        "INSERT INTO inbound_file VALUES (1, 1, 'answer.xml', :sha256, :size, 'camt.053', 'M1', :at,"
        " 'in/2026/11/23/1_answer.xml', 'applied', '')",
        sha256=hashlib.sha256(answer).hexdigest(),
        size=len(answer),
        at=_AT,
    )
    folder = month.settings.files.archive / "in/2026/11/23"
    folder.mkdir(parents=True)
    (folder / "1_answer.xml").write_bytes(answer)


def _make(month: Month, to: Path, period: Period = WHOLE) -> Bundle:
    with month.engine.connect() as connection, connection.begin():
        return write_bundle(connection, month.settings, 1, period, to, lambda _done, _of: None)


@pytest.fixture
def bundle(month: Month, tmp_path: Path) -> Path:
    _banked(month)
    _make(month, tmp_path / "bundle")
    return tmp_path / "bundle"


def _alone(script: Path, bundle: Path) -> tuple[int, str]:
    """As an auditor does it: Python alone, without our packages."""
    command = [sys.executable, "-I", "-S", str(script), str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout


def _reseal(folder: Path) -> None:
    """As a forger would: the manifest made again."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    lines = []
    for name in names:
        if name != MANIFEST:
            content = (folder / name).read_bytes()
            lines.append(f"{hashlib.sha256(content).hexdigest()} {len(content)} {name}\n")
    (folder / MANIFEST).write_text("".join(lines))


def test_an_auditor_checks_it_alone(bundle: Path, tmp_path: Path) -> None:
    code, out = _alone(bundle / VERIFIER, bundle)
    assert code == 0, out
    lines = out.splitlines()
    assert len(lines) == 13
    assert all(line.startswith("ok ") for line in lines[:-1])
    seal = hashlib.sha256((bundle / MANIFEST).read_bytes()).hexdigest()
    assert lines[-1] == f"all checks hold; manifest sha256 {seal}"
    looked_at = [int(line.split()[-1].replace(",", "")) for line in lines[:-1]]
    assert 0 not in looked_at  # no check passes because there was nothing to check
    assert _alone(bundle / VERIFIER, tmp_path / "nothing")[0] == 2
    assert _alone(bundle / VERIFIER, bundle / "README.md")[0] == 1


def test_the_same_books_give_the_same_bytes_as_folder_and_tar(month: Month, tmp_path: Path) -> None:
    _banked(month)
    made = [_make(month, tmp_path / name) for name in ("a", "b", "a.tar", "b.tar")]
    assert {one.sha256 for one in made} == {made[0].sha256}
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert {one.mtime for one in tar.getmembers()} == {0}
    assert _alone(tmp_path / "a" / VERIFIER, tmp_path / "a.tar")[0] == 0
    assert (tmp_path / "a.tar").stat().st_mode & 0o077 == 0
    assert {path.name for path in tmp_path.iterdir()} >= {"a", "b", "a.tar", "b.tar"}
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_every_changed_byte_is_found(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(SEED)
    files = sorted(path for path in bundle.rglob("*") if path.is_file())
    assert len(files) > 35
    for path in files:
        content = path.read_bytes()
        for _ in range(2):
            at, bit = chance.randrange(len(content)), chance.randrange(8)
            path.write_bytes(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :])
            assert verify_bundle.main([str(bundle)]) == 1, f"seed {SEED}: {path} byte {at} bit {bit}"
        path.write_bytes(content)
    assert verify_bundle.main([str(bundle)]) == 0
    capsys.readouterr()


def test_a_dropped_line_or_file_and_one_too_many_are_found(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in sorted(path for path in bundle.rglob("*") if path.is_file()):
        content = path.read_bytes()
        path.unlink()
        assert verify_bundle.main([str(bundle)]) == 1, path
        lines = content.splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:-1]))
        assert verify_bundle.main([str(bundle)]) == 1, path
        path.write_bytes(content)
    (bundle / "journal" / "more.csv").write_text("")
    assert verify_bundle.main([str(bundle)]) == 1
    capsys.readouterr()


def _change(name: str, old: str, new: str) -> Callable[[Path], None]:
    def forge(folder: Path) -> None:
        path = folder / name
        content = path.read_text(encoding="utf-8")
        assert old in content, content
        path.write_text(content.replace(old, new, 1), encoding="utf-8")

    return forge


def _drop(name: str, having: str) -> Callable[[Path], None]:
    def forge(folder: Path) -> None:
        path = folder / name
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if having not in f"^{line}"]
        assert len(kept) == len(lines) - 1
        path.write_text("".join(kept), encoding="utf-8")

    return forge


_E = "journal/2026-11-20.entry.csv"
_H = "journal/2026-11-21.house.csv"
_NET = "2026-11-20,1,1,270000,0,9000,2430,"
FORGERIES = {
    "an entry's amount": (_change(_E, ",270000,", ",270001,"), "dates"),
    "an entry's accounts": (_change(_E, ",201,221,270000", ",202,221,270000"), "dates"),
    "an entry gone": (_drop(_E, ",201,221,270000"), "dates"),
    "a booking of the house": (_change(_H, ",221,231,267570,1,", ",221,231,267570,2,"), "dates"),
    "a date's count of payments": (_change("business_day.csv", ",4,10,", ",5,10,"), "dates"),
    "a date's link": (_change("business_day.csv", "0" * 64, "1" * 64), "dates"),
    "another sale": (_change("merchant_net.csv", _NET, "2026-11-20,1,1,270001,1,9000,2430,"), "netting"),
    "another fee": (_change("merchant_net.csv", _NET, "2026-11-20,1,1,270000,0,9000,2431,"), "fees"),
    "another rate": (_change("merchant_net.csv", _NET, "2026-11-20,1,1,270000,0,9001,2430,"), "fees"),
    "another class": (_change("policy.csv", '""rate_ppm"":9000', '""rate_ppm"":9100'), "fees"),
    "a line gone": (_drop("merchant_net.csv", "^2026-11-21,1,1,"), "netting"),
    "less carried": (_change("merchant_net.csv", ",-168470,327030,0", ",-168460,327040,0"), "netting"),
    "one won rounded": (_change("merchant_net.csv", ",0,0,267570,0,", ",1,0,267569,0,"), "bookings"),
    "another payout": (_change("payout.csv", ",327030,", ",327031,"), "payouts"),
    "another amount again": (_change("payout.csv", ",2,2026-11-24,267570,", ",2,2026-11-24,1,"), "payouts"),
    "a payout gone": (_drop("payout.csv", ",327030,"), "payouts"),
    "a file's line gone": (_drop("bank_file_line.csv", "^1,1,"), "bank_files"),
    "a file gone": (_drop("bank_file.csv", "^2,"), "bank_files"),
    "a file's sum": (_change("bank_file.csv", ",1,267570,", ",1,267571,"), "bank_files"),
    "its maker approved": (_change("file_approval.csv", ",kim,", ",System,"), "approvals"),
    "an approval gone": (_drop("file_approval.csv", "^1,1,"), "approvals"),
    "an approval void": (_change("file_approval.csv", "+00:00,,", "+00:00,2026-11-24,"), "approvals"),
    "the answer's bytes": (_change("in/1_answer.xml", "bank said", "bank sang"), "answers"),
    "a statement's closing": (_change("bank_statement.csv", ",1000,733,", ",1000,734,"), "statements"),
    "a statement's entry": (_change("bank_entry.csv", ",-267,", ",-266,"), "statements"),
    "a statement gone": (_drop("bank_statement.csv", ",S1,"), "statements"),
    "who did it": (_change("audit.csv", ",system,run,", ",nobody,run,"), "audit_log"),
    "an act gone": (_drop("audit.csv", "^2,"), "audit_log"),
    "the proof": (_change("proof.json", '"ok": true', '"ok": false'), "proof"),
}


def test_a_forger_who_seals_it_again_is_found(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for what, (forge, check) in FORGERIES.items():
        forged = bundle.with_name("forged")
        shutil.copytree(bundle, forged)
        forge(forged)
        _reseal(forged)
        capsys.readouterr()
        assert verify_bundle.main([str(forged)]) == 1, what
        out = capsys.readouterr().out
        assert f"FAIL  {getattr(verify_bundle.Audit, check).__doc__}" in out, f"{what}:\n{out}"
        assert out.startswith("ok "), f"{what}: the seal is the forger's own"
        shutil.rmtree(forged)


def test_a_file_that_pays_somebody_else_is_found(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its hash and its row forged too: it no longer says what its lines say."""
    [path] = (bundle / "out").glob("*_000001_*.xml")
    was = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_text(path.read_text().replace(">267570</InstdAmt>", ">267571</InstdAmt>"))
    now = hashlib.sha256(path.read_bytes()).hexdigest()
    for name in ("bank_file.csv", "file_approval.csv"):
        _change(name, was, now)(bundle)
    _reseal(bundle)
    assert verify_bundle.main([str(bundle)]) == 1
    assert "it does not pay its lines" in capsys.readouterr().out


def test_a_part_of_the_dates_is_a_bundle_too(month: Month, tmp_path: Path) -> None:
    month.sql("UPDATE bank_file SET business_date = :day WHERE file_no IN (1, 3)", day=SATURDAY)
    month.sql("UPDATE bank_file SET business_date = :day WHERE file_no = 2", day=SUNDAY)  # made in between
    for number, was in ((1, FRIDAY), (2, SATURDAY), (3, SUNDAY)):
        [file] = month.settings.files.archive.glob(f"out/*/*/{was:%d}/*_{number:06d}_*.xml")
        now = SUNDAY if number == 2 else SATURDAY
        file.rename(file.parent.parent / f"{now:%d}" / file.name)
    _make(month, tmp_path / "b", span(SATURDAY, SATURDAY))
    assert len(list((tmp_path / "b" / "out").iterdir())) == 3
    code, out = _alone(tmp_path / "b" / VERIFIER, tmp_path / "b")
    assert code == 0, out
    assert [path.name for path in sorted((tmp_path / "b" / "journal").iterdir())] == [
        *("2026-11-21.entry.csv", "2026-11-21.house.csv")
    ]


def test_no_card_and_no_member_is_in_it(month: Month, tmp_path: Path) -> None:
    month.sql("INSERT INTO member VALUES (1, 'MEMBER-7', 334, 7)")
    month.sql(
        "INSERT INTO card (bucket, wallet_id, card_no, pan_hmac, pan_box, key_version, masked, expiry, state)"
        " VALUES (334, 7, 1, 'HMAC', 'BOX', 1, '941061******1234', 3012, 'active')"
    )
    _make(month, tmp_path / "b")
    text = b"".join(path.read_bytes() for path in (tmp_path / "b").rglob("*") if path.is_file())
    assert not [word for word in (b"MEMBER-7", b"941061****", b"HMAC", b"1234567890123456") if word in text]


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (
            "DELETE FROM entry WHERE business_date = '2026-11-20' AND won = 270000",
            "was closed with 10 entries",
        ),
        ("UPDATE bank_file SET sha256 = 'x'", "is not what it was"),
        ("UPDATE bank_file SET name = 'gone.xml' WHERE file_no = 1", "is not in the archive"),
    ],
)
def test_what_is_no_longer_whole_makes_no_bundle(month: Month, tmp_path: Path, damage: str, why: str) -> None:
    month.sql(damage)
    with pytest.raises(ControlMismatchError, match=why):
        _make(month, tmp_path / "b")
    assert not [path for path in tmp_path.iterdir() if "b" in path.name.split(".")]


def test_the_command_tells_the_seal_and_never_writes_over(month: Month, tell: Tell, tmp_path: Path) -> None:
    to = tmp_path / "b.tar"
    code, out = tell(month, "report bundle --month 2026-11 --to", str(to))
    assert code == 0
    with tarfile.open(to) as tar:
        manifest = tar.extractfile(MANIFEST)
        assert manifest is not None
        assert f"manifest sha256 {hashlib.sha256(manifest.read()).hexdigest()}" in out
    was = to.read_bytes()
    code, out = tell(month, "report bundle --month 2026-11 --to", str(to))
    assert code == 2
    assert "never written over" in out
    assert to.read_bytes() == was
    monday = SUNDAY + timedelta(days=1)
    with pytest.raises(UsageError, match="is closed"):
        _make(month, tmp_path / "later", span(monday, monday))
