"""What people do with flags: list and look at them, clear or confirm them."""

from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, Connection, Engine, and_, func, select, text, true, update

from switch.domain.watch import Subject, Watch
from switch.domain.watch_words import in_words
from switch.service.admin import NotFoundError, RefusedError
from switch.store.schema import member, merchant, programme
from switch.store.schema_watch import evidence, flag, stop
from switch.store.watch_flags import lock_flags
from switch.store.watch_stops import lift

State = Literal["open", "cleared", "confirmed"]
FLAGS_MAX = 10_000
NOTE_MAX = 500


class FlagView(msgspec.Struct, frozen=True):
    """A flag: whom, by which rule, from when to when (yyyymmddhhmmss), how it stands.

    `subject` is the member's or merchant's id; `stopped_until` (yyyymmdd) the last day that it is declined,
    0 not at all.
    """

    programme: str
    flag_no: int
    detector: str
    kind: str
    about: str
    subject: str
    first_at: int
    last_at: int
    figures: dict[str, Any]
    state: str
    noted_at: str
    stopped_until: int
    payments: int
    rule: str
    rule_sha256: str
    judged_by: str
    judged_at: str
    note: str


class EvidenceView(msgspec.Struct, frozen=True):
    """A payment that speaks for a flag, as it stands now; `card` masked."""

    local_day: str
    local_time: str
    kind: str
    member: str
    card: str
    merchant: str
    merchant_name: str
    terminal: str
    stan: str
    won: int
    returned: int
    cashback: int


def flag_list(engine: Engine, programme_id: str | None, state: State | None, last: int) -> list[FlagView]:
    """Flags, the newest last, at most `last`."""
    wanted: list[ColumnElement[bool]] = [true()]
    if programme_id is not None:
        wanted.append(programme.c.programme_id == programme_id)
    if state is not None:
        wanted.append(flag.c.state == state)
    with engine.connect() as connection:
        return flags_where(connection, and_(*wanted), min(last, FLAGS_MAX))


def flag_view(engine: Engine, programme_id: str, flag_no: int) -> tuple[FlagView, list[EvidenceView]]:
    """A flag with the payments that speak for it. Raises NotFoundError."""
    with engine.connect() as connection:
        found = _one(connection, programme_id, flag_no)
        return found, evidence_of(connection, programme_id, flag_no)


def judge(
    engine: Engine, programme_id: str, flag_no: int, state: State, by: str, note: str, now: datetime
) -> FlagView:
    """Clear a flag, which lifts its stop, or confirm it. Raises NotFoundError, RefusedError."""
    by, note = by.strip(), note.strip()
    if not by or not note:
        raise RefusedError("a judgement needs a name and a reason: give --by and --note")
    if len(by) > NOTE_MAX or len(note) > NOTE_MAX:
        raise RefusedError(f"a name or note is longer than {NOTE_MAX} characters: shorten it")
    with engine.begin() as connection:
        number = connection.scalar(
            select(programme.c.programme_no).where(programme.c.programme_id == programme_id)
        )
        if number is not None:
            lock_flags(connection, number)
        found = _one(connection, programme_id, flag_no)
        if found.state == state:
            raise RefusedError(f"flag {flag_no} is {state} already, by {found.judged_by}: nothing to do")
        if found.state == "cleared":
            raise RefusedError(f"flag {flag_no} was cleared by {found.judged_by} and stays it")
        mine = (flag.c.programme_no == number, flag.c.flag_no == flag_no)
        connection.execute(
            update(flag).where(*mine).values(state=state, judged_by=by, judged_at=now, note=note)
        )
        if state == "cleared":
            lift(connection, int(number or 0), flag_no, now)
        return _one(connection, programme_id, flag_no)


def _one(connection: Connection, programme_id: str, flag_no: int) -> FlagView:
    wanted = and_(programme.c.programme_id == programme_id, flag.c.flag_no == flag_no)
    found = flags_where(connection, wanted, 1)
    if not found:
        raise NotFoundError(f"programme {programme_id} has no flag {flag_no}: `watch list` shows them")
    return found[0]


def flags_where(connection: Connection, wanted: ColumnElement[bool], last: int) -> list[FlagView]:
    """The newest flags (at most `last`) that a condition holds for, newest last."""
    payments = (
        select(func.count())
        .where(evidence.c.programme_no == flag.c.programme_no, evidence.c.flag_no == flag.c.flag_no)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(
            flag,
            programme.c.programme_id,
            member.c.member_id,
            merchant.c.merchant_id,
            stop.c.until_day,
            payments.label("payments"),
        )
        .join(programme, programme.c.programme_no == flag.c.programme_no)
        .outerjoin(
            member,
            and_(member.c.programme_no == flag.c.programme_no, member.c.wallet_id == flag.c.wallet_id),
        )
        .outerjoin(merchant, merchant.c.merchant_no == flag.c.merchant_no)
        .outerjoin(
            stop,
            and_(
                stop.c.programme_no == flag.c.programme_no,
                stop.c.flag_no == flag.c.flag_no,
                stop.c.lifted_at.is_(None),
            ),
        )
        .where(wanted)
        .order_by(flag.c.noted_at.desc(), flag.c.programme_no.desc(), flag.c.flag_no.desc())
        .limit(last)
    ).all()
    figures: list[dict[str, Any]] = [msgspec.json.decode(row.figures) for row in rows]
    _name_shops(connection, figures)
    return [_flag(row, told) for row, told in zip(reversed(rows), reversed(figures), strict=True)]


def _name_shops(connection: Connection, figures: list[dict[str, Any]]) -> None:
    """A shop's number is ours: people know the shop by its id."""
    numbers = {one["merchant_no"] for one in figures if "merchant_no" in one}
    if not numbers:
        return
    query = select(merchant.c.merchant_no, merchant.c.merchant_id)
    shops = dict(connection.execute(query.where(merchant.c.merchant_no.in_(numbers))).tuples().all())
    for one in figures:
        if "merchant_no" in one:
            one["shop"] = shops.get(one.pop("merchant_no"))


def _flag(row: Any, figures: dict[str, Any]) -> FlagView:
    rule = msgspec.json.decode(row.rule, type=Watch)
    of_member = row.subject == Subject.MEMBER
    return FlagView(
        programme=row.programme_id,
        flag_no=row.flag_no,
        detector=row.detector,
        kind=rule.kind,
        about="member" if of_member else "shop",
        subject=(row.member_id if of_member else row.merchant_id) or "",
        first_at=row.first_at,
        last_at=row.last_at,
        figures=figures,
        state=row.state,
        noted_at=row.noted_at.isoformat(timespec="seconds"),
        stopped_until=row.until_day or 0,
        payments=row.payments,
        rule=in_words(rule),
        rule_sha256=row.rule_sha256,
        judged_by=row.judged_by or "",
        judged_at=row.judged_at.isoformat(timespec="seconds") if row.judged_at else "",
        note=row.note or "",
    )


_EVIDENCE = text("""
    SELECT p.local_day, p.local_time, p.kind, coalesce(m.member_id, ''), coalesce(c.masked, ''),
           coalesce(s.merchant_id, ''), coalesce(s.name, ''), p.terminal_id, p.stan, p.approved, p.returned,
           p.cashback
    FROM watch_evidence e
    JOIN programme g ON g.programme_no = e.programme_no AND g.programme_id = :programme_id
    JOIN payment p ON p.bucket = e.bucket AND p.local_day = e.local_day AND p.local_time = e.local_time
        AND p.terminal_id = e.terminal_id AND p.stan = e.stan AND p.kind = e.kind
    LEFT JOIN member m ON m.wallet_id = p.wallet_id
    LEFT JOIN card c ON c.bucket = p.bucket AND c.wallet_id = p.wallet_id AND c.card_no = p.card_no
    LEFT JOIN merchant s ON s.merchant_no = p.merchant_no
    WHERE e.flag_no = :flag_no
    ORDER BY p.local_day, p.local_time, p.terminal_id, p.stan
""")


def evidence_of(connection: Connection, programme_id: str, flag_no: int) -> list[EvidenceView]:
    """The payments that speak for a flag, in the order of their own time."""
    rows = connection.execute(_EVIDENCE, {"programme_id": programme_id, "flag_no": flag_no})
    return [
        EvidenceView(
            *(row[0].isoformat(), f"{row[1]:06d}", "topup" if row[2] == 3 else "purchase"),
            *(row[3], row[4], row[5], row[6], row[7], f"{row[8]:06d}", row[9], row[10], row[11]),
        )
        for row in rows
    ]
