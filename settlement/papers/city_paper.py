"""The city's report as a paper: issued and spent apart, cashback, budgets with a forecast, trade."""

from collections.abc import Iterator
from datetime import date

from settlement.papers.city_read import LOTS, City, Trade
from settlement.papers.forecast import Forecast, forecast
from settlement.papers.paper import Cell, Column, Fact, Kind, Paper, Table
from settlement.papers.words import Words
from settlement.reference import Facts
from switch.domain.budget import ISSUANCE, WHOLE, Budget
from switch.ledger.chart import Account
from switch.ledger.journal import Source

MILESTONES = (10**8, 10**9, 10**10, 10**11, 10**12)
"""Won issued in all that a city speaks of: 1억, 10억, 100억, 1,000억, 1조."""

_A = Account
_DIMENSIONS = ("region", "category", "channel", "size", "group")


def paper_of(city: City, facts: Facts, words: Words) -> Paper:
    """The report in a language."""
    period, name = city.period, facts.programme.name
    span = f"{period.first} ~ {period.last}"
    over = "" if city.through == period.last else f" {words['not_over']}"
    tables = [_issue(city, words), _spend(city, words), _cashback(city, facts, words)]
    tables += [_budgets(city, facts, words), *(_by(city, one, words) for one in _DIMENSIONS)]
    tables += [_cumulative(city, words), _settlement(city, words), _funders(city, words)]
    active = sum(one.merchants for one in city.by.get("all", ()))
    return Paper(
        stem=f"city-{facts.programme_id}-{period.label}",
        title=words["city_title"],
        subtitle=f"{name} · {span}",
        facts=(
            Fact(words["programme"], name),
            Fact(words["period"], span),
            Fact(words["through"], f"{city.through}{over}"),
            Fact(words["members"], city.members, Kind.COUNT),
            Fact(words["wallets"], city.wallets, Kind.COUNT),
            Fact(words["merchants"], city.merchants, Kind.COUNT),
            Fact(words["active"], active, Kind.COUNT),
        ),
        tables=tuple(tables),
        notes=tuple(words[note] for note in ("issue_note", "dates_note", "journal_note", "fact_note")),
        lang=words.lang,
        dated=city.through,
        page_of=words["page"],
        unit=words["unit"],
    )


def _three(words: Words, given: str, back: str) -> tuple[Column, ...]:
    return (
        Column(words["kind"], wide=True),
        *(Column(words[name], Kind.WON) for name in (given, back, "net")),
    )


def _summed(label: str, rows: list[tuple[Cell, ...]], width: int) -> tuple[Cell, ...]:
    """The sums of all columns but the first."""
    sums = (sum(value for row in rows if isinstance(value := row[at], int)) for at in range(1, width))
    return (label, *sums)


def _issue(city: City, words: Words) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, debit, credit in (
        ("charged", _A.SAFEGUARDED, _A.CARD_MONEY),
        ("grant", _A.FUNDER_DUE, _A.GRANTS),
        ("coupon", _A.FUNDER_DUE, _A.COUPONS),
        ("points_given", _A.FUNDER_DUE, _A.POINTS),
    ):
        given = city.won(debit, credit, corrections=False)
        back = city.won(credit, debit, corrections=False)
        rows.append((words[name], given, back, given - back))
    columns = _three(words, "given", "back")
    return Table(words["issue"], columns, rows, _summed(words["total"], rows, len(columns)))


def _spend(city: City, words: Words) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for number, kind in LOTS.items():
        account = _A(number)
        paid, back = city.won(account, _A.MERCHANT_PAYABLE), city.won(_A.MERCHANT_PAYABLE, account)
        rows.append((words[kind], paid, back, paid - back, city.won(account, _A.TREASURY_RETURN)))
    revived = city.won(_A.TREASURY_RETURN, _A.MERCHANT_PAYABLE)
    expired = city.won(_A.MERCHANT_PAYABLE, _A.TREASURY_RETURN)
    rows.append((words["restored"], revived, expired, revived - expired, 0))
    columns = (*_three(words, "spent", "refunded"), Column(words["expired"], Kind.WON, spare=True))
    return Table(words["spend"], columns, rows, _summed(words["total"], rows, len(columns)))


def _cashback(city: City, facts: Facts, words: Words) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for funder in facts.programme.funders:
        number = facts.funder_no[funder.id]
        granted = back = corrected = 0
        for (_, source, debit, credit, of, _), (won, _) in city.moved.items():
            if of != number or _A.FUNDER_DUE not in (debit, credit):
                continue
            if source == Source.CORRECTION:
                corrected += won if debit == _A.FUNDER_DUE else -won
            elif (debit, credit) == (_A.FUNDER_DUE, _A.CASHBACK_ACCRUED):
                granted += won
            elif (debit, credit) == (_A.CASHBACK_ACCRUED, _A.FUNDER_DUE):
                back += won
        rows.append((funder.name, granted, back, corrected, granted - back + corrected))
    columns = (
        Column(words["funder"], wide=True),
        Column(words["granted"], Kind.WON),
        Column(words["taken_back"], Kind.WON),
        Column(words["corrected"], Kind.WON, spare=True),
        Column(words["net"], Kind.WON),
    )
    credited = city.won(_A.CASHBACK_ACCRUED, _A.POINTS)
    owed = city.won(_A.CASHBACK_ACCRUED, _A.MEMBER_RECEIVABLE)
    note = words["credited_note"].format(f"{credited:,}", f"{owed:,}")
    return Table(words["cashback"], columns, rows, _summed(words["total"], rows, len(columns)), (note,))


def _budgets(city: City, facts: Facts, words: Words) -> Table:
    columns = (
        Column(words["budget"], wide=True),
        Column(words["funder"]),
        Column(words["amount"], Kind.WON),
        Column(words["used"], Kind.WON),
        Column(words["left"], Kind.WON),
        Column(words["expected"], Kind.WON),
        Column(words["range"]),
        Column(words["empties"], wide=True),
    )
    names = {one.id: one.name for one in facts.programme.funders}
    rows = [_budget(city, facts, one, names.get(one.funder, ""), words) for one in facts.programme.lines()]
    notes = (words["method"], words["budget_note"]) if rows else (words["no_budgets"],)
    return Table(words["budgets"], columns, rows, None, notes)


def _budget(city: City, facts: Facts, line: Budget, funder: str, words: Words) -> tuple[Cell, ...]:
    number = city.budgets.get((line.code, facts.funder_no.get(line.funder, 0)), 0)
    first = city.period.first
    month = WHOLE if line.whole else first.year * 100 + first.month
    amount = city.amounts.get((number, month), line.amount_of(month))
    if line.whole:
        used = city.pots.get(number, 0)
        return (line.code, funder, amount, used, amount - used, None, words["whole"], None)
    spent = dict(_issued(city)) if line.code == ISSUANCE else dict(_spent(city, number))
    used = sum(spent.values())
    told = forecast(spent, amount, first, city.through, city.period.last)
    if told is None:
        return (line.code, funder, amount, used, amount - used, None, None, words["too_early"])
    span = f"{told.least:,} ~ {told.most:,}"
    return (line.code, funder, amount, used, amount - used, told.expected, span, _end(told, city, words))


def _spent(city: City, budget_no: int) -> Iterator[tuple[date, int]]:
    """Won taken from a budget by business date, net."""
    days: dict[date, int] = {}
    for (day, _, debit, credit, _, number), (won, _) in city.moved.items():
        if number == budget_no and _A.FUNDER_DUE in (debit, credit):
            days[day] = days.get(day, 0) + (won if debit == _A.FUNDER_DUE else -won)
    yield from days.items()


def _issued(city: City) -> Iterator[tuple[date, int]]:
    """Won topped up by business date, less what was taken back; imported money is bound by no budget."""
    days: dict[date, int] = {}
    for (day, source, debit, credit, *_), (won, _) in city.moved.items():
        if source != Source.FUNDING and {debit, credit} == {_A.SAFEGUARDED, _A.CARD_MONEY}:
            days[day] = days.get(day, 0) + (won if debit == _A.SAFEGUARDED else -won)
    yield from days.items()


def _end(told: Forecast, city: City, words: Words) -> str:
    if told.empty is not None and told.empty <= city.through:
        return words["used_up"].format(told.empty)
    if told.earliest is None:
        return words["no_end"]
    return f"{told.empty or words['no_end']} ({told.earliest} ~ {told.latest or words['no_end']})"


def _by(city: City, dimension: str, words: Words) -> Table:
    found: list[Trade] = city.by.get(dimension, [])
    rows: list[tuple[Cell, ...]] = [
        (_value(dimension, one, words), one.sales, one.refunds, one.sales - one.refunds, one.merchants)
        for one in found
    ]
    columns = (*_three(words, "spent", "refunded"), Column(words["merchant_count"], Kind.COUNT))
    if dimension == "group":
        return Table(words[f"by_{dimension}"], columns, rows, None, (words["group_note"],))
    total = (*_summed(words["total"], rows, 4), sum(one.merchants for one in city.by.get("all", ())))
    return Table(words[f"by_{dimension}"], columns, rows, total)


def _value(dimension: str, one: Trade, words: Words) -> str:
    return one.value or (words["no_channel"] if dimension == "channel" else "-")


def _cumulative(city: City, words: Words) -> Table:
    columns = (Column(words["milestone"], Kind.WON), Column(words["reached"], wide=True))
    total = city.issued_before  # of dates that are no longer here one by one
    early = words["early"].format(city.archived_through)
    reached: dict[int, Cell] = {one: early for one in MILESTONES if total >= one}
    for day, won in sorted(city.issued.items()):
        total += won
        for milestone in MILESTONES:
            if total >= milestone:
                reached.setdefault(milestone, day)
    rows = [(one, reached.get(one, words["not_yet"])) for one in MILESTONES]
    note = words["cumulative_note"].format(city.through, f"{total:,}")
    return Table(words["cumulative"], columns, rows, None, (note,))


def _settlement(city: City, words: Words) -> Table:
    nets, now = city.nets, city.standing
    shown = ("sales", "refunds", "fee", "vat", "rebate", "rebate_vat", "subsidy", "rounding", "paid")
    rows: list[tuple[Cell, ...]] = [(words[name], nets[name]) for name in shown]
    rows += [
        (words["held_money"].format(f"{now['holding']:,}"), now["held"]),
        (words["owed"].format(f"{now['owing']:,}"), now["owed"]),
        (words["reserve"], now["reserve"]),
    ]
    settled = nets["settled_through"] or words["nothing_settled"]
    columns = (Column(words["item"], wide=True), Column(words["won"], Kind.WON))
    return Table(words["settlement"], columns, rows, None, (f"{words['settled']}: {settled}",))


def _funders(city: City, words: Words) -> Table:
    columns = (
        Column(words["funder"], wide=True),
        Column(words["prepaid"], Kind.WON),
        Column(words["stopped"], Kind.COUNT),
        Column(words["stopped_won"], Kind.WON),
    )
    rows = [(one.funder, one.prepaid, one.stopped, one.stopped_won) for one in city.funders]
    return Table(words["funders"], columns, rows)
