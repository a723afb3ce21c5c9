"""What a soundbox is told: money that came to the merchant or went, with an id that never changes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switch.domain.notice import bucket_of_id, event_id, message_id, notice_of
from switch.domain.payment import Kind, PaymentKey
from tests.unit.decide import world

keys = st.builds(
    PaymentKey,
    st.integers(0, 1023),
    st.integers(20260101, 20271231),
    st.integers(0, 235_959),
    st.text("ABC0123456789", min_size=8, max_size=8),
    st.integers(1, 999_999),
    st.sampled_from(sorted(int(kind) for kind in Kind)),
)


def test_each_kind_has_its_word_and_its_won() -> None:
    till = world.Till(world.wallet(world.charged(1, 50_000)))
    first = till.send(Kind.PURCHASE, 10_000)
    assert told(till) == ("payment", 10_000)
    refund = till.send(Kind.REFUND, 4_000, of=first)
    assert told(till) == ("refund", 4_000)
    till.send(Kind.REVERSAL, 4_000, of=refund)
    assert told(till) == ("refund_cancel", 4_000)
    till.send(Kind.REVERSAL, 10_000, of=first)
    assert told(till) == ("cancel", 10_000)
    till.send(Kind.REVERSAL, 10_000, of=first)
    assert told(till) is None, "there was nothing left to take back"


def test_what_moves_no_money_of_the_merchant_is_not_told() -> None:
    till = world.Till(world.wallet(world.charged(1, 50_000)))
    for kind, won in ((Kind.PURCHASE, 60_000), (Kind.TOPUP, 1_000), (Kind.INQUIRY, 0)):
        till.send(kind, won)
        assert told(till) is None


def test_a_notice_names_neither_card_nor_member() -> None:
    till = world.Till(world.wallet(world.charged(1, 50_000), wallet_id=987_654))
    till.send(Kind.PURCHASE, 10_000)
    notice = notice_of(till.last)
    assert notice is not None
    assert "987654" not in repr(notice)
    assert (notice.at, notice.terminal_id, notice.stan) == ("20260610120000", "T1", 1)


def told(till: world.Till) -> tuple[str, int] | None:
    notice = notice_of(till.last)
    return None if notice is None else (notice.type, notice.won)


@settings(print_blob=True)
@given(st.lists(keys, min_size=2, max_size=8, unique=True))
def test_ids_are_the_payments_own(payments: list[PaymentKey]) -> None:
    ids = [event_id(key) for key in payments]
    assert len(set(ids)) == len(ids)
    assert [bucket_of_id(one) for one in ids] == [key.bucket for key in payments]
    assert ids == [event_id(key) for key in payments]


def test_an_id_is_known_by_its_form() -> None:
    one = message_id("T0000001", "cfg:1")
    assert 0 <= bucket_of_id(one) < 1024
    assert one == message_id("T0000001", "cfg:1") != message_id("T0000001", "cfg:2")
    for broken in ("", "zzz", "fff" + "0" * 24, "0" * 26, "0" * 28, "-01" + "0" * 24):
        with pytest.raises(ValueError, match=r".*"):
            bucket_of_id(broken)
