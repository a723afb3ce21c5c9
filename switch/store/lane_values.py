"""What a lane loads for a batch."""

from enum import IntEnum

import msgspec

from switch.domain.budget import NO_POOLS, Line, PoolKey, Pools
from switch.domain.donation import Case
from switch.domain.payment import PaymentKey
from switch.domain.request import Stored
from switch.domain.wallet import Wallet


class Reach(IntEnum):
    """How far a batch reaches for budget money: its lane's slot, the shared rest, every lane's slot."""

    SLOT = 0
    REST = 1
    ALL = 2


class Drawn(msgspec.Struct):
    """Where a batch's budget money lay when it was loaded: by pool, won in the lane's own slot, in the shared
    rest, and in other lanes' slots (each only as far as the batch reaches and holds them locked; `emptied`
    names those, as budget_no, month, slot). `elsewhere` is what was seen without a lock, once it was too
    little to reach for."""

    reach: int
    own: dict[PoolKey, int]
    rest: dict[PoolKey, int] = {}
    others: dict[PoolKey, int] = {}
    emptied: list[tuple[int, int, int]] = []
    elsewhere: dict[PoolKey, int] = {}


class Given(msgspec.Struct, frozen=True):
    """Budgets as a lane needs them: by number, and those of each programme."""

    lines: dict[int, Line] = {}
    lines_of: dict[int, tuple[Line, ...]] = {}


NO_GIVEN = Given()


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
    pools: Pools = NO_POOLS
    drawn: Drawn | None = None
    cases: dict[tuple[int, str], Case] = {}  # by programme and code, locked: only of batches with gifts
    references: dict[tuple[int, str], Stored] = {}  # top-ups that stand, by programme and outside reference
    references_gone: set[tuple[int, str]] = set()  # those whose top-up the batch takes back
    soundboxes: dict[int, tuple[str, ...]] = {}  # merchant_no → terminals that are told of payments
