"""The books in memory: everything that the pure core says, act by act, as a database would hold it."""

from collections import Counter

import msgspec

from settlement.domain.credit import credit
from switch.domain.payment import PaymentKey
from switch.domain.request import Request, Stored
from switch.domain.wallet import LotKind, Wallet
from switch.ledger.chart import DIMENSION, Account, Dimension
from switch.ledger.journal import Entry, Source
from switch.ledger.postings import entries_of
from switch.service.batch import Answer, decide_batch
from switch.store.lane_values import Loaded
from switch.store.reference import Reference
from tests.unit.decide import world
from tests.unit.decide.sequences import POINTS_EXPIRE, Night


class Line(msgspec.Struct, frozen=True):
    """One entry where it is stored."""

    day: int
    wallet_id: int
    seq: int
    line: int
    source: int
    entry: Entry


class Books:
    """Wallets, payments and entries after the acts so far."""

    def __init__(self, wallets: dict[int, Wallet], reference: Reference) -> None:
        self.reference = reference
        self.loaded = Loaded(epoch=1, closed_through={}, wallets=wallets, stored={}, tombstones=set())
        self.lines: list[Line] = []

    @property
    def wallets(self) -> dict[int, Wallet]:
        return self.loaded.wallets

    @property
    def stored(self) -> dict[PaymentKey, Stored]:
        return self.loaded.stored

    def request(self, request: Request, business_day: int) -> Answer:
        """Decide and carry out one request."""
        days = {world.PROGRAMME_NO: business_day}
        batch = decide_batch([request], self.loaded, self.reference, days, world.PIN_TRIES_MAX)
        for decision in batch.decisions:
            stored = decision.stored
            for number, entry in enumerate(entries_of(decision), 1):
                self.lines.append(
                    Line(business_day, stored.wallet_id, stored.seq, number, Source.PAYMENT, entry)
                )
        return batch.answers[0]

    def night(self, night: Night) -> None:
        """Credit the cashback of a business date."""
        nets: Counter[int] = Counter()
        for line in self.lines:
            if line.day == night.day and line.source == Source.PAYMENT:
                accrued = Account.CASHBACK_ACCRUED
                nets[line.wallet_id] += line.entry.won * (
                    (line.entry.credit == accrued) - (line.entry.debit == accrued)
                )
        for wallet_id, net in sorted(nets.items()):
            if net:
                self._credit(self.wallets[wallet_id], net, night)
        for wallet in self.wallets.values():
            self.loaded.credited[world.PROGRAMME_NO, wallet.bucket] = night.day

    def _credit(self, wallet: Wallet, net: int, night: Night) -> None:
        held = Counter[int]()
        for hold in wallet.held.values():
            for lot_no, _, won in hold.uses:
                held[lot_no] += won
        done = credit(
            net,
            receivable=wallet.receivable,
            lots=[
                msgspec.structs.replace(lot, balance=lot.balance - held.get(lot.lot_no, 0))
                for lot in wallet.lots.values()
                if lot.kind == LotKind.POINTS
            ],
            lot_seq=wallet.lot_seq,
            expires=POINTS_EXPIRE[night.day // 100],
            booked_on=night.booked_on,
        )
        wallet.seq += 1
        wallet.receivable = done.receivable
        for lot_no, won in done.lot_changes:
            wallet.lots[lot_no].balance += won
            wallet.lots[lot_no].granted += max(0, won)
        if done.new_lot is not None:
            wallet.lots[done.new_lot.lot_no] = done.new_lot
            wallet.lot_seq = done.new_lot.lot_no
        for number, entry in enumerate(done.entries, 1):
            self.lines.append(
                Line(night.booked_on, wallet.wallet_id, wallet.seq, number, Source.CREDIT, entry)
            )

    def accounts(self) -> Counter[tuple[Account, int]]:
        """Debit − credit of every account by its dimension; lots by their wallet."""
        found: Counter[tuple[Account, int]] = Counter()
        for line in self.lines:
            for account, sign in ((line.entry.debit, 1), (line.entry.credit, -1)):
                found[account, _part(account, line)] += sign * line.entry.won
        return found

    def lots(self) -> Counter[tuple[int, int]]:
        """(wallet, lot) → what its entries sum to."""
        found: Counter[tuple[int, int]] = Counter()
        for line in self.lines:
            for account, sign in ((line.entry.debit, -1), (line.entry.credit, 1)):
                if DIMENSION[account] is Dimension.LOT:
                    found[line.wallet_id, line.entry.lot_no] += sign * line.entry.won
        return found


def _part(account: Account, line: Line) -> int:
    dimension = DIMENSION[account]
    if dimension is Dimension.MERCHANT:
        return line.entry.merchant_no
    if dimension is Dimension.FUNDER:
        return line.entry.funder_no
    return 0 if dimension is Dimension.NONE else line.wallet_id
