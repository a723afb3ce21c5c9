"""What one batch writes, as statements: set-based, in the order in which the lane sends them."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec.structs import astuple

from switch.domain.decision import Decision
from switch.domain.request import Stored
from switch.ledger.postings import entries_of
from switch.store import lane_donations, lane_references
from switch.store import lane_sql as sql
from switch.store.arrays import (
    Packed,
    dates,
    day,
    int2s,
    int4s,
    int8s,
    raw_texts,
    texts,
)
from switch.store.lane_budgets import budget_writes, campaign_use_writes
from switch.store.lane_outbox import notices
from switch.store.lane_values import Drawn, Loaded, Reach
from switch.store.pipe import Statement

Statements = list[Statement]
_encode = msgspec.json.Encoder().encode


def writes(decisions: Sequence[Decision], loaded: Loaded, slot: int) -> Statements:
    """Every statement of a batch but the COMMIT; none when nothing was decided. `slot`: the lane's, of
    budgets."""
    out: Statements = []
    if not decisions:
        return out
    rows = [decision.stored for decision in decisions]
    out.append((sql.INSERT_PAYMENTS, _payment_columns(rows)))
    _add_entries(out, decisions)
    touched = {row.wallet_id for row in rows}
    wallets = [loaded.wallets[wallet] for wallet in touched]
    out.append(
        (
            sql.UPDATE_WALLETS,
            (
                int2s([w.bucket for w in wallets]),
                int8s([w.wallet_id for w in wallets]),
                int4s([w.seq for w in wallets]),
                int4s([w.lot_seq for w in wallets]),
                int8s([w.receivable for w in wallets]),
                int4s([w.month for w in wallets]),
                int8s([w.month_spent for w in wallets]),
                int8s([w.month_basis for w in wallets]),
                int8s([w.month_topup for w in wallets]),
                int4s([w.day for w in wallets]),
                int8s([w.day_spent for w in wallets]),
                int2s([w.holds for w in wallets]),
            ),
        )
    )
    _add_lots(out, decisions, loaded)
    _add_rare(out, decisions, loaded)
    if loaded.pools.changes or (loaded.drawn is not None and loaded.drawn.rest):
        out += budget_writes(loaded.pools, loaded.drawn or Drawn(Reach.SLOT, {}), slot)
    if loaded.cases:
        out += lane_donations.writes(decisions, loaded)
    if loaded.references or loaded.references_gone:
        out += lane_references.writes(decisions, loaded)
    told = notices(decisions, loaded.soundboxes) if loaded.soundboxes else None
    if told is not None:
        out.append(told)
    return out


def _payment_columns(rows: Sequence[Stored]) -> tuple[Any, ...]:
    """One packed array a column, in the table's order: the key, then Stored's fields as declared."""
    keys = zip(*map(astuple, [row.key for row in rows]), strict=True)
    rest = zip(*[astuple(row)[1:] for row in rows], strict=True)
    packed = [pack(column) for pack, column in zip(_PACK_KEY, keys, strict=True)]
    packed += [pack(column) for pack, column in zip(_PACK_STORED, rest, strict=True)]
    return tuple(packed)


_PACK_KEY: tuple[Callable[[Sequence[Any]], Packed], ...] = (int2s, dates, int4s, texts, int4s, int2s)
_PACK_STORED: tuple[Callable[[Sequence[Any]], Packed], ...] = (
    int8s,  # wallet_id
    int4s,  # seq
    int2s,  # card_no
    int4s,  # merchant_no
    int2s,  # programme_no
    int4s,  # policy_no
    dates,  # business_day
    texts,  # transmission
    int8s,  # content
    int8s,  # amount
    int8s,  # approved
    int2s,  # outcome
    int2s,  # reason
    texts,  # approval
    texts,  # rrn
    texts,  # channel
    int8s,  # basis
    int4s,  # usage_month
    int8s,  # usage_before
    int8s,  # cashback
    int8s,  # ledger_after
    int8s,  # available_after
    int8s,  # returned
    int4s,  # original_seq
    int4s,  # batch_no
    raw_texts,  # detail
)


def _add_entries(out: Statements, decisions: Sequence[Decision]) -> None:
    lines: list[tuple[Any, ...]] = []
    for decision in decisions:
        row = decision.stored
        head = (row.key.bucket, row.business_day, row.wallet_id, row.seq)
        for number, entry in enumerate(entries_of(decision), start=1):
            lines.append((*head, number, row.programme_no, *astuple(entry)))
    if not lines:
        return
    columns = zip(*lines, strict=True)
    out.append((sql.INSERT_ENTRIES, tuple(pack(c) for pack, c in zip(_PACK_ENTRY, columns, strict=True))))


_PACK_ENTRY: tuple[Callable[[Sequence[Any]], Packed], ...] = (
    int2s,  # bucket
    dates,  # business_date
    int8s,  # wallet_id
    int4s,  # seq
    int2s,  # line
    int2s,  # programme_no
    int2s,  # debit
    int2s,  # credit
    int8s,  # won
    int4s,  # lot_no
    int4s,  # merchant_no
    int2s,  # funder_no
    int2s,  # budget_no
)


def _add_lots(out: Statements, decisions: Sequence[Decision], loaded: Loaded) -> None:
    new = {
        (d.stored.key.bucket, d.stored.wallet_id, d.opened.lot_no): d.opened
        for d in decisions
        if d.opened is not None
    }
    changed: set[tuple[int, int, int]] = set()
    for d in decisions:
        bucket, wallet = d.stored.key.bucket, d.stored.wallet_id
        for moves in (d.spent, d.restored, d.recovered):
            for move in moves:
                changed.add((bucket, wallet, move[0]))
        if d.removed is not None:
            changed.add((bucket, wallet, d.removed[0]))
    if new:
        at, lots = list(new), list(new.values())
        out.append(
            (
                sql.INSERT_LOTS,
                (
                    int2s([a[0] for a in at]),
                    int8s([a[1] for a in at]),
                    int4s([a[2] for a in at]),
                    int2s([lot.kind for lot in lots]),
                    int2s([lot.funder_no for lot in lots]),
                    int8s([lot.balance for lot in lots]),
                    int8s([lot.granted for lot in lots]),
                    int4s([lot.opened for lot in lots]),
                    int4s([lot.expires for lot in lots]),
                ),
            )
        )
    old = [at for at in changed if at not in new]
    if old:
        out.append(
            (
                sql.UPDATE_LOTS,
                (
                    int2s([a[0] for a in old]),
                    int8s([a[1] for a in old]),
                    int4s([a[2] for a in old]),
                    int8s([loaded.wallets[a[1]].lots[a[2]].balance for a in old]),
                ),
            )
        )


def _add_holds(out: Statements, decisions: Sequence[Decision], loaded: Loaded) -> None:
    changed = {(d.stored.key.bucket, d.stored.wallet_id, hold.seq) for d in decisions for hold in d.holds}
    if not changed:
        return
    standing = [
        (at, loaded.wallets[at[1]].held[at[2]]) for at in changed if at[2] in loaded.wallets[at[1]].held
    ]
    gone = [at for at in changed if at[2] not in loaded.wallets[at[1]].held]
    if standing:
        out.append(
            (
                sql.UPSERT_HOLDS,
                (
                    int2s([at[0] for at, _ in standing]),
                    int8s([at[1] for at, _ in standing]),
                    int4s([at[2] for at, _ in standing]),
                    dates([hold.local_day for _, hold in standing]),
                    int4s([hold.expires for _, hold in standing]),
                    int8s([hold.won for _, hold in standing]),
                    raw_texts([_encode(hold.uses) for _, hold in standing]),
                ),
            )
        )
    if gone:
        out.append(
            (
                sql.DELETE_HOLDS,
                (
                    int2s([at[0] for at in gone]),
                    int8s([at[1] for at in gone]),
                    int4s([at[2] for at in gone]),
                ),
            )
        )


def _add_rare(out: Statements, decisions: Sequence[Decision], loaded: Loaded) -> None:
    tried = {
        (d.stored.key.bucket, d.stored.wallet_id, d.card.card_no) for d in decisions if d.card is not None
    }
    if tried:
        cards = [loaded.wallets[wallet].cards[number] for _, wallet, number in tried]
        out.append(
            (
                sql.UPDATE_CARDS,
                (
                    int2s([t[0] for t in tried]),
                    int8s([t[1] for t in tried]),
                    int2s([t[2] for t in tried]),
                    int2s([c.pin_tries for c in cards]),
                    int4s([c.atc for c in cards]),
                    int2s([c.tap_count for c in cards]),
                    int8s([c.tap_won for c in cards]),
                    int2s([c.cvv_tries for c in cards]),
                ),
            )
        )
    _add_holds(out, decisions, loaded)
    originals = {change.stored.key: change.stored for d in decisions for change in d.originals}
    if originals:
        keys, rows = list(originals), list(originals.values())
        days = [k.local_day for k in keys]
        out.append(
            (
                sql.UPDATE_ORIGINALS,
                (
                    int2s([k.bucket for k in keys]),
                    dates(days),
                    int4s([k.local_time for k in keys]),
                    texts([k.terminal_id for k in keys]),
                    int4s([k.stan for k in keys]),
                    int2s([k.kind for k in keys]),
                    int8s([r.returned for r in rows]),
                    int2s([r.outcome for r in rows]),
                    raw_texts([r.detail for r in rows]),
                    day(min(days)),
                    day(max(days)),
                ),
            )
        )
    used = {(d.stored.key.bucket, d.stored.wallet_id, number) for d in decisions for number, _ in d.campaigns}
    if used:
        rows_used = [(*at, loaded.wallets[at[1]].campaign_won[at[2]]) for at in sorted(used)]
        out.append(campaign_use_writes(rows_used))
    stones = [(d.stored, d.tombstone) for d in decisions if d.tombstone is not None]
    if stones:
        out.append(
            (
                sql.INSERT_TOMBSTONES,
                (
                    int2s([s.key.bucket for s, _ in stones]),
                    int8s([s.wallet_id for s, _ in stones]),
                    texts([t[0] for _, t in stones]),
                    int4s([t[1] for _, t in stones]),
                    texts([t[2] for _, t in stones]),
                    dates([s.business_day for s, _ in stones]),
                ),
            )
        )
    past = [
        (wallet, month, usage)
        for wallet in loaded.wallets.values()
        for month, usage in wallet.past.items()
        if loaded.past.get((wallet.wallet_id, month)) != (usage.spent, usage.basis, usage.topup)
    ]
    if past:
        out.append(
            (
                sql.UPSERT_PAST_MONTHS,
                (
                    int2s([w.bucket for w, _, _ in past]),
                    int8s([w.wallet_id for w, _, _ in past]),
                    int4s([m for _, m, _ in past]),
                    int8s([u.spent for _, _, u in past]),
                    int8s([u.basis for _, _, u in past]),
                    int8s([u.topup for _, _, u in past]),
                ),
            )
        )
