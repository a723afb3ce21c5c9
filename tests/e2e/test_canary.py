"""A canary card, its track, PIN and keys go through everything, right and wrong: afterwards they are nowhere.

Looked through: what the programs logged at their most talkative level, every column of every table, every
file of the database (its log of changes included), the metrics pages and all that was told over MQTT.
"""

import base64
import csv
import secrets
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import paho.mqtt.client as mqtt
import pytest
from sqlalchemy import text

from hsm_sim.crypto.cvv import CvvKey
from hsm_sim.crypto.lmk import TEST_LMK
from hsm_sim.crypto.pinblock import account_part
from hsm_sim.crypto.pvv import pin_verification_value
from hsm_sim.crypto.tdes import Tdes, odd_parity
from hsm_sim.crypto.tr31 import unwrap as unwrap_block
from switch.service.import_members import import_cards, import_members
from switch.service.vault import Vault
from switch.store.engine import open_engine, stop_embedded
from switch.wire.framing import frame
from switch.wire.message import decode, encode
from switch.wire.private import TAG_MAC_KEY, TAG_PIN_KEY, decode_private
from terminal_sim.card import IssuerKeys, SimCard
from terminal_sim.keys import tmk
from terminal_sim.terminal import Terminal
from tests.integration.switch.house import with_check_digit
from tests.integration.switch.test_faults import free_port
from tests.support.killing import kill_postgres, own_directory, start_postgres
from tests.support.stage import PVK, SEED, Program, Stage, start_switch, wait_for
from tests.support.wire_client import ClosedByPeerError, Line

PAN = with_check_digit("941061739528164")
UNKNOWN_PAN = with_check_digit("941061846037251")
PIN = "918273640582"
CVK = odd_parity(bytes.fromhex("5BA3D1C7E94F60821D3B5E7A9CB0D2F4"))
IMK = odd_parity(bytes.fromhex("7C1E92B4D6F80A3C5E6F81A3C5E7094B"))
WRONG_PIN = "607194832571"


class Listener:
    """Hears everything that goes over a broker, in a thread of its own."""

    def __init__(self, port: int) -> None:
        self._heard: list[bytes] = []
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self._client.on_message = self._hear
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("#", qos=1)
        self._client.loop_start()

    def _hear(self, _: object, __: object, message: mqtt.MQTTMessage) -> None:
        self._heard.append(message.topic.encode() + b" " + message.payload)

    def heard(self) -> bytes:
        """Topics and payloads so far."""
        return b"\n".join(self._heard)

    def stop(self) -> bytes:
        self._client.loop_stop()
        self._client.disconnect()
        return self.heard()


class Play(msgspec.Struct):
    """Where everything was played, and the canaries: name → its bytes in the clear."""

    stage: Stage
    canaries: dict[str, bytes]
    metrics: bytes
    told: bytes


def encodings(clear: bytes) -> set[bytes]:
    """The clear bytes and what else they may be written as: hex, base64 at any place, and packed digits."""
    found = {clear, clear.hex().encode(), clear.hex().upper().encode(), clear[::-1]}
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + clear)
        found.add(whole[-(-shift * 8 // 6) + (shift > 0) : len(whole) // 4 * 4 - 4])
    if clear.isdigit():
        found |= {clear.decode().encode("utf-16-le"), clear.decode().encode("utf-16-be")}
        if len(clear) % 2 == 0:
            packed = bytes.fromhex(clear.decode())
            found |= {packed, base64.b64encode(packed)[:-4]}
    return {one for one in found if len(one) >= 6}


def seen(canaries: dict[str, bytes], data: bytes) -> set[str]:
    """The names of the canaries that are in the data, in any encoding."""
    return {name for name, clear in canaries.items() if any(written in data for written in encodings(clear))}


@pytest.fixture(scope="module")
def play() -> Iterator[Play]:
    with own_directory() as directory:
        stage = Stage(directory)
        try:
            yield _play(stage)
        finally:
            stage.engine.dispose()
            stop_embedded(stage.url)


def _play(stage: Stage) -> Play:
    stage.set_clock("2026-11-18T12:00:00+09:00")
    stage.programme()
    stage.people(3, 100_000)
    stage.shops(2)
    _canary_card(stage)
    metrics_port, hsm_port = free_port(), free_port()
    log = stage.directory / "hsm.log"
    security = Program(["dure-hsm-sim", "serve", "--port", str(hsm_port)], log)
    config = stage.config(hsm_port)
    config.write_text(
        config.read_text().replace('level = "warning"', f'level = "debug"\n[metrics]\nport = {metrics_port}')
    )
    keys = f'cvk = "{TEST_LMK.encrypt("402", "U", CVK)}"\nimk = "{TEST_LMK.encrypt("109", "U", IMK)}"'
    broker = Program(["dure-terminal-sim", "broker", "--port", "0"], stage.directory / "broker.log")
    mqtt = f'[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\ntls = false\nprotocol = "3.1.1"\n'
    config.write_text(config.read_text().replace("[lanes]", f"{keys}\n{mqtt}[lanes]"))
    with stage.engine.begin() as connection:
        connection.execute(text("UPDATE terminal SET notify = true"))
    publisher = Program(["dure-switch", "--config", str(config), "notify"], stage.directory / "notify.log")
    listener = Listener(broker.port)
    switch = start_switch(config)
    card = SimCard(PAN, "3112", PIN, IssuerKeys(Tdes(odd_parity(PVK)), CvvKey(CVK), IMK))
    canaries = {"pan": PAN.encode(), "unknown pan": UNKNOWN_PAN.encode(), "pin": PIN.encode()}
    canaries |= {"wrong pin": WRONG_PIN.encode(), "pin verification key": odd_parity(PVK)}
    terminal_id, merchant_id = stage.terminals[0]
    terminal = Terminal(terminal_id, merchant_id, tmk(SEED, terminal_id))
    canaries["terminal master key"] = tmk(SEED, terminal_id)
    canaries |= {"card verification key": CVK, "chips' master key": IMK}
    canaries |= {"track": card.track2().encode(), "behind the PAN": card.track2().split("=")[1].encode()}
    try:
        with Line(switch.port) as line:
            assert line.exchange(terminal, terminal.sign_on(stage.now())).approved
            reply = line.exchange(terminal, terminal.key_exchange(stage.now()))
            keys = decode_private(reply.fields[48])
            for name, tag in (("session PIN key", TAG_PIN_KEY), ("session MAC key", TAG_MAC_KEY)):
                canaries[name] = unwrap_block(tmk(SEED, terminal_id), keys[tag].lstrip("RS"))[1]
            _right_and_wrong(line, terminal, stage, card)
            _every_entry(line, terminal, stage, card)
        _malformed(switch.port, terminal, stage)
        with Line(switch.port) as line:
            security.stop(signal.SIGKILL)
            assert line.exchange(terminal, terminal.purchase(stage.now(), PAN, 100, pin=PIN)).code == "91"
            security = Program(["dure-hsm-sim", "serve", "--port", str(hsm_port)], log)
            time.sleep(1.0)
            kill_postgres(stage.directory / "db")
            line.send(terminal.purchase(stage.now(), PAN, 100, pin=PIN))
            start_postgres(stage.url)
            stage.engine.dispose()
            line.receive()
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=5) as page:
            metrics: bytes = page.read()
        wait_for(lambda: b"/notify" in listener.heard(), 20.0)
    finally:
        switch.stop()
        publisher.stop()
        told = listener.stop()
        broker.stop()
        security.stop()
    return Play(stage, canaries, metrics, told)


def _canary_card(stage: Stage) -> None:
    pvv = pin_verification_value(Tdes(odd_parity(PVK)), account_part(PAN), "1", PIN)
    for name, rows in (
        ("m", (("member_id", "programme", "points_on"), ("CANARY", "seoro", "no"))),
        (
            "c",
            (
                ("programme", "member_id", "pan", "expiry", "pvki", "pvv", "state"),
                ("seoro", "CANARY", PAN, "3112", "1", pvv, "active"),
            ),
        ),
    ):
        path = stage.directory / f"{name}.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
        if name == "m":
            import_members(stage.engine, path)
        else:
            import_cards(stage.engine, path, Vault.load(stage.vault_file))
        path.unlink()


def _right_and_wrong(line: Line, terminal: Terminal, stage: Stage, card: SimCard) -> None:
    now, cvv2 = stage.now(), card.check_value()
    codes = []
    for payload in (
        loaded := terminal.topup(now, PAN, 50_000, pin=PIN, expiry="3112", cvv2=cvv2),
        paid := terminal.purchase(now, PAN, 10_000, pin=PIN, order_id=PAN, cvv2=cvv2),
        terminal.repeat_of(paid),
        terminal.refund(now, paid, 1_000),
        terminal.reversal(now, paid),
        terminal.purchase(now, PAN, 1_000, pin=WRONG_PIN, cvv2=cvv2),
        terminal.purchase(now, UNKNOWN_PAN, 1_000, pin=PIN, cvv2=cvv2),
        terminal.purchase(now, PAN, 9_000_000, pin=PIN, cvv2=cvv2),
        terminal.purchase(now, PAN, 1_000, expiry="2901", cvv2=cvv2),
        terminal.seal("0200", {**decode(paid).fields, 4: "000000010001"}),
        terminal.seal("0200", {**decode(paid).fields, 11: "800001", 42: PAN[:15]}),
        terminal.seal("0200", {**decode(paid).fields, 11: "800002", 52: "0123456789ABCDEF"}),
        loaded[:-1] + (b"0" if loaded[-1:] != b"0" else b"1"),
        terminal.purchase(now, PAN, 500, pin=PIN, cvv2=cvv2),
    ):
        codes.append(line.exchange(terminal, payload).code)
    assert codes == ["00", "00", "00", "00", "00", "55", "14", "61", "54", "94", "03", "81", "63", "00"]


def _every_entry(line: Line, terminal: Terminal, stage: Stage, card: SimCard) -> None:
    """Stripe, chip, tap and keyed, each right and wrong, and a hold with its completion."""
    now = stage.now()
    codes = []
    for entry in ("stripe", "chip", "contactless", "keyed", "ecommerce"):
        for wrong in (False, True):
            shown = card.present(entry, 700, now, check="000" if wrong else None, wrong_cryptogram=wrong)
            codes.append(line.exchange(terminal, terminal.purchase(now, PAN, 700, pin=PIN, **shown)).code)
    hold = terminal.preauth(now, PAN, 5_000, pin=PIN, **card.present("keyed", 5_000, now))
    advices = (hold, terminal.complete(now, hold, 4_000), terminal.offline(now, PAN, 300))
    codes += [line.exchange(terminal, payload).code for payload in advices]
    assert codes == ["00", "05"] * 5 + ["00"] * 3


def _malformed(port: int, terminal: Terminal, stage: Stage) -> None:
    """Messages that cannot be right, with the card number in every place that takes one."""
    pan = PAN.encode()
    good = terminal.purchase(stage.now(), PAN, 1_000, pin=PIN)
    fields = decode(good).fields
    for data in (
        frame(good.replace(pan, pan + b"X")),
        frame(good[:60]),
        frame(good.replace(b"16" + pan, b"99" + pan)),
        frame(b"0200" + b"F" * 16 + pan * 3),
        frame(b"ZZZZ" + pan * 10),
        frame(pan * 4),
        frame(encode("0100", fields)),
        frame(terminal.seal("0200", {**fields, 48: f"OR016{PAN}CH003fax"})),
        frame(terminal.seal("0200", {**fields, 48: f"KP016{PAN}"})),
        frame(terminal.seal("0200", {**fields, 41: PAN[:8], 42: PAN[:15]})),
        b"\xff\xff" + pan * 20,
        b"\x00\x20" + pan,
    ):
        with Line(port) as line:
            line.raw(data)
            try:
                line.receive(0.5)
            except (ClosedByPeerError, TimeoutError):
                continue


def test_the_search_finds_what_is_there() -> None:
    clear = {"pan": PAN.encode(), "key": secrets.token_bytes(16)}
    for encoded in (*encodings(clear["pan"]), *encodings(clear["key"])):
        assert seen(clear, b"before" + encoded + b"after")
    for shift in range(3):
        assert seen(clear, base64.b64encode(b"x" * shift + clear["pan"] + b"and more")) == {"pan"}
    assert seen(clear, b"nothing of it, only 941061******0000") == set()


def test_logs_hold_no_canary(play: Play) -> None:
    logs = sorted(play.stage.directory.glob("*.log"))
    assert [log.name for log in logs] == ["broker.log", "hsm.log", "notify.log", "switch.log"]
    assert all(b"{" in log.read_bytes() for log in logs if log.name == "switch.log")
    for log in logs:
        assert seen(play.canaries, log.read_bytes()) == set(), log.name


def test_metrics_hold_no_canary(play: Play) -> None:
    assert b"dure_answers_total" in play.metrics
    assert seen(play.canaries, play.metrics) == set()


def test_messages_to_terminals_hold_no_canary(play: Play) -> None:
    assert b"/notify" in play.told
    assert seen(play.canaries, play.told) == set()


def test_no_column_of_any_table_holds_a_canary(play: Play) -> None:
    owner = open_engine(play.stage.url, role=None)  # who books may not read a partition by its own name
    with owner.connect() as connection:
        tables = connection.execute(
            text(
                "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE c.relkind IN ('r', 'p', 'm')"
                " AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
            )
        ).scalars()
        rows = 0
        for table in list(tables):
            for row in connection.execute(text(f"SELECT t::text FROM {table} t")).scalars():
                rows += 1
                assert seen(play.canaries, row.encode()) == set(), table
    owner.dispose()
    assert rows > 50


def test_no_file_of_the_database_holds_a_canary(play: Play) -> None:
    directory = play.stage.directory / "db"
    stop_embedded(play.stage.url)  # everything is on disk afterwards
    found_shop = False
    files = [path for path in directory.rglob("*") if path.is_file() and not path.is_symlink()]
    assert any(path.parent.name == "pg_wal" for path in files)
    for path in files:
        data = _content(path)
        found_shop = found_shop or b"SHOP000001" in data
        assert seen(play.canaries, data) == set(), path.relative_to(directory)
    assert found_shop  # the search does see what the tables hold


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
