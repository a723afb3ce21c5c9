"""The inbox on real PostgreSQL: archived first, each answer once, rejects owed again, bad files put aside."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from settlement.disk import sha256_of
from settlement.errors import ExitCode, UsageError
from settlement.frame import Frame, Silent
from settlement.settings import Settings
from settlement.steps import acknowledge
from settlement.steps.inbox import take
from switch.ledger.chart import Account
from tests.integration.settlement.books import Books
from tests.integration.settlement.sent import Sent, balances, frame_of, message, name, put, states
from tests.support.bank_messages import pain002

NOW = "2026-11-24T11:00:00+09:00"
ACCP = "accepted"


@pytest.fixture
def settings(settings_at: Callable[..., Settings]) -> Settings:
    return settings_at(NOW)


@pytest.fixture
def frame(owner: Engine, engine: Engine, settings: Settings) -> Iterator[Frame]:
    books = Books(owner)
    for merchant in (1, 2, 3):
        books.merchant(merchant)
    found = frame_of(engine, settings)
    yield found
    found.connection.close()


@pytest.fixture
def sent(owner: Engine, frame: Frame) -> Sent:
    assert frame.key.programme_no == 1
    return Sent(owner)


def _rows(engine: Engine, query: str) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_a_partial_answer_moves_each_payment_and_owes_what_was_rejected(
    engine: Engine, frame: Frame, sent: Sent, settings: Settings
) -> None:
    own = sent.file(1, {1: 1_000, 2: 2_000, 3: 3_000})
    lying = put(
        settings,
        "answer.xml",
        pain002(own, group="PART", payments=[(name(1), "ACSC"), (name(2), "RJCT", "AC04")]),
    )
    outcome = take(frame)
    assert outcome.code is ExitCode.DONE, outcome
    assert states(engine) == {name(1): ACCP, name(2): "rejected", name(3): "sent"}
    assert _rows(engine, "SELECT reason FROM payout WHERE state = 'rejected'") == [("AC04",)]
    assert balances(engine) == {"MERCHANT_PAYABLE": 4_000, "PAYOUT_SENT": -4_000}
    assert _rows(
        engine, "SELECT posting, won, merchant_no FROM house_entry WHERE posting LIKE 'reject%'"
    ) == [(f"reject:{name(2)}", 2_000, 2)]
    assert not lying.exists()
    assert not list(settings.files.inbox.iterdir())
    (archived,) = _rows(engine, "SELECT archived, state, kind, programme_no FROM inbound_file")
    assert archived == ("in/2026/11/24/1_answer.xml", "applied", "pain.002", 1)
    assert (settings.files.archive / str(archived[0])).read_bytes().startswith(b"<?xml")
    told = acknowledge.run(frame)
    assert (told.accepted, told.rejected, told.rejected_won, told.unanswered) == (1, 1, 2_000, 1)
    assert "no answer" in told.waits
    put(settings, "rest.xml", pain002(own, message_id="B2", group="PART", payments=[(name(3), "ACSC")]))
    take(frame)
    assert acknowledge.run(frame).waits == ""
    assert _rows(engine, "SELECT state FROM bank_file") == [("answered",)]
    assert _rows(engine, "SELECT act, actor FROM settlement_audit") == [("answer taken", "tester")] * 2


def test_the_same_answer_again_changes_nothing(
    engine: Engine, frame: Frame, sent: Sent, settings: Settings
) -> None:
    own = sent.file(1, {1: 1_000, 2: 2_000})
    answer = pain002(own, group="RJCT", group_reason="AM04")
    put(settings, "a.xml", answer)
    take(frame)
    before = (states(engine), balances(engine), _rows(engine, "SELECT * FROM payout_event"))
    assert before[0] == {name(1): "rejected", name(2): "rejected"}
    assert before[1] == {}
    put(settings, "again.xml", answer)
    put(settings, "other_id.xml", pain002(own, message_id="BANK-2", group="RJCT", group_reason="AM04"))
    put(settings, "late.xml", pain002(own, message_id="BANK-3", payments=[(name(1), "RJCT", "AM04")]))
    outcome = take(frame)
    assert outcome.code is ExitCode.DONE
    assert sorted(file.state for file in outcome.files) == ["applied", "applied", "repeated"]
    assert (states(engine), balances(engine), _rows(engine, "SELECT * FROM payout_event")) == before
    assert not list(settings.files.inbox.iterdir())


def test_answers_that_contradict_are_told_and_book_nothing(
    engine: Engine, frame: Frame, sent: Sent, settings: Settings
) -> None:
    own = sent.file(1, {1: 1_000, 2: 2_000}, payout_state="booked")
    put(settings, "a.xml", pain002(own, payments=[(name(1), "RJCT", "AC04"), ("X", "ACCP")]))
    outcome = take(frame)
    assert outcome.code is ExitCode.EXCEPTIONS
    assert len(outcome.problems) == 2
    assert states(engine) == {name(1): "booked", name(2): "booked"}
    assert balances(engine) == {"MERCHANT_PAYABLE": 3_000, "PAYOUT_SENT": -3_000}
    assert _rows(engine, "SELECT event, reason FROM payout_event") == [("conflict", "AC04")]
    put(settings, "b.xml", pain002(own, message_id="B", payments=[(name(1), "RJCT", "AC04")]))
    assert take(frame).code is ExitCode.EXCEPTIONS
    assert _rows(engine, "SELECT count(*) FROM payout_event") == [(1,)]


def test_an_answer_to_a_file_on_its_way_says_that_it_is_there(
    owner: Engine, engine: Engine, frame: Frame, sent: Sent, settings: Settings
) -> None:
    own = sent.file(1, {1: 1_000}, state="delivering", payout_state="ordered")
    with owner.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO file_delivery (programme_no, file_no, try_no, channel, by, started_at, outcome)"
                " VALUES (1, 1, 1, 'sftp', 'x', now(), 'started')"
            )
        )
    put(settings, "a.xml", pain002(own, group="ACTC"))
    assert take(frame).code is ExitCode.DONE
    assert states(engine) == {name(1): ACCP}
    assert _rows(engine, "SELECT state FROM bank_file") == [("answered",)]
    assert _rows(engine, "SELECT outcome, ended_at IS NULL FROM file_delivery") == [("delivered", False)]


@pytest.mark.parametrize("state", ["emitted", "approved", "voided"])
def test_an_answer_to_a_file_that_never_left_is_refused(
    engine: Engine, frame: Frame, sent: Sent, settings: Settings, state: str
) -> None:
    own = sent.file(1, {1: 1_000}, state=state, payout_state="ordered")
    put(settings, "a.xml", pain002(own, group="ACTC"))
    outcome = take(frame)
    assert outcome.code is ExitCode.EXCEPTIONS
    assert "never delivered" in outcome.problems[0]
    assert states(engine) == {name(1): "ordered"}


def test_bad_files_are_put_aside_and_the_others_go_on(
    engine: Engine, frame: Frame, sent: Sent, settings: Settings
) -> None:
    own = sent.file(1, {1: 1_000})
    put(settings, "1_bomb.xml", b'<!DOCTYPE d [<!ENTITY a "b">]><d>&a;</d>')
    put(settings, "2_alien.xml", b'<Document xmlns="urn:other:camt.099"><x/></Document>')
    put(settings, "3_foreign.xml", pain002(message(9), group="ACCP"))
    put(settings, "4_계좌 이체.xml", pain002(own, group="ACCP", count=2))
    put(settings, "5_good.xml", pain002(own, group="ACCP"))
    outcome = take(frame)
    assert outcome.code is ExitCode.EXCEPTIONS
    assert [file.state for file in outcome.files] == ["refused"] * 4 + ["applied"]
    told = "\n".join(outcome.problems)
    for part in ("DOCTYPE", "urn:other:camt.099", "no file of ours", "counts 2 payments"):
        assert part in told
    assert states(engine) == {name(1): ACCP}
    aside = sorted(path.name for path in (settings.files.inbox / "refused").iterdir())
    assert aside == ["1_1_bomb.xml", "2_2_alien.xml", "3_3_foreign.xml", "4_4_계좌_이체.xml"]
    assert sorted(path.name for path in settings.files.inbox.iterdir()) == ["refused"]
    assert len(_rows(engine, "SELECT 1 FROM inbound_file WHERE state = 'refused' AND problem <> ''")) == 4
    archive = settings.files.archive / "in/2026/11/24"
    assert len(list(archive.iterdir())) == 5


def test_a_refused_file_may_be_given_again(
    engine: Engine, frame: Frame, sent: Sent, settings: Settings
) -> None:
    early = put(settings, "early.xml", pain002(message(1), group="ACCP"))
    assert take(frame).code is ExitCode.EXCEPTIONS
    sent.file(1, {1: 1_000})
    again = settings.files.inbox / "refused" / f"1_{early.name}"
    outcome = take(frame, [again])
    assert outcome.code is ExitCode.DONE
    assert again.exists()  # what is given by name is left where it is
    assert states(engine) == {name(1): ACCP}
    assert _rows(engine, "SELECT inbound_no, state, problem FROM inbound_file") == [(1, "applied", "")]


def test_a_file_of_a_gigabyte_is_not_even_opened(frame: Frame, settings: Settings) -> None:
    huge = put(settings, "huge.xml", b"")
    with huge.open("wb") as file:
        file.truncate(1_000_000_000)
    outcome = take(frame)
    assert outcome.code is ExitCode.EXCEPTIONS
    assert "1,000,000,000 bytes" in outcome.problems[0]
    assert (settings.files.inbox / "refused" / "huge.xml").exists()
    assert not settings.files.archive.exists()


def test_a_file_that_is_still_written_is_left(
    engine: Engine, frame: Frame, sent: Sent, settings: Settings
) -> None:
    own = sent.file(1, {1: 1_000})
    whole = pain002(own, group="ACCP")
    half = put(settings, "half.xml", whole[:300], done=False)
    with_part = put(settings, "b.xml", whole, done=False)
    part = with_part.with_name("b.xml.part")
    part.touch()
    put(settings, ".hidden.xml", whole, done=False)
    assert take(frame).files == ()
    part.unlink()
    assert take(frame).code is ExitCode.DONE
    assert states(engine) == {name(1): ACCP}
    os.utime(half, (1_000_000_000, 1_000_000_000))
    assert "cut off" in take(frame).problems[0]


def test_what_was_archived_and_not_read_is_read_at_the_next_time(
    engine: Engine, frame: Frame, sent: Sent, settings: Settings
) -> None:
    """Stopped at every point in turn; the end is the same as without a stop."""
    own = sent.file(1, {1: 1_000, 2: 2_000})
    put(settings, "a.xml", pain002(own, group="PART", payments=[(name(1), "RJCT", "AC01")]))

    class Stop(Exception):
        pass

    class Stopper:
        point = ""

        def reached(self, point: str) -> None:
            if point == self.point:
                raise Stop

        def progress(self, step: str, done: int, total: int) -> None:
            pass

    stopper = Stopper()
    frame.observer = stopper
    points = ("copied", "archived", "received", "identified", "applying", "applied", "cleared")
    for point in points:
        stopper.point = f"inbox:{point}"
        with pytest.raises(Stop):
            take(frame)
        frame.connection.rollback()
        if point == "applied":  # it has left nothing to read; the inbox is still to be cleared
            assert states(engine)[name(1)] == "rejected"
    stopper.point = ""
    assert take(frame).files == ()
    assert states(engine) == {name(1): "rejected", name(2): "sent"}
    assert balances(engine, Account.PAYOUT_SENT) == {"PAYOUT_SENT": -2_000}
    assert _rows(engine, "SELECT state FROM inbound_file") == [("applied",)]
    assert not list(settings.files.inbox.iterdir())


class _At(Silent):
    """Does something at one point, once."""

    def __init__(self, point: str, act: Callable[[], object]) -> None:
        self._point, self._act = point, act

    def reached(self, point: str) -> None:
        if point == self._point:
            self._point = ""
            self._act()


def test_a_file_that_is_replaced_while_it_is_taken_in_is_two_files(
    engine: Engine, frame: Frame, sent: Sent, settings: Settings
) -> None:
    own = sent.file(1, {1: 1_000, 2: 2_000})
    put(settings, "a.xml", pain002(own, group="PART", payments=[(name(1), "RJCT", "AC01")]))
    other = pain002(own, group="PART", payments=[(name(2), "RJCT", "AC01")])
    frame.observer = _At("inbox:copied", lambda: put(settings, "a.xml", other))
    assert [file.state for file in take(frame).files] == ["applied"]
    assert _rows(engine, "SELECT state FROM inbound_file") == [("applied",)]
    for row in _rows(engine, "SELECT archived, sha256 FROM inbound_file"):
        assert sha256_of(settings.files.archive / str(row[0])) == row[1]


def test_another_programme_that_takes_the_inbox_meanwhile_finds_files_whole(
    owner: Engine, engine: Engine, frame: Frame, sent: Sent, settings: Settings
) -> None:
    """At each point of one programme's take, the other one's is done from its beginning to its end."""
    Books(owner, "ontong", 2).merchant(21)
    for number, point in enumerate(("copied", "received", "applied"), 1):
        own = sent.file(number, {number: 1_000})
        put(settings, f"{number}.xml", pain002(own, group="ACCP"))
        other = frame_of(engine, settings, "ontong")
        frame.observer = _At(f"inbox:{point}", partial(take, other))
        assert not take(frame).problems
        other.connection.close()
    assert set(states(engine).values()) == {ACCP}
    assert {row[0] for row in _rows(engine, "SELECT state FROM inbound_file")} == {"applied"}
    assert list(settings.files.inbox.iterdir()) == []


def test_what_is_no_file_is_refused_at_once(frame: Frame, settings: Settings, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.xml")
    for given in (tmp_path / "pipe.xml", tmp_path, Path("/dev/zero")):
        with pytest.raises(UsageError, match="cannot be read"):
            take(frame, [given])
    assert not list((settings.files.archive / "in").rglob("*.xml"))


def test_a_file_that_is_called_as_our_folder(frame: Frame, settings: Settings) -> None:
    for named in ("a.xml", "refused"):
        os.utime(put(settings, named, b"<a/>" + named.encode()), (1_000_000_000, 1_000_000_000))
    take(frame)
    take(frame)
    aside = sorted(path.name for path in (settings.files.inbox / "refused").iterdir())
    assert aside == ["1_a.xml", "2_refused"]
    assert sorted(path.name for path in settings.files.inbox.iterdir()) == ["refused"]


def test_an_archived_file_that_was_changed_is_not_read(
    engine: Engine, frame: Frame, sent: Sent, settings: Settings
) -> None:
    own = sent.file(1, {1: 1_000})
    path = put(settings, "a.xml", pain002(own, group="RJCT"))
    tampered = settings.files.archive / "in/2026/11/24/1_a.xml"
    tampered.parent.mkdir(parents=True)
    tampered.write_bytes(pain002(own, group="ACCP"))
    outcome = take(frame, [path])
    assert outcome.code is ExitCode.MISMATCH
    assert "find out who changed it" in outcome.problems[0]
    assert states(engine) == {name(1): "sent"}


def test_answers_of_another_programme_wait_for_its_own_take(
    owner: Engine, engine: Engine, frame: Frame, sent: Sent, settings: Settings
) -> None:
    sent.file(1, {1: 1_000})
    other_books = Books(owner, "ontong", 2)
    other_books.merchant(21)
    other = Sent(owner, 2)
    theirs = other.file(1, {21: 5_000})
    put(settings, "a.xml", pain002(theirs, group="ACCP"))
    assert take(frame).files == ()
    assert states(engine)[name(21, programme=2)] == "sent"
    second = frame_of(engine, settings, "ontong")
    try:
        assert [file.state for file in take(second).files] == ["applied"]
    finally:
        second.connection.close()
    assert states(engine)[name(21, programme=2)] == ACCP


def test_the_same_bytes_twice_in_the_inbox_leave_it_together(
    engine: Engine, frame: Frame, sent: Sent, settings: Settings
) -> None:
    answer = pain002(sent.file(1, {1: 1_000}), payments=[(name(1), "ACSC")])
    for file in ("one.xml", "two.xml"):
        put(settings, file, answer)
    take(frame)
    assert not list(settings.files.inbox.iterdir())
    assert states(engine) == {name(1): ACCP}
