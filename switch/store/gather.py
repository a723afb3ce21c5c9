"""Many askers, one statement: what is asked while a statement is under way makes the next one.

So a storm of terminals that all sign on costs some statements and commits, not thousands.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Final, Generic, TypeVar

A_STATEMENT_MAX: Final = 512
WAITING_MAX: Final = 20_000

Key = TypeVar("Key", bound=Hashable)
Asked = TypeVar("Asked")
Told = TypeVar("Told")


class Gather(Generic[Key, Asked, Told]):
    """Collects what is asked under keys; `run` answers many at once, by key.

    Equal questions under one key share an answer; different ones follow each other in the order they came.
    What `run` raises is raised to all askers of that statement.
    """

    def __init__(
        self,
        run: Callable[[dict[Key, Asked]], Awaitable[Mapping[Key, Told]]],
        too_many: Callable[[], Exception],
        *,
        a_statement_max: int = A_STATEMENT_MAX,
        waiting_max: int = WAITING_MAX,
    ) -> None:
        """`too_many` makes what is raised when `waiting_max` askers wait already."""
        self._run = run
        self._too_many = too_many
        self._a_statement_max = a_statement_max
        self._waiting_max = waiting_max
        self._waiting: deque[tuple[Key, Asked, asyncio.Future[Told | None]]] = deque()
        self._task: asyncio.Task[None] | None = None

    def ask(self, key: Key, asked: Asked) -> "asyncio.Future[Told | None]":
        """What `run` says under the key; None when it says nothing."""
        future: asyncio.Future[Told | None] = asyncio.get_running_loop().create_future()
        if len(self._waiting) >= self._waiting_max:
            future.set_exception(self._too_many())
            return future
        self._waiting.append((key, asked, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return future

    def stop(self) -> None:
        """Answer nobody any more."""
        if self._task is not None:
            self._task.cancel()

    async def _work(self) -> None:
        while self._waiting:
            questions, askers = self._take()
            try:
                told = await self._run(questions)
            except Exception as error:  # noqa: BLE001 - it is the askers' to handle
                for key in questions:
                    for future in askers[key]:
                        if not future.done():
                            future.set_exception(error)
                continue
            for key in questions:
                answer = told.get(key)
                for future in askers[key]:
                    if not future.done():
                        future.set_result(answer)

    def _take(self) -> tuple[dict[Key, Asked], dict[Key, list["asyncio.Future[Told | None]"]]]:
        questions: dict[Key, Asked] = {}
        askers: dict[Key, list[asyncio.Future[Told | None]]] = {}
        later: list[tuple[Key, Asked, asyncio.Future[Told | None]]] = []
        postponed: set[Key] = set()
        while self._waiting and len(questions) < self._a_statement_max:
            key, asked, future = self._waiting.popleft()
            if future.done():
                continue  # its asker has gone
            if key in postponed or (key in questions and questions[key] != asked):
                postponed.add(key)
                later.append((key, asked, future))
            else:
                questions[key] = asked
                askers.setdefault(key, []).append(future)
        self._waiting.extendleft(reversed(later))
        return questions, askers
