"""A gift from one member to another, in one posting of each wallet and one transaction.

What a gift takes and what it opens is domain.acts.gift. A company neither gives nor receives points; who owes
clawed-back cashback gives nothing until that is paid.
"""

from datetime import date, datetime

import msgspec
from sqlalchemy import Engine

from switch.domain.acts import REFERENCE_LENGTH_MAX, ActKind
from switch.domain.acts import gift as choose
from switch.domain.money import WON_MAX
from switch.domain.programme import NoPolicy, Policy
from switch.domain.wallet import LOT_KIND_NAME, Holder, Lot, LotKind, Wallet
from switch.ledger.chart import Account
from switch.ledger.journal import entry
from switch.service.admin import NotFoundError, RefusedError
from switch.service.giving.finding import open_days, programme_of
from switch.store.acts import LOT_ACCOUNT_OF, Act, ActBatch, ActConflictError, LotFullError
from switch.store.cards import MemberAt, find_members
from switch.store.funding import hold_open_date

GIVER, RECEIVER = 0, 1
"""The legs of a gift."""


class GiftReport(msgspec.Struct, frozen=True):
    """A gift: `done_before` where this reference had booked it already. `lots` are the receiver's new lots as
    (won, last valid day yyyymmdd, 0 never)."""

    reference: str
    giver: str
    receiver: str
    kind: str
    won: int
    booked_on: date
    done_before: bool
    lots: list[tuple[int, int]]


def gift(
    engine: Engine,
    programme_id: str,
    giver: str,
    receiver: str,
    won: int,
    reference: str,
    *,
    points: bool,
    actor: str,
    now: datetime,
) -> GiftReport:
    """Give won from one member to another, exactly once by the reference.

    Raises NotFoundError, RefusedError (with the true reason), ActConflictError.
    """
    kind = LotKind.POINTS if points else LotKind.CHARGED
    if giver == receiver:
        raise RefusedError("giver and receiver are the same member: name two")
    if not 1 <= won <= WON_MAX:
        raise RefusedError(f"a gift is 1 to {WON_MAX:,} won, not {won:,}")
    name = f"gift:{reference}"
    if not reference or len(name) > REFERENCE_LENGTH_MAX:
        most = REFERENCE_LENGTH_MAX - len("gift:")
        raise RefusedError(f"--reference has 1 to {most} characters: it makes the gift happen once")
    with engine.connect() as connection:
        at = programme_of(connection, programme_id)
        try:
            policy = at.programme.policy_at(now)
        except NoPolicy:
            raise RefusedError(f"programme {programme_id} has no policy in force yet: apply one") from None
        found = find_members(connection, at.programme_no, [giver, receiver])
        of_giver, of_receiver = (_member(found, programme_id, one) for one in (giver, receiver))
    day = open_days(engine, at, now)
    with engine.begin() as connection:
        batch = ActBatch(
            connection, at.programme_no, hold_open_date(connection, at.programme_no, day), actor, now
        )
        wallets = batch.lock([(one.bucket, one.wallet_id) for one in (of_giver, of_receiver)])
        source = wallets[of_giver.bucket, of_giver.wallet_id]
        target = wallets[of_receiver.bucket, of_receiver.wallet_id]
        known = batch.known([name])
        told = (reference, giver, receiver, LOT_KIND_NAME[kind], won)
        before = known.get((name, GIVER))
        if before is not None:
            notes = _notes(kind, giver, receiver)
            key = (source.bucket, source.wallet_id)
            if not before.same(ActKind.GIFT, key, won, note=notes[GIVER]):
                raise ActConflictError(
                    f"reference {reference} has given {before.won:,} won before ({before.note}):"
                    " a new gift needs a reference of its own"
                )
            return GiftReport(*told, before.booked_on, True, [])
        refusal = _refusal(source, target, policy, kind, won)
        if refusal:
            raise RefusedError(refusal)
        lots = _book(batch, source, target, kind, won, name, _notes(kind, giver, receiver))
        batch.write()
        return GiftReport(*told, batch.booked_on, False, lots)


def _member(found: dict[str, MemberAt], programme_id: str, member_id: str) -> MemberAt:
    if member_id not in found:
        raise NotFoundError(f'programme {programme_id} has no member "{member_id}": check the id')
    return found[member_id]


def _notes(kind: LotKind, giver: str, receiver: str) -> tuple[str, str]:
    return f"{LOT_KIND_NAME[kind]} to {receiver}", f"{LOT_KIND_NAME[kind]} from {giver}"


def _refusal(source: Wallet, target: Wallet, policy: Policy, kind: LotKind, won: int) -> str:
    """Why the gift may not be, or nothing."""
    if not source.active or not target.active:
        return f"the wallet of the {'receiver' if source.active else 'giver'} is stopped"
    if kind == LotKind.POINTS and Holder.COMPANY in (source.holder, target.holder):
        return "a company's wallet takes no part in points"
    if source.receivable:
        return f"the giver owes {source.receivable:,} won of cashback: the next cashback pays that off"
    limits = policy.company_limits if target.holder == Holder.COMPANY else policy.limits
    most = limits.holding_max or WON_MAX
    over = target.ledger_balance() + won - most
    if over > 0:
        return f"the receiver may hold {most:,} won, and the gift is {over:,} won over that"
    return ""


def _book(
    batch: ActBatch,
    source: Wallet,
    target: Wallet,
    kind: LotKind,
    won: int,
    reference: str,
    notes: tuple[str, str],
) -> list[tuple[int, int]]:
    account = LOT_ACCOUNT_OF[kind]
    chosen = choose(source, kind, won, batch.today, batch.held(source))
    if chosen.missing:
        has = won - chosen.missing
        raise RefusedError(
            f"the giver has {has:,} won of {LOT_KIND_NAME[kind]} value to give: {chosen.missing:,} too few"
        )
    out = tuple(entry(account, Account.IN_TRANSIT, part, lot_no=lot_no) for lot_no, part in chosen.taken)
    batch.add(Act(reference, ActKind.GIFT, source, out, note=notes[GIVER], leg=GIVER))
    opened = tuple(
        Lot(target.lot_seq + place, kind, funder_no, part, part, batch.today, expires)
        for place, (funder_no, part, expires) in enumerate(chosen.opened, 1)
    )
    into = tuple(entry(Account.IN_TRANSIT, account, lot.granted, lot_no=lot.lot_no) for lot in opened)
    first = opened[0].lot_no if len(opened) == 1 else 0
    received = Act(
        *(reference, ActKind.GIFT_RECEIVED, target, into, opened),
        lot_no=first,
        note=notes[RECEIVER],
        leg=RECEIVER,
    )
    try:
        batch.add(received)
    except LotFullError as error:
        raise RefusedError(f"the receiver cannot take it: {error}") from None
    return [(lot.granted, lot.expires) for lot in opened]
