"""A file for the bank as emit_files leaves it: frozen rows, and copies on the disk."""

import hashlib
from datetime import date, datetime

from sqlalchemy import Engine, insert, text

from settlement.people.approvals import places
from settlement.settings import Settings
from settlement.store.schema import payout
from settlement.store.schema_bank import bank_file, bank_file_line

D = date(2026, 11, 20)
NOW = datetime.fromisoformat("2026-11-21T00:30:00+09:00")
MAKER = "maria"


def pay(
    engine: Engine, merchant: int, won: int, day: date = D, account: str = "110222333333", attempt: int = 1
) -> str:
    """A payout of a date; returns its EndToEndId."""
    name = f"E2E-{day:%Y%m%d}-{merchant}-{attempt}"
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO settlement_run VALUES (1, :day, 1, now(), '{}') ON CONFLICT DO NOTHING"),
            {"day": day},
        )
        connection.execute(
            insert(payout).values(
                programme_no=1,
                business_date=day,
                cycle=1,
                merchant_no=merchant,
                attempt=attempt,
                pay_on=date(2026, 11, 24),
                won=won,
                end_to_end_id=name,
                bank_code="088",
                account_no=account,
                account_holder="김사장",
            )
        )
    return name


def leave_file(
    engine: Engine, settings: Settings, number: int, payouts: list[tuple[str, int]], made_by: str = MAKER
) -> str:
    """A file of these payouts, emitted; returns its name."""
    name, content = f"seoro_{number:06d}.pain.001.xml", f"file {number}".encode()
    with engine.begin() as connection:
        connection.execute(
            insert(bank_file).values(
                programme_no=1,
                file_no=number,
                business_date=D,
                cycle=1,
                profile="pain.001",
                debtor="safeguarded",
                debtor_name="인천광역시 서구",
                debtor_account="1005000000017",
                debtor_bank="020",
                pay_on=date(2026, 11, 24),
                message_id=f"M{number}",
                payment_information_id=f"M{number}-B1",
                name=name,
                remittance="서로e음",
                created_at=NOW,
                made_by=made_by,
                payments=len(payouts),
                won=sum(won for _, won in payouts),
                sha256=hashlib.sha256(content).hexdigest(),
                state="emitted",
            )
        )
        for line, (end_to_end_id, _) in enumerate(payouts, 1):
            connection.execute(
                insert(bank_file_line).values(
                    programme_no=1, file_no=number, line=line, end_to_end_id=end_to_end_id
                )
            )
    for path in places(settings, D, name):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return name


def states(engine: Engine) -> dict[str, str]:
    """The state of every file by its name."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT name, state FROM bank_file")).all()
    return {row.name: row.state for row in rows}
