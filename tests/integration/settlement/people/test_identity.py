"""Who acts: the machine's login, or a name with its password."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, insert, select, text, update
from sqlalchemy.exc import ProgrammingError

from settlement.domain.roles import ALONE, Role
from settlement.errors import ControlMismatchError, NotAllowedError
from settlement.people.audit import latest, note, verify
from settlement.people.identity import WRONG_FREE, Actor, login, who
from settlement.people.passwords import hashed
from settlement.settings import Settings
from settlement.store.schema_people import operator, settlement_audit

NOW = datetime.fromisoformat("2026-11-21T00:30:00+09:00")
PASSWORD = "correct horse 구름"


def _add(engine: Engine, name: str, roles: str, password: str = "", state: str = "active") -> None:
    with engine.begin() as connection:
        connection.execute(
            insert(operator).values(
                name=name, roles=roles, password=password, state=state, changed_by="test", changed_at=NOW
            )
        )


def _who(
    engine: Engine,
    settings: Settings,
    claimed: str | None = None,
    password: str | None = None,
    waited: list[float] | None = None,
    now: datetime = NOW,
) -> Actor:
    pause: Callable[[float], None] = (lambda _: None) if waited is None else waited.append
    with engine.connect() as connection:
        return who(settings, connection, claimed, password, now=now, pause=pause)


@pytest.fixture
def by_login(settings_at: Callable[..., Settings]) -> Settings:
    return settings_at(NOW.isoformat())


@pytest.fixture
def by_password(settings_at: Callable[..., Settings]) -> Settings:
    return settings_at(NOW.isoformat(), people={"identity": "password"})


def test_before_there_is_an_operator_the_login_may_everything_but_approve(
    engine: Engine, by_login: Settings
) -> None:
    actor = _who(engine, by_login)
    assert actor == Actor(login(), ALONE)
    assert Role.APPROVER not in actor.roles
    with pytest.raises(NotAllowedError, match="lacks the role approver"):
        actor.demand(Role.APPROVER)


def test_the_first_operator_ends_that(engine: Engine, by_login: Settings) -> None:
    _add(engine, "somebody-else", "admin")
    with pytest.raises(NotAllowedError, match="is no operator"):
        _who(engine, by_login)
    _add(engine, login(), "maker,auditor")
    assert _who(engine, by_login).roles == {Role.MAKER, Role.AUDITOR}


def test_the_environment_makes_nobody_another(
    engine: Engine, by_login: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    _add(engine, login(), "maker")
    _add(engine, "boss", "approver")
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "boss")
    assert _who(engine, by_login).name == login()
    with pytest.raises(NotAllowedError, match="leave --operator boss out"):
        _who(engine, by_login, "boss")


def test_a_password_opens_and_a_wrong_one_is_on_record(engine: Engine, by_password: Settings) -> None:
    _add(engine, "Kim", "approver", hashed(PASSWORD))
    assert _who(engine, by_password, "kim", PASSWORD) == Actor("Kim", frozenset({Role.APPROVER}))
    for claimed, password in (("kim", "wrong"), ("nobody", PASSWORD), ("kim", ""), ("kim", None)):
        with pytest.raises(NotAllowedError, match="the name or the password is wrong"):
            _who(engine, by_password, claimed, password)
    with engine.connect() as connection:
        lines = latest(connection, 10)
    assert [(line.act, line.subject) for line in lines] == [
        ("password:wrong", f"operator:{name}") for name in ("kim", "kim", "nobody", "kim")
    ]
    assert PASSWORD not in repr(lines)
    with pytest.raises(NotAllowedError, match="--operator NAME"):
        _who(engine, by_password, None, PASSWORD)


def test_an_operator_without_a_password_is_not_opened_by_an_empty_one(
    engine: Engine, by_password: Settings
) -> None:
    _add(engine, "kim", "approver")
    with pytest.raises(NotAllowedError, match="wrong"):
        _who(engine, by_password, "kim", "")


def test_after_several_wrong_tries_each_further_one_waits(engine: Engine, by_password: Settings) -> None:
    _add(engine, "kim", "approver", hashed(PASSWORD))
    waited: list[float] = []
    for _ in range(WRONG_FREE + 3):
        with pytest.raises(NotAllowedError):
            _who(engine, by_password, "kim", "guess", waited)
    assert waited == [1, 2, 4]
    waited.clear()
    assert _who(engine, by_password, "kim", PASSWORD, waited).name == "kim"
    assert waited == [8]
    _who(engine, by_password, "kim", PASSWORD, waited, NOW + timedelta(minutes=16))
    assert waited == [8]


@pytest.mark.parametrize("identity", ["system", "password"])
def test_a_barred_operator_does_nothing(
    engine: Engine, settings_at: Callable[..., Settings], identity: str
) -> None:
    settings = settings_at(NOW.isoformat(), people={"identity": identity})
    _add(engine, login(), "admin,approver,maker", hashed(PASSWORD), "barred")
    with pytest.raises(NotAllowedError, match="is barred"):
        _who(engine, settings, login(), PASSWORD)


def test_capitals_make_no_second_person(engine: Engine) -> None:
    _add(engine, "kim", "maker")
    with pytest.raises(Exception, match="operator_person"):
        _add(engine, "KIM", "approver")


def _note(engine: Engine, actor: str, count: int = 1) -> None:
    for number in range(count):
        with engine.begin() as connection:
            note(connection, NOW, actor, "test:act", f"thing:{number}", {"won": number})


def test_the_log_has_no_gap_under_many_writers(engine: Engine) -> None:
    writers = [threading.Thread(target=_note, args=(engine, f"w{number}", 10)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    with engine.connect() as connection:
        last = verify(connection)
        assert last is not None
        assert last.audit_no == 40
        assert verify(connection, (last.audit_no, last.sha256)) == last


def test_an_act_that_is_undone_leaves_no_line_and_no_gap(engine: Engine) -> None:
    _note(engine, "kim")
    with engine.connect() as connection:
        with connection.begin() as begun:
            note(connection, NOW, "kim", "test:undone", "thing", {})
            begun.rollback()
        with connection.begin():
            assert verify(connection).audit_no == 1  # type: ignore[union-attr]
    _note(engine, "lee")
    with engine.connect() as connection:
        assert verify(connection).audit_no == 2  # type: ignore[union-attr]


def test_the_programs_cannot_change_the_log(engine: Engine) -> None:
    _note(engine, "kim")
    for statement in ("UPDATE settlement_audit SET actor = 'lee'", "DELETE FROM settlement_audit"):
        with engine.connect() as connection, pytest.raises(ProgrammingError, match="permission denied"):
            connection.execute(text(statement))


def test_what_the_owner_changes_shows(engine: Engine, owner: Engine) -> None:
    _note(engine, "kim", 3)
    with engine.connect() as connection:
        kept = [(line.audit_no, line.sha256) for line in latest(connection, 3)]
    with owner.begin() as connection:
        connection.execute(
            update(settlement_audit).where(settlement_audit.c.audit_no == 2).values(actor="lee")
        )
    with engine.connect() as connection, pytest.raises(ControlMismatchError, match="line 2 is not what"):
        verify(connection)
    with owner.begin() as connection:
        connection.execute(settlement_audit.delete().where(settlement_audit.c.audit_no >= 2))
    with engine.connect() as connection:
        assert verify(connection).audit_no == 1  # type: ignore[union-attr]
        with pytest.raises(ControlMismatchError, match="line 3 with sha256"):
            verify(connection, kept[0])
        assert connection.execute(select(settlement_audit.c.actor)).scalars().all() == ["kim"]
