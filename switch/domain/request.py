"""What a decision is made from: the request, the terms at its merchant, the payments it refers to."""

from enum import IntEnum

import msgspec

from switch.domain.merchant import Merchant
from switch.domain.payment import PaymentKey
from switch.domain.programme import Policy, Restriction


class PinCheck(IntEnum):
    """What the HSM said of the PIN before the wallet was looked at."""

    NONE = 0
    OK = 1
    WRONG = 2


class OriginalRef(msgspec.Struct, frozen=True, gc=False):
    """How a refund or reversal names its original (ISO 8583 DE90): STAN and DE7, and what DE3 says it was."""

    stan: int
    transmission: str
    kind: int
    terminal_id: str
    day: int  # yyyymmdd, Asia/Seoul, give or take one


class Request(msgspec.Struct, frozen=True, gc=False):
    """One message that passed the door: its card is known, its MAC and PIN are checked.

    `amount` in won; `content` a hash of all that a repeat may not change; `approval` the DE38 that it gets
    if approved; `expiry` yymm as the terminal read it, or None.
    """

    key: PaymentKey
    wallet_id: int
    card_no: int
    programme_no: int
    merchant_no: int
    amount: int
    channel: str
    transmission: str
    rrn: str
    approval: str
    content: int
    pin: PinCheck
    expiry: int | None
    original: OriginalRef | None


class Terms(msgspec.Struct, frozen=True):
    """What holds for one policy, merchant, day and channel: worked out once, used for many payments.

    `refused` lists the restrictions per lot kind name; `funder_no` numbers the programme's funders.
    """

    policy: Policy
    policy_no: int
    merchant: Merchant
    groups: frozenset[str]
    refused: dict[str, tuple[Restriction, ...]]
    funder_no: dict[str, int]
    merchant_open: bool


class Stored(msgspec.Struct):
    """A payment as the books keep it: the answer to its repeats, and the original of what takes it back.

    Days are yyyymmdd, money is won. `cashback` and `basis` are negative where they were taken back.
    """

    key: PaymentKey
    wallet_id: int
    seq: int
    card_no: int
    merchant_no: int
    programme_no: int
    policy_no: int
    business_day: int
    transmission: str
    content: int
    amount: int
    approved: int
    outcome: int
    reason: int
    approval: str
    rrn: str
    channel: str
    basis: int
    usage_month: int
    usage_before: int
    cashback: int
    ledger_after: int
    available_after: int
    returned: int
    original_seq: int
    detail: bytes
