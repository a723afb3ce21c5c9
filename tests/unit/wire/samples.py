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
