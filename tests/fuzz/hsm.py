"""Host commands: any request is answered or closes its connection, any reply is borne."""

from contextlib import suppress
from functools import cache

from hsm_sim.crypto.lmk import TEST_LMK
from hsm_sim.crypto.tdes import odd_parity
from hsm_sim.handlers import answer
from hsm_sim.keys import Keys
from switch.hsm import commands
from switch.hsm.commands import HEADER_BYTES, HsmRefused
from switch.hsm.framing import FrameError, FrameSplitter, frame

FRAME_MAX = 2_048
KEY = odd_parity(bytes(range(70, 86)))
PAN = "9410610000000009"
INTERNAL = b"41"  # the handler failed: always a find
PARSERS = [getattr(commands, name) for name in commands.__all__ if name.startswith("parse_")]


@cache
def _keys() -> Keys:
    return Keys(TEST_LMK, cached_max=256)


def requests() -> list[bytes]:
    """One good request or more of every command that the switch sends, without its header."""
    key = {
        kind: TEST_LMK.encrypt(kind, "U", KEY) for kind in ("000", "001", "002", "003", "009", "109", "402")
    }
    mac, block = "0" * 16, "0123456789ABCDEF"
    ksn = "FFFF9876543210E00001"
    return [
        commands.diagnostics(),
        commands.echo(b"echo"),
        commands.generate_key("003", scheme="U", under=None, under_tmk=False, exported_scheme="X"),
        commands.generate_key("002", scheme="U", under=key["002"], under_tmk=True, exported_scheme="R"),
        commands.generate_key("002", scheme="U", under=key["002"], under_tmk=True, exported_scheme="X"),
        commands.import_key("003", "X" + key["003"][1:], zmk=key["000"], scheme="U"),
        commands.export_key("003", key["003"], under=key["000"], under_tmk=False, scheme="R"),
        commands.check_value("003", key["003"]),
        commands.verify_pin(key["002"], key["002"], block, PAN[-13:-1], "1", "1234"),
        commands.verify_pin_dukpt(key["009"], key["002"], ksn, block, PAN[-13:-1], "1", "1234"),
        commands.generate_mac(key["003"], b"data"),
        commands.verify_mac(key["003"], b"data", mac),
        commands.generate_mac_dukpt(key["009"], ksn, b"data"),
        commands.verify_mac_dukpt(key["009"], ksn, b"data", mac),
        commands.generate_cvv(key["402"], PAN, "3112", "101"),
        commands.verify_cvv(key["402"], "123", PAN, "3112", "101"),
        commands.verify_arqc(key["109"], PAN, "01", "0001", "12345678", b"x" * 40, mac, "00"),
    ]


def seeds() -> list[bytes]:
    """Good streams; the first byte says how they are cut."""
    return [bytes([how]) + frame(b"0001" + request) for request in requests() for how in (3, 200)]


def fuzz_one(data: bytes) -> None:
    """Cuts, answers and parses. Only FrameError, HsmRefused and ValueError may come, each in its place."""
    if not data:
        return
    size, stream = data[0] % 64 + 1, data[1:]
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    messages, failed = _split([stream])
    in_pieces, failed_in_pieces = _split(pieces)
    assert failed == failed_in_pieces
    assert failed or messages == in_pieces
    for message in messages:
        _answered(message)
    for parse in PARSERS:
        with suppress(HsmRefused, ValueError):
            parse(data[1:3], data[3:])


def _split(pieces: list[bytes]) -> tuple[list[bytes], bool]:
    splitter = FrameSplitter(length_min=HEADER_BYTES, length_max=FRAME_MAX)
    found: list[bytes] = []
    for piece in pieces:
        try:
            found += splitter.feed(piece)
        except FrameError:
            return found, True
    return found, False


def _answered(message: bytes) -> None:
    reply = answer(_keys(), message, HEADER_BYTES)
    assert reply[:HEADER_BYTES] == message[:HEADER_BYTES]
    command = message[HEADER_BYTES : HEADER_BYTES + 2]
    expected = commands.reply_code(command) if len(command) == 2 else b"ZZ"
    assert reply[HEADER_BYTES : HEADER_BYTES + 2] == expected
    error = reply[HEADER_BYTES + 2 : HEADER_BYTES + 4]
    assert len(error) == 2
    assert error != INTERNAL
