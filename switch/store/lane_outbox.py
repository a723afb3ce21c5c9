"""The outbox rows of a batch: written in the transaction of the payments that they tell of.

Only merchants with a soundbox have any; where there is none at all, a lane does not even look.
"""

from collections.abc import Mapping, Sequence

import msgspec

from switch.domain.decision import Decision
from switch.domain.notice import MessageKind, event_id, notice_of
from switch.store.arrays import int2s, raw_texts, texts
from switch.store.pipe import Statement

# The same event twice is one row: the key is the payment's.
INSERT_OUTBOX = """\
INSERT INTO outbox (bucket, event_id, terminal_id, kind, body)
SELECT * FROM unnest(%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""

_encode = msgspec.json.Encoder().encode


def notices(decisions: Sequence[Decision], soundboxes: Mapping[int, tuple[str, ...]]) -> Statement | None:
    """The statement that tells soundboxes (merchant_no → terminal ids) of a batch, or None."""
    rows: list[tuple[int, str, str, bytes]] = []
    for decision in decisions:
        told = soundboxes.get(decision.stored.merchant_no)
        notice = notice_of(decision) if told else None
        if told and notice is not None:
            key = decision.stored.key
            event, body = event_id(key), _encode(notice)
            rows += [(key.bucket, event, terminal, body) for terminal in told]
    if not rows:
        return None
    return (
        INSERT_OUTBOX,
        (
            int2s([row[0] for row in rows]),
            texts([row[1] for row in rows]),
            texts([row[2] for row in rows]),
            int2s([MessageKind.NOTICE] * len(rows)),
            raw_texts([row[3] for row in rows]),
        ),
    )
