"""Words of the bank that would pay a merchant, or move our own money, a second time: told, never booked."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, text

from settlement.errors import ExitCode
from settlement.frame import Frame
from settlement.settings import Settings
from settlement.steps.inbox import take
from switch.ledger.chart import Account
from tests.integration.settlement.books import Books
from tests.integration.settlement.sent import Sent, balances, frame_of, message, name, put, states
from tests.support.bank_messages import camt053, camt054, details, ntry, pacs004, pain002, statement

NOW = "2026-11-24T21:00:00+09:00"
FUNDER = {"name": "시", "account": "200-300", "bank": "020"}
RETURNED = Account.PAYOUT_RETURNED


@pytest.fixture
def settings(settings_at: Callable[..., Settings]) -> Settings:
    return settings_at(NOW, funding={"seoro": {"city": FUNDER}})


@pytest.fixture
def frame(owner: Engine, engine: Engine, settings: Settings) -> Iterator[Frame]:
    books = Books(owner)
    books.merchant(1)
    found = frame_of(engine, settings)
    yield found
    found.connection.close()


@pytest.fixture
def sent(owner: Engine, frame: Frame) -> Sent:
    assert frame.key.programme_no == 1
    return Sent(owner)


def _events(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT event FROM payout_event ORDER BY event_no")).scalars())


def test_a_reject_of_what_is_coming_back_owes_it_once(
    engine: Engine, frame: Frame, sent: Sent, settings: Settings
) -> None:
    own = sent.file(1, {1: 1_000})
    put(settings, "1.xml", camt054(ntry(1_000, details(end_to_end_id=name(1), return_reason="AC04"))))
    put(settings, "2.xml", pacs004([(name(1), 1_000, "AC04")]))
    assert take(frame).code is ExitCode.DONE
    assert balances(engine, RETURNED) == {"PAYOUT_RETURNED": -1_000}, "told twice, booked once"
    put(settings, "3.xml", pain002(own, payments=[(name(1), "RJCT", "AC04")]))
    outcome = take(frame)
    assert outcome.code is ExitCode.EXCEPTIONS
    assert "coming back" in outcome.problems[0]
    assert states(engine) == {name(1): "sent"}
    assert balances(engine) == {
        "MERCHANT_PAYABLE": 1_000,
        "PAYOUT_SENT": -1_000,
        "BANK_CLEARING": 1_000,
        "PAYOUT_RETURNED": -1_000,
    }
    assert _events(engine) == ["announced", "conflict"]


def test_a_reject_of_a_transfer_that_has_come_in_does_not_order_it_again(
    engine: Engine, frame: Frame, sent: Sent, settings: Settings
) -> None:
    own = sent.transfer(1, "funding", 500, funder_no=2, debtor="funder:city", payee="safeguarded")
    put(settings, "1.xml", camt053(statement("S", 0, 500, [ntry(500, details(end_to_end_id=own))])))
    assert take(frame).code is ExitCode.DONE
    put(settings, "2.xml", pain002(message(1), payments=[(own, "RJCT", "AM04")]))
    outcome = take(frame)
    assert outcome.code is ExitCode.EXCEPTIONS
    assert "seen to have come in" in outcome.problems[0]
    assert states(engine) == {own: "sent"}, "a rejected transfer is ordered anew by the next night"


def test_a_transfer_that_we_never_sent_does_not_come_in(
    owner: Engine, engine: Engine, frame: Frame, sent: Sent, settings: Settings
) -> None:
    own = sent.transfer(1, "funding", 500, funder_no=2, debtor="funder:city", payee="safeguarded")
    with owner.begin() as connection:
        connection.execute(text("UPDATE house_transfer SET state = 'ordered'"))
        connection.execute(text("UPDATE bank_file SET state = 'approved'"))
    put(settings, "1.xml", camt053(statement("S", 0, 500, [ntry(500, details(end_to_end_id=own))])))
    outcome = take(frame)
    assert outcome.code is ExitCode.EXCEPTIONS
    assert "ordered" in outcome.problems[0]
    assert balances(engine) == {"SAFEGUARDED": 500, "SUSPENSE": -500}
