"""The close of a terminal's batch (0500) and the upload of its details (0320).

    0500 ─▶ totals agree ─▶ 00, DE66 1: closed
         └▶ they differ  ─▶ 95, DE66 2 and the host's totals ─▶ 0320 … ─▶ 0500 ─▶ 00: closed, differences kept

A close that comes again gets the stored answer. Payments with the number of a closed batch are refused at the
door; reversals and advices are taken, and the batch then shows that it changed after its close.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from switch.domain.calendar import business_date, day_of_date
from switch.domain.reasons import REASONS
from switch.service import metrics
from switch.service.directory import Directory
from switch.service.holder import ReferenceHolder
from switch.store.batches import Asked, BatchBooks, Detail
from switch.store.lookup import LookupUnavailableError, TerminalRow
from switch.wire.message import Message
from switch.wire.reply import reply_fields
from switch.wire.request import BatchClose, BatchDetail, close_reply

log = structlog.get_logger()

_REASON_OF_DETAIL = {
    "kept": "approved",
    "differs": "duplicate_differs",
    "closed": "batch_closed",
    "unasked": "invalid_transaction",
}


class Closing:
    """Closes terminals' batches. Call it when nothing of the terminal is being worked on."""

    def __init__(
        self,
        books: BatchBooks,
        directory: Directory,
        holder: ReferenceHolder,
        now: Callable[[], datetime],
        *,
        local_days_back: int,
    ) -> None:
        """`local_days_back`: days by which a payment's own date may lie back, so how far back one may
        belong to a batch."""
        self._books = books
        self._directory = directory
        self._holder = holder
        self._now = now
        self._days_back = local_days_back

    async def close(self, message: Message, request: BatchClose, terminal: TerminalRow) -> dict[int, str]:
        """The reply's fields; what they tell is in the books by then."""
        reference = self._holder.current
        if reference.merchant_no.get(request.merchant_id) != terminal.merchant_no:
            return _short_reply(message, "unknown_merchant")
        now = self._now()
        programme_no = reference.programme_of[terminal.merchant_no]
        day = business_date(now, reference.programmes[programme_no].cutover)
        asked = Asked(
            terminal_id=terminal.terminal_id,
            batch_no=request.batch_no,
            programme_no=programme_no,
            merchant_no=terminal.merchant_no,
            told=request.totals,
            business_day=day_of_date(day),
            at=now,
            since=now.date() - timedelta(days=self._days_back + 1),
        )
        try:
            closed = await self._books.close(asked)
        except LookupUnavailableError:
            return _short_reply(message, "books_unavailable")
        batch = closed.batch
        whose = {"terminal": terminal.terminal_id, "batch": request.batch_no}
        if closed.differs:
            log.warning("a closed batch told again with other totals", **whose)
            metrics.DIFFERING_REPEATS.inc()
            return _short_reply(message, "duplicate_differs")
        metrics.TERMINAL_BATCHES.inc(batch.state.value)
        if batch.is_closed:
            self._directory.batch_closed(terminal.terminal_id, request.batch_no)
        if batch.differences:
            log.warning("a batch closed with differences", **whose, differences=batch.differences)
        return close_reply(
            message,
            code=REASONS["approved" if batch.is_closed else "out_of_balance"].code,
            host=batch.host,
            in_balance=batch.is_closed and not batch.differences,
            business_mmdd=f"{batch.business_day % 10_000:04d}",
        )

    async def detail(self, message: Message, request: BatchDetail, terminal: TerminalRow) -> dict[int, str]:
        """The reply's fields: 00 when the detail is kept, or was before."""
        if self._holder.current.merchant_no.get(request.merchant_id) != terminal.merchant_no:
            return _short_reply(message, "unknown_merchant")
        told = Detail(
            terminal_id=terminal.terminal_id,
            batch_no=request.batch_no,
            mti=request.original.family + "0",
            stan=request.original.stan,
            transmission=request.original.transmission,
            processing=request.processing,
            local_mmdd=request.local_mmdd,
            local_time=request.local_time,
            amount=request.amount,
            rrn=request.rrn or "",
            approval=request.approval or "",
        )
        try:
            result = await self._books.add(told, last=request.last)
        except LookupUnavailableError:
            return _short_reply(message, "books_unavailable")
        return _short_reply(message, _REASON_OF_DETAIL[result])


def _short_reply(message: Message, reason: str) -> dict[int, str]:
    return reply_fields(message, code=REASONS[reason].code)
