"""What a replay found, counted as it goes: payments that flip, days, merchants. Tallies of parts add up."""

import msgspec

from switch.domain.granting import first_grants
from switch.domain.payment import Kind, Outcome
from switch.domain.replay_budget import moment_of_arrival
from switch.domain.replay_values import Verdict, taken_of

_ASKED = frozenset({Kind.PURCHASE, Kind.PREAUTH, Kind.TOPUP})
_NOT_DONE = frozenset({Outcome.DECLINED, Outcome.ACKNOWLEDGED, Outcome.EXCEPTION})


class Example(msgspec.Struct, frozen=True):
    """One payment that flips. `short` won are missing under the rules that refuse it; `limit` is theirs."""

    bucket: int
    wallet_id: int
    seq: int
    local_day: int
    local_time: int
    rrn: str
    card_no: int
    merchant_no: int
    kind: int
    amount: int
    reason_then: int
    reason_now: int
    approved_then: int
    approved_now: int
    limit: int = 0
    short: int = 0


def _when(one: Example) -> tuple[int, int, int, int]:
    return one.local_day, one.local_time, one.wallet_id, one.seq


class Flip(msgspec.Struct):
    """Payments whose answer changes in the same way: how many, for how many won (what they asked for)."""

    payments: int = 0
    won: int = 0
    examples: list[Example] = []


class Day(msgspec.Struct):
    """A business date: purchases, pre-authorisations and top-ups; how many were refused; won paid."""

    payments: int = 0
    declined_then: int = 0
    declined_now: int = 0
    won_then: int = 0
    won_now: int = 0


class Touched(msgspec.Struct):
    """What changes for one merchant or member: payments refused now, and approved now; won paid."""

    refused: int = 0
    approved: int = 0
    won: int = 0


class Tally(msgspec.Struct):
    """Counts over payments. `flips` by (reason then, now); `then` cashback by (business day, funder_no).

    `ended` is when budgets fell short at the time, by (budget_no, month): yyyymmddhhmmss.
    """

    wallets: int = 0
    payments: int = 0
    as_booked: int = 0
    fell_away: int = 0
    other_amount: int = 0
    flips: dict[tuple[int, int], Flip] = {}
    days: dict[int, Day] = {}
    then: dict[tuple[int, int], int] = {}
    merchants: dict[int, Touched] = {}
    members: dict[int, Touched] = {}
    ended: dict[tuple[int, int], int] = {}

    def add(self, verdict: Verdict, examples_max: int) -> None:
        """Count one payment."""
        stored = verdict.past.stored
        self.payments += 1
        self.as_booked += not verdict.judged
        self.fell_away += verdict.fell_away
        self._cashback_then(verdict)
        if stored.key.kind not in _ASKED:
            return
        was = 0 if stored.outcome in _NOT_DONE else stored.approved
        now = verdict.approved if verdict.judged else was
        day = self.days.get(stored.business_day)
        if day is None:
            day = self.days[stored.business_day] = Day()
        day.payments += 1
        day.declined_then += not was
        day.declined_now += not now
        if stored.key.kind == Kind.PURCHASE:
            day.won_then += was
            day.won_now += now
        if verdict.fell_away:
            return  # counted as such: nobody refuses it
        if bool(was) != bool(now):
            self._flip(verdict, was, now, examples_max)
        elif was != now:
            self.other_amount += 1

    def _flip(self, verdict: Verdict, was: int, now: int, examples_max: int) -> None:
        stored, detail = verdict.past.stored, verdict.detail if was else verdict.past.detail
        flip = self.flips.setdefault((stored.reason, verdict.reason), Flip())
        flip.payments += 1
        flip.won += stored.amount
        for table, key in ((self.merchants, stored.merchant_no), (self.members, stored.wallet_id)):
            touched = table.setdefault(key, Touched())
            touched.refused += bool(was)
            touched.approved += bool(now)
            touched.won += (now - was) if stored.key.kind == Kind.PURCHASE else 0
        if len(flip.examples) < examples_max:
            flip.examples.append(
                Example(
                    *(stored.key.bucket, stored.wallet_id, stored.seq, stored.key.local_day),
                    *(stored.key.local_time, stored.rrn, stored.card_no, stored.merchant_no),
                    *(stored.key.kind, stored.amount, stored.reason, verdict.reason, was, now),
                    *((detail.limit, detail.short) if detail is not None else (0, 0)),
                )
            )

    def _cashback_then(self, verdict: Verdict) -> None:
        stored, detail = verdict.past.stored, verdict.past.detail
        if stored.cashback:
            bought = stored.key.kind == Kind.PURCHASE
            for funder, _, won in first_grants(detail) if bought else taken_of(verdict.past):
                key = (stored.business_day, funder)
                self.then[key] = self.then.get(key, 0) + (won if bought else -won)
        if detail.missed and stored.key.kind == Kind.PURCHASE:
            moment = moment_of_arrival(stored.business_day, stored.key.local_day, stored.key.local_time)
            for _, budget, _ in detail.missed:
                at = (budget, stored.usage_month)
                self.ended[at] = min(self.ended.get(at, moment), moment)

    def merge(self, other: "Tally", examples_max: int) -> None:
        """Add the counts of another part of the wallets."""
        self.wallets += other.wallets
        self.payments += other.payments
        self.as_booked += other.as_booked
        self.fell_away += other.fell_away
        self.other_amount += other.other_amount
        for at, flip in other.flips.items():
            mine = self.flips.setdefault(at, Flip())
            mine.payments += flip.payments
            mine.won += flip.won
            # The first ones of all: the same whichever part came first.
            mine.examples = sorted(mine.examples + flip.examples, key=_when)[:examples_max]
        for number, day in other.days.items():
            own = self.days.setdefault(number, Day())
            for name in Day.__struct_fields__:
                setattr(own, name, getattr(own, name) + getattr(day, name))
        for key, won in other.then.items():
            self.then[key] = self.then.get(key, 0) + won
        for mine_of, others in ((self.merchants, other.merchants), (self.members, other.members)):
            for number, touched in others.items():
                known = mine_of.setdefault(number, Touched())
                for name in Touched.__struct_fields__:
                    setattr(known, name, getattr(known, name) + getattr(touched, name))
        for pool, moment in other.ended.items():
            self.ended[pool] = min(self.ended.get(pool, moment), moment)
