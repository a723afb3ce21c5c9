"""A gift to a donation case by an operator's command: by the same rules and locks as by message."""

from datetime import date, datetime

import msgspec
from sqlalchemy import Connection, Engine, insert, select, update

from switch.domain.acts import REFERENCE_LENGTH_MAX, ActKind
from switch.domain.calendar import SEOUL, day_of_date
from switch.domain.donation import Case, case_fault, kinds_given, lots_given
from switch.domain.money import WON_MAX
from switch.domain.reasons import REASONS
from switch.domain.request import Terms
from switch.domain.wallet import Holder, LotKind, Wallet
from switch.ledger.chart import Account
from switch.ledger.journal import entry
from switch.service.admin import NotFoundError, RefusedError
from switch.service.giving.finding import open_days, programme_of
from switch.store.acts import LOT_ACCOUNT_OF, Act, ActBatch, ActConflictError
from switch.store.cards import find_members
from switch.store.funding import hold_open_date
from switch.store.reference import load_reference
from switch.store.schema_donations import donation_case
from switch.store.schema_donations import gift as gift_table

CHANNEL_DEFAULT = "pos"


class DonationReport(msgspec.Struct, frozen=True):
    """A gift to a case: `done_before` where this reference had booked it already; won by kind of money, and
    what the case still needs."""

    reference: str
    member: str
    case: str
    won: int
    points: int
    charged: int
    booked_on: date
    done_before: bool
    left: int


def donate(
    engine: Engine,
    programme_id: str,
    member_id: str,
    code: str,
    won: int,
    reference: str,
    *,
    kind: str,
    actor: str,
    now: datetime,
) -> DonationReport:
    """Give won of a member to a case, exactly once by the reference. `kind`: "points", "charged", "" either.

    Raises NotFoundError, RefusedError (with the true reason), ActConflictError.
    """
    if not 1 <= won <= WON_MAX:
        raise RefusedError(f"a gift is 1 to {WON_MAX:,} won, not {won:,}")
    name = f"donation:{reference}"
    if not reference or len(name) > REFERENCE_LENGTH_MAX:
        most = REFERENCE_LENGTH_MAX - len("donation:")
        raise RefusedError(f"--reference has 1 to {most} characters: it makes the gift happen once")
    with engine.connect() as connection:
        at = programme_of(connection, programme_id)
        member = find_members(connection, at.programme_no, [member_id]).get(member_id)
        if member is None:
            raise NotFoundError(f'programme {programme_id} has no member "{member_id}": check the id')
        merchant_no = connection.scalar(
            select(donation_case.c.merchant_no).where(
                donation_case.c.programme_no == at.programme_no, donation_case.c.code == code
            )
        )
        if merchant_no is None:
            raise NotFoundError(f'no donation case "{code}": `dure-switch donation list` shows them')
    moment = now.astimezone(SEOUL)
    today = day_of_date(moment.date())
    rules = load_reference(engine)
    # A command comes by no channel: restrictions that ask for one judge it by the merchant's first.
    channel = next(iter(rules.merchants[merchant_no].channels), CHANNEL_DEFAULT)
    terms = rules.terms(at.programme_no, merchant_no, today, int(moment.strftime("%H%M%S")), channel)
    day = open_days(engine, at, now)
    with engine.begin() as connection:
        held_open = hold_open_date(connection, at.programme_no, day)
        batch = ActBatch(connection, at.programme_no, held_open, actor, now)
        wallet = batch.lock([(member.bucket, member.wallet_id)])[member.bucket, member.wallet_id]
        case = lock_case(connection, at.programme_no, code)
        note = f"{kind or 'any money'} to case {code}"
        before = batch.known([name]).get((name, 0))
        if before is not None:
            if not before.same(ActKind.DONATION, (wallet.bucket, wallet.wallet_id), won, note=note):
                raise ActConflictError(
                    f"reference {reference} has given {before.won:,} won before ({before.note}):"
                    " a new gift needs a reference of its own"
                )
            given = _given(connection, wallet, before.seq)
            return DonationReport(
                reference, member_id, code, won, *given, before.booked_on, True, case.left if case else 0
            )
        chosen = _choose(batch, wallet, terms, case, won, kind, max(today, batch.today))
        points = sum(part for _, of, part in chosen if of == LotKind.POINTS)
        out = tuple(
            entry(LOT_ACCOUNT_OF[of], Account.MERCHANT_PAYABLE, part, lot_no=lot_no, merchant_no=merchant_no)
            for lot_no, of, part in chosen
        )
        batch.add(Act(name, ActKind.DONATION, wallet, out, note=note))
        batch.write()
        left = _book(connection, batch, wallet, code, points, won - points)
    return DonationReport(reference, member_id, code, won, points, won - points, batch.booked_on, False, left)


def lock_case(connection: Connection, programme_no: int, code: str) -> Case | None:
    """A case, locked as the lanes do, after the wallets; None where there is none."""
    mine = (donation_case.c.programme_no == programme_no, donation_case.c.code == code)
    row = connection.execute(select(donation_case).where(*mine).with_for_update(key_share=True)).first()
    if row is None:
        return None
    open_ = row.state == "open"
    return Case(code, row.merchant_no, row.target, row.given, day_of_date(row.deadline), open_)


def _choose(
    batch: ActBatch, wallet: Wallet, terms: Terms, case: Case | None, won: int, kind: str, today: int
) -> tuple[tuple[int, int, int], ...]:
    """The lots that give. Raises RefusedError, with the reason that a terminal would be given."""
    if not wallet.active:
        raise RefusedError("the member's wallet is stopped")
    if wallet.holder == Holder.COMPANY and kind == "points":
        raise RefusedError("a company's wallet takes no part in points")
    fault = case_fault(case, terms.merchant.merchant_no, today)
    if not terms.donation:
        fault = "case_elsewhere"
    elif not terms.merchant_open:
        fault = "merchant_closed"
    if fault is not None or case is None:
        raise RefusedError(REASONS[fault or "unknown_case"].english)
    if won > case.left:
        raise RefusedError(f"the case still needs {case.left:,} won, not {won:,}: give at most that")
    wanted = kinds_given(wallet, terms, kind)
    barred = [name for name in wanted if terms.refused.get(name)]
    allowed = [name for name in wanted if name not in barred]
    chosen = lots_given(wallet, allowed, today, won, batch.held(wallet))
    has = sum(part for _, _, part in chosen)
    if has < won:
        rules = sorted({rule.code for name in barred for rule in terms.refused[name]})
        why = f"; rules bar the rest here: {', '.join(rules)}" if rules else ""
        raise RefusedError(f"the member has {has:,} won that may be given, {won - has:,} too few{why}")
    return chosen


def _book(
    connection: Connection, batch: ActBatch, wallet: Wallet, code: str, points: int, charged: int
) -> int:
    """The gift's own row, and the case's sum; returns what the case still needs."""
    connection.execute(
        insert(gift_table).values(
            bucket=wallet.bucket,
            wallet_id=wallet.wallet_id,
            seq=wallet.seq,
            programme_no=batch.programme_no,
            case_code=code,
            business_date=batch.booked_on,
            points=points,
            charged=charged,
        )
    )
    one = donation_case.c
    left = connection.scalar(
        update(donation_case)
        .where(one.programme_no == batch.programme_no, one.code == code)
        .values(given=one.given + points + charged)
        .returning(one.target - one.given)
    )
    return int(left or 0)


def _given(connection: Connection, wallet: Wallet, seq: int) -> tuple[int, int]:
    one = gift_table.c
    row = connection.execute(
        select(one.points, one.charged).where(
            one.bucket == wallet.bucket, one.wallet_id == wallet.wallet_id, one.seq == seq
        )
    ).one()
    return row.points, row.charged
