"""The lane's statements. Every one is set-based: as many of them for one payment as for a hundred.

Order matters. Wallets are locked first, in key order, and only later statements read what the lock
protects: one combined query would read lots as they were before the lock was waited for.
"""

_STORED = """\
bucket, local_day, local_time, terminal_id, stan, kind, wallet_id, seq, card_no, merchant_no, programme_no,
policy_no, business_date, transmission, content, amount, approved, outcome, reason, approval, rrn, channel,
basis, usage_month, usage_before, cashback, ledger_after, available_after, returned, original_seq, batch_no,
detail"""
P_STORED = ", ".join(f"p.{name.strip()}" for name in _STORED.split(","))

# One lane works on few rows by key, always: the planner needs no statistics to know the right way. A lane
# that stands still loses its locks before those that wait for them (for a budget's month) give up.
SETTINGS = """\
SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_bitmapscan = off;
SET jit = off; SET statement_timeout = '15s'; SET lock_timeout = '10s';
SET idle_in_transaction_session_timeout = '5s'; SET synchronous_commit = on"""

ENSURE_DAY = "SELECT dure_ensure_day(%s)"

LOCK_DAYS = """\
SELECT pg_advisory_xact_lock_shared(k.programme, k.day) FROM unnest(%s, %s) AS k(programme, day)"""

CLOCKS = """\
SELECT p.programme_no, p.closed_through, c.reference_epoch FROM programme p, control c WHERE c.id = 1"""

LOCK_WALLETS = """\
SELECT w.bucket, w.wallet_id, w.programme_no, w.state = 1, w.points_on, w.seq, w.lot_seq, w.receivable,
       w.month, w.month_spent, w.month_basis, w.month_topup, w.day, w.day_spent,
       w.holds, w.tags, w.holder, w.stopped_until
FROM unnest(%s, %s) AS k(bucket, wallet_id)
JOIN wallet w ON w.bucket = k.bucket AND w.wallet_id = k.wallet_id
ORDER BY w.bucket, w.wallet_id FOR NO KEY UPDATE OF w"""

LOTS = """\
SELECT l.wallet_id, l.lot_no, l.kind, l.funder_no, l.balance, l.granted, l.opened, l.expires,
       l.campaign_no
FROM unnest(%s, %s, %s) AS k(bucket, wallet_id, spent_too)
JOIN lot l ON l.bucket = k.bucket AND l.wallet_id = k.wallet_id AND (l.balance > 0 OR k.spent_too)"""

CARDS = """\
SELECT c.wallet_id, c.card_no, c.state, c.expiry, c.pin_tries, c.form, c.atc, c.tap_count, c.tap_won,
       c.cvv_tries
FROM unnest(%s, %s, %s) AS k(bucket, wallet_id, card_no)
JOIN card c ON c.bucket = k.bucket AND c.wallet_id = k.wallet_id AND c.card_no = k.card_no"""

STORED = f"""\
SELECT {P_STORED}
FROM unnest(%s, %s, %s, %s, %s, %s) AS k(bucket, local_day, local_time, terminal_id, stan, kind)
JOIN payment p ON p.bucket = k.bucket AND p.local_day = k.local_day AND p.local_time = k.local_time
    AND p.terminal_id = k.terminal_id AND p.stan = k.stan AND p.kind = k.kind
WHERE p.local_day BETWEEN %s AND %s"""

TOMBSTONES = """\
SELECT t.wallet_id, t.terminal_id, t.stan, t.transmission
FROM unnest(%s, %s, %s, %s, %s) AS k(bucket, wallet_id, terminal_id, stan, transmission)
JOIN tombstone t ON t.bucket = k.bucket AND t.wallet_id = k.wallet_id AND t.terminal_id = k.terminal_id
    AND t.stan = k.stan AND t.transmission = k.transmission"""

# What only refunds, reversals and late payments need: read in a second round, under the same locks.
ORIGINALS = f"""\
SELECT {P_STORED}
FROM unnest(%s, %s, %s, %s, %s, %s) AS k(bucket, wallet_id, terminal_id, stan, rrn, won)
JOIN payment p ON p.bucket = k.bucket AND p.wallet_id = k.wallet_id AND p.terminal_id = k.terminal_id
    AND (p.stan = k.stan OR k.stan = 0 AND k.rrn IN ('', p.rrn) AND k.won IN (0, p.amount, p.approved))
WHERE p.local_day BETWEEN %s AND %s"""

BY_SEQ = f"""\
SELECT {P_STORED}
FROM unnest(%s, %s, %s, %s) AS k(bucket, wallet_id, seq, local_day)
JOIN payment p ON p.bucket = k.bucket AND p.wallet_id = k.wallet_id AND p.seq = k.seq
    AND p.local_day = k.local_day"""

# What follows a pre-authorisation: its completion comes later, on a day that only the completion knows.
BY_BASE = f"""\
SELECT {P_STORED}
FROM unnest(%s, %s, %s) AS k(bucket, wallet_id, seq)
JOIN payment p ON p.bucket = k.bucket AND p.wallet_id = k.wallet_id AND p.seq > k.seq
    AND p.original_seq = k.seq AND p.kind = 1
WHERE p.local_day BETWEEN %s AND %s"""

HOLDS = """\
SELECT h.wallet_id, h.seq, h.local_day, h.expires, h.won, h.uses
FROM unnest(%s, %s) AS k(bucket, wallet_id)
JOIN hold h ON h.bucket = k.bucket AND h.wallet_id = k.wallet_id"""

CREDIT_MARKS = """\
SELECT m.programme_no, m.bucket, m.credited_through
FROM unnest(%s, %s) AS k(programme_no, bucket)
JOIN credit_mark m ON m.programme_no = k.programme_no AND m.bucket = k.bucket"""

PAST_MONTHS = """\
SELECT u.wallet_id, u.month, u.spent, u.basis, u.topup
FROM unnest(%s, %s, %s) AS k(bucket, wallet_id, month)
JOIN usage_month u ON u.bucket = k.bucket AND u.wallet_id = k.wallet_id AND u.month = k.month"""

PAST_DAYS = """\
SELECT p.wallet_id, p.local_day, sum(p.approved - p.returned)::bigint
FROM unnest(%s, %s, %s) AS k(bucket, wallet_id, local_day)
JOIN payment p ON p.bucket = k.bucket AND p.wallet_id = k.wallet_id AND p.local_day = k.local_day
WHERE p.kind = 1 AND p.local_day BETWEEN %s AND %s
GROUP BY p.wallet_id, p.local_day"""

INSERT_PAYMENTS = f"""\
INSERT INTO payment ({_STORED})
SELECT * FROM unnest({", ".join(["%s"] * 32)})"""

INSERT_ENTRIES = """\
INSERT INTO entry (bucket, business_date, wallet_id, seq, line, programme_no, source, debit, credit, won,
                   lot_no, merchant_no, funder_no, budget_no)
SELECT k.bucket, k.business_date, k.wallet_id, k.seq, k.line, k.programme_no, 1, k.debit, k.credit, k.won,
       k.lot_no, k.merchant_no, k.funder_no, k.budget_no
FROM unnest(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
  AS k(bucket, business_date, wallet_id, seq, line, programme_no, debit, credit, won, lot_no, merchant_no,
       funder_no, budget_no)"""

UPDATE_WALLETS = """\
UPDATE wallet w SET seq = k.seq, lot_seq = k.lot_seq, receivable = k.receivable, month = k.month,
    month_spent = k.month_spent, month_basis = k.month_basis, month_topup = k.month_topup,
    day = k.day, day_spent = k.day_spent, holds = k.holds
FROM unnest(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
  AS k(bucket, wallet_id, seq, lot_seq, receivable, month, month_spent, month_basis, month_topup, day,
       day_spent, holds)
WHERE w.bucket = k.bucket AND w.wallet_id = k.wallet_id"""

UPDATE_LOTS = """\
UPDATE lot l SET balance = k.balance
FROM unnest(%s, %s, %s, %s) AS k(bucket, wallet_id, lot_no, balance)
WHERE l.bucket = k.bucket AND l.wallet_id = k.wallet_id AND l.lot_no = k.lot_no"""

INSERT_LOTS = """\
INSERT INTO lot (bucket, wallet_id, lot_no, kind, funder_no, balance, granted, opened, expires)
SELECT * FROM unnest(%s, %s, %s, %s, %s, %s, %s, %s, %s)"""

UPDATE_CARDS = """\
UPDATE card c SET pin_tries = k.pin_tries, atc = k.atc, tap_count = k.tap_count, tap_won = k.tap_won,
    cvv_tries = k.cvv_tries
FROM unnest(%s, %s, %s, %s, %s, %s, %s, %s)
  AS k(bucket, wallet_id, card_no, pin_tries, atc, tap_count, tap_won, cvv_tries)
WHERE c.bucket = k.bucket AND c.wallet_id = k.wallet_id AND c.card_no = k.card_no"""

UPSERT_HOLDS = """\
INSERT INTO hold (bucket, wallet_id, seq, local_day, expires, won, uses)
SELECT * FROM unnest(%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (bucket, wallet_id, seq) DO UPDATE SET won = excluded.won, uses = excluded.uses"""

DELETE_HOLDS = """\
DELETE FROM hold h USING unnest(%s, %s, %s) AS k(bucket, wallet_id, seq)
WHERE h.bucket = k.bucket AND h.wallet_id = k.wallet_id AND h.seq = k.seq"""

UPDATE_ORIGINALS = """\
UPDATE payment p SET returned = k.returned, outcome = k.outcome, detail = k.detail
FROM unnest(%s, %s, %s, %s, %s, %s, %s, %s, %s)
  AS k(bucket, local_day, local_time, terminal_id, stan, kind, returned, outcome, detail)
WHERE p.bucket = k.bucket AND p.local_day = k.local_day AND p.local_time = k.local_time
    AND p.terminal_id = k.terminal_id AND p.stan = k.stan AND p.kind = k.kind
    AND p.local_day BETWEEN %s AND %s"""

INSERT_TOMBSTONES = """\
INSERT INTO tombstone (bucket, wallet_id, terminal_id, stan, transmission, noted_on)
SELECT * FROM unnest(%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""

UPSERT_PAST_MONTHS = """\
INSERT INTO usage_month (bucket, wallet_id, month, spent, basis, topup)
SELECT * FROM unnest(%s, %s, %s, %s, %s, %s)
ON CONFLICT (bucket, wallet_id, month)
DO UPDATE SET spent = excluded.spent, basis = excluded.basis, topup = excluded.topup"""
