"""Operator's acts on single things: the state of a card, the mark of a database."""

from enum import StrEnum

import msgspec
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from switch.store.bulk import lock_wallets
from switch.store.cards import find_members
from switch.store.hotlist import CardMark, note_cards
from switch.store.reference_write import find_programmes
from switch.store.schema import card, control


class NotFoundError(LookupError):
    """Something that an operator named does not exist: one line with what to do."""


class RefusedError(Exception):
    """An act that the state of things forbids: one line with what to do."""


class NotReadyError(RuntimeError):
    """A database that has not been made ready for the switch."""


class CardAct(StrEnum):
    """What an operator can do to a card."""

    BLOCK = "block"
    UNBLOCK = "unblock"
    LOST = "lost"
    STOLEN = "stolen"


# (state before, act) → state after. Whatever is missing is refused: a lost card never works again.
CARD_STATES: dict[tuple[str, CardAct], str] = {
    ("active", CardAct.BLOCK): "blocked",
    ("blocked", CardAct.BLOCK): "blocked",
    ("active", CardAct.UNBLOCK): "active",  # its count of wrong PINs starts again
    ("blocked", CardAct.UNBLOCK): "active",
    ("active", CardAct.LOST): "lost",
    ("blocked", CardAct.LOST): "lost",
    ("lost", CardAct.LOST): "lost",
    ("active", CardAct.STOLEN): "stolen",
    ("blocked", CardAct.STOLEN): "stolen",
    ("lost", CardAct.STOLEN): "stolen",
    ("stolen", CardAct.STOLEN): "stolen",
}


class WalletKey(msgspec.Struct, frozen=True, gc=False):
    """A member's wallet and its programme."""

    programme_no: int
    bucket: int
    wallet_id: int


class CardState(msgspec.Struct, frozen=True):
    """A card after an act."""

    masked: str
    card_no: int
    before: str
    state: str


def find_wallet(connection: Connection, programme_id: str, member_id: str) -> WalletKey:
    """The wallet of a member. Raises NotFoundError."""
    programme = find_programmes(connection).get(programme_id)
    if programme is None:
        raise NotFoundError(f'no programme "{programme_id}": `dure-switch programme list` shows them')
    member = find_members(connection, programme.programme_no, [member_id]).get(member_id)
    if member is None:
        raise NotFoundError(f'programme {programme_id} has no member "{member_id}": check the id')
    return WalletKey(programme.programme_no, member.bucket, member.wallet_id)


def act_on_card(engine: Engine, programme_id: str, member_id: str, card_no: int, act: CardAct) -> CardState:
    """Block, unblock or report a card. Unblocking forgets wrong PINs and CVVs.

    Raises NotFoundError, RefusedError.
    """
    with engine.begin() as connection:
        wallet = find_wallet(connection, programme_id, member_id)
        lock_wallets(connection, [(wallet.bucket, wallet.wallet_id)])  # as lanes do, before touching a card
        mine = (
            card.c.bucket == wallet.bucket,
            card.c.wallet_id == wallet.wallet_id,
            card.c.card_no == card_no,
        )
        row = connection.execute(select(card.c.state, card.c.masked).where(*mine)).first()
        if row is None:
            raise NotFoundError(
                f"{member_id} has no card {card_no}: `dure-switch wallet show` lists the cards"
            )
        after = CARD_STATES.get((row.state, act))
        if after is None:
            raise RefusedError(f"card {card_no} is {row.state} and stays it: give the member a new card")
        values: dict[str, object] = {"state": after}
        if act is CardAct.UNBLOCK:
            values |= {"pin_tries": 0, "cvv_tries": 0}
        connection.execute(card.update().where(*mine).values(**values))
        note_cards(
            connection,
            [CardMark(wallet.bucket, wallet.wallet_id, card_no, after != "active", after)],
        )
        return CardState(row.masked, card_no, row.state, after)


def is_simulation(engine: Engine) -> bool:
    """The database's mark. Raises NotReadyError when it has none: nobody has made it ready."""
    hint = "the database is not made ready: run `dure-switch init` once"
    try:
        with engine.connect() as connection:
            if connection.scalar(text("SELECT to_regclass('public.control')")) is None:
                raise NotReadyError(hint)
            mark = connection.scalar(select(control.c.simulation))
    except (OperationalError, ProgrammingError) as error:
        if "dure_app" in str(error.orig) or "permission denied" in str(error.orig):
            raise NotReadyError(hint) from None
        raise
    if mark is None:
        raise NotReadyError(hint)
    return bool(mark)
