"""The commands as an operator types them: explain and correct."""

import io
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import insert

from switch.cli import run
from switch.domain.calendar import SEOUL
from switch.domain.payment import Kind, bucket_of
from switch.service.vault import Vault, new_key_file
from switch.store import schema as t
from tests.integration.review.town import RIGHT_TIERS, WRONG_TIERS, Town, programme
from tests.support.postgres import shared_server
from tests.unit.decide import world

PAN = "9410610000000019"
Dure = Callable[..., int]


@pytest.fixture(scope="module")
def dure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dure]:
    server = shared_server()
    database = server.migrated()
    folder = tmp_path_factory.mktemp("desk")
    new_key_file(folder / "vault.keys")
    address = database.app_url.set(drivername="postgresql").render_as_string(hide_password=False)
    config = folder / "switch.toml"
    config.write_text(f'[database]\nurl = "{address}"\n[vault]\nkey_file = "vault.keys"\n')
    first, second = datetime(2026, 1, 1, tzinfo=SEOUL), datetime(2026, 6, 10, tzinfo=SEOUL)
    town = Town(database, programme(("right", RIGHT_TIERS, first), ("wrong", WRONG_TIERS, second)))
    town.people([world.wallet(world.charged(1, 100_000), wallet_id=1)])
    town.send({"kind": Kind.PURCHASE, "amount": 10_000})
    with town.engine.begin() as connection:
        hmac = Vault.load(folder / "vault.keys").pan_hmac(PAN)
        at = {"pan_hmac": hmac, "bucket": bucket_of(1), "wallet_id": 1, "card_no": 1}
        connection.execute(insert(t.card_index).values(**at))
    yield lambda *arguments: run(["--config", str(config), *arguments])
    server.drop(database)


def test_explain_in_both_languages_and_as_facts(dure: Dure, capsys: pytest.CaptureFixture[str]) -> None:
    assert dure("explain", "T0000001/1/2026-06-10", "--lang", "ko") == 0
    assert "결제 10,000원: 승인되었습니다." in capsys.readouterr().out
    assert dure("explain", "1:2", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["facts"]["granted"][0] == {"funder": "national", "budget": "", "won": 400}
    assert set(told["told"]) == {"ko", "en"}
    assert dure("explain", "1:2", "--lang", "fr") == 2
    assert dure("explain", "1:99") == 2
    assert "no payment 1:99" in capsys.readouterr().err


def test_a_cards_number_comes_from_stdin_and_is_never_told(
    dure: Dure, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PAN}\n"))
    assert dure("explain", "-") == 0
    out = capsys.readouterr().out
    assert out.startswith("Member M1 of test on ")
    monkeypatch.setattr("sys.stdin", io.StringIO("9410610000000027\n"))
    assert dure("explain", "-") == 2
    told = capsys.readouterr()
    assert "the card is unknown" in told.err
    assert PAN not in out
    assert "9410610000000027" not in told.err + told.out


def test_a_correction_from_proposal_to_messages(
    dure: Dure, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    window = ("--from", "2026-06-10T00:00+09:00", "--to", "2026-06-11T00:00+09:00")
    asked = ("correct", "propose", "--programme", "test", "--as-version", "right", *window)
    assert dure(*asked[:-1], "yesterday") == 2
    assert dure("correct", "propose", "--programme", "test", "--as-version", "none", *window) == 2
    assert "there are right, wrong" in capsys.readouterr().err
    assert dure(*asked, "--by", "kim", "--json") == 0
    proposed = json.loads(capsys.readouterr().out)
    assert (proposed["number"], proposed["over"], proposed["state"]) == (1, 200, "proposed")
    assert dure("correct", "approve", "1", "--by", "KIM") == 2
    assert dure("correct", "post", "1") == 2
    assert dure("correct", "approve", "1", "--by", "lee") == 0
    assert dure("correct", "post", "1", "--notify", str(tmp_path / "told.csv")) == 0
    assert "taken from members 200" in " ".join(capsys.readouterr().out.split())
    assert (tmp_path / "told.csv").read_text(encoding="utf-8").count("\n") == 2
    assert dure("correct", "show", "1", "--csv", str(tmp_path / "lines.csv")) == 0
    assert "district" in capsys.readouterr().out
    assert dure("correct", "list", "--programme", "test", "--json") == 0
    assert [one["state"] for one in json.loads(capsys.readouterr().out)] == ["posted"]
    assert dure("explain", "1:2") == 0
    assert "Correction 1: by version right it is 200 won of cashback less; posted." in capsys.readouterr().out
