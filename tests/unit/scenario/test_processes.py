"""Programs are started, listened to and stopped; whatever goes wrong says which program and why."""

import json
from pathlib import Path

import pytest

from terminal_sim.processes import ProgramError, Server, run_command
from terminal_sim.sandbox_commands import Commands

SERVE = ("serve", "--host", "127.0.0.1", "--port", "0")


async def test_a_server_says_where_it_listens_and_stops_in_order(tmp_path: Path) -> None:
    server = await Server.start("dure-hsm-sim", SERVE, log=tmp_path / "hsm.log")
    try:
        assert server.running
        assert int(server.ready["port"]) > 0
    finally:
        code = await server.stop()
    assert code == 0
    assert not server.running
    assert await server.stop() == 0  # once more changes nothing


async def test_a_server_that_does_not_start_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="dure-hsm-sim: ended with exit code 78") as caught:
        await Server.start("dure-hsm-sim", ("serve", "--config", str(tmp_path / "no")), log=tmp_path / "log")
    assert str(tmp_path / "no") in str(caught.value)


async def test_a_server_that_is_not_ready_in_time_is_ended(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="not ready after 0 s"):
        await Server.start("dure-hsm-sim", SERVE, log=tmp_path / "log", ready_timeout_s=0.01)


async def test_a_killed_server_is_noticed(tmp_path: Path) -> None:
    server = await Server.start("dure-hsm-sim", SERVE, log=tmp_path / "hsm.log")
    server.kill()
    assert await server.stop() < 0


async def test_a_command_that_takes_too_long_is_ended() -> None:
    with pytest.raises(ProgramError, match="not finished"):
        await run_command("dure-hsm-sim", *SERVE, timeout_s=0.8)


async def test_what_a_command_said_is_in_the_error() -> None:
    finished = await run_command("dure-switch", "--config", "nowhere.toml", "programme", "list")
    assert finished.code == 78
    with pytest.raises(ProgramError, match=r"exit code 78: nowhere\.toml"):
        finished.check()
    with pytest.raises(ProgramError, match="printed no JSON"):
        finished.json()


async def test_a_program_that_is_not_installed() -> None:
    with pytest.raises(ProgramError, match="install"):
        await run_command("dure-nothing")


async def test_resident_interpreters_give_the_same_as_the_program_itself() -> None:
    commands = Commands()
    try:
        for arguments in (("--help",), ("--config", "nowhere.toml", "proof"), ("nonsense",)):
            alone = await run_command("dure-switch", *arguments)
            for _ in range(2):
                resident = await commands.run("dure-switch", *arguments)
                assert (resident.code, resident.complaint) == (alone.code, alone.complaint)
                assert resident.output == alone.output
        for _ in range(2):
            told = await commands.run("dure-switch", "proof", environment={"DURE_SWITCH_CONFIG": "a.toml"})
            assert "a.toml" in told.complaint
            assert "a.toml" not in (await commands.run("dure-switch", "proof")).complaint
        other = await commands.run("dure-hsm-sim", "check-config")
        assert json.loads(other.output)["port"] >= 0
    finally:
        await commands.close()
