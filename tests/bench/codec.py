"""The codec alone: microseconds for one 0200 of 17 fields, beside pyiso8583 in the same run."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import iso8583
from iso8583.specs import default_ascii

from switch.wire.dialect import BCD
from switch.wire.message import decode, encode

FIELDS = {
    2: "9410610000000014", 3: "000000", 4: "000000017400", 7: "1118031500", 11: "000123", 12: "121500",
    13: "1118", 14: "3112", 22: "012", 32: "123456", 37: "632212000123", 41: "T0001000",
    42: "SHOP000001     ", 48: "CH003pos", 49: "410", 52: "0123456789ABCDEF",
}  # fmt: skip
ROUNDS, CALLS = 7, 5_000


def _microseconds(call: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(CALLS):
            call()
        times.append((time.perf_counter() - started) / CALLS * 1e6)
    return round(statistics.median(times), 2)


def measure() -> dict[str, Any]:
    """Medians over several rounds."""
    payload = encode("0200", FIELDS)
    packed = BCD.encode("0200", FIELDS)
    other = {"t": "0200", **{str(n): v for n, v in FIELDS.items()}}
    raw, _ = iso8583.encode(dict(other), default_ascii)
    return {
        "decode_us": _microseconds(lambda: decode(payload)),
        "encode_us": _microseconds(lambda: encode("0200", FIELDS)),
        "bcd_decode_us": _microseconds(lambda: BCD.decode(packed)),
        "bcd_encode_us": _microseconds(lambda: BCD.encode("0200", FIELDS)),
        "pyiso8583_decode_us": _microseconds(lambda: iso8583.decode(raw, default_ascii)),
        "pyiso8583_encode_us": _microseconds(lambda: iso8583.encode(dict(other), default_ascii)),
    }
