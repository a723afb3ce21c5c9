"""How an operator's act on wallets is booked: the one way in, set-based, exactly once by its reference.

    ensure_days(engine, day)                       # store.funding: partitions, in transactions of their own
    with engine.begin() as connection:
        booked_on = hold_open_date(connection, programme_no, day)  # store.funding; before the wallets
        batch = ActBatch(connection, programme_no, booked_on, actor, now)
        wallets = batch.lock(keys)                 # in key order; lots and holds after the lock
        known = batch.known(references)            # what is booked already
        batch.add(Act(...))                        # as often as needed; each sees those before it
        batch.write()

Who plans an act reads the locked wallet, builds entries with its lot numbers (a new lot is `lot_seq + 1`),
and adds it; the batch numbers the posting, moves the lots as the entries say, and writes table by table.
"""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from switch.domain.acts import REFERENCE_LENGTH_MAX, ActKind
from switch.domain.calendar import day_of_date
from switch.domain.holds import held_of
from switch.domain.wallet import LOTS_MAX, Hold, Lot, Wallet
from switch.ledger.chart import LOT_ACCOUNT, Account
from switch.ledger.journal import Entry, Source
from switch.store import acts_sql as sql
from switch.store.bulk import CHUNK, chunks, copy_rows

Key = tuple[int, int]
"""(bucket, wallet_id)."""

LOT_ACCOUNT_OF: dict[int, Account] = {
    1: Account.CARD_MONEY,
    2: Account.POINTS,
    3: Account.GRANTS,
    4: Account.COUPONS,
}
"""The account of each switch.domain.wallet.LotKind."""

_LOTS = frozenset(LOT_ACCOUNT.values())
_OWED = Account.MEMBER_RECEIVABLE
_USES = msgspec.json.Decoder(tuple[tuple[int, int, int], ...])


class ActConflictError(Exception):
    """A reference that has booked something else before: one line with what to do."""


class NotInLotError(ValueError):
    """An act that takes more from a lot than is in it and not held. A fault of whoever planned it."""


class LotFullError(ValueError):
    """An act that opens a lot in a wallet that has LOTS_MAX with money already."""


class Act(msgspec.Struct, gc=False):
    """One posting to be booked on a wallet that the batch has locked.

    `entries` are in their order; `opened` the lots that they open (balance and granted as they are to stand),
    numbered on from the wallet's lot_seq. `lot_no` is the lot that the act is about, where it is one. `note`
    says for people, and as part of what the reference stands for, what else there is to say (the other member
    of a gift). `budget_month` is the month (yyyymm, 0 a pot for good) of the budgets that entries name;
    `usage_month`, `topup` change that month's top-ups. `leg` tells several postings of one reference apart.
    """

    reference: str
    kind: ActKind
    wallet: Wallet
    entries: tuple[Entry, ...]
    opened: tuple[Lot, ...] = ()
    lot_no: int = 0
    campaign_no: int = 0
    note: str = ""
    budget_month: int = 0
    usage_month: int = 0
    topup: int = 0
    leg: int = 0
    source: Source = Source.ACT


class BookedAct(msgspec.Struct, frozen=True, gc=False):
    """What a reference has booked before; `won` as `moved` counts it."""

    kind: int
    bucket: int
    wallet_id: int
    seq: int
    lot_no: int
    won: int
    campaign_no: int
    budget_month: int
    note: str
    booked_on: date

    def same(self, kind: ActKind, key: Key, won: int, *, campaign_no: int = 0, note: str = "") -> bool:
        """Whether it is what is asked for again."""
        asked = (int(kind), *key, won, campaign_no, note)
        return (self.kind, self.bucket, self.wallet_id, self.won, self.campaign_no, self.note) == asked


def moved(entries: Iterable[Entry]) -> int:
    """Won that a posting moves in or out of lots, or lets the member owe."""
    return sum(one.won for one in entries if one.debit in _LOTS or one.credit in _LOTS or one.debit == _OWED)


def lots_with_money(wallet: Wallet) -> int:
    """How many lots of a wallet hold money: it may have LOTS_MAX of them."""
    return sum([1 for lot in wallet.lots.values() if lot.balance])


class ActBatch:
    """The acts of one transaction: lock, look, add, write, with the business date held (hold_open_date)."""

    def __init__(
        self, connection: Connection, programme_no: int, booked_on: date, actor: str, now: datetime
    ) -> None:
        self.connection = connection
        self.programme_no = programme_no
        self.booked_on = booked_on
        self.wallets: dict[Key, Wallet] = {}
        self._said = (actor, booked_on, now)
        self._acts: list[tuple[Any, ...]] = []
        self._entries: list[tuple[Any, ...]] = []
        self._opened: list[tuple[Any, ...]] = []
        self._changed: dict[tuple[int, int, int], Lot] = {}
        self._new: set[tuple[int, int, int]] = set()
        self._touched: dict[Key, Wallet] = {}
        self._topups: list[tuple[int, int, int, int]] = []

    @property
    def today(self) -> int:
        """The date that is booked on, as yyyymmdd: what has expired, has expired by it."""
        return day_of_date(self.booked_on)

    def lock(self, keys: Iterable[Key], *, empty_lots: bool = False) -> dict[Key, Wallet]:
        """Lock wallets as the lanes do and read them with their lots and holds, empty lots on demand.

        Once a batch, with all its keys: a second call could wait in a circle with a lane. Cards and counters
        of past months are not read. A key without a wallet of this programme is left out.
        """
        wanted = sorted(set(keys))
        if self.wallets:
            raise RuntimeError("a batch locks its wallets once")
        self.connection.execute(sql.BEGIN)
        for chunk in chunks(wanted, CHUNK):
            at = {"buckets": [key[0] for key in chunk], "wallets": [key[1] for key in chunk]}
            held = False
            for found in self.connection.execute(sql.LOCK_WALLETS, at).mappings():
                if found["programme_no"] == self.programme_no:
                    wallet = Wallet(**found, lots={}, past={}, cards={})
                    self.wallets[wallet.bucket, wallet.wallet_id] = wallet
                    held = held or wallet.holds > 0
            for row in self.connection.execute(sql.LOTS, {**at, "empty_too": empty_lots}):
                if (row[0], row[1]) in self.wallets:
                    self.wallets[row[0], row[1]].lots[row[2]] = Lot(*row[2:])
            for row in self.connection.execute(sql.HOLDS, at) if held else ():
                hold = Hold(row.seq, day_of_date(row.local_day), row.expires, row.won, _USES.decode(row.uses))
                self.wallets[row.bucket, row.wallet_id].held[row.seq] = hold
        return self.wallets

    def known(self, references: Iterable[str]) -> dict[tuple[str, int], BookedAct]:
        """What is booked under these references, by (reference, leg)."""
        found: dict[tuple[str, int], BookedAct] = {}
        for chunk in chunks(references):
            at = {"programme_no": self.programme_no, "refs": chunk}
            for reference, leg, *rest in self.connection.execute(sql.KNOWN, at):
                found[reference, leg] = BookedAct(*rest)
        return found

    def held(self, wallet: Wallet) -> dict[int, int]:
        """Won by lot that holds keep, late ones too: only the wallet's next payment frees those."""
        return held_of(wallet, 0) or {}

    def add(self, one: Act) -> None:
        """Take an act in, and carry it out on the wallet in memory.

        Raises NotInLotError, LotFullError, and ValueError for one that is not fit to be booked.
        """
        wallet = one.wallet
        key = (wallet.bucket, wallet.wallet_id)
        if self.wallets.get(key) is not wallet:
            raise ValueError("an act is booked on a wallet that this batch has locked")
        if not 0 < len(one.reference) <= REFERENCE_LENGTH_MAX or not one.entries:
            raise ValueError("an act has a reference and at least one entry")
        self._open(wallet, one.opened)
        won = moved(one.entries)
        self._move(wallet, one)
        wallet.seq += 1
        self._touched[key] = wallet
        for line, each in enumerate(one.entries, 1):
            self._entries.append(
                (
                    *(wallet.bucket, self.booked_on, wallet.wallet_id, wallet.seq, line, self.programme_no),
                    *(int(one.source), int(each.debit), int(each.credit), each.won, each.lot_no),
                    *(each.merchant_no, each.funder_no, each.budget_no),
                )
            )
        self._acts.append(
            (
                *(self.programme_no, one.reference, one.leg, int(one.kind), wallet.bucket, wallet.wallet_id),
                *(wallet.seq, one.lot_no, won, one.campaign_no, one.budget_month, one.usage_month, one.topup),
                *(one.note, *self._said),
            )
        )
        if one.topup:
            self._topups.append((*key, one.usage_month, one.topup))

    def _open(self, wallet: Wallet, opened: tuple[Lot, ...]) -> None:
        if opened and len(opened) + lots_with_money(wallet) > LOTS_MAX:
            raise LotFullError(f"the wallet has {LOTS_MAX:,} lots with money already")
        for lot in opened:
            if lot.lot_no != wallet.lot_seq + 1:
                raise ValueError(f"the wallet's next lot is {wallet.lot_seq + 1}, not {lot.lot_no}")
            wallet.lot_seq = lot.lot_no
            wallet.lots[lot.lot_no] = msgspec.structs.replace(lot, balance=0)
            self._new.add((wallet.bucket, wallet.wallet_id, lot.lot_no))

    def _move(self, wallet: Wallet, one: Act) -> None:
        """Lots and debt as the entries say: there is no second figure that could differ from them."""
        held = self.held(wallet) if wallet.held else {}
        for each in one.entries:
            if each.debit in _LOTS or each.credit in _LOTS:
                lot = wallet.lots.get(each.lot_no)
                if lot is None or LOT_ACCOUNT_OF[lot.kind] not in (each.debit, each.credit):
                    raise ValueError(f"the wallet has no lot {each.lot_no} of that kind")
                lot.balance += each.won if each.credit in _LOTS else -each.won
                if each.debit in _LOTS and lot.balance < held.get(each.lot_no, 0):
                    raise NotInLotError(f"lot {each.lot_no} has less than {each.won:,} won to take")
                self._changed[wallet.bucket, wallet.wallet_id, each.lot_no] = lot
            if _OWED in (each.debit, each.credit):
                wallet.receivable += each.won if each.debit == _OWED else -each.won
                if wallet.receivable < 0:
                    raise ValueError("the member does not owe as much")

    def write(self) -> int:
        """Write what was added, a statement a table. Returns how many acts."""
        connection = self.connection
        for key in self._new:
            lot = self._changed.get(key)
            if lot is None:
                raise ValueError("a lot is opened with an entry of its own")
            self._opened.append((*key[:2], *msgspec.structs.astuple(lot)))
        copy_rows(connection, "lot", _LOT_COLUMNS, self._opened)
        copy_rows(connection, "entry", _ENTRY_COLUMNS, self._entries)
        copy_rows(connection, "act", _ACT_COLUMNS, self._acts)
        changed = [(*key, lot.balance) for key, lot in self._changed.items() if key not in self._new]
        _update(connection, sql.UPDATE_LOTS, ("buckets", "wallets", "lots", "balances"), changed)
        _update(
            connection,
            sql.UPDATE_WALLETS,
            ("buckets", "wallets", "seqs", "lot_seqs", "receivables"),
            [(*key, w.seq, w.lot_seq, w.receivable) for key, w in self._touched.items()],
        )
        # One statement changes a row once: several changes of one month go in as their sum.
        sums: dict[tuple[int, int, int], int] = {}
        for bucket, wallet_id, month, won in self._topups:
            sums[bucket, wallet_id, month] = sums.get((bucket, wallet_id, month), 0) + won
        topups = [(*at, won) for at, won in sums.items()]
        for statement in (sql.TOPUP_HERE, sql.TOPUP_BEHIND):
            _update(connection, statement, ("buckets", "wallets", "months", "wons"), topups)
        count = len(self._acts)
        self._acts, self._entries, self._opened, self._topups = [], [], [], []
        self._changed, self._new, self._touched = {}, set(), {}
        return count


_LOT_COLUMNS = (
    *("bucket", "wallet_id", "lot_no", "kind", "funder_no", "balance", "granted", "opened", "expires"),
    "campaign_no",
)
_ENTRY_COLUMNS = (
    *("bucket", "business_date", "wallet_id", "seq", "line", "programme_no", "source"),
    *("debit", "credit", "won", "lot_no", "merchant_no", "funder_no", "budget_no"),
)
_ACT_COLUMNS = (
    *("programme_no", "reference", "leg", "kind", "bucket", "wallet_id", "seq", "lot_no", "won"),
    *("campaign_no", "budget_month", "usage_month", "topup", "note", "actor", "booked_on", "noted_at"),
)


def _update(connection: Connection, statement: Any, names: tuple[str, ...], rows: list[Any]) -> None:
    for chunk in chunks(rows):
        columns = (list(column) for column in zip(*chunk, strict=True))
        connection.execute(statement, dict(zip(names, columns, strict=True)))
