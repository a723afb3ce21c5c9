"""Logs: one JSON object a line on stderr, with card data taken out of everything that passes.

What other libraries log goes the same way. Redaction runs first, and again behind whatever turned an
exception into text: a message of an exception may quote what a terminal sent.
"""

import logging
import sys
from typing import Any, TextIO, cast

import msgspec
import structlog
from prometheus_client import Counter

from switch.wire.redact import redact_event

FAILURES = Counter("dure_log_failures_total", "Times that the log could not be written: lines are lost")
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def _to_json(event: Any, **_options: Any) -> str:
    return msgspec.json.encode(event, enc_hook=repr).decode()


_BEFORE: list[structlog.typing.Processor] = [
    redact_event,
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    redact_event,
]


class LossyStream:
    """A stream whose failures stop nobody: whoever logs may be in the middle of a payment.

    A full disk or a pipe that nobody reads any more costs the line, and is counted.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or count that it cannot be."""
        try:
            return self._stream.write(text)
        except (OSError, ValueError):  # ValueError: the stream is closed
            FAILURES.inc()
            return 0

    def flush(self) -> None:
        """Flush, or count that it cannot be."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            FAILURES.inc()


def configure_logging(
    level: str = "info", program: str = "dure-switch", stream: TextIO | None = None
) -> None:
    """Send all logs of this process to `stream` (stderr), from `level` up: debug, info, warning, error."""
    number = _LEVELS[level]
    out = cast(TextIO, LossyStream(stream or sys.stderr))  # no more of it is used than that
    render = structlog.processors.JSONRenderer(serializer=_to_json)
    structlog.configure(
        processors=[*_BEFORE, render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,  # a logger bound before this call must obey it too
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[redact_event],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.add_log_level,
                *_BEFORE,
                render,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(number, logging.WARNING))  # the chatter of libraries helps nobody
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(program=program)


def get_logger(**bound: Any) -> Any:
    """A logger with fields bound to it: get_logger(room="lane", lane=1).warning("batch_failed", error=…)."""
    return structlog.get_logger(**bound)
