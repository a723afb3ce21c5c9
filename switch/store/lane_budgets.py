"""Budget money at a lane: its own slot first, then the rest that all share, then every lane's slot.

A lane locks its slot with the wallets of its batch, and nobody else touches that row, so budgets cost a batch
one statement to read and one to write. Where the slot does not suffice, the batch is rolled back and begins
again with a longer reach: the shared rest of that pool locked, and if even that does not do, every slot of
it. What is granted then is all there is. No lane waits for the rest or for another's slot while it holds a
slot of that pool, so none waits in a circle; and since every won is in a committed row at any time, a lane
that dies leaves its slot to whoever needs it.
"""

from collections.abc import Iterable, Mapping

from switch.domain.budget import ISSUANCE, Change, Line, PoolKey, Pools
from switch.domain.payment import Kind
from switch.domain.request import Request
from switch.store.arrays import Packed, bools, int2s, int4s, int8s
from switch.store.lane_values import Drawn, Reach
from switch.store.pipe import Rows, Statement

SLOTS_MAX = 1_024
SLICE_LEAST = 20_000
"""Won that a lane fetches at least, as long as they are there."""
SLICE_PART = 16
"""A lane fetches at most this part of the rest: several lanes each find some."""

# The number is the connection's as long as it lives; two lanes with one number would only wait for each
# other.
CLAIM_SLOT = """\
SELECT n FROM generate_series(0, 1023) AS n WHERE pg_try_advisory_lock(471100, n) LIMIT 1"""

ENSURE_MONTHS = """\
INSERT INTO budget_month (budget_no, month, amount, free)
SELECT k.budget_no, k.month, k.amount, k.amount FROM unnest(%s, %s, %s) AS k(budget_no, month, amount)
ORDER BY k.budget_no, k.month ON CONFLICT DO NOTHING"""

LOCK_MONTHS = """\
SELECT m.budget_no, m.month, m.free FROM unnest(%s, %s) AS k(budget_no, month)
JOIN budget_month m ON m.budget_no = k.budget_no AND m.month = k.month
ORDER BY m.budget_no, m.month FOR NO KEY UPDATE OF m"""

LOCK_SLOTS = """\
SELECT s.budget_no, s.month, s.slot, s.won FROM unnest(%s, %s, %s) AS k(budget_no, month, every)
JOIN budget_slot s ON s.budget_no = k.budget_no AND s.month = k.month AND (s.slot = ANY(%s) OR k.every)
ORDER BY s.budget_no, s.month, s.slot FOR NO KEY UPDATE OF s"""

PEEK = """\
SELECT m.budget_no, m.month, m.free, o.others, o.own
FROM unnest(%s, %s) AS k(budget_no, month)
JOIN budget_month m ON m.budget_no = k.budget_no AND m.month = k.month
CROSS JOIN LATERAL (
    SELECT coalesce(sum(s.won) FILTER (WHERE s.slot <> ALL(%s)), 0)::bigint AS others,
           coalesce(sum(s.won) FILTER (WHERE s.slot = ANY(%s)), 0)::bigint AS own
    FROM budget_slot s WHERE s.budget_no = m.budget_no AND s.month = m.month) o"""

SET_SLOTS = """\
UPDATE budget_slot s SET won = k.won, granted = s.granted + k.granted, returned = s.returned + k.returned,
    retired = s.retired + k.retired
FROM unnest(%s, %s, %s, %s, %s, %s) AS k(budget_no, month, won, granted, returned, retired)
WHERE s.budget_no = k.budget_no AND s.month = k.month AND s.slot = ANY(%s)"""

ADD_SLOTS = """\
INSERT INTO budget_slot AS s (budget_no, month, slot, won, granted, returned, retired)
SELECT k.budget_no, k.month, k.slot, k.won, k.granted, k.returned, k.retired
FROM unnest(%s, %s, %s, %s, %s, %s, %s) AS k(budget_no, month, won, granted, returned, retired, slot)
ORDER BY k.budget_no, k.month
ON CONFLICT (budget_no, month, slot) DO UPDATE SET won = s.won + excluded.won,
    granted = s.granted + excluded.granted, returned = s.returned + excluded.returned,
    retired = s.retired + excluded.retired"""

SET_MONTHS = """\
UPDATE budget_month m SET free = k.free FROM unnest(%s, %s, %s) AS k(budget_no, month, free)
WHERE m.budget_no = k.budget_no AND m.month = k.month"""

# Only those that were read: a lane that had none may have got one since, by a cancel.
EMPTY_OTHERS = """\
UPDATE budget_slot s SET won = 0 FROM unnest(%s, %s, %s) AS k(budget_no, month, slot)
WHERE s.budget_no = k.budget_no AND s.month = k.month AND s.slot = k.slot"""

CAMPAIGN_USE = """\
SELECT u.wallet_id, u.campaign_no, u.won FROM unnest(%s, %s) AS k(bucket, wallet_id)
JOIN campaign_use u ON u.bucket = k.bucket AND u.wallet_id = k.wallet_id"""

SET_CAMPAIGN_USE = """\
INSERT INTO campaign_use (bucket, wallet_id, campaign_no, won)
SELECT * FROM unnest(%s, %s, %s, %s)
ON CONFLICT (bucket, wallet_id, campaign_no) DO UPDATE SET won = excluded.won"""

_TAKING = frozenset({Kind.PURCHASE, Kind.TOPUP})


def pools_of(requests: Iterable[Request], lines_of: Mapping[int, tuple[Line, ...]]) -> set[PoolKey]:
    """The pools that these requests may take from, as far as they tell by themselves."""
    found: set[PoolKey] = set()
    for programme_no, month, topup in {
        (request.programme_no, request.key.local_day // 100, request.key.kind == Kind.TOPUP)
        for request in requests
        if request.key.kind in _TAKING and request.programme_no in lines_of
    }:
        lines = lines_of[programme_no]
        found.update([line.key(month) for line in lines if (line.budget.code == ISSUANCE) == topup])
    return found


def reading(
    pools: set[PoolKey], further: Mapping[PoolKey, int], reach: int, slot: int, lines: Mapping[int, Line]
) -> list[Statement]:
    """The statements that lock and read: own slots of `pools`, and of `further` (pools) what `reach` says."""
    out: list[Statement] = []
    if further:
        keys = sorted(further)
        numbers, months = int2s([key[0] for key in keys]), int4s([key[1] for key in keys])
        amounts = int8s([lines[number].budget.amount_of(month) for number, month in keys])
        out += [(ENSURE_MONTHS, (numbers, months, amounts)), (LOCK_MONTHS, (numbers, months))]
    slots = sorted(pools | further.keys())
    every = [reach == Reach.ALL and key in further for key in slots]
    columns = (
        int2s([key[0] for key in slots]),
        int4s([key[1] for key in slots]),
        bools(every),
        int2s([slot]),
    )
    out.append((LOCK_SLOTS, columns))
    return out


def drawn_from(answers: list[Rows], further: bool, reach: int, slot: int) -> Drawn:
    """What the statements of reading() found."""
    drawn = Drawn(reach, {})
    if further:
        drawn.rest = {(row[0], row[1]): row[2] for row in answers[1]}
    for budget_no, month, of_slot, won in answers[-1]:
        key = (budget_no, month)
        if of_slot == slot:
            drawn.own[key] = won
        else:
            drawn.others[key] = drawn.others.get(key, 0) + won
            if won:
                drawn.emptied.append((*key, of_slot))
    return drawn


def pools_from(drawn: Drawn, lines: Mapping[int, Line]) -> Pools:
    """What a batch may take of what it found."""
    left: dict[PoolKey, int] = dict(drawn.own)
    for more in (drawn.rest, drawn.others):
        for key, won in more.items():
            left[key] = left.get(key, 0) + won
    return Pools(lines, left)


def peeking(short: Iterable[PoolKey], slot: int) -> Statement:
    """The statement that looks, without a lock, at what there is, beyond the lane's own slot and in it."""
    keys = sorted(short)
    own = int2s([slot])
    return PEEK, (int2s([key[0] for key in keys]), int4s([key[1] for key in keys]), own, own)


def reach_for(
    short: Mapping[PoolKey, int], drawn: Drawn, seen: Rows, lines: Mapping[int, Line]
) -> int | None:
    """How far to reach for what is short, by what peeking() saw; None: nothing more would help.

    A pool may be short only now, after another was filled: of that one no more than the slot is known. Of one
    that no payment of the batch takes from, not even that: an undone refund may find its money there. A
    top-up is booked whole, so a rest that is too small for any is left where it is.
    """
    known = {
        (row[0], row[1]): (row[2] + (0 if (row[0], row[1]) in drawn.own else row[4]), row[3]) for row in seen
    }
    wanted: list[int] = []
    for key, won in short.items():
        reached = drawn.reach if key in drawn.rest else Reach.SLOT
        free, others = known.get(key, (won, 0))  # a month from which nobody has taken yet
        if reached == Reach.ALL:
            continue
        if reached == Reach.REST:
            free = 0  # the batch has it already
        if free >= won:
            wanted.append(Reach.REST)
        elif free + others >= (won if lines[key[0]].budget.code == ISSUANCE else 1):
            wanted.append(Reach.ALL)
    return max(drawn.reach, *wanted) if wanted else None


def elsewhere(drawn: Drawn, seen: Rows) -> dict[PoolKey, int]:
    """What peeking() saw of pools that are short beyond what the batch had in its hands."""
    found: dict[PoolKey, int] = {}
    for budget_no, month, free, others, own in seen:
        key = (budget_no, month)
        locked = drawn.reach if key in drawn.rest else Reach.SLOT
        won = 0 if key in drawn.own else own
        if locked < Reach.REST:
            won += free
        if locked < Reach.ALL:
            won += others
        found[key] = won
    return found


def slice_of(left: int) -> int:
    """How much of what is left a lane keeps for its next batches."""
    return min(left, max(left // SLICE_PART, SLICE_LEAST))


def budget_writes(pools: Pools, drawn: Drawn, slot: int) -> list[Statement]:
    """The statements that leave budgets as the batch has made them; none where it touched none."""
    standing: list[tuple[int, int, int, Change]] = []
    new: list[tuple[int, int, int, Change]] = []
    rest: list[tuple[PoolKey, int]] = []
    for key in sorted(pools.changes.keys() | drawn.rest.keys()):
        left, change = pools.left.get(key, 0), pools.changes.get(key) or Change()
        own = left
        if key in drawn.rest:
            own = slice_of(left)
            rest.append((key, left - own))
        (standing if key in drawn.own else new).append((*key, own, change))
    out: list[Statement] = []
    number = int2s([slot])
    if rest:
        columns = (int2s([key[0] for key, _ in rest]), int4s([key[1] for key, _ in rest]))
        out.append((SET_MONTHS, (*columns, int8s([won for _, won in rest]))))
        if drawn.emptied:
            emptied = zip(*drawn.emptied, strict=True)
            packed = [pack(column) for pack, column in zip((int2s, int4s, int2s), emptied, strict=True)]
            out.append((EMPTY_OTHERS, tuple(packed)))
    if standing:
        out.append((SET_SLOTS, (*_columns(standing), number)))
    if new:
        out.append((ADD_SLOTS, (*_columns(new), int2s([slot] * len(new)))))
    return out


def _columns(rows: list[tuple[int, int, int, Change]]) -> tuple[Packed, ...]:
    return (
        int2s([row[0] for row in rows]),
        int4s([row[1] for row in rows]),
        int8s([row[2] for row in rows]),
        int8s([row[3].granted for row in rows]),
        int8s([row[3].returned for row in rows]),
        int8s([row[3].retired for row in rows]),
    )


def campaign_use_writes(rows: list[tuple[int, int, int, int]]) -> Statement:
    """The statement that keeps what campaigns have granted to members: (bucket, wallet, campaign_no, won)."""
    columns = tuple(zip(*rows, strict=True))
    return SET_CAMPAIGN_USE, (int2s(columns[0]), int8s(columns[1]), int4s(columns[2]), int8s(columns[3]))
