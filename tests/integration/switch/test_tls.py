"""TLS from accept: who gets in, for whom they may speak, and certificates that change under way."""

import contextlib
import json
import os
import signal
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from switch.settings import ConfigError, Tls
from terminal_sim.connection import LineSettings
from terminal_sim.terminal import Terminal
from tests.integration.switch.house import WON, House
from tests.support.pki import Authority, listener_tls
from tests.support.stage import Program, wait_for
from tests.support.wire_client import ClosedByPeerError, Line

HANDSHAKE_S = 1
HANDSHAKES = 8
URI = "dure:terminal:"
REFUSED = (ssl.SSLError, ClosedByPeerError, ConnectionError)


class Secured:
    """A switch with one port that demands certificates and one that likes them, and its authority."""

    def __init__(self, house: House, folder: Path) -> None:
        self.house = house
        self.authority = Authority(folder)
        self.pair = self.authority.issue("switch", server=True)
        self.crl = self.authority.revoke()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.metrics_port = free.getsockname()[1]
        required = listener_tls(self.authority, self.pair, clients="required", crl=str(self.crl))
        optional = listener_tls(self.authority, self.pair, clients="optional")
        self.lines = [
            "in_flight_max = 64",
            f"handshake_s = {HANDSHAKE_S}",
            f"handshakes_max = {HANDSHAKES}",
            required,
            "reload_s = 1",
            "[[listener]]",
            "port = 0",
            optional,
            "reload_s = 3600",
            "[metrics]",
            f"port = {self.metrics_port}",
        ]
        self.program: Program

    @property
    def optional_port(self) -> int:
        return int(self.program.told["listening"][1]["port"])

    def till(self) -> tuple[Terminal, tuple[Path, Path]]:
        """A terminal, and a certificate for it alone."""
        terminal = self.house.till()
        return terminal, self.authority.issue(terminal.terminal_id, uris=[URI + terminal.terminal_id])

    def line(self, pair: tuple[Path, Path] | None, port: int | None = None) -> Line:
        tls = self.authority.client_context(pair)
        return Line(port or self.program.port, settings=LineSettings(tls=tls), timeout_s=5.0)

    def metric(self, name: str) -> float:
        """One series of the metrics page, 0 when it has not been counted yet."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics") as page:
            lines = page.read().decode().splitlines()
        return next((float(one.rsplit(" ", 1)[1]) for one in lines if one.startswith(name)), 0.0)

    def reload(self) -> None:
        """SIGHUP, and wait until it has been heeded."""
        before = self._reloads()
        os.kill(self.program.process.pid, signal.SIGHUP)
        wait_for(lambda: self._reloads() >= before + 2, 10.0)  # two ports with certificates

    def _reloads(self) -> float:
        return sum(self.metric(f'dure_tls_reloads_total{{result="{one}"}}') for one in ("taken", "refused"))


@pytest.fixture(scope="module")
def secured(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """One switch for the module; each test leaves the files as it found them."""
    made = Secured(house, tmp_path_factory.mktemp("pki"))
    with house.other_switch("tls", *made.lines) as made.program:
        yield made


def _refused(secured: Secured, pair: tuple[Path, Path] | None, port: int | None = None) -> None:
    """The handshake fails; in TLS 1.3 a client learns it when it reads."""
    with pytest.raises(REFUSED), secured.line(pair, port) as line:
        line.exchange(terminal := secured.house.till(), terminal.echo(secured.house.now))


def test_a_certificate_opens_the_line_to_its_terminal_and_to_no_other(secured: Secured) -> None:
    house = secured.house
    terminal, pair = secured.till()
    card = house.card()
    with secured.line(pair) as line:
        house.ready(line, terminal)
        assert line.exchange(terminal, terminal.purchase(house.now, card, 1_000)).mac_ok
        other = house.till()
        assert line.exchange(other, other.sign_on(house.now)).code == "58"
        with house.line() as plain:
            house.ready(plain, other)  # its keys are good; the line is not its own
        reply = line.exchange(other, other.purchase(house.now, card, 2_000))
        assert (reply.code, house.payments(other)) == ("58", [])
    assert house.balance(card) == WON - 1_000


def test_a_concentrator_speaks_for_all_that_its_certificate_begins_with(secured: Secured) -> None:
    house = secured.house
    one, two = house.till(), house.till()
    pair = secured.authority.issue("concentrator", uris=[URI + "T*", "https://example.org/else"])
    with secured.line(pair) as line:
        for terminal in (one, two):
            house.ready(line, terminal)
        stranger = house.till()
        stranger.terminal_id = "Z0000001"
        assert line.exchange(stranger, stranger.echo(house.now)).code == "58"


def test_certificates_that_are_none_of_ours_are_refused(secured: Secured, tmp_path: Path) -> None:
    before = secured.metric('dure_connections_refused_total{why="certificate"}')
    _refused(secured, None)
    _refused(secured, Authority(tmp_path, "Another CA").issue("thief", uris=[URI + "T*"]))
    _refused(secured, secured.authority.issue("old", uris=[URI + "T*"], seconds=-60))
    _refused(secured, secured.authority.issue("wrong use", uris=[URI + "T*"], server=True))
    terminal = secured.house.till()
    with secured.line(secured.authority.issue("nobody")) as line:  # ours, and names no terminal
        assert line.exchange(terminal, terminal.sign_on(secured.house.now)).code == "58"
    assert secured.metric('dure_connections_refused_total{why="no certificate"}') >= 1
    assert secured.metric('dure_connections_refused_total{why="certificate"}') == before + 3


def test_an_optional_certificate_binds_whoever_has_one(secured: Secured) -> None:
    house = secured.house
    terminal, pair = secured.till()
    other = house.till()
    with secured.line(None, secured.optional_port) as line:
        house.ready(line, other)
    with secured.line(pair, secured.optional_port) as line:
        house.ready(line, terminal)
        assert line.exchange(other, other.echo(house.now)).code == "58"
    _refused(secured, secured.authority.issue("old", seconds=-60), secured.optional_port)


@pytest.mark.parametrize("weakness", ["protocol", "cipher", "plain"])
def test_what_is_too_weak_is_refused(secured: Secured, weakness: str) -> None:
    _, pair = secured.till()
    context = secured.authority.client_context(pair)
    if weakness == "plain":
        with Line(secured.program.port) as line:
            line.send(secured.house.till().echo(secured.house.now))
            assert line.wait_closed(HANDSHAKE_S + 1.0) < HANDSHAKE_S + 1.0
        return
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    if weakness == "protocol":
        context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    else:
        context.set_ciphers("AES128-SHA:AES128-GCM-SHA256")  # no forward secrecy
    with pytest.raises((ssl.SSLError, ConnectionError)):
        Line(secured.program.port, settings=LineSettings(tls=context))


def test_silent_handshakes_are_cut_in_time_and_keep_nobody_out_for_longer(secured: Secured) -> None:
    terminal, pair = secured.till()
    started = time.monotonic()
    silent = [socket.create_connection(("127.0.0.1", secured.program.port)) for _ in range(3 * HANDSHAKES)]
    with secured.line(pair) as line:
        assert line.exchange(terminal, terminal.echo(secured.house.now)).approved
    assert time.monotonic() - started < 3 * HANDSHAKE_S + 2.0
    for one in silent:
        one.settimeout(4 * HANDSHAKE_S + 2.0)
        with contextlib.suppress(ConnectionError):
            assert one.recv(1) == b""
        one.close()
    assert secured.metric('dure_connections_refused_total{why="handshake time"}') >= len(silent)


def test_fifty_new_certificates_and_no_connect_refused(secured: Secured) -> None:
    house = secured.house
    terminal, pair = secured.till()
    stop = threading.Event()
    failed: list[str] = []
    done: list[int] = []

    def dial() -> None:
        mine, own = secured.till()
        count = 0
        while not stop.is_set():
            try:
                with secured.line(own) as line:
                    assert line.exchange(mine, mine.echo(house.now)).approved
                count += 1
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not be
                failed.append(repr(error))
        done.append(count)

    with secured.line(pair) as standing:
        house.ready(standing, terminal)
        threads = [threading.Thread(target=dial) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(50):
            secured.authority.issue("switch", server=True)
            os.kill(secured.program.process.pid, signal.SIGHUP)
            time.sleep(0.03)
        time.sleep(0.2)
        stop.set()
        for thread in threads:
            thread.join()
        assert standing.exchange(terminal, terminal.inquiry(house.now, house.card())).approved
    assert failed == []
    assert sum(done) >= 20


def test_a_new_certificate_is_served_without_a_signal(secured: Secured) -> None:
    _, pair = secured.till()
    new, _ = secured.authority.issue("switch", server=True, seconds=40 * 86_400)

    def served() -> bool:
        context = secured.authority.client_context(pair)
        where = ("127.0.0.1", secured.program.port)
        with (
            socket.create_connection(where) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as sock,
        ):
            der = sock.getpeercert(binary_form=True)
        return der is not None and ssl.DER_cert_to_PEM_cert(der) == new.read_text()

    wait_for(served, 6.0)
    wait_for(lambda: secured.metric("dure_certificate_days_left{") == 39.0, 3.0)


def test_whose_certificate_is_revoked_is_cut_and_stays_out(secured: Secured) -> None:
    house = secured.house
    (one, one_pair), (two, two_pair) = secured.till(), secured.till()
    with secured.line(one_pair) as cut, secured.line(two_pair) as kept:
        house.ready(cut, one)
        house.ready(kept, two)
        secured.authority.revoke(one_pair[0])
        secured.reload()
        assert cut.wait_closed(2.0) < 2.0
        assert kept.exchange(two, two.inquiry(house.now, house.card())).approved
        _refused(secured, one_pair)
        assert secured.metric('dure_connections_dropped_total{why="revoked"}') >= 1
        secured.authority.revoke()
        secured.reload()
        with secured.line(one_pair) as again:  # taken off the list: it is good again
            assert again.exchange(one, one.echo(house.now)).approved


def test_a_line_ends_with_its_certificate(secured: Secured) -> None:
    terminal = secured.house.till()
    pair = secured.authority.issue("brief", uris=[URI + terminal.terminal_id], seconds=2.5)
    with secured.line(pair) as line:
        assert line.exchange(terminal, terminal.echo(secured.house.now)).approved
        assert line.wait_closed(6.0) < 6.0


def test_new_files_that_are_no_good_leave_the_old_ones_in_force(secured: Secured) -> None:
    terminal, pair = secured.till()
    good = {path: path.read_bytes() for path in (*secured.pair, secured.crl)}
    other = secured.authority.issue("other", server=True)
    refused = 'dure_tls_reloads_total{result="refused"}'
    for path, content in (
        (secured.pair[0], b"-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n"),
        (secured.pair[0], b""),
        (secured.pair[1], other[1].read_bytes()),
        (secured.crl, good[secured.crl][:200]),
        (secured.crl, secured.authority.revoke(seconds=-60, file="old.crl").read_bytes()),
    ):
        before = secured.metric(refused)
        path.write_bytes(content)
        secured.reload()
        assert secured.metric(refused) > before
        with secured.line(pair) as line:
            assert line.exchange(terminal, terminal.echo(secured.house.now)).approved
        path.write_bytes(good[path])
    secured.reload()
    log = (secured.house.stage.directory / "switch.log").read_text()
    told = [json.loads(one) for one in log.splitlines() if "new certificates refused" in one]
    assert len(told) >= 5
    assert all("listener.tls" in one["error"] and "\n" not in one["error"] for one in told)
    assert "BEGIN" not in str(told)


def test_check_config_names_what_does_not_fit(secured: Secured, tmp_path: Path) -> None:
    from switch.server import load_tls

    authority = Authority(tmp_path)
    pair, other = authority.issue("a", server=True), authority.issue("b", server=True)
    crl = authority.revoke()
    alien = Authority(tmp_path / "alien", "Alien CA")

    def told(**changes: str) -> str:
        good = {
            "certificate": str(pair[0]), "key": str(pair[1]), "client_ca": str(authority.file),
            "client_certificates": "required", "crl": str(crl),
        }  # fmt: skip
        with pytest.raises(ConfigError) as caught:
            load_tls(Tls.model_validate(good | changes))
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "listener.tls.key: does not fit" in told(key=str(other[1]))
    assert "listener.tls.certificate: cannot be read (No such file" in told(
        certificate=str(tmp_path / "none")
    )
    assert "listener.tls.certificate: holds no certificate" in told(certificate=str(pair[1]))
    assert "signed by no authority of client_ca" in told(crl=str(alien.revoke()))
    assert "has no list of CN=Alien CA" in told(client_ca=str(_both(tmp_path, authority, alien)))
    pair[1].chmod(0o644)
    assert f"run `chmod 600 {pair[1]}`" in told()


def _both(folder: Path, *authorities: Authority) -> Path:
    path = folder / "both.pem"
    path.write_bytes(b"".join(one.file.read_bytes() for one in authorities))
    return path
