"""Logs: one JSON object a line on stderr, with card data taken out of everything that passes.

What other libraries log goes the same way. Redaction runs first, and again behind whatever turned an
exception into text: a message of an exception may quote what a terminal sent.
"""

import logging
import sys
from typing import Any, TextIO

import msgspec
import structlog

from switch.wire.redact import redact_event

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


def configure_logging(
    level: str = "info", program: str = "dure-switch", stream: TextIO | None = None
) -> None:
    """Send all logs of this process to `stream` (stderr), from `level` up: debug, info, warning, error."""
    number = _LEVELS[level]
    out = stream or sys.stderr
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
