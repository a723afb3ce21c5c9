"""Components, what they make together, and the record of it."""

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from hsm_sim.ceremony import audit, component, forming
from hsm_sim.ceremony.component import CeremonyError
from hsm_sim.ceremony.forming import FormingError
from hsm_sim.cli import app
from hsm_sim.crypto.kcv import check_value
from hsm_sim.crypto.lmk import TEST_LMK, Lmk
from hsm_sim.crypto.tdes import has_odd_parity, odd_parity

A, B, C = (bytes(n * step % 251 for n in range(5, 21)) for step in (37, 59, 101))


@settings(print_blob=True, max_examples=50)
@given(
    st.lists(st.binary(min_size=16, max_size=16).filter(lambda b: len(set(b)) > 1), min_size=2, max_size=5)
)
def test_a_key_is_the_sum_of_all_components_and_of_no_fewer(parts: list[bytes]) -> None:
    total = bytes(16)
    for part in parts:
        total = bytes(x ^ y for x, y in zip(total, part, strict=True))
    named = [(f"custodian {n}", part) for n, part in enumerate(parts)]
    if len(set(parts)) != len(parts) or len(set(total)) == 1:
        with pytest.raises(FormingError):
            forming.combine("tdes", named)
    else:
        assert forming.combine("tdes", named) == total
        assert forming.combine("tdes", named[::-1]) == total


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([("kim", A)], "at least 2 custodians"),
        ([("kim", A), ("KIM", B)], "two components of one custodian"),
        ([("kim", A), ("lee", A)], "alike"),
        ([("kim", A), ("lee", bytes(16))], "all the same digit"),
        ([("kim", A), ("lee", B + A)], "differ in length"),
        ([("kim", A), ("lee", B), ("choi", bytes(a ^ b for a, b in zip(A, B, strict=True)))], "cancel"),
    ],
)
def test_components_that_make_no_key_are_refused(parts: list[tuple[str, bytes]], says: str) -> None:
    with pytest.raises(FormingError, match=says):
        forming.combine("tdes", parts)


def test_a_formed_key_is_the_one_that_the_hsm_uses() -> None:
    total = forming.combine("tdes", [("kim", A), ("lee", B), ("choi", C)])
    formed = forming.key_under_lmk(TEST_LMK, total, kind="tdes", key_type="009", scheme="U", usage="")
    assert TEST_LMK.decrypt("009", formed.key) == odd_parity(total)
    assert formed.check_value == check_value(odd_parity(total))
    block = forming.key_under_lmk(TEST_LMK, total, kind="aes", key_type="009", scheme="S", usage="")
    header, key = TEST_LMK.decrypt_block(block.key)
    assert (header.usage, header.algorithm, key) == ("B0", "A", total)
    wrapping = forming.key_under_lmk(TEST_LMK, total, kind="aes", key_type="002", scheme="S", usage="K0")
    assert TEST_LMK.decrypt_block(wrapping.key)[0].usage == "K0"
    for wrong in (
        {"kind": "aes", "key_type": "009", "scheme": "U", "usage": ""},
        {"kind": "tdes", "key_type": "999", "scheme": "U", "usage": ""},
        {"kind": "tdes", "key_type": "009", "scheme": "Q", "usage": ""},
        {"kind": "aes", "key_type": "009", "scheme": "S", "usage": "P0"},
        {"kind": "aes", "key_type": "402", "scheme": "S", "usage": ""},
    ):
        with pytest.raises(FormingError):
            forming.key_under_lmk(TEST_LMK, total, **wrong)


def test_a_component_opens_with_its_passphrase_only_and_says_nothing_without(tmp_path: Path) -> None:
    made = component.made("tdes", "kim", 16)
    file = tmp_path / "kim.key"
    component.save(made, file, "correct horse")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert made.secret.hex() not in file.read_text().lower()
    assert made.secret.hex() not in repr(made).lower()
    assert component.load(file, "correct horse") == made
    with pytest.raises(CeremonyError, match="is not kim's"):
        component.load(file, "correct house")
    file.write_text(file.read_text().replace("kim", "lee"))
    with pytest.raises(CeremonyError, match="or the file was changed"):
        component.load(file, "correct horse")
    with pytest.raises(CeremonyError, match="is there already"):
        component.save(made, file, "correct horse")
    with pytest.raises(CeremonyError, match="shorter than 8"):
        component.save(made, tmp_path / "other", "short")
    with pytest.raises(CeremonyError, match="line 2 is not"):
        component.entered("lmk", "kim", ["00" * 16, "no hex"])


def test_the_record_is_a_chain(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    last = [audit.append(file, f"act {n}", who=["kim"], subject="x", check_value="ABCDEF") for n in range(4)][
        3
    ]
    assert audit.verify(file) == (4, last)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    whole = file.read_bytes().splitlines(keepends=True)
    for number, broken in (
        (2, [whole[0], whole[1].replace(b"ABCDEF", b"ABCDEE"), *whole[2:]]),
        (1, [whole[0], *whole[2:]]),
        (0, [whole[1], whole[0], *whole[2:]]),
        (3, [*whole[:3], whole[2], whole[3]]),
    ):
        file.write_bytes(b"".join(broken))
        with pytest.raises(audit.AuditError, match=f"line {number + 1} does not follow"):
            audit.verify(file)
        with pytest.raises(audit.AuditError):
            audit.append(file, "one more", who=["lee"], subject="x", check_value="")
    file.write_bytes(b"".join(whole)[:-1])
    with pytest.raises(audit.AuditError, match="last line is cut"):
        audit.verify(file)


def test_two_at_once_write_one_chain(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"

    def write() -> None:
        for _ in range(10):
            audit.append(file, "act", who=["kim"], subject="x", check_value="")

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert audit.verify(file)[0] == 40


# The verbs, as people and scripts use them.


class Room:
    """A folder in which a ceremony is held."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "hsm.toml"
        self.config.write_text('port = 0\naudit_file = "audit.jsonl"\n', "utf-8")

    def run(self, *words: str, stdin: str = "") -> Result:
        return CliRunner().invoke(app, [*words, "--config", str(self.config)], input=stdin)

    def component(self, verb: str, name: str, *words: str, stdin: str = "") -> Result:
        secret = f"{stdin}pass of {name}\npass of {name}\n"
        file = str(self.folder / f"{name}.{verb}")
        return self.run(verb, "component", "--custodian", name, "--out", file, *words, stdin=secret)

    def form(self, verb: str, names: list[str], *words: str) -> Result:
        files = [word for name in names for word in ("--component", str(self.folder / f"{name}.{verb}"))]
        return self.run(verb, "form", *files, *words, stdin="".join(f"pass of {n}\n" for n in names))


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_three_custodians_make_an_lmk_and_a_key_under_it(room: Room) -> None:
    for name in ("kim", "lee", "choi"):
        assert room.component("lmk", name).exit_code == 0
    lmk_file = room.folder / "lmk.json"
    formed = room.form("lmk", ["kim", "lee", "choi"], "--out", str(lmk_file))
    assert formed.exit_code == 0, formed.output
    lmk = Lmk([bytes.fromhex(pair) for pair in json.loads(lmk_file.read_text())])
    assert json.loads(formed.stdout)["check_value"] == lmk.check_value != TEST_LMK.check_value
    assert stat.S_IMODE(lmk_file.stat().st_mode) == 0o600
    room.config.write_text(room.config.read_text() + 'lmk_file = "lmk.json"\n')
    assert json.loads(room.run("lmk", "check").stdout)["check_value"] == lmk.check_value
    for name, part in (("kim", A), ("lee", B)):
        paper = check_value(part)
        typed = room.component("key", name, "--enter", "--check", paper, stdin=part.hex() + "\n")
        assert json.loads(typed.stdout)["check_value"] == paper
    key = json.loads(room.form("key", ["kim", "lee"], "--type", "000").stdout)
    clear = lmk.decrypt("000", key["key"])
    assert clear == odd_parity(bytes(a ^ b for a, b in zip(A, B, strict=True)))
    assert has_odd_parity(clear)
    told = json.loads(room.run("audit", "verify").stdout)
    assert told["acts"] == 7
    record = (room.folder / "audit.jsonl").read_text()
    for secret in (A.hex(), B.hex(), clear.hex(), "pass of", *json.loads(lmk_file.read_text())):
        assert secret.lower() not in record.lower()
    assert [json.loads(line)["who"] for line in record.splitlines()][3] == ["kim", "lee", "choi"]


@pytest.mark.parametrize(
    ("words", "stdin", "says"),
    [
        (["--enter", "--check", "000000"], A.hex() + "\n", "not 000000: type the component again"),
        (["--enter"], "12345\n", "line 1 is not 32 or 64 hex digits"),
        (["--length", "24"], "", "a key is tdes with 16 bytes, or aes with 16 or 32"),
        (
            ["--enter", "--algorithm", "aes", "--length", "32"],
            A.hex() + "\n",
            "16 bytes were typed in, 32 are",
        ),
    ],
)
def test_a_component_that_is_not_right_leaves_nothing(
    room: Room, words: list[str], stdin: str, says: str
) -> None:
    result = room.component("key", "kim", *words, stdin=stdin)
    assert result.exit_code == 2
    assert says in result.stderr
    assert A.hex() not in result.output
    assert os.listdir(room.folder) == ["hsm.toml"]


def test_one_person_alone_forms_nothing(room: Room) -> None:
    room.component("key", "kim")
    assert "another custodian" in room.form("key", ["kim"], "--type", "000").stderr
    assert "two components of one custodian" in room.form("key", ["kim", "kim"], "--type", "000").stderr
    room.component("key", "lee")
    files = [str(room.folder / f"{name}.key") for name in ("kim", "lee")]
    wrong = room.run(
        "key", "form", "--type", "000", "--component", files[0], "--component", files[1],
        stdin="pass of kim\nguessed\n",
    )  # fmt: skip
    assert wrong.exit_code == 2
    assert "does not open" in wrong.stderr
    room.component("lmk", "choi")
    mixed = room.form("lmk", ["choi", "choi"], "--out", files[0])
    assert mixed.exit_code == 2


def test_what_cannot_be_written_down_does_not_happen(room: Room) -> None:
    (room.folder / "audit.jsonl").write_text("not a line of ours\n")
    result = room.component("key", "kim")
    assert result.exit_code == 4
    assert "line 1 does not follow" in result.stderr
    assert not (room.folder / "kim.key").exists()
    assert room.run("audit", "verify").exit_code == 4


def test_at_a_terminal_nothing_secret_is_echoed(room: Room) -> None:
    master, slave = os.openpty()
    command = [
        sys.executable, "-c", "from hsm_sim.cli import main; main()", "key", "component",
        "--custodian", "kim", "--out", str(room.folder / "kim.key"), "--enter", "--config", str(room.config),
    ]  # fmt: skip
    process = subprocess.Popen(
        command, stdin=slave, stderr=slave, stdout=subprocess.PIPE, start_new_session=True
    )
    shown = b""
    for question, typed in ((b"line 1", A.hex()), (b"passphrase", "pass of kim"), (b"again", "pass of kim")):
        while question not in shown:
            shown += os.read(master, 4_096)
        os.write(master, typed.encode() + b"\n")
    assert process.stdout is not None
    told = json.loads(process.stdout.read())
    assert process.wait(10) == 0
    process.stdout.close()
    shown += os.read(master, 4_096)
    os.close(master)
    os.close(slave)
    assert told["check_value"] == check_value(A)
    assert f"check value {check_value(A)}".encode() in shown
    assert A.hex().encode() not in shown
    assert b"pass of kim" not in shown
