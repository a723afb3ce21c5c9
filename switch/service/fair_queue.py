"""What waits for a lane, programme by programme, so that a city in a rush does not slow another.

A batch is filled round by round: each programme that waits gets an equal share of it, and what one does not
need goes to the others. So a programme whose few requests fit into its share waits for the batch under way
and for its own, whatever stands behind another. The room is shared likewise: one alone may use all of it;
when it is full, whoever holds the most gives up its newest request to one that holds less.

With one programme waiting this is a plain queue.
"""

import asyncio
from collections import deque

import msgspec

from switch.domain.request import Request
from switch.service.batch import Answer


class Waiting(msgspec.Struct, gc=False):
    """A request in a lane's queue, and whom to answer."""

    request: Request
    future: "asyncio.Future[Answer]"
    since: float  # loop time, seconds


class FairQueue:
    """Requests by programme; each programme's own stay in the order in which they came."""

    __slots__ = ("_queues", "_size")

    def __init__(self) -> None:
        # In the order of their turns; one without a request is not here.
        self._queues: dict[int, deque[Waiting]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def put(self, waiting: Waiting, most: int) -> Waiting | None:
        """Take a request in, `most` at a time. Returns the one for which there is no room: this, or another's
        newest."""
        number = waiting.request.programme_no
        queue = self._queues.get(number)
        given_up: Waiting | None = None
        if self._size >= most:
            longest = max(self._queues, key=lambda one: len(self._queues[one]))
            if len(self._queues[longest]) <= (len(queue) if queue is not None else 0) + 1:
                return waiting
            given_up = self._queues[longest].pop()
            self._size -= 1
        if queue is None:
            self._queues[number] = deque((waiting,))
        else:
            queue.append(waiting)
        self._size += 1
        return given_up

    def take(self, most: int) -> list[Waiting]:
        """The next batch: at most so many, an equal share for each programme that waits."""
        queues = self._queues
        if len(queues) == 1:
            (queue,) = queues.values()
            size = min(len(queue), most)
            batch = [queue.popleft() for _ in range(size)]
            if not queue:
                queues.clear()
            self._size -= size
            return batch
        batch = []
        while queues and len(batch) < most:
            share = max(1, (most - len(batch)) // len(queues))
            for number in list(queues):
                if len(batch) >= most:
                    break
                queue = queues.pop(number)
                batch += [queue.popleft() for _ in range(min(share, len(queue), most - len(batch)))]
                if queue:
                    queues[number] = queue  # at the end: the next turn is another's
        self._size -= len(batch)
        return batch

    def take_older(self, than: float) -> list[Waiting]:
        """Whatever came before `than` (loop time), each programme's oldest first."""
        found: list[Waiting] = []
        for number in list(self._queues):
            queue = self._queues[number]
            while queue and queue[0].since < than:
                found.append(queue.popleft())
            if not queue:
                del self._queues[number]
        self._size -= len(found)
        return found
