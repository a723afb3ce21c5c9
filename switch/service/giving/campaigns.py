"""How campaigns stand, and an issue taken back."""

from datetime import datetime

import msgspec
from sqlalchemy import Connection, Engine, text

from switch.domain.acts import ActKind
from switch.domain.wallet import Lot, LotKind
from switch.ledger.chart import Account
from switch.ledger.journal import entry
from switch.service.admin import RefusedError, find_wallet
from switch.service.giving.finding import CampaignAt, campaign_of, campaigns_of, open_days, programme_of
from switch.store.acts import LOT_ACCOUNT_OF, Act, ActBatch
from switch.store.budget_pool import give, standing
from switch.store.funding import hold_open_date

_ISSUED = text("""
    SELECT count(*) AS issued, coalesce(sum(a.won), 0)::bigint AS won,
           coalesce(sum(l.balance), 0)::bigint AS unspent,
           coalesce(sum(l.balance) FILTER (WHERE l.kind = :coupon AND l.balance < l.granted), 0)::bigint
           AS over
    FROM act a JOIN lot l USING (bucket, wallet_id, lot_no)
    WHERE a.campaign_no = :campaign_no AND a.kind = :issue
""")
_REVOKED = text("""
    SELECT coalesce(sum(won), 0)::bigint FROM act WHERE campaign_no = :campaign_no AND kind = :revoke
""")
_EXPIRED = text("SELECT coalesce(sum(won), 0)::bigint FROM expiry WHERE campaign_no = :campaign_no")
_MONTHS = text("""
    SELECT lot_no, budget_month FROM act WHERE bucket = :bucket AND wallet_id = :wallet_id AND kind = :issue
""")


class CampaignView(msgspec.Struct, frozen=True):
    """A campaign and how it stands, in won but for `issued` (lots). `unspent` is in wallets; `over` of it is
    what used coupons left over, which nobody can spend; `left` what its pot has still (None: it has none).

    Of a window of extra cashback, `issued_won` is what its pot has granted, less what came back.
    """

    code: str
    kind: str
    name: str
    funder: str
    starts: str
    ends: str
    audience: str
    won: int
    issued: int
    issued_won: int
    spent: int
    unspent: int
    over: int
    expired: int
    revoked: int
    left: int | None


class Revoked(msgspec.Struct, frozen=True):
    """An issue taken back: won, and from which lots."""

    campaign: str
    member: str
    won: int
    lots: list[int]


def statuses(engine: Engine, programme_id: str) -> list[CampaignView]:
    """All campaigns of a programme, in the order of its file. Raises NotFoundError."""
    with engine.connect() as connection:
        at = programme_of(connection, programme_id)
        return [_view(connection, one) for one in campaigns_of(connection, at).values()]


def status(engine: Engine, programme_id: str, code: str) -> CampaignView:
    """One campaign. Raises NotFoundError."""
    with engine.connect() as connection:
        return _view(connection, campaign_of(connection, programme_of(connection, programme_id), code))


def _view(connection: Connection, to: CampaignAt) -> CampaignView:
    one = to.campaign
    at = {"campaign_no": to.campaign_no, "issue": int(ActKind.ISSUE), "revoke": int(ActKind.REVOKE)}
    found = connection.execute(_ISSUED, {**at, "coupon": int(LotKind.COUPON)}).one()
    revoked: int = connection.execute(_REVOKED, at).scalar_one()
    expired: int = connection.execute(_EXPIRED, at).scalar_one()
    pots = [standing(connection, line, 0) for line in to.pots]
    granted = sum(pot.granted - pot.returned for pot in pots) if one.kind == "cashback" else found.won
    return CampaignView(
        code=one.code,
        kind=one.kind,
        name=one.name,
        funder=", ".join(funder for funder, _ in one.shares),
        starts=one.starts.isoformat(),
        ends=one.ends.isoformat(),
        audience=one.audience,
        won=one.won,
        issued=found.issued,
        issued_won=granted,
        spent=0 if one.kind == "cashback" else found.won - revoked - expired - found.unspent,
        unspent=found.unspent,
        over=found.over,
        expired=expired,
        revoked=revoked,
        left=sum(pot.left for pot in pots) if pots else None,
    )


def revoke(
    engine: Engine, programme_id: str, code: str, member_id: str, *, actor: str, now: datetime
) -> Revoked:
    """Take back what a member has of a campaign and has not spent; the budget gets it again.

    A coupon that was used is spent, whatever it left over. Raises NotFoundError, RefusedError.
    """
    with engine.connect() as connection:
        at = programme_of(connection, programme_id)
        to = campaign_of(connection, at, code)
        where = find_wallet(connection, programme_id, member_id)
    day = open_days(engine, at, now)
    with engine.begin() as connection:
        batch = ActBatch(
            connection, at.programme_no, hold_open_date(connection, at.programme_no, day), actor, now
        )
        wallet = batch.lock([(where.bucket, where.wallet_id)])[where.bucket, where.wallet_id]
        key = {"bucket": where.bucket, "wallet_id": where.wallet_id, "issue": int(ActKind.ISSUE)}
        months = {row.lot_no: row.budget_month for row in connection.execute(_MONTHS, key)}
        held = batch.held(wallet)
        taken: list[tuple[Lot, int]] = []
        for lot in wallet.lots.values():
            won = lot.balance - held.get(lot.lot_no, 0)
            used = lot.kind == LotKind.COUPON and won < lot.granted
            if lot.campaign_no == to.campaign_no and won > 0 and not used:
                taken.append((lot, won))
        if not taken:
            raise RefusedError(f"{member_id} has nothing unspent of campaign {code}: nothing to take back")
        for lot, won in taken:
            back = entry(
                LOT_ACCOUNT_OF[lot.kind],
                Account.FUNDER_DUE,
                won,
                lot_no=lot.lot_no,
                funder_no=lot.funder_no,
                budget_no=to.line.budget_no if to.line else 0,
            )
            month = months.get(lot.lot_no, 0)
            batch.add(
                Act(
                    f"revoke:{code}:{where.wallet_id}:{wallet.seq + 1}",
                    ActKind.REVOKE,
                    wallet,
                    (back,),
                    lot_no=lot.lot_no,
                    campaign_no=to.campaign_no,
                    budget_month=month,
                )
            )
            if to.line is not None:
                give(connection, to.line, month, won)
        batch.write()
    return Revoked(code, member_id, sum(won for _, won in taken), [lot.lot_no for lot, _ in taken])
