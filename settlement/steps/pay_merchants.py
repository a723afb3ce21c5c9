"""Step 4: what each merchant gets for the date, line by line, and on which bank day.

One transaction books everything, from one pass over the merchants in order of their number; it is read and
written in chunks, so that memory does not grow with the programme. Payouts that had failed and whose accounts
were corrected since are ordered again in the same transaction.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, text

from settlement.desk import netted as desk
from settlement.desk import represent
from settlement.domain.netting import Held, Net, pay_on
from settlement.domain.run import State, Step
from settlement.domain.statement_line import HELD_BECAUSE
from settlement.files.naming import end_to_end_id
from settlement.frame import Frame
from settlement.report import MerchantLine, PayDate, PayOutcome
from settlement.steps import close_day
from settlement.store.runs import begin_step, end_step, open_for_booking, steps_of
from switch.ledger.chart import Account
from switch.ledger.journal import Entry, entry

ATTEMPT = 1

_HELD = text("""
    SELECT m.merchant_id, n.carried_out, n.held
    FROM merchant_net n JOIN merchant m USING (merchant_no)
    WHERE n.programme_no = :programme_no AND n.business_date = :day AND n.cycle = :cycle AND n.carried_out > 0
      AND n.held = :held
    ORDER BY m.merchant_id LIMIT :most
""")
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
    for row in _flat(frame):
        netted = desk.netted(policy, row)
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


def _entries(netted: Net, row: Row[Any]) -> Iterator[Entry]:
    """The net's lines as entries, each between the merchant's payable and its own account."""
    payable, merchant = Account.MERCHANT_PAYABLE, row.merchant_no
    for account, won in (
        (Account.FEE_INCOME, netted.fee),
        (Account.VAT_DUE, netted.vat),
        (Account.FEE_INCOME, -netted.rebate),
        (Account.VAT_DUE, -netted.rebate_vat),
    ):
        if won > 0:
            yield entry(payable, account, won, merchant_no=merchant)
        elif won < 0:
            yield entry(account, payable, -won, merchant_no=merchant)
    for funder, won in zip(row.funders or (), row.wons or (), strict=True):
        yield entry(Account.FUNDER_DUE, payable, won, merchant_no=merchant, funder_no=funder)
    if netted.released:
        yield entry(Account.MERCHANT_RESERVE, payable, netted.released, merchant_no=merchant)
    for account, won in (
        (Account.MERCHANT_RESERVE, netted.reserved),
        (Account.ROUNDING, netted.rounding),
        (Account.PAYOUT_SENT, netted.paid),
    ):
        if won:
            yield entry(payable, account, won, merchant_no=merchant)


class _Writer:
    """Turns rows of merchants into nets, payouts and entries, and copies them chunk by chunk."""

    def __init__(self, frame: Frame, booked_on: date) -> None:
        self.totals = _Totals()
        parts = (close_day.frozen_sha256(frame).encode(), frame.facts.sha256.encode())
        # What the step computes from: the frozen date, the rules, the bank days, every row as it was read.
        self.inputs = hashlib.sha256(b"\n".join((*parts, msgspec.json.encode(frame.run.facts), b"")))
        self._frame = frame
        self._booked_on = booked_on
        self._calendar = frame.run.facts.calendar()
        self._policy = frame.facts.policy_of(frame.day)
        self._posting = posting_name(frame)
        self._line = 0
        self._days: dict[int | None, date] = {}

    def write(self, rows: Sequence[Row[Any]]) -> None:
        key = self._frame.key
        run = (key.programme_no, key.business_date, key.cycle)
        nets: list[tuple[object, ...]] = []
        payouts: list[tuple[object, ...]] = []
        house: list[tuple[object, ...]] = []
        for row in rows:
            self.inputs.update(repr(tuple(row)).encode())
            netted = desk.netted(self._policy, row)
            on = self._pay_on(row.payout_days)
            self.totals.add(netted, on)
            nets.append((*run, *desk.as_row(key.business_date, row, netted)))
            if netted.paid:
                name = end_to_end_id(key.programme_no, key.business_date, key.cycle, row.merchant_no, ATTEMPT)
                payee = (row.bank_code, row.account_no, row.account_holder or row.name)
                payouts.append((*run, row.merchant_no, ATTEMPT, on, netted.paid, name, *payee))
            for booked in _entries(netted, row):
                self._line += 1
                accounts = (int(booked.debit), int(booked.credit), booked.won)
                numbers = (booked.merchant_no, booked.funder_no)
                house.append(
                    (key.programme_no, self._booked_on, self._posting, self._line, *accounts, *numbers)
                )
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


def _copy(connection: Connection, statement: str, rows: list[tuple[object, ...]]) -> None:
    """Rows into a table on the driver's own connection: inside the same transaction, at bulk speed."""
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def held_merchants(frame: Frame, most: int) -> list[str]:
    """Merchants whose money is held because they have no account to pay to."""
    run = {**frame.of_day(), "cycle": frame.key.cycle, "most": most}
    rows = frame.connection.execute(_HELD, {**run, "held": Held.ACCOUNT.value})
    return [
        f"merchant {merchant}: {won:,} won held, it has no bank account: add one, the next run pays it"
        for merchant, won, _ in rows
    ]
