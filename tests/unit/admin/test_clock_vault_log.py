"""The clock, the card vault, and logs without card data."""

import contextlib
import io
import json
import logging
import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from switch.clock import ClockError, SimulatedClock, SystemClock, open_clock, parse_instant, set_simulated
from switch.domain.calendar import SEOUL
from switch.log import FAILURES, configure_logging, get_logger
from switch.service.vault import Vault, VaultError, card_row_id, new_key_file

CANARY = "9410610000000019"
NOON = datetime(2026, 11, 20, 12, tzinfo=SEOUL)


def test_simulated_clock_follows_its_file(tmp_path: Path) -> None:
    file = tmp_path / "clock" / "now.txt"
    set_simulated(file, NOON)
    clock = open_clock("simulated", str(file), simulation=True)
    assert clock.now() == NOON
    set_simulated(file, NOON + timedelta(seconds=1))
    assert clock.now() == NOON + timedelta(seconds=1)
    assert clock.now().utcoffset() == timedelta(hours=9)
    assert [path.name for path in file.parent.iterdir()] == ["now.txt"]


def test_simulated_clock_is_refused_on_real_books(tmp_path: Path) -> None:
    set_simulated(tmp_path / "now", NOON)
    with pytest.raises(ClockError, match="not marked as a simulation"):
        open_clock("simulated", str(tmp_path / "now"), simulation=False)
    assert isinstance(open_clock("system", "", simulation=True), SystemClock)
    with pytest.raises(ClockError, match="cannot be read"):
        SimulatedClock(tmp_path / "none")


@pytest.mark.parametrize("text", ["noon", "2026-11-20T12:00:00", "", "2026-13-01T00:00:00+09:00"])
def test_an_instant_needs_its_offset(text: str) -> None:
    with pytest.raises(ClockError, match=r"2026-11-20T12:00:00\+09:00"):
        parse_instant(text)


def test_vault_round_trip_bound_to_its_row(tmp_path: Path) -> None:
    new_key_file(tmp_path / "keys")
    vault = Vault.load(tmp_path / "keys")
    version, box = vault.seal(CANARY, card_row_id(1, 2, 3))
    assert version == 1
    assert CANARY.encode() not in box
    assert vault.open(version, box, card_row_id(1, 2, 3)) == CANARY
    assert vault.seal(CANARY, card_row_id(1, 2, 3))[1] != box
    for other in (card_row_id(1, 2, 4), card_row_id(12, 3, 3)):
        with pytest.raises(VaultError, match="does not open"):
            vault.open(version, box, other)
    with pytest.raises(VaultError, match="no `seal 9`"):
        vault.open(9, box, card_row_id(1, 2, 3))


def test_pan_hmac_is_hmac_sha256() -> None:
    # RFC 4231, test case 2
    vault = Vault({1: b"Jefe"}, {1: bytes(32)})
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert vault.pan_hmac("what do ya want for nothing?").hex() == expected
    assert vault.pan_hmac("what do ya want for nothing?").hex() == expected


def test_every_seal_version_opens_the_highest_seals(tmp_path: Path) -> None:
    old = Vault({1: bytes(32)}, {1: b"1" * 32})
    new = Vault({1: bytes(32)}, {1: b"1" * 32, 2: b"2" * 32})
    version, box = old.seal(CANARY, b"row")
    assert new.open(version, box, b"row") == CANARY
    assert new.seal(CANARY, b"row")[0] == 2


def test_key_file_is_private_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    new_key_file(path)
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    with pytest.raises(VaultError, match="exists already"):
        new_key_file(path)
    assert path.read_bytes() == before
    path.chmod(0o640)
    with pytest.raises(VaultError, match="chmod 600"):
        Vault.load(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("index 1 " + "0" * 64 + "\n", "at least one `seal`"),
        ("seal 1 " + "0" * 64 + "\n", "at least one `index`"),
        ("index 1 1234\n", ":1: must read"),
        (
            "index 1 " + "0" * 64 + "\nseal 1 " + "1" * 64 + "\nseal 1 " + "2" * 64 + "\n",
            ":3: `seal 1` stands twice",
        ),
    ],
)
def test_a_bad_key_file_is_told_without_its_keys(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "keys"
    path.write_text(text)
    os.chmod(path, 0o600)
    with pytest.raises(VaultError) as caught:
        Vault.load(path)
    assert expected in str(caught.value)
    assert "1234" not in str(caught.value)
    assert "0" * 64 not in str(caught.value)


@pytest.mark.parametrize("why", ["full", "closed"])
def test_a_log_that_cannot_be_written_stops_nobody(why: str) -> None:
    before = FAILURES._value.get()
    out = open("/dev/full", "w") if why == "full" else io.StringIO()  # noqa: SIM115 - closing it fails
    if why == "closed":
        out.close()
    try:
        configure_logging("info", stream=out)
        get_logger().info("paid")
        logging.getLogger("asyncio").error("callback")
    finally:
        logging.getLogger().handlers = []
        with contextlib.suppress(OSError):
            out.close()
    assert FAILURES._value.get() > before


def test_logs_hold_no_card_number() -> None:
    out = io.StringIO()
    early = get_logger(room="early")
    try:
        configure_logging("info", stream=out)
        get_logger(room="lane", lane=1).info("paid", pan=CANARY, note=f"card {CANARY}", won=20_000)
        early.info("bound before")
        try:
            raise ValueError(f"bad frame with {CANARY}")
        except ValueError:
            get_logger().exception("failed")
            logging.getLogger("asyncio").exception("callback %s", CANARY)
        get_logger().debug("not shown")
    finally:
        logging.getLogger().handlers = []
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert len(lines) == 4
    assert CANARY not in out.getvalue()
    assert lines[0]["event"] == "paid"
    assert (lines[0]["lane"], lines[0]["won"], lines[0]["program"], lines[0]["level"]) == (
        1,
        20_000,
        "dure-switch",
        "info",
    )
    assert "ValueError" in lines[2]["exception"]
    assert lines[3]["level"] == "error"
