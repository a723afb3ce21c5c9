"""A holiday declared after the night: what has not left moves, what has left is told."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

from settlement.desk import forecast, moves
from settlement.settings import Calendar
from tests.integration.settlement.merchants.nights import Nights

D = date(2026, 11, 16)  # a Monday, paid on Wednesday
WEDNESDAY, THURSDAY, FRIDAY = date(2026, 11, 18), date(2026, 11, 19), date(2026, 11, 20)

Make = Callable[..., Nights]


def declare(city: Nights, *days: date) -> None:
    """Banks are closed on these days after all."""
    city.settings = city.settings.model_copy(update={"calendar": Calendar(extra_closed=days)})


def sent_by_us(city: Nights, folder: Path) -> None:
    """The bank's folder is filled by the program, not by hand."""
    delivery = city.settings.delivery.model_copy(update={"channel": "folder", "folder": folder / "bank"})
    city.settings = city.settings.model_copy(update={"delivery": delivery})


def paid_to(city: Nights, shops: int) -> None:
    for number in range(1, shops + 1):
        city.merchant(number, payout_days=3 if number == shops else None)
        city.trade(D, number, 10_000 * number)
    city.pay(D)


def into_file(city: Nights, file_no: int, state: str, merchants: list[int]) -> str:
    """A file as emit_files leaves it, in the outbox as well."""
    name = f"file{file_no}.xml"
    city.sql(
        "INSERT INTO bank_file (programme_no, file_no, business_date, cycle, profile, debtor, debtor_name,"
        " debtor_account, debtor_bank, pay_on, message_id, payment_information_id, name, remittance,"
        " created_at, made_by, payments, won, sha256, state)"
        " VALUES (:no, :file, :day, 1, 'pain.001', 'safeguarded', 'x', '1', '020', :on, :name, :name, :name,"
        " '', now(), 'mina', 1, 1, 'abc', :state)",
        no=city.no,
        file=file_no,
        day=D,
        on=WEDNESDAY,
        name=name,
        state=state,
    )
    for line, merchant in enumerate(merchants, 1):
        city.sql(
            "INSERT INTO bank_file_line SELECT programme_no, :file, :line, end_to_end_id FROM payout"
            " WHERE merchant_no = :m",
            file=file_no,
            line=line,
            m=merchant,
        )
    if state == "approved":
        city.sql(
            "INSERT INTO file_approval VALUES (:no, :file, 1, 'abc', 'mina', 'chulsoo', now())",
            no=city.no,
            file=file_no,
        )
    outbox: Path = city.settings.files.outbox
    outbox.mkdir(exist_ok=True)
    for suffix in ("", ".sha256", ".done"):
        (outbox / f"{name}{suffix}").write_text("x")
    return name


def test_what_is_ordered_moves_to_the_next_open_day_and_only_once(make: Make) -> None:
    city = make()
    paid_to(city, 3)
    declare(city, WEDNESDAY)
    done = city.do(D, moves.move_pending)
    assert done.moved == (moves.Move(WEDNESDAY, THURSDAY, 2, 9_985 + 19_970),)
    assert city.all("SELECT DISTINCT pay_on FROM payout") == [(THURSDAY,)]
    assert (
        city.all("SELECT event, event_no, told FROM payout_event")
        == [("moved", 1, "2026-11-18 to 2026-11-19")] * 2
    )
    assert city.do(D, moves.move_pending) == moves.Moves()
    declare(city, WEDNESDAY, THURSDAY)
    assert city.do(D, moves.move_pending).moved[0].to == FRIDAY
    assert city.all("SELECT max(event_no) FROM payout_event") == [(2,)]
    declare(city)  # open again: nobody is paid earlier than was told
    assert city.do(D, moves.move_pending) == moves.Moves()
    assert city.all("SELECT DISTINCT pay_on FROM payout") == [(FRIDAY,)]


def test_a_file_that_has_not_left_is_voided_whole_with_its_approval(make: Make, tmp_path: Path) -> None:
    city = make()
    sent_by_us(city, tmp_path)
    paid_to(city, 3)
    name = into_file(city, 1, "approved", [1, 3])  # 3 is paid on Thursday: it keeps its day
    declare(city, WEDNESDAY)
    done = city.do(D, moves.move_pending)
    assert done.voided == (name,)
    assert city.all("SELECT state FROM bank_file") == [("voided",)]
    assert city.all("SELECT voided_at IS NOT NULL, void_reason FROM file_approval") == [
        (True, "banks are closed on 2026-11-18")
    ]
    assert city.all("SELECT merchant_no, pay_on FROM payout ORDER BY 1") == [
        (1, THURSDAY),
        (2, THURSDAY),
        (3, THURSDAY),
    ]
    assert list(city.settings.files.outbox.iterdir()) == []
    assert [act for (act,) in city.all("SELECT act FROM settlement_audit ORDER BY audit_no")] == [
        "file:void",
        "file:replace",
    ]


def test_what_stands_in_no_file_on_a_day_that_is_over_moves_to_the_next_night_that_runs(make: Make) -> None:
    city = make()
    paid_to(city, 3)
    into_file(city, 1, "approved", [2])  # made in time: the bank says what becomes of it
    done = city.do(THURSDAY, moves.move_pending)  # Wednesday's night did not run, nor did Thursday's
    assert done.moved == (moves.Move(WEDNESDAY, FRIDAY, 1, 9_985), moves.Move(THURSDAY, FRIDAY, 1, 29_955))
    assert done.exceptions[0].endswith("moved from 2026-11-18 to 2026-11-20: that day is over")
    assert (done.voided, len(done.exceptions)) == ((), 2)
    assert city.all("SELECT pay_on FROM payout ORDER BY merchant_no") == [(FRIDAY,), (WEDNESDAY,), (FRIDAY,)]
    assert city.do(THURSDAY, moves.move_pending) == moves.Moves()
    assert city.all("SELECT state FROM bank_file") == [("approved",)]


def test_an_approved_file_that_people_carry_stays_until_they_say_that_it_did_not_leave(make: Make) -> None:
    city = make()
    paid_to(city, 3)
    into_file(city, 1, "emitted", [1])
    name = into_file(city, 2, "approved", [2])  # somebody may be at the bank with it
    declare(city, WEDNESDAY)
    done = city.do(D, moves.move_pending)
    assert (done.voided, done.moved[0].items) == (("file1.xml",), 1)
    assert done.exceptions[0] == (
        f"{name} is approved and may be on its way by hand, and banks are closed on 2026-11-18: if it is not,"
        f" run dure-settlement approve --withdraw {name}, then run again"
    )
    assert not any("have left" in line for line in done.exceptions)
    assert city.all("SELECT name, state FROM bank_file ORDER BY 1") == [
        ("file1.xml", "voided"),
        (name, "approved"),
    ]
    assert city.all("SELECT pay_on FROM payout WHERE merchant_no = 2") == [(WEDNESDAY,)]
    assert (city.settings.files.outbox / name).exists()
    city.sql("UPDATE file_approval SET voided_at = now(), void_reason = 'withdrawn'")
    city.sql("UPDATE bank_file SET state = 'emitted' WHERE file_no = 2")
    assert city.do(D, moves.move_pending).voided == (name,)
    assert city.all("SELECT DISTINCT pay_on FROM payout WHERE merchant_no < 3") == [(THURSDAY,)]


def test_what_a_dead_run_left_of_a_voided_file_is_taken_away_by_the_next(make: Make) -> None:
    city = make()
    paid_to(city, 1)
    into_file(city, 1, "voided", [1])
    assert city.do(D, moves.move_pending) == moves.Moves()
    assert list(city.settings.files.outbox.iterdir()) == []


def test_what_has_left_stays_and_a_person_is_told(make: Make) -> None:
    city = make()
    paid_to(city, 3)
    into_file(city, 1, "delivering", [1])  # its outcome is not known: it may be at the bank
    city.sql("UPDATE payout SET state = 'sent' WHERE merchant_no = 2")
    declare(city, WEDNESDAY)
    done = city.do(D, moves.move_pending)
    assert (done.moved, done.voided) == ((), ())
    [line] = done.exceptions
    assert line.startswith("2 payments of 29,955 won for 2026-11-18 have left already")
    assert city.all("SELECT state, count(*) FROM bank_file GROUP BY 1") == [("delivering", 1)]
    assert city.all("SELECT count(*) FROM payout WHERE pay_on = '2026-11-18'") == [(2,)]


def test_transfers_between_own_accounts_move_as_well(make: Make) -> None:
    city = make()
    city.sql(
        "INSERT INTO house_transfer VALUES (:no, :day, 1, 'fees', 0, 1, :on, 500, 'E1', 'safeguarded',"
        " 'operator', '020', '1', 'x')",
        no=city.no,
        day=D,
        on=WEDNESDAY,
    )
    declare(city, WEDNESDAY)
    assert city.do(D, moves.move_pending).moved[0].won == 500
    assert city.all("SELECT pay_on FROM house_transfer") == [(THURSDAY,)]


def test_the_check_of_calendars_tells_it_before_the_run_does(make: Make) -> None:
    city = make()
    paid_to(city, 1)
    city.sql("UPDATE payout SET pay_on = :on", on=WEDNESDAY)
    declare(city, WEDNESDAY)

    def check(connection: object) -> list[forecast.Pending]:
        return list(forecast.check(connection, city.facts(), city.settings.calendar))  # type: ignore[arg-type]

    [one] = city.desk(check)
    assert (one.now_closed, one.moves_to, one.left) == ("closed by the settings", THURSDAY, False)
    assert one.differs == ("2026-11-18 closed since",)
