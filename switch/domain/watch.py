"""Watching for illegal discounting (깡): the rules, what they look at, and what they say.

A rule is a [[watch]] of the programme file. The detectors (watch_volume and its neighbours) are given one
payment after another, in the stream as in history, and say where a rule is met. They judge nobody: a person
looks at each flag. The same payments give the same flags, whichever way they are read.
"""

import hashlib
from enum import IntEnum

import msgspec

from switch.domain.calendar import date_of_day, day_of_date

KINDS = ("volume", "new_shop", "repeats", "tickets", "share", "after_topup")
"""What a rule looks for."""
SUBJECTS = ("member", "shop")
ACTIONS = ("flag", "decline")

DAY_S = 86_400
WINDOW_DAYS_MAX = 31
LATE_DAYS, LATE_S = 2, DAY_S
"""How late a payment may come and still be counted to the full: in windows of days, and in shorter ones."""


class Subject(IntEnum):
    """Whom a flag is about. The numbers are stored."""

    MEMBER = 1
    SHOP = 2


class Watch(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One rule. Its window is `days` local days, the present one included, or `seconds` up to the payment.

    All thresholds that are given must be met together: `won` and `count` within the window, or on each of
    `on_days` days of it. `new_days`: the shop has been open for no longer. `similar_ppm`: how far amounts
    may lie apart. `factor`: so many times the shop's usual ticket, the `quantile_ppm` of its last ones, at
    least `sample` of them. `share_ppm`: of what the member spends, at one shop. `round_won`, `after_s`:
    multiples of it, so soon after a top-up. A flag takes in what follows within `quiet_days`; with the action
    `decline` its subject is stopped for `stop_days` after the last payment that it names.
    """

    code: str
    kind: str
    subject: str
    seconds: int = 0
    days: int = 0
    won: int = 0
    count: int = 0
    on_days: int = 0
    new_days: int = 0
    similar_ppm: int = 0
    factor: int = 0
    quantile_ppm: int = 500_000
    sample: int = 0
    share_ppm: int = 0
    round_won: int = 0
    after_s: int = 0
    action: str = "flag"
    stop_days: int = 0
    quiet_days: int = 7

    @property
    def subject_no(self) -> Subject:
        """Whom its flags are about."""
        return Subject.MEMBER if self.subject == "member" else Subject.SHOP

    @property
    def lookback_days(self) -> int:
        """How many local days before a payment its judgement may depend on."""
        return WINDOW_DAYS_MAX if self.kind == "tickets" else max(self.days, 1)


class Seen(msgspec.Struct, frozen=True, gc=False):
    """A payment as the watch sees it: a purchase that stands, or a top-up.

    `moment` in seconds (see moment_of); `won` what stands of it; `day`, `time` its own local ones.
    """

    programme_no: int
    bucket: int
    wallet_id: int
    seq: int
    merchant_no: int
    moment: int
    won: int
    topup: bool = False


class Hit(msgspec.Struct, frozen=True, gc=False):
    """A rule is met. `wallet_id` is 0 for a shop, `merchant_no` 0 for a member.

    The payments that speak for it are those of `of_wallet` (in `of_bucket`) at `of_merchant` (0 any) from
    `first` to `last` (seconds, both included), of `least` to `most` won; of a rule about top-ups, those too.
    """

    watch: Watch
    programme_no: int
    bucket: int
    wallet_id: int
    merchant_no: int
    first: int
    last: int
    figures: dict[str, int]
    of_bucket: int = 0
    of_wallet: int = 0
    of_merchant: int = 0
    least: int = 1
    most: int = 0
    with_topups: bool = False


def canonical_watch(watch: Watch) -> bytes:
    """The one byte form of a rule; its hash names exactly this rule."""
    return msgspec.json.encode(watch)


def watch_sha256(watch: Watch) -> str:
    """The hex SHA-256 of a rule."""
    return hashlib.sha256(canonical_watch(watch)).hexdigest()


def seconds_of(day: int, time: int) -> int:
    """Seconds since year 1 of a local day (yyyymmdd) and time (hhmmss). Raises ValueError on no day."""
    return date_of_day(day).toordinal() * DAY_S + time // 10_000 * 3_600 + time // 100 % 100 * 60 + time % 100


def moment_of_seconds(seconds: int) -> int:
    """yyyymmddhhmmss of such seconds."""
    days, rest = divmod(seconds, DAY_S)
    clock = rest // 3_600 * 10_000 + rest // 60 % 60 * 100 + rest % 60
    return day_of_date(type(date_of_day(20000101)).fromordinal(days)) * 1_000_000 + clock
