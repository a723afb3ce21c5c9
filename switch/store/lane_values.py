"""What a lane loads for a batch."""

import msgspec

from switch.domain.payment import PaymentKey
from switch.domain.request import Stored
from switch.domain.wallet import Wallet


class Loaded(msgspec.Struct):
    """What a batch works on. Everything in it is protected by the wallets' locks until the commit."""

    epoch: int
    closed_through: dict[int, int]  # programme_no → yyyymmdd, 0 none
    wallets: dict[int, Wallet]
    stored: dict[PaymentKey, Stored]
    tombstones: set[tuple[int, str, int, str]]
    originals: dict[int, list[Stored]] = {}
    credited: dict[tuple[int, int], int] = {}
    past: dict[tuple[int, int], tuple[int, int, int]] = {}
    soundboxes: dict[int, tuple[str, ...]] = {}  # merchant_no → terminals that are told of payments
