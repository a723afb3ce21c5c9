"""What goes into the nets of a run, and the nets that come out: one pass over the merchants by number.

What operators have decided enters as the run has taken it: approved rebates and subsidies carry the run that
pays them, and each net keeps the terms that it was made by. So the rows of a run follow again, at any later
time, from what is stored (`recompute`).
"""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, and_, select, text, tuple_

from settlement.domain.netting import Held, Net, Terms, carried_since, net, terms
from settlement.domain.run import State, Step
from settlement.errors import ControlMismatchError, UsageError
from settlement.frame import Frame
from settlement.store.runs import RunKey
from settlement.store.schema import merchant_net, settlement_step
from switch.domain.programme import Policy
from switch.ledger.chart import Account
from switch.ledger.journal import Source

CHUNK_ROWS = 2_000
NET_COLUMNS = ("merchant_no", *Net.__struct_fields__, "carried_since")
"""The columns of merchant_net beside its run, in the order of `recompute` and `recorded`."""

# A merchant that carries, or of which something is kept back, has a row in every run: so the run before this
# one knows them all. The first cycle of a date has its trade; what is approved waits for the next run.
_MERCHANTS = """
    WITH traded AS (
        SELECT merchant_no,
               coalesce((sum(won) FILTER (WHERE credit = {payable:d}))::bigint, 0) AS sales,
               coalesce((sum(won) FILTER (WHERE debit = {payable:d}))::bigint, 0) AS refunds
        FROM entry
        WHERE programme_no = :programme_no AND business_date = :day AND :cycle = 1
          AND source IN ({payment:d}, {act:d}) AND (debit = {payable:d} OR credit = {payable:d})
        GROUP BY merchant_no
    ), before AS (
        SELECT merchant_no, carried_out AS carried_in, carried_since AS carried_before, reserve AS reserve_in
        FROM merchant_net
        WHERE programme_no = :programme_no AND business_date = :previous_date AND cycle = :previous_cycle
          AND (carried_out <> 0 OR reserve <> 0)
    ), rebates AS (
        SELECT merchant_no, sum(won)::bigint AS rebate, sum(vat)::bigint AS rebate_vat
        FROM fee_rebate WHERE programme_no = :programme_no AND {taken} GROUP BY merchant_no
    ), subsidies AS (
        SELECT merchant_no, sum(won)::bigint AS subsidy, array_agg(funder_no ORDER BY funder_no) AS funders,
               array_agg(won ORDER BY funder_no) AS wons
        FROM (SELECT merchant_no, funder_no, sum(won)::bigint AS won FROM merchant_subsidy
              WHERE programme_no = :programme_no AND {taken} GROUP BY merchant_no, funder_no) s
        GROUP BY merchant_no
    ), holds AS (
        SELECT merchant_no, bool_or(kind = 'hold') AS on_hold,
               coalesce(max(rate_ppm) FILTER (WHERE kind = 'reserve'), 0) AS reserve_ppm,
               coalesce(max(max_won) FILTER (WHERE kind = 'reserve'), 0) AS reserve_max
        FROM merchant_hold WHERE programme_no = :programme_no AND released_at IS NULL GROUP BY merchant_no
    )
    SELECT merchant_no, coalesce(sales, 0) AS sales, coalesce(refunds, 0) AS refunds,
           coalesce(carried_in, 0) AS carried_in, carried_before, coalesce(reserve_in, 0) AS reserve_in,
           coalesce(rebate, 0) AS rebate, coalesce(rebate_vat, 0) AS rebate_vat,
           coalesce(subsidy, 0) AS subsidy, funders, wons, coalesce(on_hold, false) AS on_hold,
           coalesce(h.reserve_ppm, 0) AS reserve_ppm, coalesce(h.reserve_max, 0) AS reserve_max,
           m.merchant_id, m.name, m.payout_days, m.bank_code, m.account_no, m.account_holder, m.programme_no,
           (SELECT a.annual_sales FROM merchant_sales a WHERE a.merchant_no = m.merchant_no
            AND a.valid_from <= :day ORDER BY a.valid_from DESC LIMIT 1) AS annual_sales,
           EXISTS (SELECT FROM merchant_group g WHERE g.merchant_no = m.merchant_no
                   AND g.group_code = :donation_group AND g.valid_from <= :day
                   AND (g.valid_to IS NULL OR :day < g.valid_to)) AS donation{more}
    FROM traded FULL JOIN before USING (merchant_no) FULL JOIN rebates USING (merchant_no)
    FULL JOIN subsidies USING (merchant_no) LEFT JOIN holds h USING (merchant_no)
    LEFT JOIN merchant m USING (merchant_no){joined}
    ORDER BY merchant_no
"""
_BY_THIS_RUN = "taken_date = :day AND taken_cycle = :cycle"
_WAITING = "taken_date IS NULL AND approved_at IS NOT NULL"
_NUMBERS = {"payable": Account.MERCHANT_PAYABLE, "payment": Source.PAYMENT, "act": Source.ACT}
_TAKEN = text(_MERCHANTS.format(**_NUMBERS, taken=_BY_THIS_RUN, more="", joined=""))
_WOULD_TAKE = text(_MERCHANTS.format(**_NUMBERS, taken=_WAITING, more="", joined=""))
_STORED_TERMS = text(
    _MERCHANTS.format(
        **_NUMBERS,
        taken=_BY_THIS_RUN,
        more=", stored_rate, stored_held, stored_reserve, stored_max",
        joined=" LEFT JOIN (SELECT merchant_no, fee_rate_ppm AS stored_rate, held AS stored_held,"
        " reserve_ppm AS stored_reserve, reserve_max AS stored_max FROM merchant_net"
        " WHERE programme_no = :programme_no AND business_date = :day AND cycle = :cycle) n"
        " USING (merchant_no)",
    )
)
_TAKE = tuple(
    text(
        f"UPDATE {table} SET taken_date = :day, taken_cycle = :cycle"  # noqa: S608 (our own two names)
        " WHERE programme_no = :programme_no AND taken_date IS NULL AND approved_at IS NOT NULL"
    )
    for table in ("fee_rebate", "merchant_subsidy")
)


def take(frame: Frame) -> None:
    """Mark what is approved and waits as paid by this run, in the transaction that pays it."""
    for statement in _TAKE:
        frame.connection.execute(statement, _of_run(frame))


def merchants(frame: Frame, *, taken: bool) -> Iterator[Sequence[Row[Any]]]:
    """What goes into the nets, in chunks; `taken`: the run has taken what is approved, else it would.

    Raises ControlMismatchError on postings of a merchant that is not the programme's.
    """
    yield from _chunks(frame, _TAKEN if taken else _WOULD_TAKE)


def payer(frame: Frame) -> tuple[str, str]:
    """Bank and account that merchants are paid from, the account without hyphens."""
    found = frame.settings.originator.get(frame.facts.programme_id)
    return (found.bank, found.account.replace("-", "")) if found else ("", "")


def netted(policy: Policy, row: Row[Any], own: tuple[str, str]) -> Net:
    """The net of one row of `merchants`, by what holds now; `policy` is the date's, `own` the `payer`."""
    held = Held.NOT
    if row.on_hold:
        held = Held.HOLD
    elif not (row.bank_code and row.account_no):
        held = Held.ACCOUNT
    elif (row.bank_code, row.account_no.replace("-", "")) == own:
        held = Held.OWN  # no bank takes such an order, and the file would not leave
    return _net(
        terms(
            policy,
            row.annual_sales,
            donation=row.donation,
            held=held,
            reserve_ppm=row.reserve_ppm,
            reserve_max=row.reserve_max,
        ),
        row,
    )


def as_row(day: date, row: Row[Any], one: Net) -> tuple[object, ...]:
    """A net as NET_COLUMNS."""
    since = carried_since(row.carried_in, row.carried_before, one.carried_out, day)
    return (row.merchant_no, *msgspec.structs.astuple(one), since)


def recompute(frame: Frame) -> Iterator[tuple[object, ...]]:
    """The run's rows of merchant_net as NET_COLUMNS, again, from the journal and what the run has taken.

    Rate, hold and reserve are those that the row keeps: a class or a hold of today must not change a run of
    the past. Needs the caller's transaction.
    """
    policy, own = frame.facts.policy_of(frame.day), payer(frame)
    for rows in _chunks(frame, _STORED_TERMS):
        for row in rows:
            if row.stored_rate is None:
                yield as_row(frame.day, row, netted(policy, row, own))
                continue
            held = Held.NOT if row.stored_held == Held.SMALL else Held(row.stored_held)
            by = Terms(row.stored_rate, policy.fee_vat_ppm, policy.payout_unit, held)
            by = msgspec.structs.replace(by, reserve_ppm=row.stored_reserve, reserve_max=row.stored_max)
            yield as_row(frame.day, row, _net(by, row))


def recorded(frame: Frame) -> Iterator[tuple[object, ...]]:
    """The run's rows of merchant_net as they are stored, as NET_COLUMNS, by merchant."""
    query = (
        select(*(merchant_net.c[name] for name in NET_COLUMNS))
        .where(
            merchant_net.c.programme_no == frame.key.programme_no,
            merchant_net.c.business_date == frame.day,
            merchant_net.c.cycle == frame.key.cycle,
        )
        .order_by(merchant_net.c.merchant_no)
    )
    result = frame.connection.execute(query, execution_options={"yield_per": CHUNK_ROWS})
    for rows in result.partitions(CHUNK_ROWS):
        yield from (tuple(row) for row in rows)


def previous_run(connection: Connection, key: RunKey) -> tuple[date, int] | None:
    """Business date and cycle of the programme's last run before this one that paid its merchants."""
    step = settlement_step.c
    run = tuple_(step.business_date, step.cycle)
    this = tuple_(key.business_date, key.cycle)
    paid = and_(
        step.programme_no == key.programme_no,
        step.step == Step.PAY_MERCHANTS.value,
        step.state == State.DONE.value,
    )
    query = select(step.business_date, step.cycle).order_by(step.business_date.desc(), step.cycle.desc())
    found = connection.execute(query.where(paid, run < this).limit(1)).first()
    return (found.business_date, found.cycle) if found else None


def refuse_before_a_later_one(connection: Connection, key: RunKey) -> None:
    """Raise UsageError if a later run has paid: it has carried on what this one would carry in."""
    step = settlement_step.c
    later = connection.execute(
        select(step.business_date, step.cycle).where(
            step.programme_no == key.programme_no,
            step.step == Step.PAY_MERCHANTS.value,
            step.state == State.DONE.value,
            tuple_(step.business_date, step.cycle) > tuple_(key.business_date, key.cycle),
        )
    ).first()
    if later is not None:
        raise UsageError(
            f"the run of {later.business_date} (cycle {later.cycle}) has paid merchants already and comes"
            f" after {key.business_date} (cycle {key.cycle}): pay again with the latest date"
        )


def _net(by: Terms, row: Row[Any]) -> Net:
    return net(
        by,
        sales=row.sales,
        refunds=row.refunds,
        rebate=row.rebate,
        rebate_vat=row.rebate_vat,
        subsidy=row.subsidy,
        carried_in=row.carried_in,
        reserve_in=row.reserve_in,
    )


def _chunks(frame: Frame, statement: Any) -> Iterator[Sequence[Row[Any]]]:
    previous = previous_run(frame.connection, frame.key) or (None, None)
    parameters = {
        **_of_run(frame),
        "previous_date": previous[0],
        "previous_cycle": previous[1],
        "donation_group": frame.facts.policy_of(frame.day).donation_group,
    }
    result = frame.connection.execute(statement, parameters, execution_options={"yield_per": CHUNK_ROWS})
    for rows in result.partitions(CHUNK_ROWS):
        for row in rows:
            if row.programme_no != frame.key.programme_no:
                raise ControlMismatchError(
                    f"merchant {row.merchant_no} has postings of {frame.day} but the programme has no such"
                    " merchant"
                )
        yield rows


def _of_run(frame: Frame) -> dict[str, object]:
    return {**frame.of_day(), "cycle": frame.key.cycle}
