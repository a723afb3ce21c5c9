"""Runs a shadow's follower as a process of its own, until it is told to stop."""

import json
import signal
import sys
import threading
from collections.abc import Callable
from datetime import datetime

import psycopg
import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import InterfaceError, OperationalError

from switch.service.review.shadow import Follower, find

log = structlog.get_logger()


def follow(engine: Engine, programme_id: str, name: str, now: Callable[[], datetime], every_s: float) -> None:
    """Judge what comes until SIGTERM, SIGINT or `shadow stop`, looking every `every_s` seconds.

    A database that is away is waited for: the marks say where to go on. Raises NotFoundError,
    AlreadyFollowedError at the start.
    """
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    follower: Follower | None = Follower(engine, find(engine, programme_id, name))
    sys.stdout.write(json.dumps({"following": name, "programme": programme_id}) + "\n")
    sys.stdout.flush()
    try:
        while not ended.is_set():
            try:
                one = find(engine, programme_id, name)
                follower = follower or Follower(engine, one)
                judged = follower.round(now(), ended.is_set)
            except (OperationalError, InterfaceError, psycopg.OperationalError) as error:
                log.warning("books unavailable", error=type(error).__name__)
                _drop(follower)
                follower = None
                ended.wait(every_s)
                continue
            if judged:
                log.info("judged", payments=judged)
            if one.stopped_at is not None:
                return
            if not judged:
                ended.wait(every_s)
    finally:
        _drop(follower)


def _drop(follower: Follower | None) -> None:
    if follower is not None:
        follower.close()
