"""Statements and returns on real PostgreSQL: each entry once, named or in suspense."""

from collections.abc import Callable, Iterator
from datetime import date

import pytest
from sqlalchemy import Engine, text

from settlement.errors import ExitCode
from settlement.frame import Frame
from settlement.settings import Settings
from settlement.steps import acknowledge, reconcile
from settlement.steps.inbox import take
from tests.integration.settlement.books import Books
from tests.integration.settlement.sent import PAY_ON, D, Sent, balances, frame_of, message, name, put, states
from tests.support.bank_messages import camt053, camt054, details, ntry, pacs004, pain002, statement

NOW = "2026-11-24T21:00:00+09:00"
FUNDER = {"name": "시", "account": "200-300", "bank": "020"}
OPERATOR = {"name": "운영", "account": "777-888", "bank": "020"}


@pytest.fixture
def settings(settings_at: Callable[..., Settings]) -> Settings:
    return settings_at(NOW, funding={"seoro": {"city": FUNDER}}, operator={"seoro": OPERATOR})


@pytest.fixture
def books(owner: Engine) -> Books:
    found = Books(owner)
    for merchant in (1, 2, 3):
        found.merchant(merchant)
    return found


@pytest.fixture
def frame(books: Books, engine: Engine, settings: Settings) -> Iterator[Frame]:
    assert books.no == 1
    found = frame_of(engine, settings)
    yield found
    found.connection.close()


@pytest.fixture
def sent(owner: Engine, books: Books, frame: Frame) -> Sent:
    """The members have 10,000 won, topped up on D; the bank has collected nothing yet."""
    books.wallet(7, D, 10_000)
    return Sent(owner)


COLLECTED = ntry(10_000, details(remittance="충전 TOPUP-20261120 정산"))


def _rows(engine: Engine, query: str) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def _entries(engine: Engine) -> list[tuple[object, ...]]:
    return _rows(
        engine,
        "SELECT entry_no, won::int, state, kind, carrier, matched_to FROM bank_entry"
        " ORDER BY account, statement_id, entry_no",
    )


def _pay(won: int, merchant: int, **more: str) -> str:
    return ntry(won, details(end_to_end_id=name(merchant), **more))


def test_a_day_is_reconciled_to_the_won(engine: Engine, frame: Frame, sent: Sent, settings: Settings) -> None:
    sent.file(1, {1: 1_000, 2: 2_000})
    sent.file(2, {3: 3_000})
    put(
        settings,
        "s.xml",
        camt053(
            statement(
                "S1",
                0,
                4_000,
                [COLLECTED, ntry(-3_000, batch=f"{message(1)}-B1"), _pay(-3_000, 3)],
                account="1005-0000-00017",
            )
        ),
    )
    outcome = take(frame)
    assert outcome.code is ExitCode.DONE, outcome
    assert set(states(engine).values()) == {"booked"}
    assert balances(engine) == {"SAFEGUARDED": -6_000, "MERCHANT_PAYABLE": 6_000}
    assert _entries(engine) == [
        (1, 10_000, "matched", "collection", "agreed", "TOPUP-20261120"),
        (2, -3_000, "matched", "batch", "payment_information_id", f"{message(1)}-B1"),
        (3, -3_000, "matched", "payout", "end_to_end_id", name(3)),
    ]
    assert _rows(engine, "SELECT DISTINCT booked_on FROM payout") == [(PAY_ON,)]
    assert acknowledge.run(frame).waits == ""
    told = reconcile.run(frame)
    assert (told.booked, told.booked_won, told.open, told.waits) == (3, 6_000, 0, "")


@pytest.mark.parametrize(
    ("carried", "carrier"),
    [
        (details(end_to_end_id=name(1)), "end_to_end_id"),
        (details(payment_information_id=f"{message(1)}-B1"), "payment_information_id"),
        (details(message_id=message(1)), "message_id"),
        (details(remittance=f"지급 {name(1)} 서로"), "remittance"),
        (details(structured=name(1)), "remittance"),
        (details(remittance=f"{message(1)}-B1"), "remittance"),
    ],
)
def test_each_carrier_names_a_payment(
    engine: Engine, frame: Frame, sent: Sent, settings: Settings, carried: str, carrier: str
) -> None:
    sent.file(1, {1: 1_000})
    put(settings, "s.xml", camt053(statement("S", 0, 9_000, [COLLECTED, ntry(-1_000, carried)])))
    assert take(frame).code is ExitCode.DONE
    assert _entries(engine)[1][2] == "matched"
    assert _entries(engine)[1][4] == carrier


def test_the_amount_alone_never_matches(engine: Engine, frame: Frame, sent: Sent, settings: Settings) -> None:
    sent.file(1, {1: 1_000})
    put(settings, "s.xml", camt053(statement("S", 0, 9_000, [COLLECTED, ntry(-1_000)])))
    outcome = take(frame)
    assert outcome.code is ExitCode.EXCEPTIONS
    assert "suspense" in outcome.problems[0]
    assert states(engine) == {name(1): "sent"}
    assert balances(engine)["SUSPENSE"] == 1_000
    assert _entries(engine)[1] == (2, -1_000, "suspense", "", "", "")


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (_pay(-999, 1), "the bank says 999 won, ordered are 1,000"),
        (_pay(1_000, 1), "gives it back, and it is sent"),
        (ntry(-999, batch=f"{message(1)}-B1"), "1 payments of it make 1,000"),
        (ntry(9, details(remittance="TOPUP-20261120")), "10,000 are outstanding"),
        (ntry(9, details(remittance="TOPUP-20261399")), "is no date"),
        (ntry(9, details(remittance="PREPAY-city")), "belongs into funder:city"),
        (ntry(9, details(remittance="CLAIM-nobody")), "no funder nobody"),
    ],
)
def test_a_near_miss_is_in_suspense_with_its_reason(
    engine: Engine, frame: Frame, sent: Sent, settings: Settings, entry: str, why: str
) -> None:
    sent.file(1, {1: 1_000})
    won = int(entry.split('KRW">')[1].split("<")[0]) * (1 if "CRDT" in entry else -1)
    put(settings, "s.xml", camt053(statement("S", 5_000, 5_000 + won, [entry])))
    outcome = take(frame)
    assert outcome.code is ExitCode.EXCEPTIONS
    assert why in "\n".join(outcome.problems)
    assert states(engine) == {name(1): "sent"}
    assert balances(engine)["SUSPENSE"] == -5_000 - won
    assert why in str(_entries(engine)[1][5])


def test_the_same_statement_again_is_harmless(
    engine: Engine, frame: Frame, sent: Sent, settings: Settings
) -> None:
    sent.file(1, {1: 1_000})
    one = statement("S", 0, 9_000, [COLLECTED, _pay(-1_000, 1)])
    put(settings, "s.xml", camt053(one))
    take(frame)
    before = (balances(engine), _entries(engine))
    put(settings, "t.xml", camt053(one, message_id="OTHER"))
    outcome = take(frame)
    assert outcome.code is ExitCode.DONE
    assert outcome.files[0].state == "repeated"
    assert (balances(engine), _entries(engine)) == before
    put(settings, "u.xml", camt053(statement("S", 0, 10_000, [COLLECTED]), message_id="OTHER"))
    assert "which is right" in take(frame).problems[0]


def test_a_missing_statement_is_asked_for_and_the_later_one_waits(
    engine: Engine, frame: Frame, sent: Sent, settings: Settings
) -> None:
    sent.file(1, {1: 1_000})
    put(settings, "1.xml", camt053(statement("S1", 0, 10_000, [COLLECTED], sequence=1)))
    third = camt053(
        statement("S3", 9_000, 9_500, [ntry(500, details(remittance="?"))], sequence=3), message_id="M3"
    )
    put(settings, "3.xml", third)
    outcome = take(frame)
    assert outcome.code is ExitCode.EXCEPTIONS
    assert "ask the bank for statement 2 of safeguarded" in outcome.problems[0]
    assert _rows(engine, "SELECT statement_id FROM bank_statement") == [("S1",)]
    put(
        settings,
        "2.xml",
        camt053(statement("S2", 10_000, 9_000, [_pay(-1_000, 1)], sequence=2), message_id="M2"),
    )
    take(frame)
    assert _rows(engine, "SELECT statement_id FROM bank_statement ORDER BY 1") == [("S1",), ("S2",), ("S3",)]
    assert _rows(engine, "SELECT DISTINCT state, problem FROM inbound_file") == [("applied", "")]


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (statement("S", 0, 9_999, [COLLECTED]), "opens with 0 won"),
        (statement("S", 0, 10_000, [COLLECTED], account="999"), "none of ours"),
        (statement("S", 0, 10_000, [COLLECTED], bank="088"), "none of ours"),
        (statement("S", 0, 10_000, [ntry(10_000, currency="USD")]), "only won"),
    ],
)
def test_a_statement_that_cannot_be_right_is_refused(
    engine: Engine, frame: Frame, sent: Sent, settings: Settings, one: str, why: str
) -> None:
    assert sent.no == 1
    put(settings, "s.xml", camt053(one))
    outcome = take(frame)
    assert outcome.code is ExitCode.EXCEPTIONS
    assert why in outcome.problems[0]
    assert _rows(engine, "SELECT 1 FROM bank_statement UNION ALL SELECT 1 FROM house_entry") == []


def test_books_that_differ_from_the_bank_take_nothing(
    owner: Engine, engine: Engine, frame: Frame, sent: Sent, settings: Settings
) -> None:
    put(settings, "1.xml", camt053(statement("S1", 0, 10_000, [COLLECTED], sequence=1)))
    take(frame)
    sent._book("by hand", 221, 231, 7, 1)
    with owner.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO house_entry (programme_no, business_date, posting, line, debit, credit, won,"
                " merchant_no, funder_no) VALUES (1, '2026-11-24', 'by hand', 1, 231, 101, 7, 1, 0)"
            )
        )
    put(settings, "2.xml", camt053(statement("S2", 10_000, 10_000, [], sequence=2), message_id="M2"))
    outcome = take(frame)
    assert outcome.code is ExitCode.MISMATCH
    assert "find the 7" in outcome.problems[0]
    assert _rows(engine, "SELECT statement_id FROM bank_statement") == [("S1",)]


def test_money_that_was_there_before_is_in_suspense(engine: Engine, frame: Frame, settings: Settings) -> None:
    put(settings, "s.xml", camt053(statement("S", 500, 500)))
    assert take(frame).code is ExitCode.EXCEPTIONS
    assert balances(engine) == {"SAFEGUARDED": 500, "SUSPENSE": -500}
    assert _entries(engine) == [(0, 500, "suspense", "", "", "")]


@pytest.mark.parametrize("announced", ["no", "camt", "pacs", "both", "late"])
def test_a_payment_comes_back(
    engine: Engine, frame: Frame, sent: Sent, settings: Settings, announced: str
) -> None:
    sent.file(1, {1: 1_000, 2: 2_000})
    notice = camt054(ntry(1_000, details(end_to_end_id=name(1), return_reason="AC04")))
    message_between = pacs004([(name(1), 1_000, "AC04")])
    put(
        settings,
        "1.xml",
        camt053(statement("S1", 0, 7_000, [COLLECTED, ntry(-3_000, batch=f"{message(1)}-B1")], sequence=1)),
    )
    if announced in ("camt", "both"):
        put(settings, "0.xml", notice)
    if announced in ("pacs", "both"):
        put(settings, "2.xml", message_between)
    assert take(frame).code is ExitCode.DONE
    if announced in ("camt", "pacs", "both"):
        assert states(engine) == {name(1): "booked", name(2): "booked"}
        assert balances(engine)["BANK_CLEARING"] == 1_000
        assert balances(engine)["PAYOUT_RETURNED"] == -1_000
    put(
        settings,
        "3.xml",
        camt053(
            statement("S2", 7_000, 8_000, [_pay(1_000, 1, return_reason="AC04")], sequence=2), message_id="M2"
        ),
    )
    if announced == "late":
        put(settings, "4.xml", notice)
    assert take(frame).code is ExitCode.DONE
    assert states(engine) == {name(1): "returned", name(2): "booked"}
    assert balances(engine) == {"SAFEGUARDED": -2_000, "MERCHANT_PAYABLE": 3_000, "PAYOUT_RETURNED": -1_000}
    assert _rows(engine, "SELECT reason, returned_on FROM payout WHERE state = 'returned'") == [
        ("AC04", date(2026, 11, 24))
    ]
    told = reconcile.run(frame)
    assert (told.booked, told.returned, told.returned_won) == (1, 1, 1_000)
    assert "1 payouts of 1,000 won were returned and are not paid again" in told.waits


def test_a_return_of_a_part_or_of_nothing_of_ours_is_told(
    engine: Engine, frame: Frame, sent: Sent, settings: Settings
) -> None:
    sent.file(1, {1: 1_000}, payout_state="booked")
    put(settings, "1.xml", pacs004([(name(1), 400, "AC04"), ("OTHER", 5, "AC04")]))
    outcome = take(frame)
    assert outcome.code is ExitCode.EXCEPTIONS
    assert len(outcome.problems) == 2
    assert "BANK_CLEARING" not in balances(engine)
    put(settings, "2.xml", pacs004([("OTHER", 5, "AC04")], message_id="X"))
    assert "no payment of ours" in take(frame).problems[0]
    put(settings, "3.xml", pacs004([(name(1), 1_000, "AC04")], message_id="Y", currency="USD"))
    assert "only won" in take(frame).problems[0]


def test_a_payment_goes_out_and_comes_back_in_one_statement(
    engine: Engine, frame: Frame, sent: Sent, settings: Settings
) -> None:
    sent.file(1, {1: 1_000})
    entries = [_pay(1_000, 1, return_reason="AC06"), COLLECTED, _pay(-1_000, 1)]
    put(settings, "s.xml", camt053(statement("S", 0, 10_000, entries)))
    assert take(frame).code is ExitCode.DONE
    assert states(engine) == {name(1): "returned"}


def test_a_batch_in_details_and_a_batch_given_back(
    engine: Engine, frame: Frame, sent: Sent, settings: Settings
) -> None:
    sent.file(1, {1: 1_000, 2: 2_000, 3: 3_000})
    named = [details(end_to_end_id=name(each), won=-won) for each, won in ((1, 1_000), (3, 3_000))]
    batch = f"{message(1)}-B1"
    entries = [COLLECTED, ntry(-4_000, *named, batch=batch), ntry(4_000, batch=batch, reversal=True)]
    put(settings, "s.xml", camt053(statement("S", 0, 10_000, entries)))
    assert take(frame).code is ExitCode.DONE
    assert states(engine) == {name(1): "returned", name(2): "sent", name(3): "returned"}


def test_a_batch_without_its_rejects_fits_once_they_are_told(
    engine: Engine, frame: Frame, sent: Sent, settings: Settings
) -> None:
    sent.file(1, {1: 1_000, 2: 2_000})
    put(
        settings,
        "s.xml",
        camt053(statement("S", 0, 9_000, [COLLECTED, ntry(-1_000, batch=f"{message(1)}-B1")])),
    )
    assert take(frame).code is ExitCode.EXCEPTIONS
    assert balances(engine)["SUSPENSE"] == 1_000
    assert "in suspense name its payments" in reconcile.run(frame).waits
    put(settings, "a.xml", pain002(message(1), group="PART", payments=[(name(2), "RJCT", "AC01")]))
    outcome = take(frame)
    assert outcome.code is ExitCode.DONE
    assert len(outcome.resolved) == 1
    assert states(engine) == {name(1): "booked", name(2): "rejected"}
    assert balances(engine) == {"SAFEGUARDED": -1_000, "MERCHANT_PAYABLE": 1_000}
    assert _entries(engine)[1][2:4] == ("matched", "batch")


def test_a_statement_is_an_answer_and_a_later_reject_a_contradiction(
    engine: Engine, frame: Frame, sent: Sent, settings: Settings
) -> None:
    sent.file(1, {1: 1_000}, state="delivering", payout_state="ordered")
    put(settings, "s.xml", camt053(statement("S", 0, 9_000, [COLLECTED, _pay(-1_000, 1)])))
    assert take(frame).code is ExitCode.DONE
    assert states(engine) == {name(1): "booked"}
    before = balances(engine)
    put(settings, "a.xml", pain002(message(1), group="RJCT", group_reason="AC04"))
    outcome = take(frame)
    assert outcome.code is ExitCode.EXCEPTIONS
    assert balances(engine) == before
    put(settings, "b.xml", pain002(message(1), message_id="OK", group="ACSC"))
    assert take(frame).code is ExitCode.DONE
    assert states(engine) == {name(1): "booked"}


def test_transfers_between_own_accounts_are_seen_on_both(
    engine: Engine, frame: Frame, sent: Sent, settings: Settings
) -> None:
    city = 12
    funding = sent.transfer(1, "funding", 700, funder_no=city, debtor="funder:city", payee="safeguarded")
    fees = sent.transfer(2, "fees", 30, debtor="safeguarded", payee="operator")
    paid_in = ntry(900, details(remittance="PREPAY-city 2026"))
    put(
        settings,
        "1.xml",
        camt053(
            statement("F", 0, 200, [paid_in, ntry(-700, details(end_to_end_id=funding))], account="200300"),
            statement(
                "S",
                0,
                10_670,
                [
                    COLLECTED,
                    ntry(700, details(end_to_end_id=funding)),
                    ntry(-30, details(end_to_end_id=fees)),
                ],
            ),
        ),
    )
    assert take(frame).code is ExitCode.DONE
    assert balances(engine) == {
        "SAFEGUARDED": 670,
        "FUNDER_BANK": 200,
        "FUNDER_PREPAID": -900,
        "BANK_CLEARING": 30,
    }
    assert "on no statement" in reconcile.run(frame).waits
    put(
        settings,
        "2.xml",
        camt053(
            statement("O", 0, 30, [ntry(30, details(end_to_end_id=fees))], account="777888"),
            message_id="M2",
        ),
    )
    assert take(frame).code is ExitCode.DONE
    assert balances(engine)["OPERATOR_BANK"] == 30
    assert "BANK_CLEARING" not in balances(engine)
    assert reconcile.run(frame).waits == ""
    assert set(states(engine).values()) == {"booked"}
