"""The publisher as the process that operators run."""

import asyncio
from pathlib import Path

from switch.cli import run
from terminal_sim.soundbox import Soundbox
from tests.support.estate import BOXES, Estate, until
from tests.support.stage import Program


def settings(estate: Estate, folder: Path) -> Path:
    url = estate.ground.database.app_url.set(drivername="postgresql").render_as_string()
    path = folder / "switch.toml"
    path.write_text(
        f'[database]\nurl = "{url}"\n[vault]\nkey_file = "{estate.vault_file}"\n'
        f'[mqtt]\nhost = "127.0.0.1"\nport = {estate.broker.port}\ntls = false\nprotocol = "3.1.1"\n'
    )
    return path


async def test_it_starts_publishes_and_stops_when_told(estate: Estate, tmp_path: Path) -> None:
    config = settings(estate, tmp_path)
    box = Soundbox(BOXES[0], estate.hot_key())
    log = tmp_path / "notify.log"
    program = await asyncio.to_thread(Program, ["dure-switch", "--config", str(config), "notify"], log)
    try:
        assert program.told["broker"] == f"127.0.0.1:{estate.broker.port}"
        async with estate.listening(box, stubborn=True):
            await estate.pay(2)
            await until(lambda: len(box.called) == 2)
            estate.card_of(4)
            assert await asyncio.to_thread(
                run,
                ["--config", str(config), "hotlist", "add", "--programme", "test", "--member", "M4",
                 "--card-no", "1"],
            ) == 0  # fmt: skip
            await until(lambda: box.hot_version == 1)
            assert await asyncio.to_thread(run, ["--config", str(config), "hotlist", "push"]) == 0
    finally:
        code = await asyncio.to_thread(program.stop)
    assert code == 0
    assert "stopped" in log.read_text()
