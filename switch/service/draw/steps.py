"""The steps of a draw on the books: announce, close, run; each once, and safe to run again."""

import secrets
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any

import msgspec
from sqlalchemy import Connection, Engine, Row, func, insert, select, text, update

from switch.domain.calendar import SEOUL
from switch.domain.draw import PRIZES_MAX, TICKETS_MAX, Drawn, Rules, commitment, draw, tickets_drawn
from switch.service.admin import NotFoundError, RefusedError, find_wallet
from switch.service.draw.files import (
    ANNOUNCEMENT,
    RESULT,
    TICKETS,
    Announcement,
    DrawnTicket,
    Result,
    TicketWriter,
    member_token,
    read_seed,
    replace_file,
    write_json,
    write_seed,
)
from switch.service.giving.finding import programme_of
from switch.store.bulk import lock_administration
from switch.store.schema_donations import draw_result, prize_draw

PER_WON_LEAST = 1_000
NAME_LENGTH_MAX = 60
_CHUNK = 5_000

_TAKE = text("""
    INSERT INTO draw_ticket (draw_no, first_ticket, tickets, local_day, bucket, wallet_id, seq)
    SELECT :draw_no,
           1 + coalesce(sum(tickets) OVER (ORDER BY local_day, bucket, wallet_id, seq
                                           ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)::bigint,
           tickets, local_day, bucket, wallet_id, seq
    FROM (
        SELECT local_day, bucket, wallet_id, seq,
               (CASE WHEN :per_won > 0 THEN (approved - returned) / greatest(:per_won, 1) ELSE 1 END)::integer
                   AS tickets
        FROM payment
        WHERE programme_no = :programme_no AND kind = 1 AND local_day BETWEEN :starts AND :ends
          AND approved - returned >= greatest(:min_won, 1)
    ) p WHERE tickets > 0
""")
_LIST = text("""
    SELECT t.first_ticket, t.tickets, t.local_day, m.member_id
    FROM draw_ticket t JOIN member m USING (bucket, wallet_id)
    WHERE t.draw_no = :draw_no ORDER BY t.first_ticket
""")
_TICKET = text("""
    SELECT t.first_ticket, t.tickets, m.member_id, p.approved - p.returned AS won, c.masked
    FROM (SELECT * FROM draw_ticket WHERE draw_no = :draw_no AND first_ticket <= :ticket
          ORDER BY first_ticket DESC LIMIT 1) t
    JOIN member m USING (bucket, wallet_id)
    JOIN payment p ON p.bucket = t.bucket AND p.wallet_id = t.wallet_id AND p.seq = t.seq
        AND p.local_day = t.local_day
    JOIN card c ON c.bucket = p.bucket AND c.wallet_id = p.wallet_id AND c.card_no = p.card_no
""")
_OF_MEMBER = text("""
    SELECT first_ticket, tickets, local_day FROM draw_ticket
    WHERE draw_no = :draw_no AND bucket = :bucket AND wallet_id = :wallet_id ORDER BY first_ticket LIMIT 10000
""")


class DrawView(msgspec.Struct, frozen=True):
    """A draw as it stands: announced, closed or drawn."""

    announcement: Announcement
    state: str
    announced_at: datetime
    closed_at: datetime | None
    run_at: datetime | None
    tickets: int
    list_sha256: str | None
    drawn: list[DrawnTicket]


class MemberTickets(msgspec.Struct, frozen=True):
    """A member's tickets in a closed draw: the anonymous id in the list, and (first, how many, day)."""

    member: str
    token: str
    tickets: list[tuple[int, int, date]]


def announce(
    engine: Engine,
    programme_id: str,
    name: str,
    starts: date,
    ends: date,
    prizes: int,
    rules: Rules,
    *,
    once: bool,
    seed_file: Path,
    out: Path,
    actor: str,
    now: datetime,
) -> Announcement:
    """Store the rules and publish them with the commitment, before the period is over.

    The seed is read from `seed_file`, or made and written there: only who keeps that file can hold the draw.
    Raises NotFoundError, RefusedError, DrawError.
    """
    _check(name, starts, ends, prizes, rules, now)
    if not seed_file.exists():
        write_seed(seed_file, secrets.token_hex(32))
    said = Announcement(
        programme=programme_id,
        name=name,
        first_day=starts,
        last_day=ends,
        prizes=prizes,
        per_won=rules.per_won,
        min_won=rules.min_won,
        once=once,
        commitment=commitment(read_seed(seed_file)),
    )
    with engine.begin() as connection:
        lock_administration(connection)
        at = programme_of(connection, programme_id)
        before = _find(connection, at.programme_no, name)
        if before is not None and announcement_of(before, programme_id) != said:
            raise RefusedError(
                f'a draw "{name}" was announced with other rules or another seed: choose a name'
            )
        if before is None:
            number = connection.scalar(select(func.coalesce(func.max(prize_draw.c.draw_no), 0) + 1))
            connection.execute(
                insert(prize_draw).values(
                    draw_no=number,
                    programme_no=at.programme_no,
                    name=name,
                    starts=starts,
                    ends=ends,
                    prizes=prizes,
                    per_won=rules.per_won,
                    min_won=rules.min_won,
                    once=once,
                    commitment=said.commitment,
                    announced_by=actor,
                    announced_at=now,
                )
            )
    write_json(out / ANNOUNCEMENT, said)
    return said


def _check(name: str, starts: date, ends: date, prizes: int, rules: Rules, now: datetime) -> None:
    if not 1 <= len(name) <= NAME_LENGTH_MAX or not name.isprintable():
        raise RefusedError(f"a draw's name has 1 to {NAME_LENGTH_MAX} characters on one line")
    if ends < starts:
        raise RefusedError(f"--to {ends} lies before --from {starts}: turn them round")
    if now.astimezone(SEOUL).date() > ends:
        raise RefusedError(f"the period was over on {ends}: a draw is announced before the end of its period")
    if not 1 <= prizes <= PRIZES_MAX:
        raise RefusedError(f"a draw has 1 to {PRIZES_MAX:,} prizes, not {prizes:,}")
    if rules.per_won and rules.per_won < PER_WON_LEAST:
        raise RefusedError(f"a ticket is given for {PER_WON_LEAST:,} won or more, not for {rules.per_won:,}")


def close(
    engine: Engine, programme_id: str, name: str, *, out: Path, actor: str, now: datetime
) -> tuple[int, str]:
    """Fix the ticket list and publish it; returns its number of tickets and its hash.

    Once every business date of the period is closed; done before, the same file is written again. Raises
    NotFoundError, RefusedError.
    """
    with engine.begin() as connection:
        row = _locked(connection, programme_id, name)
        at = programme_of(connection, programme_id)
        if at.closed_through is None or at.closed_through < row.ends:
            raise RefusedError(
                f"payments of the period may still come: run it once the business date {row.ends} is closed"
            )
        key = row.member_key or secrets.token_bytes(32)
        if row.list_sha256 is None:
            _take(connection, row)
        tickets, sha256 = _publish(connection, row.draw_no, key, out / TICKETS)
        if row.list_sha256 is not None:
            if sha256 != row.list_sha256:
                raise RefusedError(
                    f"the stored list has another hash than {row.list_sha256}: ask who changed it"
                )
            return tickets, sha256
        connection.execute(
            update(prize_draw)
            .where(prize_draw.c.draw_no == row.draw_no)
            .values(member_key=key, tickets=tickets, list_sha256=sha256, closed_by=actor, closed_at=now)
        )
    return tickets, sha256


def _take(connection: Connection, row: Row[Any]) -> None:
    """One ticket list in one statement, so that it stands at one position of the books."""
    rules = {"per_won": row.per_won, "min_won": row.min_won, "starts": row.starts, "ends": row.ends}
    taken = connection.execute(_TAKE, {"draw_no": row.draw_no, "programme_no": row.programme_no, **rules})
    if not taken.rowcount:
        raise RefusedError("no payment of the period earns a ticket: check the rules")


def _publish(connection: Connection, draw_no: int, key: bytes, path: Path) -> tuple[int, str]:
    told: list[tuple[int, str]] = []

    def fill(file: IO[bytes]) -> None:
        writer = TicketWriter(file)
        last = 0
        rows = connection.execute(_LIST, {"draw_no": draw_no}, execution_options={"yield_per": _CHUNK})
        for first, tickets, day, member_id in rows:
            writer.add(first, tickets, day, member_token(key, member_id))
            last = first + tickets - 1
        told.append((last, writer.sha256))

    replace_file(path, fill)
    tickets, sha256 = told[0]
    if tickets > TICKETS_MAX:
        raise RefusedError(f"the list has {tickets:,} tickets, {TICKETS_MAX:,} at most: give fewer")
    return tickets, sha256


def run(
    engine: Engine,
    programme_id: str,
    name: str,
    *,
    seed_file: Path | None,
    out: Path,
    actor: str,
    now: datetime,
) -> Result:
    """Reveal the seed and draw; done before, the result is published again as it stands.

    A ticket that its payment has lost since the list was closed wins nothing: the next takes its place.
    Raises NotFoundError, RefusedError, DrawError.
    """
    with engine.begin() as connection:
        row = _locked(connection, programme_id, name)
        if row.list_sha256 is None:
            raise RefusedError("the ticket list is not fixed yet: run `draw close` first")
        if row.seed is None:
            if seed_file is None:
                raise RefusedError("the seed is missing: name its file with --seed-file")
            seed = read_seed(seed_file)
            if commitment(seed) != row.commitment:
                raise RefusedError(f"the seed in {seed_file} is not the one that was announced")
            _draw(connection, row, seed)
            connection.execute(
                update(prize_draw)
                .where(prize_draw.c.draw_no == row.draw_no)
                .values(seed=seed, run_by=actor, run_at=now)
            )
        else:
            seed = row.seed
        drawn = _drawn(connection, row.draw_no)
    result = Result(
        announcement=announcement_of(row, programme_id),
        tickets=row.tickets,
        list_sha256=row.list_sha256,
        seed=seed,
        drawn=drawn,
    )
    write_json(out / RESULT, result)
    return result


def _draw(connection: Connection, row: Row[Any], seed: str) -> None:
    known: dict[int, Row[Any]] = {}
    rules = Rules(row.per_won, row.min_won)

    def found(ticket: int) -> Row[Any]:
        if ticket not in known:
            known[ticket] = connection.execute(_TICKET, {"draw_no": row.draw_no, "ticket": ticket}).one()
        return known[ticket]

    def cancelled(ticket: int) -> bool:
        standing = rules.tickets(found(ticket).won)
        return bool(ticket - found(ticket).first_ticket >= standing)

    drawn: list[Drawn] = draw(
        tickets_drawn(seed, row.list_sha256, row.tickets),
        row.prizes,
        once=row.once,
        member_of=lambda ticket: member_token(row.member_key, found(ticket).member_id),
        cancelled=cancelled,
    )
    rows = [
        {
            "draw_no": row.draw_no,
            "place": place,
            "ticket": one.ticket,
            "cancelled": one.cancelled,
            "prize": one.prize,
            "member": one.member,
            "card": found(one.ticket).masked,
        }
        for place, one in enumerate(drawn, 1)
    ]
    if rows:
        connection.execute(insert(draw_result), rows)


def views(engine: Engine, programme_id: str, name: str = "") -> list[DrawView]:
    """All draws of a programme, the latest period first, or the one of this name. Raises NotFoundError."""
    with engine.connect() as connection:
        at = programme_of(connection, programme_id)
        wanted = select(prize_draw).where(prize_draw.c.programme_no == at.programme_no)
        if name:
            wanted = wanted.where(prize_draw.c.name == name)
        rows = connection.execute(wanted.order_by(prize_draw.c.ends.desc(), prize_draw.c.draw_no)).all()
        if name and not rows:
            raise _unknown(name)
        return [
            DrawView(
                announcement_of(row, programme_id),
                "drawn" if row.seed else "closed" if row.list_sha256 else "announced",
                row.announced_at,
                row.closed_at,
                row.run_at,
                row.tickets,
                row.list_sha256,
                _drawn(connection, row.draw_no) if name else [],
            )
            for row in rows
        ]


def tickets_of(engine: Engine, programme_id: str, name: str, member_id: str) -> MemberTickets:
    """A member's tickets in a closed draw. Raises NotFoundError, RefusedError."""
    with engine.connect() as connection:
        wallet = find_wallet(connection, programme_id, member_id)
        row = _find(connection, wallet.programme_no, name)
        if row is None:
            raise _unknown(name)
        if row.member_key is None:
            raise RefusedError("the ticket list is not fixed yet: run `draw close` first")
        at = {"draw_no": row.draw_no, "bucket": wallet.bucket, "wallet_id": wallet.wallet_id}
        found = [(one[0], one[1], one[2]) for one in connection.execute(_OF_MEMBER, at)]
        return MemberTickets(member_id, member_token(row.member_key, member_id), found)


def announcement_of(row: Row[Any], programme_id: str) -> Announcement:
    """What was announced of a stored draw."""
    return Announcement(
        programme=programme_id,
        name=row.name,
        first_day=row.starts,
        last_day=row.ends,
        prizes=row.prizes,
        per_won=row.per_won,
        min_won=row.min_won,
        once=row.once,
        commitment=row.commitment,
    )


def _drawn(connection: Connection, draw_no: int) -> list[DrawnTicket]:
    one = draw_result.c
    rows = connection.execute(
        select(one.ticket, one.member, one.card, one.prize, one.cancelled)
        .where(one.draw_no == draw_no)
        .order_by(one.place)
    )
    return [DrawnTicket(*row) for row in rows]


def _find(connection: Connection, programme_no: int, name: str) -> Row[Any] | None:
    wanted = (prize_draw.c.programme_no == programme_no, prize_draw.c.name == name)
    return connection.execute(select(prize_draw).where(*wanted)).first()


def _locked(connection: Connection, programme_id: str, name: str) -> Row[Any]:
    at = programme_of(connection, programme_id)
    wanted = (prize_draw.c.programme_no == at.programme_no, prize_draw.c.name == name)
    row = connection.execute(select(prize_draw).where(*wanted).with_for_update()).first()
    if row is None:
        raise _unknown(name)
    return row


def _unknown(name: str) -> NotFoundError:
    return NotFoundError(f'no draw "{name}": `dure-switch draw list` shows them')
