"""What operators look at of a member: the wallet, its lots, holds and cards. Read only; cards are masked."""

import json

import msgspec
from sqlalchemy import Connection, Engine, select

from switch.domain.programme_file import from_canonical
from switch.domain.wallet import LOT_KIND_NAME, Holder
from switch.service.admin import WalletKey, find_wallet
from switch.service.inspect_payments import PaymentView, payments_where
from switch.store.schema import card, funder, hold, lot, payment, programme, wallet
from switch.store.schema_programme import campaign


class LotView(msgspec.Struct, frozen=True):
    """A lot: won left and granted; days yyyymmdd, `expires` 0 never; `campaign` is its code, "" none."""

    lot_no: int
    kind: str
    funder: str
    balance: int
    granted: int
    opened: int
    expires: int
    campaign: str = ""


class CardView(msgspec.Struct, frozen=True):
    """A card as people may see it; `expiry` yymm. Taps are contactless without a PIN since the last PIN."""

    card_no: int
    card: str
    expiry: str
    state: str
    pin_tries: int
    form: str
    cvv_tries: int
    tap_count: int
    tap_won: int
    atc: int


class HoldView(msgspec.Struct, frozen=True):
    """What an open pre-authorisation holds: `seq` of its 0100, last valid day (yyyymmdd), won by lot."""

    seq: int
    local_day: str
    expires: int
    won: int
    lots: list[tuple[int, int]]


class WalletView(msgspec.Struct, frozen=True):
    """A member's wallet. Counters of the month are those of `month` (yyyymm), of the day those of `day`.

    `balance` is what terminals are told: coupons are worth nothing by themselves.
    """

    programme: str
    member: str
    wallet_id: int
    bucket: int
    state: str
    holder: str
    tags: list[str]
    points_on: bool
    balance: int
    balance_by_kind: dict[str, int]
    receivable: int
    month: int
    month_spent: int
    month_basis: int
    month_topup: int
    day: int
    day_spent: int
    held: int
    lots: list[LotView]
    holds: list[HoldView]
    cards: list[CardView]
    payments: list[PaymentView]


def wallet_view(engine: Engine, programme_id: str, member_id: str, payments: int = 10) -> WalletView:
    """A member's wallet with its last payments. Raises NotFoundError."""
    with engine.connect() as connection:
        key = find_wallet(connection, programme_id, member_id)
        row = connection.execute(
            select(wallet).where(wallet.c.bucket == key.bucket, wallet.c.wallet_id == key.wallet_id)
        ).one()
        lots = _lots(connection, key)
        cards = [
            CardView(
                *(one.card_no, one.masked, f"{one.expiry:04d}", one.state, one.pin_tries, one.form),
                *(one.cvv_tries, one.tap_count, one.tap_won, one.atc),
            )
            for one in connection.execute(
                select(card)
                .where(card.c.bucket == key.bucket, card.c.wallet_id == key.wallet_id)
                .order_by(card.c.card_no)
            )
        ]
        holds = [
            HoldView(
                *(one.seq, one.local_day.isoformat(), one.expires, one.won),
                [(lot_no, won) for lot_no, _, won in json.loads(one.uses)],
            )
            for one in connection.execute(
                select(hold)
                .where(hold.c.bucket == key.bucket, hold.c.wallet_id == key.wallet_id)
                .order_by(hold.c.seq)
            )
        ]
        mine = (payment.c.bucket == key.bucket) & (payment.c.wallet_id == key.wallet_id)
        return WalletView(
            programme=programme_id,
            member=member_id,
            wallet_id=row.wallet_id,
            bucket=row.bucket,
            state="active" if row.state == 1 else "stopped",
            holder=Holder(row.holder).name.lower(),
            tags=_tags(connection, row.programme_no, row.tags) if row.tags else [],
            points_on=row.points_on,
            balance=sum(one.balance for one in lots if one.kind != "coupon"),
            balance_by_kind={
                kind: sum(one.balance for one in lots if one.kind == kind) for kind in LOT_KIND_NAME.values()
            },
            receivable=row.receivable,
            month=row.month,
            month_spent=row.month_spent,
            month_basis=row.month_basis,
            month_topup=row.month_topup,
            day=row.day,
            day_spent=row.day_spent,
            held=sum(one.won for one in holds),
            lots=lots,
            holds=holds,
            cards=cards,
            payments=payments_where(connection, mine, payments),
        )


def _lots(connection: Connection, key: WalletKey) -> list[LotView]:
    rows = connection.execute(
        select(lot, funder.c.funder_id, campaign.c.code)
        .outerjoin(funder, funder.c.funder_no == lot.c.funder_no)
        .outerjoin(campaign, campaign.c.campaign_no == lot.c.campaign_no)
        .where(lot.c.bucket == key.bucket, lot.c.wallet_id == key.wallet_id)
        .order_by(lot.c.lot_no)
    )
    return [
        LotView(
            lot_no=row.lot_no,
            kind=LOT_KIND_NAME.get(row.kind, str(row.kind)),
            funder=row.funder_id or "",
            balance=row.balance,
            granted=row.granted,
            opened=row.opened,
            expires=row.expires,
            campaign=row.code or "",
        )
        for row in rows
    ]


def _tags(connection: Connection, programme_no: int, bits: int) -> list[str]:
    """The names of a member's tags."""
    query = select(programme.c.document).where(programme.c.programme_no == programme_no)
    document: str = connection.execute(query).scalar_one()
    names = from_canonical(document.encode()).member_tags
    return [name for place, name in enumerate(names) if bits >> place & 1]
