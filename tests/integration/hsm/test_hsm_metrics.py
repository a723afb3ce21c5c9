"""What the metrics page and the settings say of the HSMs."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from switch.hsm.client import HsmClient
from switch.hsm.waiting import HsmUnavailable
from switch.service.hsm_metrics import HsmCollector
from switch.settings import ConfigError, load_settings
from tests.integration.hsm_harness import HOST, hsm_process, simulator, until


async def test_the_page_tells_which_hsm_is_asked_and_what_went_wrong(tmp_path: Path) -> None:
    async with simulator() as (_, second):
        with hsm_process(tmp_path) as process:
            client = HsmClient(HOST, process.port, standby=[(HOST, second)], in_flight_max=1)
            await client.start()
            await until(lambda: all(site.state == 3 for site in client.sites))
            asked = client.echo(b"x")
            with pytest.raises(HsmUnavailable):
                await client.echo(b"one too many")
            await asked
            process.kill()
            await until(lambda: client.active is client.sites[1])
        registry = CollectorRegistry()
        registry.register(HsmCollector(client))
        page = generate_latest(registry).decode()
        first, other = (site.address for site in client.sites)
        for line in (
            f'dure_hsm_state{{hsm="{first}"}} 0.0',
            f'dure_hsm_state{{hsm="{other}"}} 3.0',
            f'dure_hsm_active{{hsm="{first}"}} 0.0',
            f'dure_hsm_active{{hsm="{other}"}} 1.0',
            f'dure_hsm_failovers_total{{hsm="{other}"}} 1.0',
            f'dure_hsm_timeouts_total{{hsm="{first}"}} 0.0',
            "dure_hsm_refused_total 1.0",
            "dure_hsm_in_flight 0.0",
        ):
            assert line in page
        await client.close()


@pytest.mark.parametrize(
    ("hsm", "says"),
    [
        ('standby = ["127.0.0.1:7702"]', "names an address twice"),
        ('standby = ["a:1", "a:1"]', "names an address twice"),
        ('standby = ["a:70000"]', "a port above 65535"),
        ('standby = ["a"]', "hsm.standby.1"),
        ('stand_by = ["a:1"]', "hsm.stand_by: unknown key"),
    ],
)
def test_standby_addresses_that_cannot_be_are_refused(tmp_path: Path, hsm: str, says: str) -> None:
    file = tmp_path / "switch.toml"
    file.write_text(f'[database]\nurl = "embedded:db"\n[vault]\nkey_file = "v"\n[hsm]\n{hsm}\n', "utf-8")
    with pytest.raises(ConfigError, match=says):
        load_settings(file)


def test_standby_addresses_are_hosts_and_ports(tmp_path: Path) -> None:
    file = tmp_path / "switch.toml"
    file.write_text(
        '[database]\nurl = "embedded:db"\n[vault]\nkey_file = "v"\n'
        '[hsm]\nstandby = ["hsm-2.example:1500", "[::1]:7"]\n',
        "utf-8",
    )
    assert load_settings(file).hsm.standby_addresses() == [("hsm-2.example", 1500), ("::1", 7)]
