"""Public money for cashback: what funders have paid in ahead is used for it, and moved to the members' money.

A funder with an account of its own (settings.funding) pays in ahead. What it has paid in and not used must
cover its part of a date's cashback, else that part is not credited – the merchants are paid all the same –
until a later night finds it covered. A funder without such an account is owed to, and billed.
"""

from datetime import date
from typing import Any

import msgspec
from sqlalchemy import insert, select, text, update

from settlement.domain.funding import Owed, cover
from settlement.domain.run import Step
from settlement.errors import ConfigurationError
from settlement.files.naming import transfer_end_to_end_id
from settlement.frame import Frame
from settlement.reference import Facts
from settlement.settings import Originator, Settings
from settlement.store.house import book
from settlement.store.runs import open_for_booking
from settlement.store.schema_bank import funding_night, funding_stop, house_transfer
from switch.ledger.chart import Account
from switch.ledger.journal import Entry, Source, entry

THE_DECISION = 0
"""The row of funding_night that says a night was decided, whether or not any funder pays in ahead."""

ATTEMPT = 1

_NETS = text(f"""
    SELECT funder_no, sum(CASE WHEN debit = {Account.FUNDER_DUE:d} THEN won ELSE -won END)::bigint AS net
    FROM entry
    WHERE programme_no = :programme_no AND business_date = :day AND source = {Source.PAYMENT:d}
      AND ((debit = {Account.FUNDER_DUE:d} AND credit = {Account.CASHBACK_ACCRUED:d})
        OR (debit = {Account.CASHBACK_ACCRUED:d} AND credit = {Account.FUNDER_DUE:d}))
    GROUP BY funder_no
""")  # noqa: S608 (numbers of our own enumerations)
_PREPAID = text(f"""
    SELECT funder_no,
           sum(CASE WHEN credit = {Account.FUNDER_PREPAID:d} THEN won ELSE -won END)::bigint AS won
    FROM house_entry
    WHERE programme_no = :programme_no
      AND (debit = {Account.FUNDER_PREPAID:d} OR credit = {Account.FUNDER_PREPAID:d})
    GROUP BY funder_no
""")  # noqa: S608
# What the night has used of a funder's prepayment, ever; and what it has earned, ever.
_USED = text(f"""
    SELECT funder_no, sum(CASE WHEN credit = {Account.FUNDER_DUE:d} THEN won ELSE -won END)::bigint AS won
    FROM house_entry
    WHERE programme_no = :programme_no
      AND ((debit = {Account.FUNDER_PREPAID:d} AND credit = {Account.FUNDER_DUE:d})
        OR (debit = {Account.FUNDER_DUE:d} AND credit = {Account.FUNDER_PREPAID:d}))
    GROUP BY funder_no
""")  # noqa: S608
_EARNED_ACCOUNTS = f"({Account.FEE_INCOME:d}, {Account.VAT_DUE:d}, {Account.ROUNDING:d})"
_EARNED = text(f"""
    SELECT coalesce(sum(CASE WHEN credit IN {_EARNED_ACCOUNTS} THEN won ELSE -won END), 0)::bigint
    FROM house_entry
    WHERE programme_no = :programme_no AND (debit IN {_EARNED_ACCOUNTS} OR credit IN {_EARNED_ACCOUNTS})
""")  # noqa: S608
_MOVED = text("""
    SELECT purpose, funder_no, sum(won)::bigint AS won FROM house_transfer
    WHERE programme_no = :programme_no AND state NOT IN ('rejected', 'returned') GROUP BY purpose, funder_no
""")


class Funding(msgspec.Struct, frozen=True):
    """What a night credits: not the cashback of `stopped` funders, and that of `resumed` earlier dates."""

    stopped: frozenset[int] = frozenset()
    resumed: tuple[tuple[date, int], ...] = ()


class _Plan(msgspec.Struct, frozen=True):
    """One funder's night, before it is written."""

    funder_no: int
    prepaid: int
    net: int
    covered: bool
    resumed: tuple[tuple[date, int], ...]  # (date, its net)

    @property
    def used(self) -> int:
        return sum(won for _, won in self.resumed) + (self.net if self.covered else 0)


def check(settings: Settings, facts: Facts) -> None:
    """Raise ConfigurationError where the settings give an account to a funder that the programme has not."""
    strange = sorted(settings.funding.get(facts.programme_id, {}).keys() - facts.funder_no.keys())
    if strange:
        known = ", ".join(sorted(facts.funder_no))
        raise ConfigurationError(
            f"[funding.{facts.programme_id}.{strange[0]}]: the programme has no such funder, it has {known}"
        )


def decide(frame: Frame) -> Funding:
    """Decide, once for a run, whose cashback of the date is credited; asked again, it says the same.

    Opens a transaction of its own. The prepayments that are used are booked with the decision.
    """
    connection = frame.connection
    with connection.begin():
        if not _decided(frame):
            plans = _plans(frame)
            _write(frame, plans)
        frame.observer.reached("credit_cashback:funded")
        return _recall(frame)


def foresee(frame: Frame) -> Funding:
    """What `decide` would say now; writes nothing and works in the caller's transaction."""
    if _decided(frame):
        return _recall(frame)
    plans = _plans(frame)
    return Funding(
        frozenset(plan.funder_no for plan in plans if not plan.covered),
        tuple((day, plan.funder_no) for plan in plans for day, _ in plan.resumed),
    )


def alarms(frame: Frame) -> list[str]:
    """A line for each funder whose cashback still waits for money, in the caller's transaction."""
    stop = funding_stop.c
    rows = frame.connection.execute(
        select(stop.funder_no, stop.business_date, stop.won)
        .where(stop.programme_no == frame.key.programme_no, stop.credited_by.is_(None))
        .order_by(stop.funder_no, stop.business_date)
    ).all()
    prepaid = _by_funder(frame, _PREPAID) if rows else {}
    found: list[str] = []
    for funder_no in dict.fromkeys(row.funder_no for row in rows):
        own = [row for row in rows if row.funder_no == funder_no]
        found.append(
            f"funder {frame.facts.funder_id[funder_no]}: cashback of {len(own)} dates from"
            f" {own[0].business_date}, {sum(row.won for row in own):,} won, is not credited:"
            f" {prepaid.get(funder_no, 0):,} won are paid in; merchants are paid all the same"
        )
    return found


def order(frame: Frame) -> None:
    """Order the transfers between own accounts that are due now, in a transaction of its own.

    From each funder's account what has been used of its prepayment; to the operator's account its fees. What
    an earlier order could not move (it was rejected) is due again.
    """
    connection, key = frame.connection, frame.key
    with connection.begin():
        there = {
            (row.purpose, row.funder_no)
            for row in connection.execute(
                select(house_transfer.c.purpose, house_transfer.c.funder_no).where(
                    house_transfer.c.programme_no == key.programme_no,
                    house_transfer.c.business_date == key.business_date,
                    house_transfer.c.cycle == key.cycle,
                )
            )
        }
        rows = [row for row in _due(frame) if (row["purpose"], row["funder_no"]) not in there]
        if rows:
            connection.execute(insert(house_transfer), rows)
        frame.observer.reached("emit_files:transfers")


def _prepaying(frame: Frame) -> dict[int, Originator]:
    """The accounts of the funders who pay in ahead, by number."""
    accounts = frame.settings.funding.get(frame.facts.programme_id, {})
    return {
        frame.facts.funder_no[funder]: account
        for funder, account in accounts.items()
        if funder in frame.facts.funder_no
    }


def _by_funder(frame: Frame, statement: Any) -> dict[int, int]:
    return {row.funder_no: row[1] for row in frame.connection.execute(statement, frame.of_day())}


def _decided(frame: Frame) -> bool:
    night = funding_night.c
    return bool(
        frame.connection.execute(
            select(night.funder_no).where(
                night.programme_no == frame.key.programme_no,
                night.business_date == frame.day,
                night.funder_no == THE_DECISION,
            )
        ).first()
    )


def _recall(frame: Frame) -> Funding:
    night, stop = funding_night.c, funding_stop.c
    stopped = frame.connection.execute(
        select(night.funder_no).where(
            night.programme_no == frame.key.programme_no,
            night.business_date == frame.day,
            night.covered.is_(False),
        )
    ).scalars()
    resumed = frame.connection.execute(
        select(stop.business_date, stop.funder_no)
        .where(stop.programme_no == frame.key.programme_no, stop.credited_by == frame.day)
        .order_by(stop.business_date, stop.funder_no)
    )
    return Funding(frozenset(stopped), tuple((row.business_date, row.funder_no) for row in resumed))


def _plans(frame: Frame) -> list[_Plan]:
    paying = _prepaying(frame)
    stop = funding_stop.c
    waiting: dict[int, list[Owed]] = {}
    for row in frame.connection.execute(
        select(stop.funder_no, stop.business_date, stop.won)
        .where(stop.programme_no == frame.key.programme_no, stop.credited_by.is_(None))
        .order_by(stop.business_date)
    ):
        waiting.setdefault(row.funder_no, []).append(Owed(row.business_date, row.won))
    if not paying and not waiting:
        return []
    nets, prepaid = _by_funder(frame, _NETS), _by_funder(frame, _PREPAID)
    plans: list[_Plan] = []
    for funder_no in sorted(paying.keys() | waiting.keys()):
        before, tonight = waiting.get(funder_no, []), Owed(frame.day, nets.get(funder_no, 0))
        has = prepaid.get(funder_no, 0)
        if funder_no not in paying:  # it pays in ahead no more: what waited is credited, and billed
            resumed = tuple((one.business_date, one.net) for one in before)
            plans.append(_Plan(funder_no, has, 0, covered=True, resumed=resumed))
            continue
        covered = set(cover(has, [*before, tonight]).dates)
        resumed = tuple((one.business_date, one.net) for one in before if one.business_date in covered)
        plans.append(_Plan(funder_no, has, tonight.net, frame.day in covered, resumed))
    return plans


def _write(frame: Frame, plans: list[_Plan]) -> None:
    connection, key, paying = frame.connection, frame.key, _prepaying(frame)
    decided = [(p.funder_no, p.prepaid, p.net, p.covered) for p in plans if p.funder_no in paying]
    night = [(THE_DECISION, 0, 0, True), *decided]
    connection.execute(
        insert(funding_night),
        [
            {
                "programme_no": key.programme_no,
                "business_date": frame.day,
                "funder_no": funder_no,
                "prepaid": prepaid,
                "net": net,
                "covered": covered,
            }
            for funder_no, prepaid, net, covered in night
        ],
    )
    for plan in plans:
        if not plan.covered:
            connection.execute(
                insert(funding_stop).values(
                    programme_no=key.programme_no,
                    business_date=frame.day,
                    funder_no=plan.funder_no,
                    won=plan.net,
                    stopped_at=frame.now(),
                )
            )
        for day, _ in plan.resumed:
            connection.execute(
                update(funding_stop)
                .where(
                    funding_stop.c.programme_no == key.programme_no,
                    funding_stop.c.business_date == day,
                    funding_stop.c.funder_no == plan.funder_no,
                )
                .values(credited_by=frame.day)
            )
    entries = [_use(plan) for plan in plans if plan.used and plan.funder_no in paying]
    if entries:
        booked_on = frame.open_date()
        open_for_booking(connection, key.programme_no, booked_on)
        posting = f"{Step.CREDIT_CASHBACK.value}:funding:{frame.day.isoformat()}"
        book(connection, key.programme_no, booked_on, posting, entries)


def _use(plan: _Plan) -> Entry:
    due, prepaid = Account.FUNDER_DUE, Account.FUNDER_PREPAID
    if plan.used > 0:
        return entry(prepaid, due, plan.used, funder_no=plan.funder_no)
    return entry(due, prepaid, -plan.used, funder_no=plan.funder_no)


def _due(frame: Frame) -> list[dict[str, object]]:
    facts, settings = frame.facts, frame.settings
    moved = {
        (row.purpose, row.funder_no): row.won
        for row in frame.connection.execute(_MOVED, {"programme_no": frame.key.programme_no})
    }
    safeguarded = settings.originator[facts.programme_id]
    used = _by_funder(frame, _USED)
    rows: list[dict[str, object]] = []
    for funder_no in sorted(_prepaying(frame)):
        won = used.get(funder_no, 0) - moved.get(("funding", funder_no), 0)
        if won > 0:
            debtor = f"funder:{facts.funder_id[funder_no]}"
            rows.append(_transfer(frame, "funding", funder_no, won, debtor, ("safeguarded", safeguarded)))
    own = settings.operator.get(facts.programme_id)
    if own is not None:
        earned = frame.connection.execute(_EARNED, {"programme_no": frame.key.programme_no}).scalar_one()
        won = earned - moved.get(("fees", 0), 0)
        if won > 0:
            rows.append(_transfer(frame, "fees", 0, won, "safeguarded", ("operator", own)))
    return rows


def _transfer(
    frame: Frame, purpose: str, funder_no: int, won: int, debtor: str, payee: tuple[str, Originator]
) -> dict[str, object]:
    key = frame.key
    code, account = payee
    return {
        "programme_no": key.programme_no,
        "business_date": key.business_date,
        "cycle": key.cycle,
        "purpose": purpose,
        "funder_no": funder_no,
        "attempt": ATTEMPT,
        "pay_on": frame.run.facts.calendar().add_open_days(frame.ordered_on, 0),
        "won": won,
        "end_to_end_id": transfer_end_to_end_id(
            key.programme_no, key.business_date, key.cycle, purpose, funder_no, ATTEMPT
        ),
        "debtor": debtor,
        "payee": code,
        "bank_code": account.bank,
        "account_no": account.account,
        "account_holder": account.name,
    }
