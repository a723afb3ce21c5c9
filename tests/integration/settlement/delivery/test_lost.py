"""Lines that break, servers that die, processes that are killed: it arrives once, or somebody is told."""

import asyncio
import os
import signal
from pathlib import Path

import asyncssh
import pytest

from settlement.delivery import sftp as sftp_module
from settlement.delivery.sending import ASK_THE_BANK
from settlement.errors import ConfigurationError
from settlement.steps import deliver
from tests.integration.settlement.delivery.conftest import Post, Told
from tests.support.sftp import Bank

POINTS = ("deliver:begun", "deliver:bytes", "deliver:uploaded", "deliver:renamed", "deliver:delivered")


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sftp_module, "PAUSE_S", 0.01)


def _arrived_once(post: Post, name: str) -> None:
    assert {path.name for path in post.outbox.iterdir()} == {name}, "nothing else, no part"
    assert (post.outbox / name).read_bytes() == (post.settings.files.outbox / name).read_bytes()
    assert post.states() == {1: "delivered"}
    assert post.payouts() == {1: "sent"}
    assert sum(outcome == "delivered" for outcome, _ in post.tries()) == 1


@pytest.mark.parametrize("stage", ["open", "write", "wrote", "fsync", "rename", "renamed", "read"])
def test_a_lost_connection_is_mended_by_asking(sftp: Post, stage: str) -> None:
    assert sftp.bank is not None
    name = sftp.file(1)
    sftp.bank.fault(sftp.user, stage, "lose")
    outcome = sftp.deliver()
    assert not outcome.exceptions
    _arrived_once(sftp, name)


@pytest.mark.parametrize("stage", ["open", "wrote", "rename", "renamed"])
def test_a_server_that_dies_is_asked_when_it_is_back(sftp: Post, stage: str) -> None:
    assert sftp.bank is not None
    name = sftp.file(1)
    sftp.bank.fault(sftp.user, stage, "die")
    outcome = sftp.deliver()
    assert outcome.away
    assert "does not answer" in outcome.waits
    assert sftp.states() == {1: "delivering"}
    sftp.bank.start()
    assert sftp.deliver().waits == ""
    _arrived_once(sftp, name)
    if stage == "renamed":
        assert sftp.tries() == [("delivered", "found there")]


@pytest.mark.parametrize("stage", ["write", "renamed"])
def test_a_server_that_does_not_answer_in_time(sftp: Post, stage: str) -> None:
    assert sftp.bank is not None
    quick = sftp.with_delivery(timeout_s=1)
    name = quick.file(1)
    sftp.bank.fault(sftp.user, stage, "hang")
    quick.deliver()
    _arrived_once(quick, name)


def test_a_late_rename_finds_nothing_left_to_rename(sftp: Post) -> None:
    """The first line's rename still waits at the server while the second has asked for it again."""
    assert sftp.bank is not None
    quick = sftp.with_delivery(timeout_s=1)
    name = quick.file(1)
    sftp.bank.fault(sftp.user, "rename", "late")
    quick.deliver()
    _arrived_once(quick, name)
    (sftp.outbox / name).unlink()  # the bank takes it
    asyncio.run(asyncio.sleep(2.5))
    assert list(sftp.outbox.iterdir()) == [], "the late rename brought nothing back"


def test_the_bank_took_it_before_the_line_broke(sftp: Post) -> None:
    assert sftp.bank is not None
    name = sftp.file(1)
    sftp.bank.fault(sftp.user, "renamed", "take")
    sftp.deliver()
    assert sftp.tries() == [("delivered", "handed over; the bank took it at once")]
    assert (sftp.root / "taken" / name).exists()


@pytest.mark.parametrize("stage", ["open", "write", "rename"])
def test_what_the_server_refuses_goes_again_later(sftp: Post, stage: str) -> None:
    assert sftp.bank is not None
    name = sftp.file(1)
    sftp.bank.fault(sftp.user, stage, "full" if stage == "write" else "refuse")
    outcome = sftp.deliver()
    assert outcome.exceptions
    assert sftp.states() == {1: "approved"}
    assert list(sftp.outbox.iterdir()) == []
    assert sftp.tries()[0][0] == "refused"
    sftp.deliver()
    _arrived_once(sftp, name)


def test_a_full_disk_keeps_no_other_file_back(sftp: Post) -> None:
    assert sftp.bank is not None
    sftp.file(1)
    other = sftp.file(2)
    sftp.bank.fault(sftp.user, "write", "full")
    outcome = sftp.deliver()
    assert sftp.states() == {1: "approved", 2: "delivered"}
    assert {path.name for path in sftp.outbox.iterdir()} == {other}
    assert "No space left" in outcome.exceptions[0]


def test_bytes_that_somebody_changed_at_the_server_get_no_name(sftp: Post) -> None:
    assert sftp.bank is not None
    name = sftp.file(1)
    sftp.bank.fault(sftp.user, "fsync", "swap")
    outcome = sftp.deliver()
    assert "not what was sent" in outcome.exceptions[0]
    assert list(sftp.outbox.iterdir()) == []
    sftp.deliver()
    _arrived_once(sftp, name)


def test_a_part_that_somebody_changed_before_its_name_was_given(sftp: Post) -> None:
    assert sftp.bank is not None
    sftp.file(1)
    _kill_at(sftp, "deliver:uploaded")
    part = next(sftp.outbox.glob("*.part"))
    part.write_bytes(b"not ours")
    outcome = sftp.deliver()
    assert sftp.states() == {1: "delivering"}
    assert "holds other bytes" in outcome.exceptions[0]
    assert part.read_bytes() == b"not ours"


@pytest.mark.parametrize("point", POINTS)
def test_our_process_is_killed_between_any_two_acts(post: Post, point: str) -> None:
    name = post.file(1)
    _kill_at(post, point)
    assert post.deliver().waits == ""
    _arrived_once(post, name)


@pytest.mark.parametrize("stage", ["open", "wrote", "rename", "renamed"])
def test_our_process_is_killed_in_the_middle_of_an_act(sftp: Post, stage: str) -> None:
    assert sftp.bank is not None
    name = sftp.file(1)
    (sftp.bank.where / f"{sftp.user}.wanted").write_text(stage)
    assert sftp.killed(lambda frame: deliver.run(frame)) == -signal.SIGKILL
    assert sftp.deliver().waits == ""
    _arrived_once(sftp, name)


@pytest.mark.parametrize("point", ["deliver:removed", "deliver:back", "deliver:lost"])
def test_our_process_is_killed_while_it_undoes_a_try(sftp: Post, point: str) -> None:
    assert sftp.bank is not None
    name = sftp.file(1)
    sftp.bank.fault(sftp.user, "write", "lose" if point == "deliver:lost" else "full")
    _kill_at(sftp, point)
    sftp.deliver()
    _arrived_once(sftp, name)


def test_killed_and_then_taken_is_for_a_person(sftp: Post) -> None:
    name = sftp.file(1)
    _kill_at(sftp, "deliver:renamed")
    (sftp.outbox / name).unlink()
    assert sftp.deliver().exceptions == (f"{name}: {ASK_THE_BANK}",)
    assert list(sftp.outbox.iterdir()) == [], "it was not sent again"


def test_an_unknown_host_is_sent_nothing(sftp: Post, tmp_path: Path) -> None:
    sftp.file(1)
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    changed, unknown = tmp_path / "changed", tmp_path / "unknown"
    changed.write_text(f"[127.0.0.1]:{sftp.settings.delivery.port} {other}")
    unknown.write_text(f"sftp.bank.example {other}")
    for known_hosts in (changed, unknown):
        with pytest.raises(ConfigurationError, match=r"the host key of 127\.0\.0\.1:\d+ is not in"):
            sftp.with_delivery(known_hosts=str(known_hosts)).deliver()
    assert sftp.states() == {1: "approved"}
    assert sftp.tries() == []


def test_keys_that_do_not_fit(sftp: Post, tmp_path: Path) -> None:
    sftp.file(1)
    stranger, locked, loose = tmp_path / "stranger", tmp_path / "locked", tmp_path / "loose"
    key = asyncssh.generate_private_key("ssh-ed25519")
    Bank.write_key(stranger, key)
    locked.touch(mode=0o600)
    locked.write_bytes(key.export_private_key("pkcs8-pem", "a passphrase"))
    Bank.write_key(loose, key)
    loose.chmod(0o640)
    for path, problem in (
        (stranger, "does not take the key"),
        (locked, "without a passphrase"),
        (loose, "chmod 600"),
        (tmp_path / "none", "name a file that may be read"),
    ):
        with pytest.raises(ConfigurationError, match=problem):
            sftp.with_delivery(key_file=str(path)).deliver()
    assert sftp.states() == {1: "approved"}


def test_a_server_that_is_down_changes_nothing(sftp: Post) -> None:
    assert sftp.bank is not None
    sftp.file(1)
    sftp.bank.stop()
    outcome = sftp.deliver()
    assert outcome.away
    assert sftp.states() == {1: "approved"}
    assert sftp.tries() == []


def _kill_at(post: Post, point: str) -> None:
    told = Told(point, lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert post.killed(lambda frame: deliver.run(frame), told) == -signal.SIGKILL
