import pytest

from switch.wire.session import Admission, Pending, Session, SignOns, State, match_key


def test_work_is_bounded() -> None:
    session = Session(in_flight_max=2)
    assert [session.request() for _ in range(3)] == [Admission.TAKEN, Admission.TAKEN, Admission.BUSY]
    assert session.full
    assert session.answered()
    assert session.request() is Admission.TAKEN


def test_draining_finishes_what_is_owed_and_takes_nothing_new() -> None:
    session = Session()
    session.request()
    session.request()
    session.drain()
    assert session.state is State.DRAINING
    assert session.request() is Admission.REFUSED
    assert session.answered()
    assert session.state is State.DRAINING
    assert session.answered()
    assert session.state is State.CLOSED


def test_an_idle_session_drains_at_once() -> None:
    session = Session()
    session.drain()
    assert session.state is State.CLOSED
    assert session.request() is Admission.REFUSED


def test_no_answer_is_sent_to_a_lost_connection() -> None:
    session = Session()
    session.request()
    session.lost()
    session.drain()
    assert session.state is State.CLOSED
    assert not session.answered()
    with pytest.raises(ValueError, match="more answers"):
        session.answered()


def test_the_newest_session_of_a_terminal_wins() -> None:
    directory, old, new = SignOns(), Session(), Session()
    assert directory.sign_on("T0000001", old)
    assert directory.sign_on("T0000001", new)
    assert directory.session_of("T0000001") is new
    assert not old.signed_on("T0000001")
    directory.sign_off("T0000001", old)
    directory.lost(old)
    assert directory.session_of("T0000001") is new
    directory.lost(new)
    assert directory.session_of("T0000001") is None
    assert len(directory) == 0


def test_signing_off() -> None:
    directory, session = SignOns(), Session()
    directory.sign_on("T0000001", session)
    directory.sign_off("T0000001", session)
    assert directory.session_of("T0000001") is None
    assert session.terminals == frozenset()


def test_terminals_of_a_connection_are_bounded() -> None:
    directory, session, other = SignOns(), Session(terminals_max=1), Session()
    assert directory.sign_on("T0000001", session)
    assert directory.sign_on("T0000001", session)
    directory.sign_on("T0000002", other)
    assert not directory.sign_on("T0000002", session)
    assert directory.session_of("T0000002") is other


@pytest.mark.parametrize("bad", [{"in_flight_max": 0}, {"terminals_max": 0}])
def test_bounds_of_the_bounds(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Session(**bad)


def test_replies_find_their_requests_in_any_order() -> None:
    pending: Pending[str] = Pending()
    keys = [match_key(mti, "000001", "T0000001") for mti in ("0200", "0400", "0800")]
    for key in keys:
        pending.expect(key, 10.0, key)
    assert pending.match(match_key("0410", "000001", "T0000001")) == keys[1]
    assert pending.match(match_key("0810", "000001", "T0000001")) == keys[2]
    assert pending.match(match_key("0210", "000001", "T0000002")) is None
    assert pending.match(match_key("0210", "000001", "T0000001")) == keys[0]
    assert pending.match(match_key("0210", "000001", "T0000001")) is None


def test_a_repeat_is_answered_like_its_original() -> None:
    assert match_key("0201", "000001", "T0000001") == match_key("0210", "000001", "T0000001")
    assert match_key("0421", "000001", "T0000001") == match_key("0430", "000001", "T0000001")


def test_deadlines() -> None:
    pending: Pending[str] = Pending()
    pending.expect("a", 5.0, "first")
    pending.expect("b", 3.0, "second")
    assert pending.expired(2.9) == []
    assert pending.expired(3.0) == ["second"]
    assert pending.match("b") is None
    assert pending.abandon() == ["first"]
    assert len(pending) == 0


def test_waiting_is_bounded_and_unambiguous() -> None:
    pending: Pending[str] = Pending(in_flight_max=1)
    pending.expect("a", 1.0, "x")
    with pytest.raises(ValueError, match="STAN"):
        pending.expect("a", 1.0, "y")
    with pytest.raises(ValueError, match="bound"):
        pending.expect("b", 1.0, "y")
