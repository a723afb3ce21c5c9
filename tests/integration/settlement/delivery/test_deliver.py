"""Files reach the bank whole, once, and only as they were approved."""

from datetime import date
from pathlib import Path

import pytest

from settlement.delivery.sending import ASK_THE_BANK
from settlement.errors import UsageError
from settlement.settings import Calendar
from settlement.steps import deliver
from tests.integration.settlement.delivery.conftest import Post, Told


def test_approved_files_arrive_and_their_payouts_are_sent(post: Post) -> None:
    first, second = post.file(1), post.file(2)
    waiting = post.file(3, state="emitted")
    outcome = post.deliver()
    assert {path.name for path in post.outbox.iterdir()} == {first, second}
    for name in (first, second):
        assert (post.outbox / name).read_bytes() == (post.settings.files.outbox / name).read_bytes()
    assert post.states() == {1: "delivered", 2: "delivered", 3: "emitted"}
    assert post.payouts() == {1: "sent", 2: "sent", 3: "ordered"}
    assert post.tries() == [("delivered", "")]
    assert [line.state for line in outcome.files] == ["delivered", "delivered", "emitted"]
    assert outcome.waits == "the approval of 1 files: run approve"
    assert not outcome.exceptions
    assert waiting not in {path.name for path in post.outbox.iterdir()}
    acts = [row[0] for row in post.rows("SELECT act FROM settlement_audit ORDER BY audit_no")]
    assert acts == ["file:send", "file:delivered"] * 2


def test_once_delivered_nothing_is_sent_again(post: Post) -> None:
    name = post.file(1)
    post.deliver()
    (post.outbox / name).unlink()  # the bank has taken it
    assert post.deliver().waits == ""
    assert list(post.outbox.iterdir()) == []
    assert len(post.tries()) == 1


def test_a_file_for_a_day_that_was_declared_closed_does_not_leave(folder: Post) -> None:
    name = folder.file(1)
    closed = Calendar(extra_closed=(date(2026, 11, 24),))
    folder.settings = folder.settings.model_copy(update={"calendar": closed})
    outcome = folder.deliver()
    assert list(folder.outbox.iterdir()) == []
    assert (folder.states(), folder.payouts()) == ({1: "voided"}, {1: "ordered"})
    assert folder.rows("SELECT pay_on FROM payout") == [(date(2026, 11, 25),)]
    assert outcome.exceptions == (
        f"{name}: voided, banks are closed on its day: the next run makes a new file",
    )
    assert folder.deliver().exceptions == ()


def test_only_the_files_named(post: Post) -> None:
    post.file(1)
    wanted = post.file(2)
    post.deliver(None, wanted)
    assert post.states() == {1: "approved", 2: "delivered"}


@pytest.mark.parametrize("where", ["outbox", "archive"])
def test_bytes_that_were_changed_void_the_approval_and_do_not_leave(folder: Post, where: str) -> None:
    name, other = folder.file(1), folder.file(2)
    files = folder.settings.files
    path = files.outbox / name if where == "outbox" else files.archive / "out/2026/11/20" / name
    path.write_bytes(b"<pay>me</pay>")
    outcome = folder.deliver()
    assert folder.states() == {1: "emitted", 2: "delivered"}
    assert {path.name for path in folder.outbox.iterdir()} == {other}
    assert folder.rows("SELECT voided_at IS NOT NULL, void_reason FROM file_approval WHERE file_no = 1") == [
        (True, f"{path} is not what was approved"[:200])
    ]
    assert len(outcome.exceptions) == 1
    assert "approval voided" in outcome.exceptions[0]


def test_a_file_that_is_gone_keeps_its_approval(folder: Post) -> None:
    name = folder.file(1)
    (folder.settings.files.outbox / name).unlink()
    outcome = folder.deliver()
    assert folder.states() == {1: "approved"}
    assert "files regenerate 1" in outcome.exceptions[0]


def test_an_approval_that_was_taken_back_elsewhere_sends_nothing(folder: Post) -> None:
    folder.file(1)
    with folder.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE file_approval SET voided_at = now()")
    folder.deliver()
    assert folder.states() == {1: "emitted"}
    assert list(folder.outbox.iterdir()) == []


def test_what_changes_while_it_is_read_does_not_get_its_name(folder: Post) -> None:
    """Between the check and the copy: what was read back is not what was approved."""
    name = folder.file(1)
    change = Told("deliver:begun", lambda: _append(folder.settings.files.outbox / name))
    outcome = folder.deliver(change)
    assert folder.states() == {1: "approved"}
    assert list(folder.outbox.iterdir()) == []
    assert folder.tries() == [("refused", "what was read back is not what was sent")]
    assert outcome.exceptions


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"<one more/>")


def test_another_file_of_the_same_name_at_the_bank_stays_and_nothing_is_sent(post: Post) -> None:
    name = post.file(1)
    (post.outbox / name).write_bytes(b"not ours")
    outcome = post.deliver()
    assert (post.outbox / name).read_bytes() == b"not ours"
    assert post.states() == {1: "approved"}
    assert post.tries() == []
    assert "another file of this name" in outcome.exceptions[0]


def test_the_same_file_put_there_by_hand_is_delivered_without_sending(post: Post) -> None:
    name = post.file(1)
    (post.outbox / name).write_bytes((post.settings.files.outbox / name).read_bytes())
    told = Told(points=[])
    post.deliver(told)
    assert post.states() == {1: "delivered"}
    assert post.tries() == [("delivered", "was there before")]
    assert "deliver:bytes" not in told.points


def test_a_file_replaced_by_somebody_after_its_name_was_given(folder: Post) -> None:
    name = folder.file(1)
    replace = Told("deliver:renamed", lambda: (folder.outbox / name).write_bytes(b"not ours") and None)
    outcome = folder.deliver(replace)
    assert folder.states() == {1: "delivering"}
    assert folder.payouts() == {1: "ordered"}
    assert "another file of this name" in outcome.exceptions[0]
    assert folder.deliver().exceptions, "it stays until somebody has looked"


def test_a_bank_that_takes_files_at_once_has_taken_what_it_acknowledged(folder: Post) -> None:
    name = folder.file(1)
    folder.deliver(Told("deliver:renamed", (folder.outbox / name).unlink))
    assert folder.states() == {1: "delivered"}
    assert folder.tries() == [("delivered", "handed over; the bank took it at once")]


def test_where_the_bank_keeps_what_it_took_it_can_be_asked(folder: Post) -> None:
    asked = folder.with_delivery(remote_taken="taken")
    name = asked.file(1)
    _stop_at(asked, "deliver:renamed")
    (asked.outbox / name).rename(asked.root / "taken" / name)
    asked.deliver()
    assert asked.tries() == [("delivered", "found there; taken by the bank")]
    assert asked.payouts() == {1: "sent"}


def test_an_answer_of_the_bank_that_names_the_file_tells_that_it_has_it(folder: Post) -> None:
    name = folder.file(1)
    _stop_at(folder, "deliver:renamed")
    (folder.outbox / name).unlink()
    answer = b"<a:Document><a:OrgnlMsgId>DURE00001-000001</a:OrgnlMsgId></a:Document>"
    (folder.root / "out/answer.xml").write_bytes(b" " * (1 << 20) + answer)
    folder.deliver()
    assert folder.tries() == [("delivered", "the bank names it in answer.xml")]


@pytest.mark.parametrize("other", ["DURE00001-0000011", "XDURE00001-000001"])
def test_an_answer_to_another_file_tells_nothing(folder: Post, other: str) -> None:
    name = folder.file(1)
    _stop_at(folder, "deliver:renamed")
    (folder.outbox / name).unlink()
    (folder.root / "out/answer.xml").write_text(f"<OrgnlMsgId>{other}</OrgnlMsgId>")
    folder.deliver()
    assert folder.states() == {1: "delivering"}


def test_what_nobody_can_tell_waits_for_a_person(post: Post) -> None:
    name, other = post.file(1), post.file(2)
    _stop_at(post, "deliver:renamed")
    (post.outbox / name).unlink()  # taken, or lost: who knows
    for _ in range(2):
        outcome = post.deliver()
        assert outcome.exceptions == (f"{name}: {ASK_THE_BANK}",)
        assert post.states() == {1: "delivering", 2: "delivered"}
        assert {path.name for path in post.outbox.iterdir()} == {other}


def test_a_person_who_asked_the_bank_has_it_sent_again_or_noted(folder: Post) -> None:
    names = folder.file(1), folder.file(2)
    for name in names:
        _stop_at(folder, "deliver:renamed", name)
        (folder.outbox / name).unlink()
    outcome = folder.act(lambda frame: deliver.resend(frame, names[0]))
    assert not outcome.exceptions
    folder.act(lambda frame: deliver.fetched(frame, names[1]))
    assert folder.states() == {1: "delivered", 2: "delivered"}
    assert {path.name for path in folder.outbox.iterdir()} == {names[0]}
    assert [outcome for outcome, _ in folder.tries(1)] == ["unknown", "delivered"]
    assert folder.tries(2) == [("delivered", "the bank was asked and has it")]
    audit = folder.rows("SELECT actor, act FROM settlement_audit WHERE act = 'file:send:unknown'")
    assert audit == [("여운전", "file:send:unknown")]


def test_a_resend_looks_first(folder: Post) -> None:
    """The person was told wrong: it is there after all."""
    name = folder.file(1)
    _stop_at(folder, "deliver:renamed")
    folder.act(lambda frame: deliver.resend(frame, name))
    assert folder.tries() == [("delivered", "found there")]


def test_only_what_is_not_known_is_sent_again(folder: Post) -> None:
    name, foreign = folder.file(1), folder.file(2)
    with pytest.raises(UsageError, match="is approved"):
        folder.act(lambda frame: deliver.resend(frame, name))
    _stop_at(folder, "deliver:renamed", foreign)
    (folder.outbox / foreign).write_bytes(b"not ours")
    with pytest.raises(UsageError, match="is not sent again"):
        folder.act(lambda frame: deliver.resend(frame, foreign))
    assert (folder.outbox / foreign).read_bytes() == b"not ours"


def test_files_that_people_fetch(folder: Post) -> None:
    by_hand = folder.with_delivery(channel="none")
    name, waiting = by_hand.file(1), by_hand.file(2, state="emitted")
    outcome = by_hand.deliver()
    assert outcome.waits == "1 files to be fetched from the outbox: then deliver --fetched FILE"
    assert list(by_hand.outbox.iterdir()) == []
    (by_hand.settings.files.outbox / name).unlink()
    by_hand.act(lambda frame: deliver.fetched(frame, name))
    assert by_hand.states() == {1: "delivered", 2: "emitted"}
    assert by_hand.payouts() == {1: "sent", 2: "ordered"}
    with pytest.raises(UsageError, match="only an approved file"):
        by_hand.act(lambda frame: deliver.fetched(frame, waiting))


def test_a_share_that_is_not_mounted_is_no_place_to_leave_files(folder: Post) -> None:
    folder.file(1)
    gone = folder.with_delivery(remote_outbox="elsewhere")
    outcome = gone.deliver()
    assert outcome.away
    assert "is the bank's share mounted?" in outcome.waits
    assert folder.states() == {1: "approved"}
    assert folder.tries() == []


class _Stop(BaseException):
    """The process ends here."""


def _stop_at(post: Post, point: str, *names: str) -> None:
    def stop() -> None:
        raise _Stop

    with pytest.raises(_Stop):
        post.deliver(Told(point, stop), *names)
