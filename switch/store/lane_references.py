"""The lane's side of top-ups that bear a reference of their own: each is booked once.

Only batches with such a top-up, or with the reversal of one, ask. Two wallets that use one reference at the
same instant meet at the table's key: the later batch fails, begins again and finds the earlier one's.
"""

from collections.abc import Callable, Sequence
from typing import Any

from switch.domain.decision import Decision, decode_detail
from switch.domain.payment import Kind, Outcome
from switch.domain.request import Request, Stored
from switch.store.arrays import dates, int2s, int4s, int8s, texts
from switch.store.lane_sql import P_STORED
from switch.store.lane_values import Loaded
from switch.store.pipe import Rows, Statement

Key = tuple[int, str]
"""(programme_no, reference)"""

BY_REFERENCE = f"""\
SELECT r.programme_no, r.reference, {P_STORED}
FROM unnest(%s, %s) AS k(programme_no, reference)
JOIN topup_reference r ON r.programme_no = k.programme_no AND r.reference = k.reference
JOIN payment p ON p.bucket = r.bucket AND p.wallet_id = r.wallet_id AND p.seq = r.seq
    AND p.local_day = r.local_day"""  # noqa: S608 - names of columns

INSERT_REFERENCES = """\
INSERT INTO topup_reference (programme_no, reference, bucket, wallet_id, seq, local_day)
SELECT * FROM unnest(%s, %s, %s, %s, %s, %s)"""

DELETE_REFERENCES = """\
DELETE FROM topup_reference r USING unnest(%s, %s) AS k(programme_no, reference)
WHERE r.programme_no = k.programme_no AND r.reference = k.reference"""


def references_wanted(requests: Sequence[Request]) -> set[Key]:
    """(programme_no, reference) of what the batch names."""
    return {(r.programme_no, r.outside_ref) for r in requests if r.outside_ref}


def look_up(wanted: set[Key]) -> Statement:
    """The statement that reads the top-ups of these references."""
    keys = sorted(wanted)
    return BY_REFERENCE, (int2s([key[0] for key in keys]), texts([key[1] for key in keys]))


def keep(rows: Rows, loaded: Loaded, stored_of: Callable[[tuple[Any, ...]], Stored]) -> None:
    """Put what look_up() answered into the batch's values, each payment once."""
    for programme_no, reference, *rest in rows:
        found = stored_of(tuple(rest))
        known = loaded.originals.setdefault(found.wallet_id, [])
        same = next((one for one in known if one.key == found.key), None)
        if same is None:
            known.append(found)
        loaded.references[programme_no, reference] = same or found


def note(decision: Decision, loaded: Loaded) -> None:
    """Let later requests of the batch see what this one did to references."""
    stored = decision.stored
    if stored.outcome != Outcome.APPROVED:
        return
    if stored.key.kind == Kind.TOPUP:
        key = _key_of(stored)
        if key is not None:
            loaded.references[key] = stored
    elif stored.key.kind == Kind.REVERSAL:
        for change in decision.originals:
            key = _key_of(change.stored) if change.stored.key.kind == Kind.TOPUP else None
            if key is not None:
                loaded.references.pop(key, None)
                loaded.references_gone.add(key)


def writes(decisions: Sequence[Decision], loaded: Loaded) -> list[Statement]:
    """What the batch changes: a reference is gone with the reversal of its top-up, and new with a new one."""
    booked = {id(d.stored) for d in decisions}
    new = [(key, stored) for key, stored in loaded.references.items() if id(stored) in booked]
    out: list[Statement] = []
    if loaded.references_gone:
        keys = sorted(loaded.references_gone)
        names = texts([key[1] for key in keys])
        out.append((DELETE_REFERENCES, (int2s([key[0] for key in keys]), names)))
    if new:
        new.sort(key=lambda one: one[0])
        rows = [stored for _, stored in new]
        out.append(
            (
                INSERT_REFERENCES,
                (
                    int2s([key[0] for key, _ in new]),
                    texts([key[1] for key, _ in new]),
                    int2s([row.key.bucket for row in rows]),
                    int8s([row.wallet_id for row in rows]),
                    int4s([row.seq for row in rows]),
                    dates([row.key.local_day for row in rows]),
                ),
            )
        )
    return out


def _key_of(topup: Stored) -> Key | None:
    reference = decode_detail(topup.detail).outside_ref
    return (topup.programme_no, reference) if reference else None
