"""A merchant's statement as a paper."""

from collections.abc import Iterable, Iterator

from settlement.domain.payouts import PayoutState
from settlement.papers.paper import Cell, Column, Fact, Kind, Paper, Table
from settlement.papers.statement import NetLine, PayoutLine, Statement, last_attempts, totals
from settlement.papers.statement_read import PaymentLine
from settlement.papers.words import Words

_SIGNED = (  # how each sum enters the calculation
    *(("sales", 1), ("refunds", -1), ("fee", -1), ("vat", -1), ("rebate", 1), ("rebate_vat", 1)),
    *(("subsidy", 1), ("reserved", -1), ("released", 1), ("rounding", -1)),
)
_ALWAYS = ("sales", "refunds", "fee")
_NOT_ARRIVED = (PayoutState.REJECTED, PayoutState.RETURNED)


def paper_of(statement: Statement, words: Words, payments: Iterable[PaymentLine] | None = None) -> Paper:
    """The statement in a language, with the payments behind it where they are given."""
    merchant, period = statement.merchant, statement.period
    tables = [_sums(statement, words), _days(statement, words), _payouts(statement, words)]
    if payments is not None:
        tables.append(_payments(statement, payments, words))
    settled = statement.settled_through or words["nothing_settled"]
    reserve = statement.lines[-1].reserve if statement.lines else 0
    return Paper(
        stem=f"statement-{merchant.merchant_id}-{period.label}",
        title=words["title"],
        subtitle=f"{merchant.programme} · {merchant.name} · {_period(statement)}",
        facts=(
            Fact(words["programme"], merchant.programme),
            Fact(words["merchant"], f"{merchant.name} ({merchant.merchant_id})"),
            Fact(words["business_no"], _business_no(merchant.business_no)),
            Fact(words["period"], _period(statement)),
            Fact(words["settled"], settled, Kind.DATE if statement.settled_through else Kind.TEXT),
            Fact(words["paid_in_all"], totals(statement.lines)["paid"], Kind.WON),
            *((Fact(words["reserve"], reserve, Kind.WON),) if reserve else ()),
        ),
        tables=tuple(tables),
        notes=tuple(words[f"read_{number}"] for number in range(1, 6)),
        lang=words.lang,
        dated=period.last,
        page_of=words["page"],
        unit=words["unit"],
    )


def _period(statement: Statement) -> str:
    first, last = statement.period.first, statement.period.last
    return first.isoformat() if first == last else f"{first} ~ {last}"


def _business_no(number: str) -> str:
    """A Korean business number as it is written: 123-45-67890."""
    if len(number) == 10 and number.isdigit():
        return f"{number[:3]}-{number[3:5]}-{number[5:]}"
    return number


def _sums(statement: Statement, words: Words) -> Table:
    summed = totals(statement.lines)
    rows: list[tuple[Cell, ...]] = [(words["opening"], statement.opening)]
    rows += [(words[name], sign * summed[name]) for name, sign in _SIGNED if name in _ALWAYS or summed[name]]
    due = (words["due"], summed["paid"] + statement.closing)
    rows += [due, (words["paid_of"], summed["paid"]), (words["closing"], statement.closing)]
    return Table(words["sums"], (Column(words["item"], wide=True), Column(words["won"], Kind.WON)), rows)


def _days(statement: Statement, words: Words) -> Table:
    spare = ("vat", "rebate", "rebate_vat", "subsidy", "reserved", "released", "rounding")
    cycles = any(line.cycle != 1 for line in statement.lines)
    columns = [
        Column(words["date"], Kind.DATE),
        *([Column(words["cycle"], Kind.COUNT)] if cycles else []),
        Column(words["carried_in"], Kind.WON),
        Column(words["sales"], Kind.WON),
        Column(words["refunds"], Kind.WON),
        Column(words["rate"], Kind.RATE),
        Column(words["fee"], Kind.WON),
        *(Column(words[name], Kind.WON, spare=True) for name in spare),
        Column(words["paid"], Kind.WON),
        Column(words["carried_out"], Kind.WON),
        Column(words["held"], spare=True),
    ]

    def row(line: NetLine) -> tuple[Cell, ...]:
        others = (getattr(line, name) for name in spare)
        head: tuple[Cell, ...] = (line.business_date, line.cycle) if cycles else (line.business_date,)
        body = (line.carried_in, line.sales, line.refunds, line.fee_rate_ppm, line.fee)
        held = words[f"held_{line.held}"] if line.held else None
        return (*head, *body, *others, line.paid, line.carried_out, held)

    summed = totals(statement.lines)
    end: tuple[Cell, ...] = (
        *((words["total"], None) if cycles else (words["total"],)),
        *(statement.opening, summed["sales"], summed["refunds"], None, summed["fee"]),
        *(summed[name] for name in spare),
        *(summed["paid"], statement.closing, None),
    )
    return Table(words["days"], tuple(columns), [row(line) for line in statement.lines], end)


def _payouts(statement: Statement, words: Words) -> Table:
    columns = (
        Column(words["date"], Kind.DATE),
        Column(words["pay_on"], Kind.DATE),
        Column(words["won"], Kind.WON),
        Column(words["account"]),
        Column(words["state"], wide=True),
    )
    counted = {one.end_to_end_id for one in last_attempts(statement.payouts)}
    rows = [
        (
            one.business_date,
            one.pay_on,
            one.won,
            f"{one.bank_code} {one.account_no}",
            _state(one, words, last=one.end_to_end_id in counted),
        )
        for one in statement.payouts
    ]
    return Table(words["payouts"], columns, rows, None, tuple(_arrival(statement, words)))


def _state(one: PayoutLine, words: Words, *, last: bool) -> str:
    state = PayoutState(one.state)
    told = words[state.value]
    if state is PayoutState.BOOKED:
        told = told.format(one.booked_on)
    elif state is PayoutState.REJECTED:
        told = told.format(words.reason(one.reason))
    elif state is PayoutState.RETURNED:
        told = told.format(one.returned_on, words.reason(one.reason))
    if one.attempt > 1:
        told = f"[{words['again'].format(one.attempt)}] {told}"
    return told if last else f"{told} → {words['superseded']}"


def _arrival(statement: Statement, words: Words) -> Iterator[str]:
    """What has arrived and what has not: together, all that was paid."""
    won = {"arrived": 0, "under_way": 0, "not_arrived": 0}
    for one in last_attempts(statement.payouts):
        if one.state == PayoutState.BOOKED:
            won["arrived"] += one.won
        elif one.state in _NOT_ARRIVED:
            won["not_arrived"] += one.won
        else:
            won["under_way"] += one.won
    yield " · ".join(f"{words[name]} {amount:,}" for name, amount in won.items())


def _payments(statement: Statement, payments: Iterable[PaymentLine], words: Words) -> Table:
    columns = (
        Column(words["date"], Kind.DATE),
        Column(words["time"]),
        Column(words["terminal"]),
        Column(words["approval"]),
        Column(words["sales"], Kind.WON),
        Column(words["refunds"], Kind.WON),
    )
    summed = totals(statement.lines)  # the same, as payments_of has made sure
    end = (words["total"], None, None, None, summed["sales"], summed["refunds"])
    return Table(words["payments"], columns, (_payment(one, words) for one in payments), end)


def _payment(one: PaymentLine, words: Words) -> tuple[Cell, ...]:
    if one.local_day is None or one.local_time is None:
        return (one.business_date, None, words["by_act"], None, one.sale, one.refund)
    clock = f"{one.local_time:06d}"
    when = f"{one.local_day} {clock[:2]}:{clock[2:4]}:{clock[4:]}"
    return (one.business_date, when, one.terminal, one.approval, one.sale, one.refund)
