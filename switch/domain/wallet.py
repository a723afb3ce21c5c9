"""A wallet as the decision sees it: lots, counters, cards. Plain values; the store fills and empties them."""

from enum import IntEnum

import msgspec

from switch.domain.calendar import add_months


class LotKind(IntEnum):
    """Kinds of value. The numbers are stored; never renumber."""

    CHARGED = 1
    POINTS = 2
    GRANT = 3
    COUPON = 4


LOT_KIND_NAME: dict[int, str] = {
    LotKind.CHARGED: "charged",
    LotKind.POINTS: "points",
    LotKind.GRANT: "grant",
    LotKind.COUPON: "coupon",
}
LOT_KIND_NO: dict[str, int] = {name: number for number, name in LOT_KIND_NAME.items()}

NEVER = 0
LOTS_MAX = 2_000
"""Lots with money in one wallet: every payment reads them all, so top-ups of one won may not pile up."""


class Lot(msgspec.Struct, gc=False):
    """Value of one origin. `balance`, `granted` in won; `opened`, `expires` (last valid day) yyyymmdd.

    `campaign_no` is the campaign that a grant or coupon comes from; 0 none. A coupon is whole
    (balance = granted) or it is used.
    """

    lot_no: int
    kind: int
    funder_no: int
    balance: int
    granted: int
    opened: int
    expires: int = NEVER
    campaign_no: int = 0

    def valid_on(self, day: int) -> bool:
        """Whether its value may be spent on this day (yyyymmdd)."""
        return self.expires == NEVER or day <= self.expires


def points_expiry(day: int, months: int) -> int:
    """Last valid day (yyyymmdd) of points earned on `day`: the end of the month `months` later.

    Points of one month share their last day, and so one lot.
    """
    same_day = add_months(day, months)
    # The last day of a month is what 31 January, moved by whole months, is cut to.
    first_year = same_day // 10_000
    return add_months(first_year * 10_000 + 131, same_day // 100 % 100 - 1)


class MonthUsage(msgspec.Struct, gc=False):
    """What a member did in one calendar month, in won. `basis` is the part that tiers count."""

    spent: int = 0
    basis: int = 0
    topup: int = 0


class Card(msgspec.Struct, gc=False):
    """A token that opens a wallet.

    `expiry` is yymm; `state` active, blocked, lost or stolen; `form` card, qr or mobile. `pin_tries` and
    `cvv_tries` count wrong ones in a row; `atc` is the highest transaction counter that its chip has shown
    (EMV tag 9F36); `tap_count` and `tap_won` count contactless payments without a PIN since the last PIN.
    """

    card_no: int
    state: str
    expiry: int
    pin_tries: int
    form: str = "card"
    atc: int = 0
    tap_count: int = 0
    tap_won: int = 0
    cvv_tries: int = 0


class Hold(msgspec.Struct, frozen=True, gc=False):
    """Money of a wallet that an open pre-authorisation keeps until `expires` (last valid day, yyyymmdd).

    `seq` is the posting number of its 0100, `local_day` (yyyymmdd) that 0100's own day. `uses` are the lots
    that will pay, in spending order, as (lot_no, kind, won); `won` is their sum, 0 once nothing is held.
    """

    seq: int
    local_day: int
    expires: int
    won: int
    uses: tuple[tuple[int, int, int], ...]


class Holder(IntEnum):
    """Whose wallet it is. The numbers are stored."""

    PERSON = 1
    COMPANY = 2


class Wallet(msgspec.Struct, gc=False):
    """A member's wallet. `month` and `day` count for the latest ones seen.

    Older months are in `past`; of older days, `past_days` holds what was loaded because a payment asks.
    `holds` counts the holds that the books keep for it; `held` has them, by the posting number of their 0100.
    `tags` has a bit for each of the programme's member tags (Programme.member_tags, the first is bit 0).
    `stopped_until` is the last day (yyyymmdd) on which the watch for illegal discounting stops it, 0 none.
    `campaign_won` is what campaigns with a bound per member have granted it, loaded where a payment asks.
    """

    bucket: int
    wallet_id: int
    programme_no: int
    active: bool
    points_on: bool
    seq: int
    lot_seq: int
    receivable: int
    month: int
    month_spent: int
    month_basis: int
    month_topup: int
    day: int
    day_spent: int
    holds: int
    tags: int
    holder: int
    stopped_until: int = 0
    lots: dict[int, Lot] = {}
    past: dict[int, MonthUsage] = {}
    cards: dict[int, Card] = {}
    past_days: dict[int, int] = {}
    held: dict[int, Hold] = {}
    campaign_won: dict[int, int] = {}

    def usage_of(self, month: int) -> MonthUsage:
        """Usage in a month (yyyymm). A month later than the latest one has none yet."""
        if month == self.month:
            return MonthUsage(self.month_spent, self.month_basis, self.month_topup)
        return self.past.get(month) or MonthUsage()

    def spent_on(self, day: int) -> int:
        """Won spent on a day (yyyymmdd), whenever its payments came."""
        return self.day_spent if day == self.day else self.past_days.get(day, 0)

    def ledger_balance(self) -> int:
        """Won in all lots, whether they may be spent here or not."""
        return sum(lot.balance for lot in self.lots.values())
