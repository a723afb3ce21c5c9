"""Finding what an operator names: one payment, or the member behind a card."""

import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, select

from switch.domain.payment import bucket_of
from switch.service.admin import NotFoundError, RefusedError, find_wallet
from switch.service.vault import Vault
from switch.store.cards import find_cards
from switch.store.schema import member, payment, programme, wallet

RRN_DAYS_BACK = 40
"""How many days a search for a retrieval reference number goes back unless it is told the day."""

_SHOWN_MAX = 5
_SHOWN = "TERMINAL/STAN/YYYY-MM-DD, WALLET:POSTING, a reference number, a card number or a member's id"
_BY_TERMINAL = re.compile(r"([^/]{1,8})/(\d{1,6})/(\d{4}-\d\d-\d\d)")
_BY_POSTING = re.compile(r"(\d{1,18}):(\d{1,9})")
_RRN = re.compile(r"[A-Za-z0-9 ]{12}")
_PAN = re.compile(r"\d{13,19}")


class Member(msgspec.Struct, frozen=True):
    """A member's wallet."""

    programme_no: int
    programme_id: str
    member_id: str
    bucket: int
    wallet_id: int


def is_card_number(name: str) -> bool:
    """Whether what is named looks like a card number: such a name is never repeated in an error."""
    return _PAN.fullmatch(name) is not None


def find_payment(
    connection: Connection, name: str, *, programme_id: str | None, day: date | None, today: date
) -> Row[Any] | None:
    """The payment that a name means, None if it is no payment's. Raises NotFoundError, RefusedError."""
    by_terminal, by_posting = _BY_TERMINAL.fullmatch(name), _BY_POSTING.fullmatch(name)
    if by_terminal is not None:
        return _one(connection, name, _of_terminal(*by_terminal.groups()), programme_id)
    if by_posting is not None:
        wallet_id, seq = int(by_posting[1]), int(by_posting[2])
        at = (payment.c.bucket == bucket_of(wallet_id), payment.c.wallet_id == wallet_id)
        return _one(connection, name, [*at, payment.c.seq == seq], programme_id)
    if _RRN.fullmatch(name) is None or is_card_number(name):
        return None
    wanted: list[ColumnElement[bool]] = [payment.c.rrn == name]
    if day is not None:
        wanted.append(payment.c.local_day == day)
    else:
        wanted.append(payment.c.local_day >= today - timedelta(days=RRN_DAYS_BACK))
    return _one(connection, name, wanted, programme_id, needed=False)


def _of_terminal(terminal: str, stan: str, day: str) -> list[ColumnElement[bool]]:
    try:
        local_day = date.fromisoformat(day)
    except ValueError:
        raise NotFoundError(f"{day} is no day: write it as YYYY-MM-DD") from None
    return [
        payment.c.terminal_id == terminal,
        payment.c.stan == int(stan),
        payment.c.local_day == local_day,
    ]


def _one(
    connection: Connection,
    name: str,
    wanted: Sequence[ColumnElement[bool]],
    programme_id: str | None,
    *,
    needed: bool = True,
) -> Row[Any] | None:
    query = (
        select(payment)
        .where(and_(*wanted))
        .order_by(payment.c.local_day, payment.c.local_time, payment.c.kind)
        .limit(_SHOWN_MAX + 1)
    )
    if programme_id is not None:
        own = select(programme.c.programme_no).where(programme.c.programme_id == programme_id)
        query = query.where(payment.c.programme_no.in_(own))
    rows = connection.execute(query).all()
    if len(rows) == 1:
        return rows[0]
    if not rows:
        if needed:
            raise NotFoundError(f"no payment {name}: check it, or name it as {_SHOWN}")
        return None
    shown = ", ".join(f"{row.wallet_id}:{row.seq} (at {row.terminal_id})" for row in rows[:_SHOWN_MAX])
    raise RefusedError(f"{name} names several payments: choose one of {shown}")


def find_member(
    connection: Connection, name: str, *, programme_id: str | None, vault: Vault | None
) -> Member:
    """The member that a card number or a member's id means. Raises NotFoundError, RefusedError."""
    if is_card_number(name):
        if vault is None:
            raise RefusedError("a card number is found with the vault's keys: set vault_file")
        hmacs = [vault.pan_hmac(name), *vault.older_hmacs(name)]
        known = list(find_cards(connection, hmacs).values())
        if known:
            return _holder(connection, known[0].bucket, known[0].wallet_id)
        if programme_id is None:
            raise NotFoundError("the card is unknown: check its number")
    if programme_id is None:
        raise RefusedError(f"{name!r} is no payment; a member's id needs --programme. Name {_SHOWN}")
    at = find_wallet(connection, programme_id, name)
    return Member(at.programme_no, programme_id, name, at.bucket, at.wallet_id)


def _holder(connection: Connection, bucket: int, wallet_id: int) -> Member:
    row = connection.execute(
        select(wallet.c.programme_no, programme.c.programme_id, member.c.member_id)
        .join(programme, programme.c.programme_no == wallet.c.programme_no)
        .join(member, member.c.wallet_id == wallet.c.wallet_id)
        .where(wallet.c.bucket == bucket, wallet.c.wallet_id == wallet_id)
    ).one()
    return Member(row.programme_no, row.programme_id, row.member_id, bucket, wallet_id)
