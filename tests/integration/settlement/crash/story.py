"""A city's three nights with everything in them, as acts of the program and what happens between them.

An act is a command that somebody gives, and gives again when it was cut off. Between the acts others act: the
bank takes and answers, people correct an account, release a hold, pay in.
"""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import msgspec
from sqlalchemy import Connection, Engine, text

from settlement.desk import holds, merchants, rebates, subsidies
from settlement.domain.roles import Role
from settlement.errors import ExitCode
from settlement.frame import Frame, Silent
from settlement.people.approvals import approve
from settlement.people.identity import Actor
from settlement.people.review import waiting
from settlement.pipeline import run
from settlement.reference import load_all
from settlement.settings import Originator, Settings
from settlement.steps.assign import assign
from settlement.store.runs import RunKey, find_run
from switch.clock import open_clock
from switch.domain.calendar import day_of_date
from terminal_sim.bank import Bank
from terminal_sim.bank_script import Account, Charge, Credit, FileRule, PayeeRule, Script, StatementRule
from tests.integration.settlement.books import Books

WED, THU, FRI = date(2026, 11, 18), date(2026, 11, 19), date(2026, 11, 20)
SAFEGUARDED, OPERATOR, DISTRICT, CITY = "1005000000017", "1005000000031", "777000001", "777000002"
WRONG, MENDED, CLOSED = "110000000004", "110000000044", "110000000006"
CLERK = Actor("clerk", frozenset(Role))
CHECKER = Actor("checker", frozenset(Role))


class World(msgspec.Struct):
    """Where an act takes place: the database, and a folder with everything else."""

    engine: Engine
    folder: Path

    def bank(self) -> Bank:
        """The bank as it stands, its books below the folder."""
        return Bank(self.folder / "bank", SCRIPT)


class Act(msgspec.Struct, frozen=True):
    """One act of the program: `do` at an instant; `then` is what others do after it."""

    name: str
    now: str
    do: Callable[[World, Settings], None]
    then: Callable[[World, Settings], None] = lambda _world, _settings: None


def settings_at(folder: Path, now: str) -> Settings:
    """The settings, with the clock standing at an instant (Korean time)."""
    clock = folder / "clock"
    clock.write_text(f"{now}:00+09:00")
    return Settings.model_validate(
        {
            "database": {"url": "postgresql://dure_app@nowhere/none"},
            "clock": {"mode": "simulated", "file": str(clock)},
            "files": {"outbox": str(folder / "outbox"), "transfers_max": 2},
            "delivery": {"channel": "folder", "folder": str(folder / "bank"), "remote_taken": "taken"},
            "originator": {"seoro": _account("인천광역시 서구", SAFEGUARDED)},
            "operator": {"seoro": _account("운영사", OPERATOR)},
            "funding": {
                "seoro": {"district": _account("서구청", DISTRICT), "city": _account("인천시", CITY)}
            },
        }
    )


def _account(name: str, account: str) -> dict[str, str]:
    return {"name": name, "account": account, "bank": "020"}


SCRIPT = Script(
    code="020",
    first_day=THU,
    account=(
        Account(number=SAFEGUARDED, name="인천광역시 서구"),
        Account(number=OPERATOR, name="운영사"),
        Account(number=DISTRICT, name="서구청"),
        Account(number=CITY, name="인천시"),
    ),
    payee=(
        PayeeRule(account=WRONG, does="reject", code="AC01"),
        PayeeRule(account=CLOSED, does="return", code="AC04", days=1),
    ),
    credit=(
        Credit(account=SAFEGUARDED, on=THU, won=3_000_000, remittance="TOPUP-20261118"),
        Credit(account=DISTRICT, on=THU, won=400_000, remittance="PREPAY-district 11"),
        Credit(account=CITY, on=FRI, won=100, remittance="PREPAY-city 11"),  # too little
    ),
    charge=(Charge(account=SAFEGUARDED, on=FRI, won=500),),
    file=(FileRule(number=1, answer="again"), FileRule(number=3, answer="late", days=1)),
    statement_twice=(StatementRule(account=SAFEGUARDED, on=FRI),),
)


def begin(owner: Engine, world: World) -> None:
    """The books before the first night, and what was decided about merchants by then."""
    for folder in ("in", "out", "taken"):
        (world.folder / "bank" / folder).mkdir(parents=True)
    books = Books(owner, fee_vat_ppm=100_000, payout_unit=10)
    for number, days, account in (
        (1, None, "110000000001"),
        (2, None, "110000000002"),  # on hold at first
        (3, 1, "110000000003"),  # with a reserve
        (4, 1, WRONG),
        (5, 1, "110000000005"),  # gives back more than it sells
        (6, 1, CLOSED),
    ):
        books.merchant(number, 400_000_000, payout_days=days, account=account)
    _shop(books)
    now = datetime.fromisoformat("2026-11-18T15:00:00+09:00")
    with world.engine.connect() as connection, connection.begin():
        (facts,) = load_all(connection, "seoro")
        holds.place(connection, "M00002", "소송", CLERK, now)
        holds.place(connection, "M00003", "담보", CLERK, now, rate_ppm=100_000, max_won=3_000)
        gifts = [subsidies.Subsidy("S1", "M00001", "national", 7_000, "간판")]
        subsidies.add(connection, facts, Path("gifts.csv"), gifts, CLERK, now)
        subsidies.approve(connection, facts, 7_000, CHECKER, now)


def _shop(books: Books) -> None:
    """Three days of members: bought at every merchant, some of it given back, some lots at their end."""
    wallets = [books.wallet(number, WED, 500_000) for number in range(1, 7)]
    bought = [books.buy(wallets[n % 6], 1 + n % 6, 20_000 + 100 * n, WED) for n in range(8)]
    books.refund(bought[0], 5_000, WED)
    for n in range(4):
        books.buy(wallets[n], 1 + n, 30_000 + n, THU)
    books.refund(bought[4], 15_000, THU)  # of merchant 5, which sells nothing that day
    for n in range(3):
        books.buy(wallets[n], 5 - n, 10_000 + n, FRI)
    with books.engine.begin() as connection:
        for wallet, last in ((5, WED), (6, THU)):
            connection.execute(
                text("UPDATE lot SET expires = :last WHERE wallet_id = :wallet"),
                {"last": day_of_date(last), "wallet": wallet},
            )


def _night(day: date, *, again: bool = False) -> Callable[[World, Settings], None]:
    def do(world: World, settings: Settings) -> None:
        more = again and not _has_cycle(world.engine, day, 2)  # one that was begun is gone on with
        report = run(world.engine, settings, day, again=more, actor="night")
        problems = [(one.problem, one.exceptions) for one in report.programmes]
        assert report.exit_code in (ExitCode.DONE, ExitCode.EXCEPTIONS), (report.exit_code, problems)

    return do


def _has_cycle(engine: Engine, day: date, cycle: int) -> bool:
    query = text("SELECT EXISTS (SELECT FROM settlement_run WHERE business_date = :day AND cycle = :cycle)")
    with engine.connect() as connection:
        return bool(connection.execute(query, {"day": day, "cycle": cycle}).scalar_one())


def _approve(world: World, settings: Settings) -> None:
    with world.engine.connect() as connection:
        with connection.begin():
            files = waiting(connection)
        for file in files:
            with connection.begin():
                approve(connection, settings, file.name, file.sha256, CHECKER, _now(settings))


def _name(world: World, settings: Settings) -> None:
    """What the bank has taken for itself is named as that; then all that is left of the runs is done."""
    with world.engine.connect() as connection:
        with connection.begin():
            (facts,) = load_all(connection, "seoro")
            run = find_run(connection, RunKey(1, FRI))
            open_ones = connection.execute(
                text("SELECT statement_id || '/' || entry_no FROM bank_entry WHERE state = 'suspense'")
            ).scalars()
            entries = list(open_ones)
        assert run is not None
        clock = open_clock("simulated", settings.clock.file, simulation=True)
        frame = Frame(connection, facts, run, settings, clock, Silent(), CLERK.name)
        for entry in entries:
            assign(frame, entry, "charge")
    _night(FRI)(world, settings)


def _now(settings: Settings) -> datetime:
    return datetime.fromisoformat(Path(settings.clock.file).read_text())


def _morning(day: date) -> Callable[[World, Settings], None]:
    def then(world: World, _: Settings) -> None:
        with world.bank() as bank:
            bank.morning(day)

    return then


def _evening(day: date, also: Callable[[Connection, datetime], None]) -> Callable[[World, Settings], None]:
    def then(world: World, settings: Settings) -> None:
        with world.bank() as bank:
            bank.evening(day)
        with world.engine.connect() as connection, connection.begin():
            also(connection, _now(settings))

    return then


def _thursday(connection: Connection, now: datetime) -> None:
    """The rejected account is mended, the hold ends, a merchant had paid too high a fee."""
    (facts,) = load_all(connection, "seoro")
    account = Originator(name="김사장", account=MENDED, bank="088")
    merchants.set_account(connection, "M00004", account, CLERK, now)
    holds.release(connection, "M00002", holds.HOLD, CLERK, now)
    connection.execute(text("INSERT INTO merchant_sales VALUES (1, '2026-11-01', 1)"))
    found = rebates.propose(connection, facts, WED, WED, CLERK, now)
    assert found.merchants == 1
    rebates.approve(connection, facts, found.won, CHECKER, now)


def _friday(connection: Connection, now: datetime) -> None:
    """The returned merchant's account is mended, the reserve is given back."""
    account = Originator(name="김사장", account="110000000066", bank="088")
    merchants.set_account(connection, "M00006", account, CLERK, now)
    holds.release(connection, "M00003", holds.RESERVE, CLERK, now)


def _nothing(_: Connection, __: datetime) -> None:
    pass


STORY = (
    Act("night of the 18th", "2026-11-19T00:30", _night(WED)),
    Act("approval", "2026-11-19T08:40", _approve),
    Act("delivery", "2026-11-19T08:50", _night(WED), _morning(THU)),
    Act("the bank's word", "2026-11-19T10:00", _night(WED), _evening(THU, _thursday)),
    Act("night of the 19th, with statements", "2026-11-20T00:30", _night(THU)),
    Act("second approval", "2026-11-20T08:40", _approve),
    Act("second delivery", "2026-11-20T08:50", _night(THU), _morning(FRI)),
    Act("second word", "2026-11-20T10:00", _night(THU), _evening(FRI, _friday)),
    Act("night of the 20th", "2026-11-21T00:30", _night(FRI)),
    Act("paid again that day", "2026-11-21T09:00", _night(FRI, again=True)),
    Act("third approval", "2026-11-23T08:40", _approve),
    Act("third delivery", "2026-11-23T08:50", _night(FRI), _morning(date(2026, 11, 23))),
    Act("third word", "2026-11-23T10:00", _night(FRI), _evening(date(2026, 11, 25), _nothing)),
    Act("the last statements", "2026-11-26T10:00", _night(FRI)),
    Act("a charge is named", "2026-11-26T11:00", _name),
)
