"""Whose payment a terminal's trace number is: one terminal, day, time, number and kind mean one payment.

The books keep a payment by its wallet's bucket first, so their unique key does not stop a second card under
the same number. It is stopped here: a process remembers what it has seen, and asks the books about what a
terminal may have sent before this line of it was opened – over another line, before a restart.
"""

from collections.abc import Awaitable, Callable

from switch.domain.payment import PaymentKey

REMEMBERED_MAX = 400_000
"""Numbers kept at most; half as many at least, once there have been that many."""

_Key = tuple[str, int, int, int, int]


class Recent:
    """The trace numbers of the last payments, in two generations of bounded size."""

    def __init__(
        self,
        used_by: Callable[[PaymentKey], Awaitable[int | None]],
        remembered_max: int = REMEMBERED_MAX,
    ) -> None:
        """`used_by` asks the books which other wallet holds a payment under the key, if any."""
        self._used_by = used_by
        self._half = max(1, remembered_max // 2)
        self._young: dict[_Key, int] = {}
        self._old: dict[_Key, int] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    async def clashes(self, key: PaymentKey, wallet_id: int, opened: int) -> bool:
        """Whether another wallet's payment has this number already; if not, it is this wallet's from now on.

        `opened`: `moment_of` the instant at which the line was opened. Raises LookupUnavailableError.
        """
        number = _number(key)
        holder = self._young.get(number)
        if holder is None:
            holder = self._old.get(number)
        if holder is None:
            if key.local_day * 1_000_000 + key.local_time < opened:
                holder = await self._used_by(key)
                if holder is not None and holder != wallet_id:
                    return True
            # Another message of this number may have come while the books were asked.
            holder = self._young.setdefault(number, wallet_id)
            if len(self._young) > self._half:
                self._old, self._young = self._young, {}
        return holder != wallet_id

    def forget(self, key: PaymentKey) -> None:
        """The payment was not booked after all: its number is free."""
        number = _number(key)
        self._young.pop(number, None)
        self._old.pop(number, None)


def _number(key: PaymentKey) -> _Key:
    return key.terminal_id, key.stan, key.local_time, key.local_day, key.kind
