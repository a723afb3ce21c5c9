"""Files that are at the bank, by plain SQL, and what the books say of them."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import msgspec
from sqlalchemy import Engine, text

from settlement.domain.bankdays import CalendarFacts
from settlement.frame import Frame, Observer, Silent
from settlement.reference import load_all
from settlement.settings import Settings
from settlement.store.runs import Run, RunKey
from switch.clock import open_clock
from switch.ledger.chart import Account

D = date(2026, 11, 20)
PAY_ON = date(2026, 11, 24)


def name(merchant: int, attempt: int = 1, programme: int = 1) -> str:
    return f"DURE{programme:05d}-20261120-01-{merchant}-{attempt:02d}"


def message(file_no: int, programme: int = 1) -> str:
    return f"DURE{programme:05d}-20261120-01-{file_no:06d}"


class Sent:
    """Runs, payouts and files of one programme as they are once its night is over."""

    def __init__(self, engine: Engine, programme: int = 1) -> None:
        self.engine = engine
        self.no = programme
        with engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO settlement_run (programme_no, business_date, cycle, created_at, calendar)"
                    " VALUES (:no, :day, 1, '2026-11-21T00:30:00+09:00', :calendar)"
                ),
                {"no": programme, "day": D, "calendar": _calendar()},
            )

    def file(
        self,
        file_no: int,
        payouts: Mapping[int, int],
        *,
        state: str = "delivered",
        payout_state: str = "sent",
    ) -> str:
        """A file of payouts (won by merchant); returns its MsgId."""
        with self.engine.begin() as connection:
            for merchant, won in payouts.items():
                connection.execute(
                    text(
                        "INSERT INTO payout (programme_no, business_date, cycle, merchant_no, attempt,"
                        " pay_on, won, end_to_end_id, bank_code, account_no, account_holder, state)"
                        " VALUES (:no, :day, 1, :merchant, 1, :pay_on, :won, :name,"
                        " '088', '110-222-333333', 'K', :state)"
                    ),
                    {
                        "no": self.no,
                        "day": D,
                        "merchant": merchant,
                        "pay_on": PAY_ON,
                        "won": won,
                        "name": name(merchant, programme=self.no),
                        "state": payout_state,
                    },
                )
                self._book(f"pay:{merchant}", Account.MERCHANT_PAYABLE, Account.PAYOUT_SENT, won, merchant)
        self._file(
            file_no,
            "safeguarded",
            [name(each, programme=self.no) for each in payouts],
            sum(payouts.values()),
            state,
        )
        return message(file_no, self.no)

    def transfer(
        self, file_no: int, purpose: str, won: int, *, funder_no: int = 0, debtor: str, payee: str
    ) -> str:
        """A transfer between own accounts in a file of its own; returns its EndToEndId."""
        own = f"DURE{self.no:05d}-20261120-01-{purpose.upper()}-{funder_no}-01"
        with self.engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO house_transfer VALUES (:no, :day, 1, :purpose, :funder, 1, :pay_on, :won,"
                    " :name, :debtor, :payee, '020', '1005', 'K', 'sent', '', NULL, NULL)"
                ),
                {
                    "no": self.no,
                    "day": D,
                    "purpose": purpose,
                    "funder": funder_no,
                    "pay_on": PAY_ON,
                    "won": won,
                    "name": own,
                    "debtor": debtor,
                    "payee": payee,
                },
            )
        self._file(file_no, debtor, [own], won, "delivered")
        return own

    def _file(self, file_no: int, debtor: str, names: Sequence[str], won: int, state: str) -> None:
        own = message(file_no, self.no)
        with self.engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO bank_file (programme_no, file_no, business_date, cycle, profile, debtor,"
                    " debtor_name, debtor_account, debtor_bank, pay_on, message_id, payment_information_id,"
                    " name, remittance, created_at, made_by, payments, won, sha256, state) VALUES (:no,"
                    " :file, :day, 1, 'pain.001', :debtor, 'N', '1005000000017', '020', :pay_on,"
                    " :message, :batch,"
                    " :name, 'R', '2026-11-21T00:30:00+09:00', 'maker', :count, :won, :sha, :state)"
                ),
                {
                    "no": self.no,
                    "file": file_no,
                    "day": D,
                    "debtor": debtor,
                    "pay_on": PAY_ON,
                    "message": own,
                    "batch": f"{own}-B1",
                    "name": f"{own}.xml",
                    "count": len(names),
                    "won": won,
                    "sha": f"{file_no:064d}",
                    "state": state,
                },
            )
            connection.execute(
                text("INSERT INTO bank_file_line VALUES (:no, :file, :line, :name)"),
                [
                    {"no": self.no, "file": file_no, "line": line, "name": one}
                    for line, one in enumerate(names, 1)
                ],
            )

    def _book(self, posting: str, debit: int, credit: int, won: int, merchant: int, funder: int = 0) -> None:
        with self.engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO house_entry (programme_no, business_date, posting, line, debit, credit, won,"
                    " merchant_no, funder_no) VALUES (:no, '2026-11-21', :posting, 1, :debit, :credit, :won,"
                    " :merchant, :funder)"
                ),
                {
                    "no": self.no,
                    "posting": posting,
                    "debit": int(debit),
                    "credit": int(credit),
                    "won": won,
                    "merchant": merchant,
                    "funder": funder,
                },
            )


def _calendar() -> str:
    return msgspec.json.encode(CalendarFacts("", ())).decode()


def frame_of(
    engine: Engine, settings: Settings, programme: str = "seoro", observer: Observer | None = None
) -> Frame:
    """A frame of the programme's run; close its connection when done."""
    connection = engine.connect()
    with connection.begin():
        facts = load_all(connection, programme)[0]
    clock = open_clock("simulated", settings.clock.file, simulation=True)
    run = Run(RunKey(facts.programme_no, D), clock.now(), CalendarFacts("", ()))
    return Frame(connection, facts, run, settings, clock, observer or Silent(), "tester")


def put(settings: Settings, file: str, content: bytes, *, done: bool = True) -> Path:
    """Lay an answer into the inbox."""
    settings.files.inbox.mkdir(parents=True, exist_ok=True)
    path = settings.files.inbox / file
    path.write_bytes(content)
    if done:
        path.with_name(f"{file}.done").touch()
    return path


def states(engine: Engine) -> dict[str, str]:
    """State by EndToEndId of all payouts and transfers."""
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT end_to_end_id, state FROM payout UNION ALL SELECT end_to_end_id, state"
                " FROM house_transfer"
            )
        )
        return {row.end_to_end_id: row.state for row in rows}


def balances(engine: Engine, *accounts: Account) -> dict[str, int]:
    """House entries' debits less credits, by account; those that are 0 are left out."""
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT account, sum(won)::bigint AS won FROM (SELECT debit AS account, won FROM house_entry"
                " UNION ALL SELECT credit, -won FROM house_entry) one GROUP BY account ORDER BY account"
            )
        )
        found = {Account(row.account): row.won for row in rows if row.won}
    return {one.name: won for one, won in found.items() if not accounts or one in accounts}
