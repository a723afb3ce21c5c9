"""What a decision is made from: the request, the terms at its merchant, the payments it refers to."""

from enum import IntEnum

import msgspec

from switch.domain.campaign import Campaign
from switch.domain.merchant import Merchant
from switch.domain.payment import PaymentKey
from switch.domain.programme import Policy, Restriction


class PinCheck(IntEnum):
    """What the HSM said of the PIN before the wallet was looked at."""

    NONE = 0
    OK = 1
    WRONG = 2


class Entry(IntEnum):
    """How the card came into the terminal (ISO 8583 DE22, first two digits). The numbers are stored."""

    KEYED = 1
    STRIPE = 2
    QR = 3
    CHIP = 4
    CONTACTLESS = 5
    ECOMMERCE = 6


class Proof(IntEnum):
    """What the HSM said of the card's own proof: its verification value (CVV, CVV2) or cryptogram (ARQC)."""

    NONE = 0
    OK = 1
    WRONG_CVV = 2
    WRONG_ARQC = 3


class OriginalRef(msgspec.Struct, frozen=True, gc=False):
    """How a message names the payment that it follows (ISO 8583 DE90, DE37, DE12/13).

    `stan` 0 and an empty `transmission` (DE7) or `rrn` are not given; `kinds` are those that it may mean;
    `day` (yyyymmdd, Asia/Seoul) is the original's own if `day_exact`, else give or take one. `amount` (won)
    and `merchant_no` are the message's own, to tell candidates apart where STAN or DE7 are missing.
    """

    stan: int
    transmission: str
    kinds: tuple[int, ...]
    terminal_id: str
    day: int
    day_exact: bool = False
    rrn: str = ""
    amount: int = 0
    merchant_no: int = 0


class Request(msgspec.Struct, frozen=True, gc=False):
    """One message that passed the door: its card is known, its MAC and PIN are checked.

    `amount` in won; `content` a hash of all that a repeat may not change; `approval` the DE38 that it gets
    if approved; `expiry` yymm as the terminal read it, or None. `advice`: it has happened already (0220);
    `partial`: the terminal takes less than it asks for; `replacement` (won) what a partial reversal leaves
    standing (DE95), -1 without; `atc` the chip's transaction counter (EMV tag 9F36), 0 without; `batch_no`
    the terminal's, 0 without; `chip` what may be kept of the chip's data (DE55, hex), "" without. `case` is
    the donation case that a gift is for, `gift_from` the kind of money that it is made from ("" any);
    `outside_ref` the reference of a top-up outside this system, "" without.
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
    advice: bool = False
    partial: bool = False
    replacement: int = -1
    entry: int = Entry.KEYED
    proof: int = Proof.NONE
    atc: int = 0
    batch_no: int = 0
    chip: str = ""
    case: str = ""
    gift_from: str = ""
    outside_ref: str = ""


class Terms(msgspec.Struct, frozen=True):
    """What holds for one policy, merchant, day and channel: worked out once, used for many payments.

    `refused` lists the restrictions per lot kind name; `funder_no` numbers the programme's funders,
    `budget_no` its budgets by code and funder id. `campaigns` are those of grants and coupons, by number;
    `barred` the numbers of those whose money may not be spent here. `windows` are those of extra cashback
    that hold at this merchant and channel, with their beginning and end (yyyymmddhhmmss); `windows_by_code`
    all of them. `donation`: the merchant takes gifts, and nothing else.
    """

    policy: Policy
    policy_no: int
    merchant: Merchant
    groups: frozenset[str]
    refused: dict[str, tuple[Restriction, ...]]
    funder_no: dict[str, int]
    merchant_open: bool
    budget_no: dict[tuple[str, str], int] = {}
    campaigns: dict[int, Campaign] = {}
    barred: frozenset[int] = frozenset()
    windows: tuple[tuple[int, Campaign, int, int], ...] = ()
    windows_by_code: dict[str, tuple[int, Campaign]] = {}
    tag_bit: dict[str, int] = {}
    donation: bool = False
    stopped: bool = False


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
    batch_no: int
    detail: bytes
