"""Messages to test with."""

from switch.wire.spec import MAC_LENGTH

PAN = "9410619058273147"
PIN_BLOCK = "0123456789ABCDEF"
MAC = "FEDCBA9876543210"
assert len(MAC) == MAC_LENGTH

PURCHASE: dict[int, str] = {
    2: PAN,
    3: "000000",
    4: "000000017400",
    7: "1121031500",
    11: "000123",
    12: "121500",
    13: "1121",
    14: "2912",
    22: "012",
    32: "941061",
    37: "632612000123",
    41: "T0000001",
    42: "M00042         ",
    48: "CH006onlineOR003A-1",
    49: "410",
    52: PIN_BLOCK,
}
ORIGINAL = "0200" + "000123" + "1121031500" + "00000941061" + "0" * 11
REFUND = {**{n: v for n, v in PURCHASE.items() if n != 52}, 3: "200000", 90: ORIGINAL}
INQUIRY = {n: v for n, v in PURCHASE.items() if n != 4} | {3: "310000"}
REVERSAL = {n: v for n, v in PURCHASE.items() if n not in (14, 22, 48, 52)} | {90: ORIGINAL}
SIGN_ON = {7: "1121031500", 11: "000001", 12: "121500", 13: "1121", 41: "T0000001", 70: "001"}

TRACK2 = f"{PAN}=29122010000000000000"
ICC = (
    "9F2608A1B2C3D4E5F607189F2701809F360200A79F3704112233449F100706010A03A0B800"
    "950500000080009A032611219C01005F2A0204109F02060000000174009F0306000000000000"
    "9F1A020410820239005F340101"
)  # fmt: skip
HOLD = "0100" + "000123" + "1121031500" + "00000941061" + "0" * 11
_READ = {22: "021", 35: TRACK2}
PREAUTH = {**PURCHASE, 22: "051", 55: ICC, 23: "001"}
ADVICE = {n: v for n, v in PURCHASE.items() if n != 52} | {38: "A00001"}
COMPLETION = ADVICE | {90: HOLD}
VOID = {n: v for n, v in PURCHASE.items() if n not in (48, 52)} | {3: "020000", 90: ORIGINAL}
STRIPE = PURCHASE | _READ
CHIP = PURCHASE | {22: "051", 55: ICC}
PARTIAL_REVERSAL = REVERSAL | {48: "BN00212", 95: "000000005000" + "0" * 30}
_BATCH = {7: "1121090000", 11: "000200", 12: "180000", 13: "1121", 41: "T0000001", 42: "M00042         "}
CLOSE = {
    **_BATCH,
    48: "BN00212",
    74: f"{1:010d}", 75: f"{0:010d}", 76: f"{3:010d}", 77: f"{1:010d}",
    86: f"{1_000:016d}", 87: f"{0:016d}", 88: f"{30_000:016d}", 89: f"{5_000:016d}",
    97: f"D{24_000:016d}",
}  # fmt: skip
DETAIL = {**_BATCH, 3: "000000", 4: "000000017400", 37: "632612000123", 38: "A00001", 48: "BN00212LB0011",
          90: ORIGINAL}  # fmt: skip
REQUESTS: tuple[tuple[str, dict[int, str]], ...] = (
    ("0100", PREAUTH),
    ("0101", PREAUTH | {90: HOLD}),
    ("0200", PURCHASE),
    ("0200", STRIPE),
    ("0201", CHIP),
    ("0200", REFUND),
    ("0200", VOID),
    ("0200", INQUIRY),
    ("0220", ADVICE),
    ("0221", COMPLETION),
    ("0320", DETAIL),
    ("0400", REVERSAL),
    ("0420", PARTIAL_REVERSAL),
    ("0500", CLOSE),
    ("0801", SIGN_ON),
)
"""One of each kind."""
