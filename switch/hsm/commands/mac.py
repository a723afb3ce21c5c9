"""M6 and M8 (MAC under a TAK), GW (MAC under a DUKPT terminal's keys)."""

from typing import Final

from switch.hsm.commands.base import MAC_DATA_BYTES_MAX, accepted, at_most, exactly, verified

MAC_DIGITS: Final = 16
DUKPT_DATA_BYTES_MAX: Final = 9_999  # GW counts in 4 decimal digits, M6 in hex
# How the digits of a serial number are divided: 9 of the base key's, none of a sub-key, 6 of the device.
KSN_DESCRIPTOR: Final = "906"
KSN_DIGITS_TDES: Final = 20
KSN_DIGITS_AES: Final = 24

# Mode 0 (whole message), binary data, 16-digit MAC, algorithm 3 (X9.19), padding method 1 (zeros), TAK.
_X919: Final = b"00131003"
# The same with algorithm 6 (CMAC), which pads by itself: for an AES TAK.
_CMAC: Final = b"00160003"
_VERIFY_DUKPT: Final = "1"
_GENERATE_DUKPT: Final = "4"


def generate_mac(tak: str, data: bytes) -> bytes:
    """M6: one block, binary, 16 digits; X9.19 with padding method 1, or CMAC if the TAK is an AES key."""
    at_most("MAC data", data, MAC_DATA_BYTES_MAX)
    return b"M6%b%b%04X%b" % (_form(tak), tak.encode("ascii"), len(data), data)


def verify_mac(tak: str, data: bytes, mac_hex: str) -> bytes:
    """M8: as M6, with the MAC to be verified behind the data."""
    at_most("MAC data", data, MAC_DATA_BYTES_MAX)
    mac = exactly("MAC", mac_hex, MAC_DIGITS).encode("ascii")
    return b"M8%b%b%04X%b%b" % (_form(tak), tak.encode("ascii"), len(data), data, mac)


def _form(tak: str) -> bytes:
    # The algorithm stands at the same place of every key block's header.
    return _CMAC if tak[:1] == "S" and tak[8:9] == "A" else _X919


def generate_mac_dukpt(bdk: str, ksn: str, data: bytes) -> bytes:
    """GW, mode 4: the 16-digit MAC of a reply, under the response key of the serial number."""
    at_most("MAC data", data, DUKPT_DATA_BYTES_MAX)
    head = f"GW{_GENERATE_DUKPT}{'7' if _is_aes(ksn) else '2'}{bdk}{serial_number(ksn)}"
    return b"%b%04d%b" % (head.encode("ascii"), len(data), data)


def verify_mac_dukpt(bdk: str, ksn: str, data: bytes, mac_hex: str) -> bytes:
    """GW, mode 1: whether the terminal's 16-digit MAC is right, under the request key."""
    at_most("MAC data", data, DUKPT_DATA_BYTES_MAX)
    mac = exactly("MAC", mac_hex, MAC_DIGITS)
    head = f"GW{_VERIFY_DUKPT}{'6' if _is_aes(ksn) else '1'}{bdk}{serial_number(ksn)}{mac}"
    return b"%b%04d%b" % (head.encode("ascii"), len(data), data)


def serial_number(ksn: str) -> str:
    """The descriptor and the key serial number: 20 hex digits (TDES) or 24 (AES). Raises ValueError."""
    return KSN_DESCRIPTOR + exactly("key serial number", ksn, KSN_DIGITS_TDES, KSN_DIGITS_AES)


def _is_aes(ksn: str) -> bool:
    return len(ksn) == KSN_DIGITS_AES


def parse_mac(error: bytes, body: bytes) -> str:
    """M7: the MAC, 16 hex digits. Raises HsmRefused."""
    if error != b"00":
        accepted("M6", error)
    return body[4:20].decode("ascii")


def parse_mac_verified(error: bytes, _body: bytes) -> bool:
    """M9: whether the MAC is right. Raises HsmRefused."""
    return verified("M8", error)


def parse_mac_dukpt(error: bytes, body: bytes) -> str:
    """GX after mode 4: the MAC, 16 hex digits. Raises HsmRefused."""
    accepted("GW", error)
    return body[:MAC_DIGITS].decode("ascii")


def parse_mac_dukpt_verified(error: bytes, _body: bytes) -> bool:
    """GX after mode 1: whether the MAC is right. Raises HsmRefused."""
    return verified("GW", error)
