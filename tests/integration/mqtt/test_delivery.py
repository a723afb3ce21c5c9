"""Nothing lost, nothing twice: the outbox, the publisher and soundboxes at the embedded broker."""

from tests.support import delivery
from tests.support.estate import Estate


async def test_payments_and_cancels_are_told_once(estate: Estate) -> None:
    await delivery.payments_and_cancels_are_told_once(estate)


async def test_nothing_is_lost_and_nothing_counts_twice_over_outages(estate: Estate) -> None:
    await delivery.nothing_is_lost_and_nothing_counts_twice_over_outages(estate)


async def test_who_is_gone_gets_it_later_and_holds_up_nobody(estate: Estate) -> None:
    await delivery.who_is_gone_gets_it_later_and_holds_up_nobody(estate)
