import pytest

from switch.wire.presence import MESSAGES
from switch.wire.session import Pending, match_key
from switch.wire.spec import is_request, reply_mti


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


def test_every_request_is_matched_by_its_reply() -> None:
    for mti in filter(is_request, MESSAGES):
        assert match_key(mti, "000001", "T0000001") == match_key(reply_mti(mti), "000001", "T0000001")
        assert reply_mti(mti) in MESSAGES


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
