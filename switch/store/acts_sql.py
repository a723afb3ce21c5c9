"""Statements of operators' acts. Wallets are locked first, in key order; all else is read after the lock."""

from sqlalchemy import text

_KEYS = "unnest(CAST(:buckets AS smallint[]), CAST(:wallets AS bigint[])) AS k(bucket, wallet_id)"

LOCK_WALLETS = text(f"""
    SELECT w.bucket, w.wallet_id, w.programme_no, w.state = 1 AS active, w.points_on, w.seq, w.lot_seq,
           w.receivable, w.month, w.month_spent, w.month_basis, w.month_topup, w.day, w.day_spent,
           w.holds, w.tags, w.holder
    FROM {_KEYS} JOIN wallet w USING (bucket, wallet_id)
    ORDER BY w.bucket, w.wallet_id FOR NO KEY UPDATE OF w
""")  # noqa: S608 (built from constants of this file)

LOTS = text(f"""
    SELECT l.bucket, l.wallet_id, l.lot_no, l.kind, l.funder_no, l.balance, l.granted, l.opened, l.expires,
           l.campaign_no
    FROM {_KEYS} CROSS JOIN LATERAL (
        SELECT * FROM lot l WHERE l.bucket = k.bucket AND l.wallet_id = k.wallet_id
           AND (l.balance > 0 OR :empty_too) OFFSET 0) l
    ORDER BY l.bucket, l.wallet_id, l.lot_no
""")  # noqa: S608

HOLDS = text(f"""
    SELECT h.bucket, h.wallet_id, h.seq, h.local_day, h.expires, h.won, h.uses
    FROM {_KEYS} JOIN hold h USING (bucket, wallet_id)
""")  # noqa: S608

# A batch touches one wallet in a hundred or fewer, so only indexes may be used, whatever statistics say. A
# command that is stopped in the middle (Ctrl-Z) must not keep members from paying: it loses its locks.
BEGIN = text("""
    SELECT set_config('enable_seqscan', 'off', true),
           set_config('idle_in_transaction_session_timeout', '5s', true)
""")

KNOWN = text("""
    SELECT reference, leg, kind, bucket, wallet_id, seq, lot_no, won, campaign_no, budget_month, note,
           booked_on
    FROM act WHERE programme_no = :programme_no AND reference = ANY(CAST(:refs AS text[]))
""")

UPDATE_WALLETS = text("""
    UPDATE wallet w SET seq = k.seq, lot_seq = k.lot_seq, receivable = k.receivable
    FROM unnest(CAST(:buckets AS smallint[]), CAST(:wallets AS bigint[]), CAST(:seqs AS integer[]),
                CAST(:lot_seqs AS integer[]), CAST(:receivables AS bigint[]))
         AS k(bucket, wallet_id, seq, lot_seq, receivable)
    WHERE w.bucket = k.bucket AND w.wallet_id = k.wallet_id
""")

UPDATE_LOTS = text("""
    UPDATE lot l SET balance = k.balance
    FROM unnest(CAST(:buckets AS smallint[]), CAST(:wallets AS bigint[]), CAST(:lots AS integer[]),
                CAST(:balances AS bigint[])) AS k(bucket, wallet_id, lot_no, balance)
    WHERE l.bucket = k.bucket AND l.wallet_id = k.wallet_id AND l.lot_no = k.lot_no
""")

# A month stands with the wallet or, once a later one has come, in usage_month: one of the two finds it.
TOPUP_HERE = text("""
    UPDATE wallet w SET month_topup = w.month_topup + k.won
    FROM unnest(CAST(:buckets AS smallint[]), CAST(:wallets AS bigint[]), CAST(:months AS integer[]),
                CAST(:wons AS bigint[])) AS k(bucket, wallet_id, month, won)
    WHERE w.bucket = k.bucket AND w.wallet_id = k.wallet_id AND w.month = k.month
""")
TOPUP_BEHIND = text("""
    UPDATE usage_month u SET topup = u.topup + k.won
    FROM unnest(CAST(:buckets AS smallint[]), CAST(:wallets AS bigint[]), CAST(:months AS integer[]),
                CAST(:wons AS bigint[])) AS k(bucket, wallet_id, month, won)
    WHERE u.bucket = k.bucket AND u.wallet_id = k.wallet_id AND u.month = k.month
""")
