"""What a merchant's statement says: every line of its netting, every payout, and the proof that they add up.

    opening carried + sales − refunds − fee − tax + rebates + subsidies − kept back + released − rounding
    = paid + closing carried

checked line by line, from line to line and in sum, before a word of it is written.
"""

from collections.abc import Sequence
from datetime import date

import msgspec

from settlement.errors import ControlMismatchError
from settlement.papers.period import Period


class NetLine(msgspec.Struct, frozen=True):
    """One business date and cycle of one merchant, in won (see settlement.domain.netting)."""

    business_date: date
    cycle: int
    sales: int
    refunds: int
    fee_rate_ppm: int
    fee: int
    vat: int
    rebate: int
    rebate_vat: int
    subsidy: int
    reserved: int
    released: int
    rounding: int
    carried_in: int
    paid: int
    carried_out: int
    held: str  # why nothing was paid: settlement.domain.netting.Held
    reserve: int  # what stays kept back after it

    @property
    def earned(self) -> int:
        """What the date came to before anything that was carried."""
        plus = self.sales + self.rebate + self.rebate_vat + self.subsidy + self.released
        return plus - self.refunds - self.fee - self.vat - self.reserved - self.rounding


class PayoutLine(msgspec.Struct, frozen=True):
    """One try of paying a line: `state` and `reason` as stored (settlement.domain.payouts)."""

    business_date: date
    cycle: int
    attempt: int
    pay_on: date
    won: int
    bank_code: str
    account_no: str
    account_holder: str
    state: str
    reason: str
    booked_on: date | None
    returned_on: date | None
    end_to_end_id: str


class Merchant(msgspec.Struct, frozen=True):
    """Whose statement it is."""

    merchant_no: int
    merchant_id: str
    name: str
    business_no: str
    programme_no: int
    programme: str


class Statement(msgspec.Struct, frozen=True):
    """One merchant and period, proven by `prove`. `opening` and `closing` are what was carried (below 0: the
    merchant owed it). `settled_through` is the last date of the period that is settled, if any."""

    merchant: Merchant
    period: Period
    settled_through: date | None
    opening: int
    closing: int
    lines: tuple[NetLine, ...]
    payouts: tuple[PayoutLine, ...]


SUMMED = (
    *("sales", "refunds", "fee", "vat", "rebate", "rebate_vat"),
    *("subsidy", "reserved", "released", "rounding", "paid"),
)


def totals(lines: Sequence[NetLine]) -> dict[str, int]:
    """The sum of every amount of the lines, by name."""
    return {name: sum(getattr(line, name) for line in lines) for name in SUMMED}


def prove(statement: Statement) -> Statement:
    """The same statement, if it adds up. Raises ControlMismatchError that names the first difference."""
    fault = _fault(statement)
    if fault:
        raise ControlMismatchError(
            f"no statement for merchant {statement.merchant.merchant_id}: {fault}: run dure-switch proof"
        )
    return statement


def _fault(statement: Statement) -> str:
    carried = statement.opening
    for line in statement.lines:
        where = f"{line.business_date} cycle {line.cycle}"
        if line.carried_in != carried:
            return f"{where} carries in {line.carried_in:,} won, the line before carried out {carried:,}"
        if line.earned + line.carried_in != line.paid + line.carried_out:
            return f"{where} does not add up"
        carried = line.carried_out
    if carried != statement.closing:
        return f"its lines carry out {carried:,} won, it closes with {statement.closing:,}"
    summed = totals(statement.lines)
    earned = sum(line.earned for line in statement.lines)
    if statement.opening + earned != summed["paid"] + statement.closing:
        return "its sums do not add up"
    return _payout_fault(statement)


def _payout_fault(statement: Statement) -> str:
    paid = {(line.business_date, line.cycle): line.paid for line in statement.lines if line.paid}
    first = {(one.business_date, one.cycle): one.won for one in statement.payouts if one.attempt == 1}
    for key in sorted(paid.keys() | first.keys()):
        if paid.get(key, 0) != first.get(key, 0):
            where = f"{key[0]} cycle {key[1]}"
            return f"{where} nets {paid.get(key, 0):,} won and its payout is {first.get(key, 0):,}"
    for one in statement.payouts:
        if one.won != first.get((one.business_date, one.cycle)):
            return f"attempt {one.attempt} of {one.business_date} cycle {one.cycle} pays another amount"
    return ""


def last_attempts(payouts: Sequence[PayoutLine]) -> list[PayoutLine]:
    """Of each line the try that counts: the last one."""
    latest: dict[tuple[date, int], PayoutLine] = {}
    for one in sorted(payouts, key=lambda each: (each.business_date, each.cycle, each.attempt)):
        latest[one.business_date, one.cycle] = one
    return list(latest.values())
