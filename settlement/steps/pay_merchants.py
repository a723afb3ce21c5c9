"""Step 4: what each merchant gets for the date, line by line, and on which bank day.

One transaction books everything, from one pass over the merchants in order of their number; it is read and
written in chunks, so that memory does not grow with the programme. Payouts that had failed and whose accounts
were corrected since are ordered again in the same transaction.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, text

from settlement.desk import netted as desk
from settlement.desk import represent
from settlement.domain.netting import HELD_BECAUSE, Held, Net, pay_on
from settlement.domain.run import State, Step
from settlement.files.naming import end_to_end_id
from settlement.frame import Frame
from settlement.report import MerchantLine, PayDate, PayOutcome
from settlement.steps import close_day
from settlement.store.runs import begin_step, end_step, open_for_booking, steps_of
from switch.ledger.chart import Account
from switch.ledger.journal import entry

ATTEMPT = 1
NULL = "\\N"
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

_HELD = text("""
    SELECT m.merchant_id, n.carried_out AS won, n.held
    FROM merchant_net n JOIN merchant m USING (merchant_no)
    WHERE n.programme_no = :programme_no AND n.business_date = :day AND n.cycle = :cycle AND n.carried_out > 0
      AND n.held IN (:none, :own)
    ORDER BY m.merchant_id LIMIT :most
""")
_ACCOUNT_FAULT: dict[str, str] = {
    Held.ACCOUNT: "it has no bank account: add one",
    Held.OWN: "its account is the one that merchants are paid from: correct it",
}
_RUN = ("programme_no", "business_date", "cycle")
_COPY_NET = f"COPY merchant_net ({', '.join((*_RUN, *desk.NET_COLUMNS))}) FROM STDIN"
_COPY_PAYOUT = """COPY payout (programme_no, business_date, cycle, merchant_no, attempt, pay_on, won,
    end_to_end_id, bank_code, account_no, account_holder) FROM STDIN"""
_COPY_HOUSE = """COPY house_entry (programme_no, business_date, posting, line, debit, credit, won,
    merchant_no, funder_no) FROM STDIN"""


class _Totals:
    """Running sums of a pass over the merchants, turned into the step's outcome."""

    def __init__(self) -> None:
        self.merchants = self.sold = self.refunded = self.fees = self.vat = 0
        self.rebates = self.subsidies = self.reserved = self.released = self.rounding = 0
        self.carried_merchants = self.carried = self.held_merchants = self.held = 0
        self.count: Counter[date] = Counter()
        self.won: Counter[date] = Counter()

    def add(self, netted: Net, on: date) -> None:
        self.merchants += 1
        self.sold += netted.sales
        self.refunded += netted.refunds
        self.fees += netted.fee
        self.vat += netted.vat
        self.rebates += netted.rebate + netted.rebate_vat
        self.subsidies += netted.subsidy
        self.reserved += netted.reserved
        self.released += netted.released
        self.rounding += netted.rounding
        if netted.paid:
            self.count[on] += 1
            self.won[on] += netted.paid
        elif netted.carried_out < 0:
            self.carried_merchants += 1
            self.carried += netted.carried_out
        elif netted.carried_out > 0:
            self.held_merchants += 1
            self.held += netted.carried_out

    def outcome(self, again: represent.Represented) -> PayOutcome:
        return PayOutcome(
            merchants=self.merchants,
            sold=self.sold,
            refunded=self.refunded,
            fees=self.fees,
            payouts=self.count.total(),
            paid=self.won.total(),
            by_date=tuple(PayDate(on, self.count[on], self.won[on]) for on in sorted(self.count)),
            carried_merchants=self.carried_merchants,
            carried=self.carried,
            held_merchants=self.held_merchants,
            held=self.held,
            vat=self.vat,
            rebates=self.rebates,
            subsidies=self.subsidies,
            reserved=self.reserved,
            released=self.released,
            rounding=self.rounding,
            again=again.payouts,
            again_won=again.won,
        )


def preview(frame: Frame) -> tuple[PayOutcome, list[MerchantLine]]:
    """What the step would book, merchant by merchant, with nothing written."""
    totals = _Totals()
    lines: list[MerchantLine] = []
    calendar, policy = frame.run.facts.calendar(), frame.facts.policy_of(frame.day)
    own = desk.payer(frame)
    for row in _flat(frame):
        netted = desk.netted(policy, row, own)
        on = pay_on(calendar, policy, row.payout_days, frame.day, frame.ordered_on)
        totals.add(netted, on)
        lines.append(_line(row, netted, on))
    return totals.outcome(represent.would(frame)), lines


def _flat(frame: Frame) -> Iterator[Row[Any]]:
    record = steps_of(frame.connection, frame.key).get(Step.PAY_MERCHANTS)
    for rows in desk.merchants(frame, taken=record is not None and record.state is State.DONE):
        yield from rows


def _line(row: Row[Any], netted: Net, on: date) -> MerchantLine:
    held = HELD_BECAUSE[netted.held] if netted.carried_out > 0 else ""
    return MerchantLine(
        merchant=row.merchant_id,
        name=row.name,
        sales=netted.sales,
        refunds=netted.refunds,
        fee=netted.fee,
        carried_in=netted.carried_in,
        paid=netted.paid,
        carried_out=netted.carried_out,
        pay_on=on,
        vat=netted.vat,
        rebate=netted.rebate,
        rebate_vat=netted.rebate_vat,
        subsidy=netted.subsidy,
        reserved=netted.reserved,
        released=netted.released,
        rounding=netted.rounding,
        held=held,
    )


def run(frame: Frame) -> PayOutcome:
    """Book nets and payouts of the run on the open date. Raises ControlMismatchError, UsageError."""
    connection, key = frame.connection, frame.key
    with connection.begin():
        desk.refuse_before_a_later_one(connection, key)
        booked_on = frame.open_date()
        open_for_booking(connection, key.programme_no, booked_on)
        begin_step(connection, key, Step.PAY_MERCHANTS, frame.now(), "")
        desk.take(frame)
        frame.observer.reached("pay_merchants:taken")
        writer = _Writer(frame, booked_on)
        for rows in desk.merchants(frame, taken=True):
            writer.write(rows)
            frame.observer.progress(Step.PAY_MERCHANTS.value, writer.totals.merchants, 0)
            frame.observer.reached("pay_merchants:chunk")
        again = represent.represent(frame, booked_on)
        frame.observer.reached("pay_merchants:represented")
        outcome = writer.totals.outcome(again)
        begin_step(connection, key, Step.PAY_MERCHANTS, frame.now(), writer.inputs.hexdigest())
        end_step(connection, key, Step.PAY_MERCHANTS, frame.now(), State.DONE, outcome, booked_on)
        frame.observer.reached("pay_merchants:written")
    return outcome


def posting_name(frame: Frame) -> str:
    """The one posting of the house that a run's payment of merchants is."""
    return f"{Step.PAY_MERCHANTS.value}:{frame.day.isoformat()}:{frame.key.cycle}"


def _pair(debit: Account, credit: Account) -> tuple[int, int]:
    """Two accounts that the chart lets meet, for a merchant and a funder."""
    one = entry(debit, credit, 1, merchant_no=1, funder_no=1)
    return int(one.debit), int(one.credit)


_PAYABLE = Account.MERCHANT_PAYABLE
_FEE, _FEE_BACK = _pair(_PAYABLE, Account.FEE_INCOME), _pair(Account.FEE_INCOME, _PAYABLE)
_VAT, _VAT_BACK = _pair(_PAYABLE, Account.VAT_DUE), _pair(Account.VAT_DUE, _PAYABLE)
_SUBSIDY = _pair(Account.FUNDER_DUE, _PAYABLE)
_RELEASED = _pair(Account.MERCHANT_RESERVE, _PAYABLE)
_RESERVED = _pair(_PAYABLE, Account.MERCHANT_RESERVE)
_ROUNDING = _pair(_PAYABLE, Account.ROUNDING)
_PAID = _pair(_PAYABLE, Account.PAYOUT_SENT)


def _entries(netted: Net, row: Row[Any]) -> Iterator[tuple[tuple[int, int], int, int]]:
    """The net's lines as entries: the two accounts, won above 0, the funder or 0.

    The chart was asked about each pair once: a million entries of a night need not ask again.
    """
    for won, taken, given in (
        (netted.fee, _FEE, _FEE_BACK),
        (netted.vat, _VAT, _VAT_BACK),
        (netted.rebate, _FEE_BACK, _FEE),
        (netted.rebate_vat, _VAT_BACK, _VAT),
    ):
        if won:
            yield (taken, won, 0) if won > 0 else (given, -won, 0)
    if row.funders:
        for funder, won in zip(row.funders, row.wons, strict=True):
            yield _SUBSIDY, won, funder
    for won, pair in (
        (netted.released, _RELEASED),
        (netted.reserved, _RESERVED),
        (netted.rounding, _ROUNDING),
        (netted.paid, _PAID),
    ):
        if won:
            yield pair, won, 0


class _Writer:
    """Turns rows of merchants into nets, payouts and entries, and copies them chunk by chunk."""

    def __init__(self, frame: Frame, booked_on: date) -> None:
        self.totals = _Totals()
        parts = (close_day.frozen_sha256(frame).encode(), frame.facts.sha256.encode())
        # What the step computes from: the frozen date, the rules, the bank days, every row as it was read.
        self.inputs = hashlib.sha256(b"\n".join((*parts, msgspec.json.encode(frame.run.facts), b"")))
        self._frame = frame
        self._calendar = frame.run.facts.calendar()
        self._policy = frame.facts.policy_of(frame.day)
        self._own = desk.payer(frame)
        self._posting = f"{frame.key.programme_no}\t{booked_on}\t{posting_name(frame)}"
        self._line = 0
        self._days: dict[int | None, date] = {}

    def write(self, rows: Sequence[Row[Any]]) -> None:
        key = self._frame.key
        run = f"{key.programme_no}\t{key.business_date}\t{key.cycle}"
        nets: list[str] = []
        payouts: list[str] = []
        house: list[str] = []
        for row in rows:
            self.inputs.update(repr(tuple(row)).encode())
            number = row.merchant_no
            netted = desk.netted(self._policy, row, self._own)
            on = self._pay_on(row.payout_days)
            self.totals.add(netted, on)
            *values, since = desk.as_row(key.business_date, row, netted)
            nets.append(f"{run}\t{_tabbed(values)}\t{since or NULL}")
            if netted.paid:
                name = end_to_end_id(key.programme_no, key.business_date, key.cycle, number, ATTEMPT)
                payee = _escaped((row.bank_code, row.account_no, row.account_holder or row.name))
                payouts.append(f"{run}\t{number}\t{ATTEMPT}\t{on}\t{netted.paid}\t{name}\t{payee}")
            for (debit, credit), won, funder in _entries(netted, row):
                self._line += 1
                house.append(f"{self._posting}\t{self._line}\t{debit}\t{credit}\t{won}\t{number}\t{funder}")
        connection = self._frame.connection
        _copy(connection, _COPY_NET, nets)
        _copy(connection, _COPY_PAYOUT, payouts)
        _copy(connection, _COPY_HOUSE, house)

    def _pay_on(self, payout_days: int | None) -> date:
        found = self._days.get(payout_days)
        if found is None:
            frame = self._frame
            found = pay_on(self._calendar, self._policy, payout_days, frame.day, frame.ordered_on)
            self._days[payout_days] = found
        return found


def _tabbed(values: Iterable[object]) -> str:
    return "\t".join(map(str, values))


def _escaped(texts: Iterable[str]) -> str:
    """Texts as COPY reads them: what would end a field or a line is escaped."""
    return "\t".join(text.translate(_ESCAPES) for text in texts)


def _copy(connection: Connection, statement: str, lines: list[str]) -> None:
    """Lines into a table on the driver's own connection: inside the same transaction, at bulk speed."""
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        if lines:
            copy.write("\n".join(lines) + "\n")


def held_merchants(frame: Frame, most: int) -> list[str]:
    """Merchants whose money is held because they have no account that it can be paid to."""
    run = {**frame.of_day(), "cycle": frame.key.cycle, "most": most}
    rows = frame.connection.execute(_HELD, {**run, "none": Held.ACCOUNT.value, "own": Held.OWN.value})
    return [
        f"merchant {row.merchant_id}: {row.won:,} won held, {_ACCOUNT_FAULT[row.held]}, the next run pays it"
        for row in rows
    ]
