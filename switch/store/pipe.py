"""Many statements, one trip: libpq's pipeline mode without a cursor a statement.

A batch sends a dozen statements whose parameters are binary arrays already. psycopg's cursors would look up,
adapt and prepare each of them again; here a statement is prepared once and then sent by its name. Reading
rows stays psycopg's (compiled) work.
"""

import asyncio
from collections.abc import Sequence

from psycopg import AsyncConnection, errors, pq
from psycopg.abc import Query
from psycopg.adapt import Transformer
from psycopg.rows import TupleRow

from switch.store.arrays import Packed

Statement = tuple[str, tuple[Packed, ...]]
Rows = Sequence[TupleRow]

_BINARY = pq.Format.BINARY
_OK = frozenset({pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK, pq.ExecStatus.EMPTY_QUERY})
_SYNC = pq.ExecStatus.PIPELINE_SYNC
_TUPLES = pq.ExecStatus.TUPLES_OK
_FATAL = pq.ExecStatus.FATAL_ERROR


class Pipe:
    """A connection in pipeline mode. One trip at a time; after an error it is good for the next trip.

    Raises psycopg's errors: OperationalError when the connection breaks, the server's own otherwise.
    """

    def __init__(self, connection: AsyncConnection[TupleRow]) -> None:
        """Take over an idle connection in autocommit mode; nothing else may use it from now on."""
        self._connection = connection
        self._pgconn = connection.pgconn
        self._names: dict[str, bytes] = {}  # only what the server has confirmed
        self._made = 0
        self._loop = asyncio.get_running_loop()
        self._socket = self._pgconn.socket
        self._readable: asyncio.Future[None] | None = None
        self._pgconn.nonblocking = 1
        self._pgconn.enter_pipeline_mode()
        self._loop.add_reader(self._socket, self._wake)

    async def close(self) -> None:
        """Disconnect. What was not committed is rolled back by the server."""
        self._loop.remove_reader(self._socket)
        self._wake()
        await self._connection.close()

    @property
    def broken(self) -> bool:
        """Whether the connection is known to be of no use."""
        return bool(self._pgconn.status != pq.ConnStatus.OK)

    def _wake(self) -> None:
        if self._readable is not None and not self._readable.done():
            self._readable.set_result(None)

    async def _wait_readable(self) -> None:
        self._readable = self._loop.create_future()
        await self._readable
        self._pgconn.consume_input()

    async def _wait_either(self) -> None:
        """Wait until the socket takes more, or brings something that must be read before it does."""
        self._loop.add_writer(self._socket, self._wake)
        try:
            await self._wait_readable()
        finally:
            self._loop.remove_writer(self._socket)

    async def trip(self, statements: Sequence[Statement]) -> list[Rows]:
        """Send all statements, then read all answers, in their order; one without rows answers nothing."""
        pgconn = self._pgconn
        new: list[tuple[str, bytes] | None] = []
        for text, parameters in statements:
            name = self._names.get(text)
            if name is None:
                self._made += 1
                name = f"dure_{self._made}".encode()
                pgconn.send_prepare(name, _numbered(text), [parameter.oid for parameter in parameters])
                new.append((text, name))
            else:
                new.append(None)
            raw = [parameter.raw for parameter in parameters]
            pgconn.send_query_prepared(name, raw, [_BINARY] * len(raw), result_format=_BINARY)
        pgconn.pipeline_sync()
        while pgconn.flush():
            await self._wait_either()
        answers: list[Rows] = []
        error: Exception | None = None
        for one in new:
            if one is not None:
                result = await self._result()  # to be read in any case: every statement's answer comes
                error = error or _error(result)
                if error is None:
                    self._names[one[0]] = one[1]
            result = await self._result()
            error = error or _error(result)
            answers.append(self._rows(result) if error is None else ())
        result = await self._result(single=True)
        if result is None or result.status != _SYNC:
            raise errors.OperationalError("the server and the pipeline are out of step")
        if error is not None:
            raise error
        return answers

    async def _result(self, *, single: bool = False) -> "pq.abc.PGresult | None":
        """The one result of a statement (and the empty mark behind it), or the single mark of the sync."""
        result = await self._next()
        if not single:
            await self._next()
        return result

    async def _next(self) -> "pq.abc.PGresult | None":
        while self._pgconn.is_busy():
            await self._wait_readable()
        return self._pgconn.get_result()

    def _rows(self, result: "pq.abc.PGresult | None") -> Rows:
        if result is None or result.status != _TUPLES or not result.ntuples:
            return ()
        reader = Transformer(self._connection)
        reader.set_pgresult(result)
        return reader.load_rows(0, result.ntuples, tuple)


def _error(result: "pq.abc.PGresult | None") -> Exception | None:
    if result is None:
        return errors.OperationalError("the server gave no answer")
    if result.status in _OK:
        return None
    if result.status == _FATAL:
        return errors.error_from_result(result)
    return errors.OperationalError("the statement was not run: one before it failed")


def _numbered(text: Query) -> bytes:
    """$1, $2 … for psycopg's %s: the lane's statements contain no other percent sign."""
    assert isinstance(text, str)  # noqa: S101 - they are constants of lane_sql
    parts = text.split("%s")
    out = [parts[0]]
    for number, part in enumerate(parts[1:], start=1):
        out.append(f"${number}{part}")
    return "".join(out).encode()
