"""The right to settle dies with the session that holds it, while its helpers' sessions still live."""

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Engine, create_engine, text

from settlement.errors import ExitCode
from settlement.frame import Silent
from settlement.pipeline import run
from settlement.report import RunReport
from settlement.settings import Settings
from settlement.steps import credit_cashback, sessions
from settlement.store.runs import LOCK_SPACE
from switch.domain.payment import BUCKETS
from tests.integration.settlement.test_scale import NEXT, D, _town

_END_ITS_HOLDER = text(
    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = :c"
)


class _Overtaken(Silent):
    """At one point of the first run, ends its session; another run then settles the date to its end."""

    def __init__(self, owner: Engine, another: Callable[[], RunReport], point: str) -> None:
        self._owner, self._another, self._point = owner, another, point
        self._lock = threading.Lock()
        self.report: RunReport | None = None

    def reached(self, point: str) -> None:
        if not point.startswith(self._point):
            return
        with self._lock:
            if self.report is None:
                with self._owner.begin() as connection:
                    assert connection.execute(_END_ITS_HOLDER, {"c": LOCK_SPACE}).all() == [(True,)]
                self.report = self._another()


@pytest.mark.parametrize("point", ["credit_cashback:verified", "credit_cashback:batch"])
def test_a_run_that_lost_its_session_writes_nothing_more(
    owner: Engine,
    engine: Engine,
    settings_at: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
    point: str,
) -> None:
    for module in (sessions, credit_cashback):
        monkeypatch.setattr(module, "APART_FROM", 0)
    _town(owner)
    other = create_engine(engine.url)
    settings = settings_at(NEXT)
    overtaken = _Overtaken(owner, lambda: run(other, settings, actor="second"), point)
    [first] = run(engine, settings, actor="first", observer=overtaken).programmes
    other.dispose()
    assert (first.code, first.steps_done) == (ExitCode.RETRY, ["close_day", "expire_lots"])
    assert overtaken.report is not None
    [second] = overtaken.report.programmes
    assert (second.problem, second.steps_done[-1]) == ("", "emit_files")
    with owner.connect() as connection:
        credited = "SELECT count(*), sum(won) FROM entry WHERE source = 3"
        assert tuple(connection.execute(text(credited)).one()) == (2, 34_200)
        assert connection.execute(text("SELECT sum(balance) FROM lot WHERE kind = 2")).scalar_one() == 34_200
        marks = "SELECT count(*), min(credited_through) FROM credit_mark"
        assert tuple(connection.execute(text(marks)).one()) == (BUCKETS, D)
    [again] = run(engine, settings).programmes
    assert again.already_done
