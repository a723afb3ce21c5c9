"""The operator's commands for messages to terminals, without a broker: what they say and what they leave."""

import json
import stat

import pytest

from tests.integration.admin.conftest import CANARY, Desk

MINE = ("--programme", "seoro", "--member", "M-1", "--card-no", "1")


def test_each_act_on_a_card_leaves_an_entry_and_no_number(
    town: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert town.dure("hotlist", "add", *MINE) == 0
    assert town.scalar("SELECT state FROM card WHERE wallet_id = 1") == "blocked"
    assert town.dure("card", "unblock", *MINE) == 0
    assert town.dure("hotlist", "remove", *MINE) == 2, "it is not on the list"
    assert town.dure("card", "stolen", *MINE) == 0
    capsys.readouterr()
    assert town.dure("hotlist", "list", "--json") == 0
    told = capsys.readouterr().out
    listed = json.loads(told)
    assert listed["version"] == 3
    assert [(one["member"], one["reason"], one["card"]) for one in listed["cards"]] == [
        ("M-1", "stolen", "941061******0019")
    ]
    assert town.dure("hotlist", "remove", *MINE) == 0
    assert town.scalar("SELECT state FROM card WHERE wallet_id = 1") == "stolen"
    assert town.dure("hotlist", "list") == 0
    assert CANARY not in told + capsys.readouterr().out


def test_a_card_file_with_a_lost_card_leaves_an_entry(town: Desk) -> None:
    lost = town.folder / "cards.csv"
    content = lost.read_text().replace("1234,\n", "1234,lost\n")
    assert town.dure("import", "cards", str(town.file("lost.csv", content))) == 0
    assert town.scalar("SELECT string_agg(reason, ',') FROM hotlist WHERE listed") == "lost"
    assert town.dure("import", "cards", str(town.folder / "lost.csv")) == 0
    assert town.scalar("SELECT count(*) FROM hotlist") == 1


def test_the_hot_lists_key_is_for_provisioning_only(town: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    path = town.folder / "hot.key"
    assert town.dure("hotlist", "key", str(path)) == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = path.read_text().splitlines()[-1]
    assert len(key) == 64
    assert key not in capsys.readouterr().out
    assert key not in (town.folder / "vault.keys").read_text()
    assert town.dure("hotlist", "key", str(path)) == 2, "an existing file is never touched"


def test_the_estate_from_the_desk(town: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    epoch = town.scalar("SELECT reference_epoch FROM control")
    assert town.dure("estate", "soundbox", "T0000001") == 0
    assert town.scalar("SELECT notify FROM terminal") is True
    assert town.scalar("SELECT reference_epoch FROM control") != epoch, "running switches must know at once"
    file = town.file("terminal.json", '{"volume": 5}')
    assert town.dure("estate", "config", str(file), "T0000001") == 0
    assert town.dure("estate", "command", "exchange_keys", "T0000001") == 0
    capsys.readouterr()
    assert town.dure("estate", "list", "--json") == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["terminal"], one["soundbox"], one["up"], one["config_wanted"], one["waiting"]) == (
        "T0000001", True, None, 1, 2,
    )  # fmt: skip
    assert town.dure("estate", "list") == 0
    assert town.dure("estate", "soundbox", "T0000001", "--off") == 0
    assert town.dure("estate", "soundbox", "NOBODY01") == 2
    assert town.dure("estate", "command", "dance", "T0000001") == 2


def test_without_a_broker_in_the_settings_or_in_the_world(
    town: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert town.dure("notify") == 78
    assert "mqtt.host is not set" in capsys.readouterr().err
    plain = town.config.read_text()
    town.config.write_text(f'{plain}[mqtt]\nhost = "127.0.0.1"\nport = 1\ntls = false\n')
    assert town.dure("hotlist", "push") == 75
    assert "is away" in capsys.readouterr().err
    for extra, word in (
        ('[mqtt]\nhost = "b"\n', "needs ca_file"),
        ('[mqtt]\nhost = "b"\ntls = false\nca_file = "x"\n', "takes no certificate"),
        ('[mqtt]\nhost = "b"\ntls = false\nusername = "u"\n', "go together"),
        ('[mqtt]\nhost = "b"\nca_file = "missing.pem"\n', "cannot be used"),
        ('[mqtt]\nhots = "b"\n', "host"),
    ):
        town.config.write_text(plain + extra)
        assert town.dure("notify") == 78
        assert word in capsys.readouterr().err
