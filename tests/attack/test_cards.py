"""Attacks on cards and keys: guessed check values, replayed cryptograms and serial numbers, certificates."""

import socket
import ssl
from collections.abc import Iterator

import pytest

from switch.wire.framing import Framer, frame
from switch.wire.message import decode
from tests.attack.cards import ISSUER, Guarded, card, derived_terminal, guarded
from tests.attack.fort import Fort
from tests.integration.switch.house import WON
from tests.support.wire_client import Line


@pytest.fixture(scope="module")
def guard(fort: Fort) -> Iterator[Guarded]:
    with guarded(fort) as running:
        yield running


def test_check_values_are_guessed(fort: Fort, guard: Guarded) -> None:
    """CVV2 of a known card: the card is closed after ten wrong ones, long before a thousand."""
    with fort.under("CVV2 enumeration", "05 ten times, then closed to keyed payments") as attack:
        pan = fort.card()
        known = card(pan)
        right = known.check_value()
        codes = []
        with Line(guard.port) as line:
            for number in range(30):
                if number % 10 == 0:
                    terminal = fort.ready(line, fort.till())
                guess = f"{(int(right) + 1 + number) % 1000:03d}"
                options = known.present("keyed", 1_000, fort.now, check=guess)
                codes.append(line.exchange(terminal, terminal.purchase(fort.now, pan, 1_000, **options)).code)
                attack.tried()
            options = known.present("keyed", 1_000, fort.now)
            codes.append(line.exchange(terminal, terminal.purchase(fort.now, pan, 1_000, **options)).code)
            attack.tried()
        assert codes[:9] == ["05"] * 9
        assert set(codes[10:]) == {"75"}
        assert fort.balance(pan) == WON


def test_a_cryptogram_is_replayed(fort: Fort, guard: Guarded) -> None:
    """A chip's answer that was overheard is worth nothing a second time, in any message."""
    with fort.under("ARQC replay", "05, nothing booked") as attack, Line(guard.port) as line:
        terminal, pan = fort.ready(line, fort.till()), fort.card()
        chip = card(pan)
        seen = chip.present("chip", 5_000, fort.now)
        reply = line.exchange(terminal, terminal.purchase(fort.now, pan, 5_000, **seen))
        assert (reply.code, chip.authenticated(seen["icc"] or "", reply)) == ("00", True)
        attack.paid(5_000)
        other = fort.ready(line, fort.till())
        for again in (terminal, other, terminal):
            attack.tried()
            assert line.exchange(again, again.purchase(fort.now, pan, 5_000, **seen)).code == "05"
        attack.tried()
        assert line.exchange(terminal, terminal.purchase(fort.now, pan, 6_000, **seen)).code == "05"
        fresh = chip.present("chip", 5_000, fort.now)
        assert line.exchange(terminal, terminal.purchase(fort.now, pan, 5_000, **fresh)).approved
        attack.paid(5_000)


def test_a_cryptogram_is_altered(fort: Fort, guard: Guarded) -> None:
    """Every tag that the chip signed, one bit changed in each."""
    with (
        fort.under("altered chip data", "05 or 30, and no counter moved") as attack,
        Line(guard.port) as line,
    ):
        terminal, pan = fort.ready(line, fort.till()), fort.card()
        chip = card(pan)
        genuine = {**chip.present("chip", 5_000, fort.now), "psn": None}  # said by the chip alone
        icc = genuine["icc"] or ""
        information = icc.index("9F2701") + 6  # its lower bits are the only ones that no chip signs
        for place in range(0, len(icc), 2):
            if place == information:
                continue
            if place % 40 == 0:
                terminal = fort.ready(line, fort.till())
            changed = f"{int(icc[place : place + 2], 16) ^ 1:02X}"
            options = {**genuine, "icc": icc[:place] + changed + icc[place + 2 :]}
            attack.tried()
            reply = line.exchange(terminal, terminal.purchase(fort.now, pan, 5_000, **options))
            assert reply.code in ("05", "30"), place
        assert line.exchange(terminal, terminal.purchase(fort.now, pan, 5_000, **genuine)).approved
        attack.paid(5_000)


def test_a_stripe_is_made_of_a_chips_or_a_printed_value(fort: Fort, guard: Guarded) -> None:
    """A chip tells a check value of its own (service code 999), the back of the card another (000): whoever
    skims one of them must not be able to write a stripe with it."""
    with fort.under("stripes from skimmed chips", "05, nothing booked") as attack, Line(guard.port) as line:
        terminal, pan = fort.ready(line, fort.till()), fort.card()
        known = card(pan)
        genuine = known.present("stripe", 1_000, fort.now)
        for service in ("999", "000"):
            value = ISSUER.cvk.value(pan, known.expiry, service) if ISSUER.cvk else ""
            head, rest = known.track2(value).split("=")
            made = f"{head}={rest[:4]}{service}{rest[7:]}"
            attack.tried()
            forged = {**genuine, "track2": made}
            assert line.exchange(terminal, terminal.purchase(fort.now, pan, 1_000, **forged)).code == "05"
        assert line.exchange(terminal, terminal.purchase(fort.now, pan, 1_000, **genuine)).approved
        attack.paid(1_000)


def test_a_key_serial_number_is_replayed(fort: Fort) -> None:
    """A serial number names one message: no other may come under it, and the first gets its stored answer."""
    with fort.under("KSN replay", "63, nothing booked") as attack, fort.line() as line:
        terminal, pan = derived_terminal(fort), fort.card()
        assert line.exchange(terminal, terminal.sign_on(fort.now)).approved
        paid = [terminal.purchase(fort.now, pan, 1_000) for _ in range(5)]
        for payload in paid:
            assert line.exchange(terminal, payload).approved
            attack.paid(1_000)
        for payload in paid:
            for _ in range(5):
                attack.tried()
                assert decode(line.ask(payload)).fields[39] == "63"
        assert fort.balance(pan) == WON - 5_000


def ask_tls(port: int, context: ssl.SSLContext, payload: bytes) -> bytes:
    """One question over TLS; b"" when the switch would not speak."""
    framer = Framer(4_096)
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 5) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as line,
        ):
            line.sendall(frame(payload))
            while data := line.recv(4_096):
                for answer in framer.feed(data):
                    return answer
    except (ssl.SSLError, ConnectionError, TimeoutError):
        pass
    return b""


def test_certificates_of_strangers(fort: Fort, guard: Guarded) -> None:
    """None, another authority's, one that has run out, a revoked one, and one for another terminal."""
    with fort.under("unauthorised certificates", "no handshake, or 58") as attack:
        terminal = fort.till()
        payload = terminal.echo(fort.now)
        mine = [f"dure:terminal:{terminal.terminal_id}"]
        trusted = guard.authority
        own = trusted.issue("own", uris=mine)
        assert decode(ask_tls(guard.tls_port, trusted.client_context(own), payload)).fields[39] == "00"
        foreign = trusted.client_context()
        foreign.load_cert_chain(*map(str, guard.stranger.issue("foreign", uris=mine)))
        ended = trusted.issue("ended", uris=mine, seconds=-60)
        folder = trusted.folder
        revoked = (folder / "revoked.crt", folder / "revoked.key")
        for context in (
            trusted.client_context(),
            foreign,
            trusted.client_context(ended),
            trusted.client_context(revoked),
        ):
            attack.tried()
            assert ask_tls(guard.tls_port, context, payload) == b""
        other = trusted.issue("other", uris=["dure:terminal:T9999999", "dure:terminal:X*"])
        attack.tried()
        answer = ask_tls(guard.tls_port, trusted.client_context(other), payload)
        assert decode(answer).fields[39] == "58"
        attack.tried()
        assert shoot_plain(guard.tls_port, payload) == b""


def shoot_plain(port: int, payload: bytes) -> bytes:
    """Plain bytes to a port that speaks TLS."""
    with socket.create_connection(("127.0.0.1", port), 5) as line:
        line.sendall(frame(payload))
        line.settimeout(6)
        try:
            answer = line.recv(4_096)
        except (ConnectionError, TimeoutError):
            return b""
    return b"" if answer[:1] in (b"\x15", b"") else answer  # a TLS alert tells nothing
