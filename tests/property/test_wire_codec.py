"""The codec against an independent one (pyiso8583), and against anything at all."""

import contextlib
from typing import Any

import iso8583
from hypothesis import example, given, settings
from hypothesis import strategies as st
from iso8583.specs import default_ascii

from switch.wire.framing import Framer, frame
from switch.wire.message import Message, MessageError, _walk, decode, encode, encode_for_mac
from switch.wire.presence import ENTRY_MAY, ENTRY_MUST, MESSAGES, entry_of
from switch.wire.private import PrivateDataError, decode_balances, decode_private, encode_private
from switch.wire.redact import redact
from switch.wire.request import error_fields, parse_request
from switch.wire.spec import FIELDS, PROCESSING_CODES, is_request
from tests.unit.wire.samples import MAC, PURCHASE, REVERSAL, SIGN_ON


def content(number: int) -> st.SearchStrategy[str]:
    field = FIELDS[number]
    if field.length_digits:
        shortest, longest = (length // field.step for length in (field.length_min, min(field.length, 120)))
        return st.from_regex(rf"\A{field.content}{{{shortest},{longest}}}\Z")
    return st.from_regex(rf"\A{field.content}\Z")


@st.composite
def messages(draw: st.DrawFn) -> tuple[str, dict[int, str], bool]:
    """A valid message: MTI, fields, with a MAC or without."""
    mti = draw(st.sampled_from(sorted(MESSAGES)))
    kind = draw(st.sampled_from(sorted(MESSAGES[mti], key=str)))
    carries = MESSAGES[mti][kind]
    optional = draw(st.sets(st.sampled_from(sorted(carries.may)))) if carries.may else set()
    fields = {n: draw(content(n)) for n in sorted(carries.must | optional)}
    if kind is not None:
        fields[3] = kind
    if carries.entry:
        entry = entry_of(fields[22]) or ""
        wanted = set(ENTRY_MUST[entry]) if carries.entry == "must" else set()
        if ENTRY_MAY[entry]:
            wanted |= draw(st.sets(st.sampled_from(sorted(ENTRY_MAY[entry]))))
        fields |= {n: draw(content(n)) for n in wanted}
    return mti, fields, carries.mac and draw(st.booleans())


def payload_of(mti: str, fields: dict[int, str], with_mac: bool) -> bytes:
    return encode_for_mac(mti, fields) + MAC.encode() if with_mac else encode(mti, fields)


def judged(payload: bytes) -> dict[str, str]:
    decoded: dict[str, str] = iso8583.decode(payload, default_ascii)[0]
    return {number: value for number, value in decoded.items() if number not in ("p", "1")}


def as_judged(message: Message) -> dict[str, str]:
    fields = {str(n): v for n, v in message.fields.items()} | {"t": message.mti}
    if message.mac is not None:
        fields["128" if max(message.fields) > 64 else "64"] = message.mac
    return fields


@settings(max_examples=300, deadline=None, print_blob=True)
@given(messages())
def test_both_codecs_agree_on_every_valid_message(sample: tuple[str, dict[int, str], bool]) -> None:
    mti, fields, with_mac = sample
    payload = payload_of(mti, fields, with_mac)
    expected = {str(n): v for n, v in fields.items()} | {"t": mti}
    if with_mac:
        expected["128" if max(fields) > 64 else "64"] = MAC
    assert judged(payload) == expected
    theirs: dict[str, Any] = dict(expected)
    assert bytes(iso8583.encode(theirs, default_ascii)[0]) == payload
    message = decode(payload)
    assert (message.mti, message.fields) == (mti, fields)
    assert message.mac == (MAC if with_mac else None)
    assert payload[message.mac_input_len :] == (MAC.encode() if with_mac else b"")


@settings(max_examples=100, deadline=None, print_blob=True)
@given(messages())
def test_walked_and_compiled_agree(sample: tuple[str, dict[int, str], bool]) -> None:
    payload = payload_of(*sample)
    walked = _walk(payload.decode())
    for _ in range(10):
        assert decode(payload) == walked


SEEDS = (
    encode_for_mac("0200", PURCHASE) + MAC.encode(),
    encode_for_mac("0420", REVERSAL) + MAC.encode(),
    encode("0800", SIGN_ON),
)


def handled(payload: bytes) -> Message | None:
    """What a server does with a payload; only MessageError may come out of the room."""
    try:
        message = decode(payload)
        if is_request(message.mti):
            parse_request(message)
    except MessageError as error:
        if error.mti is not None:
            mti = error.mti[:2] + "10"
            reply = decode(encode("0210", error_fields(error)))
            assert reply.fields[39] in ("30", "12"), mti
        return None
    return message


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good message with a few bytes changed, put in or taken out."""
    payload = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(payload) - 1))
        match draw(st.sampled_from(("change", "digit", "insert", "remove", "cut"))):
            case "change":
                payload[at] = draw(st.integers(0, 255))
            case "digit":
                payload[at] = ord(draw(st.sampled_from("0123456789ABCDEF")))
            case "insert":
                payload.insert(at, draw(st.integers(32, 126)))
            case "remove" if len(payload) > 1:
                del payload[at]
            case _:
                payload = payload[: max(at, 1)]
    return bytes(payload)


@settings(max_examples=2000, deadline=None, print_blob=True)
@given(st.one_of(damaged(), st.binary(max_size=300)))
@example(b"")
@example(b"0200" + b"8" + b"0" * 15)
@example(b"0800" + b"8" + b"0" * 15 + b"8" + b"0" * 15)
def test_anything_is_either_understood_as_the_judge_does_or_refused(payload: bytes) -> None:
    for _ in range(9):  # the same shapes, so that the compiled way is tried as well
        for seed in SEEDS:
            decode(seed)
    message = handled(payload)
    if message is not None:
        assert judged(payload) == as_judged(message)


@settings(max_examples=300, deadline=None, print_blob=True)
@given(st.lists(st.binary(min_size=1, max_size=50), max_size=10), st.data())
def test_framing_does_not_care_how_the_bytes_arrive(payloads: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(map(frame, payloads))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    framer = Framer(50)
    pieces = zip([0, *cuts], [*cuts, len(stream)], strict=True)
    assert [f for a, b in pieces for f in framer.feed(stream[a:b])] == payloads
    assert not framer.pending


@settings(max_examples=300, deadline=None, print_blob=True)
@given(
    st.dictionaries(st.from_regex(r"\A[A-Z]{2}\Z"), st.from_regex(r"\A[ -~]{0,60}\Z"), max_size=6), st.text()
)
def test_private_data_there_and_back(items: dict[str, str], noise: str) -> None:
    assert decode_private(encode_private(items)) == items
    for reader in (decode_private, decode_balances):
        with contextlib.suppress(PrivateDataError):
            reader(noise)


def with_luhn(body: str) -> str:
    doubled = [d * 2 - 9 * (d > 4) for d in map(int, body[-1::-2])]
    return body + str(-(sum(doubled) + sum(map(int, body[-2::-2]))) % 10)


@settings(max_examples=300, deadline=None, print_blob=True)
@given(st.from_regex(r"\A[1-9][0-9]{11,17}\Z"), st.text(max_size=30), st.text(max_size=30))
def test_no_text_around_a_pan_lets_it_through(body: str, before: str, after: str) -> None:
    pan = with_luhn(body)
    text = before + pan + after
    assert pan not in redact(text)
    assert pan not in repr(redact({"event": text, "list": [text, {"x": pan}], "n": int(pan)}))


def test_every_kind_of_payment_was_there_to_be_drawn() -> None:
    assert set(MESSAGES["0200"]) == set(PROCESSING_CODES)
