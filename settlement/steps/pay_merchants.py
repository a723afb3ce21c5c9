"""Step 4: what each merchant gets for the date: sales − refunds − fee ± carried, and on which bank day.

One transaction books everything, from one pass over the merchants in order of their number; it is read and
written in chunks, so that memory does not grow with the programme.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, text

from settlement.domain.netting import Net, net, pay_on
from settlement.domain.run import State, Step
from settlement.errors import ControlMismatchError
from settlement.files.naming import end_to_end_id
from settlement.frame import Frame
from settlement.report import MerchantLine, PayDate, PayOutcome
from settlement.steps import close_day
from settlement.store.runs import begin_step, end_step, open_for_booking, previous_run_date
from switch.domain.programme import Policy
from switch.ledger.chart import Account
from switch.ledger.journal import Entry, Source, entry

CHUNK_ROWS = 2_000
ATTEMPT = 1

# A merchant that carries has a row in every run until it is paid, so the run before this one knows them all.
_MERCHANTS = text(f"""
    SELECT merchant_no, coalesce(s.sales, 0) AS sales, coalesce(s.refunds, 0) AS refunds,
           coalesce(c.carried_out, 0) AS carried_in, m.merchant_id, m.name, m.payout_days, m.bank_code,
           m.account_no, m.account_holder, m.programme_no,
           (SELECT a.annual_sales FROM merchant_sales a WHERE a.merchant_no = m.merchant_no
            AND a.valid_from <= :day ORDER BY a.valid_from DESC LIMIT 1) AS annual_sales,
           EXISTS (SELECT FROM merchant_group g WHERE g.merchant_no = m.merchant_no
                   AND g.group_code = :donation_group AND g.valid_from <= :day
                   AND (g.valid_to IS NULL OR :day < g.valid_to)) AS donation
    FROM (
        SELECT merchant_no,
               (sum(won) FILTER (WHERE credit = {Account.MERCHANT_PAYABLE:d}))::bigint AS sales,
               (sum(won) FILTER (WHERE debit = {Account.MERCHANT_PAYABLE:d}))::bigint AS refunds
        FROM entry
        WHERE programme_no = :programme_no AND business_date = :day
          AND source IN ({Source.PAYMENT:d}, {Source.ACT:d})
          AND (debit = {Account.MERCHANT_PAYABLE:d} OR credit = {Account.MERCHANT_PAYABLE:d})
        GROUP BY merchant_no
    ) s FULL JOIN (
        SELECT merchant_no, carried_out FROM merchant_net
        WHERE programme_no = :programme_no AND business_date = :previous AND carried_out <> 0
    ) c USING (merchant_no)
    LEFT JOIN merchant m USING (merchant_no)
    ORDER BY merchant_no
""")  # noqa: S608 (numbers of our own enumerations)
_HELD = text("""
    SELECT m.merchant_id, n.carried_out FROM merchant_net n JOIN merchant m USING (merchant_no)
    WHERE n.programme_no = :programme_no AND n.business_date = :day AND n.cycle = :cycle AND n.carried_out > 0
    ORDER BY m.merchant_id LIMIT :most
""")
_COPY_NET = """COPY merchant_net (programme_no, business_date, cycle, merchant_no, sales, refunds,
    fee_rate_ppm, fee, carried_in, paid, carried_out) FROM STDIN"""
_COPY_PAYOUT = """COPY payout (programme_no, business_date, cycle, merchant_no, attempt, pay_on, won,
    end_to_end_id, bank_code, account_no, account_holder) FROM STDIN"""
_COPY_HOUSE = """COPY house_entry (programme_no, business_date, posting, line, debit, credit, won,
    merchant_no, funder_no) FROM STDIN"""


class _Totals:
    """Running sums of a pass over the merchants, turned into the step's outcome."""

    def __init__(self) -> None:
        self.merchants = self.sold = self.refunded = self.fees = 0
        self.carried_merchants = self.carried = self.held_merchants = self.held = 0
        self.count: Counter[Any] = Counter()
        self.won: Counter[Any] = Counter()

    def add(self, netted: Net, on: Any) -> None:
        self.merchants += 1
        self.sold += netted.sales
        self.refunded += netted.refunds
        self.fees += netted.fee
        if netted.paid:
            self.count[on] += 1
            self.won[on] += netted.paid
        elif netted.carried_out < 0:
            self.carried_merchants += 1
            self.carried += netted.carried_out
        elif netted.carried_out > 0:
            self.held_merchants += 1
            self.held += netted.carried_out

    def outcome(self) -> PayOutcome:
        by_date = tuple(PayDate(on, self.count[on], self.won[on]) for on in sorted(self.count))
        return PayOutcome(
            self.merchants,
            self.sold,
            self.refunded,
            self.fees,
            self.count.total(),
            self.won.total(),
            by_date,
            self.carried_merchants,
            self.carried,
            self.held_merchants,
            self.held,
        )


def preview(frame: Frame) -> tuple[PayOutcome, list[MerchantLine]]:
    """What the step would book, merchant by merchant, with nothing written."""
    totals = _Totals()
    lines: list[MerchantLine] = []
    calendar, policy = frame.run.facts.calendar(), frame.facts.policy_of(frame.day)
    for rows in _merchants(frame):
        for row in rows:
            netted = _net(frame, policy, row)
            on = pay_on(calendar, policy, row.payout_days, frame.day, frame.ordered_on)
            totals.add(netted, on)
            lines.append(
                MerchantLine(
                    row.merchant_id,
                    row.name,
                    netted.sales,
                    netted.refunds,
                    netted.fee,
                    netted.carried_in,
                    netted.paid,
                    netted.carried_out,
                    on,
                )
            )
    return totals.outcome(), lines


def run(frame: Frame) -> PayOutcome:
    """Book fees and payouts of the date on the open one. Raises ControlMismatchError."""
    connection, key = frame.connection, frame.key
    with connection.begin():
        booked_on = frame.open_date()
        open_for_booking(connection, key.programme_no, booked_on)
        begin_step(connection, key, Step.PAY_MERCHANTS, frame.now(), _inputs(frame))
        writer = _Writer(frame, booked_on)
        for rows in _merchants(frame):
            writer.write(rows)
            frame.observer.progress(Step.PAY_MERCHANTS.value, writer.totals.merchants, 0)
            frame.observer.reached("pay_merchants:chunk")
        outcome = writer.totals.outcome()
        end_step(connection, key, Step.PAY_MERCHANTS, frame.now(), State.DONE, outcome, booked_on)
        frame.observer.reached("pay_merchants:written")
    return outcome


def posting_name(frame: Frame) -> str:
    """The one posting of the house that a run's payment of merchants is."""
    return f"{Step.PAY_MERCHANTS.value}:{frame.day.isoformat()}:{frame.key.cycle}"


def _inputs(frame: Frame) -> str:
    """What the step computes from: the frozen date, the rules, the bank days."""
    parts = (close_day.frozen_sha256(frame).encode(), frame.facts.sha256.encode())
    return hashlib.sha256(b"\n".join((*parts, msgspec.json.encode(frame.run.facts)))).hexdigest()


def _merchants(frame: Frame) -> Iterator[Sequence[Row[Any]]]:
    previous = previous_run_date(frame.connection, frame.key)
    group = frame.facts.policy_of(frame.day).donation_group
    result = frame.connection.execute(
        _MERCHANTS,
        {**frame.of_day(), "previous": previous, "donation_group": group},
        execution_options={"yield_per": CHUNK_ROWS},
    )
    yield from result.partitions(CHUNK_ROWS)


def _net(frame: Frame, policy: Policy, row: Row[Any]) -> Net:
    if row.programme_no != frame.key.programme_no:
        raise ControlMismatchError(
            f"merchant {row.merchant_no} has postings of {frame.day} but the programme has no such merchant"
        )
    return net(
        policy,
        sales=row.sales,
        refunds=row.refunds,
        carried_in=row.carried_in,
        annual_sales=row.annual_sales,
        payable=bool(row.bank_code and row.account_no),
        donation=row.donation,
    )


def _entries(netted: Net, merchant_no: int) -> list[Entry]:
    payable, entries = Account.MERCHANT_PAYABLE, []
    if netted.fee > 0:
        entries.append(entry(payable, Account.FEE_INCOME, netted.fee, merchant_no=merchant_no))
    elif netted.fee < 0:
        entries.append(entry(Account.FEE_INCOME, payable, -netted.fee, merchant_no=merchant_no))
    if netted.paid:
        entries.append(entry(payable, Account.PAYOUT_SENT, netted.paid, merchant_no=merchant_no))
    return entries


class _Writer:
    """Turns rows of merchants into netting, payouts and entries, and copies them chunk by chunk."""

    def __init__(self, frame: Frame, booked_on: Any) -> None:
        self.totals = _Totals()
        self._frame = frame
        self._booked_on = booked_on
        self._calendar = frame.run.facts.calendar()
        self._policy = frame.facts.policy_of(frame.day)
        self._posting = posting_name(frame)
        self._line = 0

    def write(self, rows: Sequence[Row[Any]]) -> None:
        key = self._frame.key
        run = (key.programme_no, key.business_date, key.cycle)
        ordered_on = self._frame.ordered_on
        nets: list[tuple[object, ...]] = []
        payouts: list[tuple[object, ...]] = []
        house: list[tuple[object, ...]] = []
        for row in rows:
            netted = _net(self._frame, self._policy, row)
            on = pay_on(self._calendar, self._policy, row.payout_days, key.business_date, ordered_on)
            self.totals.add(netted, on)
            nets.append((*run, row.merchant_no, *msgspec.structs.astuple(netted)))
            if netted.paid:
                name = end_to_end_id(key.programme_no, key.business_date, key.cycle, row.merchant_no, ATTEMPT)
                payee = (row.bank_code, row.account_no, row.account_holder or row.name)
                payouts.append((*run, row.merchant_no, ATTEMPT, on, netted.paid, name, *payee))
            for booked in _entries(netted, row.merchant_no):
                self._line += 1
                accounts = (int(booked.debit), int(booked.credit), booked.won, booked.merchant_no, 0)
                house.append((key.programme_no, self._booked_on, self._posting, self._line, *accounts))
        connection = self._frame.connection
        _copy(connection, _COPY_NET, nets)
        _copy(connection, _COPY_PAYOUT, payouts)
        _copy(connection, _COPY_HOUSE, house)


def _copy(connection: Connection, statement: str, rows: list[tuple[object, ...]]) -> None:
    """Rows into a table on the driver's own connection: inside the same transaction, at bulk speed."""
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def held_merchants(frame: Frame, most: int) -> list[str]:
    """Merchants whose money is held because they have no account to pay to."""
    rows = frame.connection.execute(_HELD, {**frame.of_day(), "cycle": frame.key.cycle, "most": most})
    return [
        f"merchant {merchant}: {won:,} won held, it has no bank account: add one, the next run pays it"
        for merchant, won in rows
    ]
