"""Proves the books of a live system at one position: every invariant, in one snapshot of the database."""

from itertools import chain as chain_of
from typing import Any

from sqlalchemy import Connection, Engine, select, text

from switch.ledger.chart import Account
from switch.ledger.proof import Counted, Proof, balances_of, judge, totals
from switch.service import proofs_acts, proofs_bank, proofs_donations, proofs_review, proofs_watch
from switch.store import schema as t
from switch.store.dayhash import GENESIS, DayDigest, chain, day_digest

_EXAMPLES = 5

_DEBITS = "SELECT debit, sum(won)::bigint FROM {0} GROUP BY debit"
_CREDITS = "SELECT credit, sum(won)::bigint FROM {0} GROUP BY credit"

# The entries that are there and, of those that have left with their days, the sums.
_MOVED = """(
            SELECT programme_no, bucket, wallet_id, business_date, source, debit, credit, lot_no, won,
                   funder_no
            FROM entry
            UNION ALL
            SELECT programme_no, bucket, wallet_id, NULL, source, debit, credit, lot_no, won, funder_no
            FROM opening_entry)"""

# Each query counts (rows looked at, rows that break the invariant, examples).
_CHECKS: tuple[tuple[str, str, str], ...] = (
    (
        "lots_equal_entries",
        "every lot holds the sum of its entries",
        f"""
        WITH moved AS (
            SELECT bucket, wallet_id, lot_no,
                   sum(CASE WHEN credit BETWEEN 201 AND 204 THEN won ELSE -won END)::bigint AS won
            FROM {_MOVED} e WHERE lot_no > 0 GROUP BY bucket, wallet_id, lot_no),
        both_sides AS (
            SELECT coalesce(l.wallet_id, m.wallet_id) AS wallet_id, coalesce(l.lot_no, m.lot_no) AS lot_no,
                   l.balance, m.won
            FROM lot l FULL JOIN moved m
              ON l.bucket = m.bucket AND l.wallet_id = m.wallet_id AND l.lot_no = m.lot_no)
        SELECT count(*), count(*) FILTER (WHERE balance IS DISTINCT FROM won),
               (array_agg(format('wallet %s lot %s holds %s, entries say %s',
                                 wallet_id, lot_no, balance, won))
                FILTER (WHERE balance IS DISTINCT FROM won))[1:5]
        FROM both_sides""",  # noqa: S608 (a constant of this file)
    ),
    (
        "wallet_sequence",
        "every wallet's postings are numbered without a gap",
        """
        WITH numbers AS (
            SELECT bucket, wallet_id, seq FROM payment
            UNION SELECT bucket, wallet_id, seq FROM entry),
        counted AS (
            SELECT bucket, wallet_id, sum(postings) AS postings, max(last) AS last FROM (
                SELECT bucket, wallet_id, count(*) AS postings, max(seq) AS last FROM numbers GROUP BY 1, 2
                UNION ALL SELECT bucket, wallet_id, postings, last_seq FROM opening_wallet) n
            GROUP BY 1, 2)
        SELECT count(*),
               count(*) FILTER (WHERE w.seq <> coalesce(c.last, 0) OR w.seq <> coalesce(c.postings, 0)),
               (array_agg(format('wallet %s counts %s, its postings are %s, the last is %s',
                                 w.wallet_id, w.seq, c.postings, c.last))
                FILTER (WHERE w.seq <> coalesce(c.last, 0) OR w.seq <> coalesce(c.postings, 0)))[1:5]
        FROM wallet w LEFT JOIN counted c ON c.bucket = w.bucket AND c.wallet_id = w.wallet_id""",
    ),
    (
        "payments_equal_entries",
        "every payment's entries move what it approved (a hold: nothing) and grant the cashback it tells",
        """
        WITH moved AS (
            SELECT bucket, wallet_id, seq,
                   sum(won) FILTER (WHERE debit BETWEEN 201 AND 204 AND credit = 221)::bigint AS spent,
                   sum(won) FILTER (WHERE debit = 221)::bigint AS restored,
                   sum(won) FILTER (WHERE debit = 241)::bigint AS revived,
                   sum(won) FILTER (WHERE 101 IN (debit, credit))::bigint AS topped,
                   sum(CASE WHEN debit = 111 AND credit = 211 THEN won
                            WHEN debit = 211 AND credit = 111 THEN -won ELSE 0 END)::bigint AS cashback
            FROM entry WHERE source = 1 GROUP BY bucket, wallet_id, seq),
        judged AS (
            SELECT p.wallet_id, p.seq,
                   CASE WHEN p.kind = 6 THEN 0 ELSE p.approved END IS DISTINCT FROM
                       coalesce(m.spent, 0) + coalesce(m.restored, 0) + coalesce(m.revived, 0)
                       + coalesce(m.topped, 0)
                   OR p.cashback IS DISTINCT FROM coalesce(m.cashback, 0) AS broken
            FROM payment p FULL JOIN moved m
              ON m.bucket = p.bucket AND m.wallet_id = p.wallet_id AND m.seq = p.seq)
        SELECT count(*), count(*) FILTER (WHERE broken),
               (array_agg(format('wallet %s posting %s', wallet_id, seq)) FILTER (WHERE broken))[1:5]
        FROM judged""",
    ),
    (
        "receivables",
        "what members owe is the sum of its entries",
        f"""
        WITH owed AS (
            SELECT bucket, wallet_id,
                   sum(CASE WHEN debit = 121 THEN won ELSE -won END)::bigint AS won
            FROM {_MOVED} e WHERE 121 IN (debit, credit) GROUP BY bucket, wallet_id)
        SELECT count(*), count(*) FILTER (WHERE w.receivable <> coalesce(o.won, 0)),
               (array_agg(format('wallet %s owes %s, entries say %s', w.wallet_id, w.receivable, o.won))
                FILTER (WHERE w.receivable <> coalesce(o.won, 0)))[1:5]
        FROM wallet w LEFT JOIN owed o ON o.bucket = w.bucket AND o.wallet_id = w.wallet_id""",  # noqa: S608 (a constant of this file)
    ),
    (
        "accrued_equals_credited",
        "cashback accrued through the last credited date has been credited, no won more or less",
        f"""
        WITH open AS (
            SELECT e.wallet_id,
                   sum(CASE WHEN e.credit = 211 THEN e.won ELSE -e.won END)::bigint AS won
            FROM {_MOVED} e JOIN credit_mark m ON m.programme_no = e.programme_no AND m.bucket = e.bucket
            WHERE 211 IN (e.debit, e.credit)
              AND (e.source <> 1 OR e.business_date IS NULL OR e.business_date <= m.credited_through)
              AND NOT (e.source = 1 AND EXISTS (  -- it waits until its funder's prepayment covers it
                  SELECT FROM funding_stop s
                  WHERE s.programme_no = e.programme_no AND s.business_date = e.business_date
                    AND s.funder_no = e.funder_no
                    AND (s.credited_by IS NULL OR s.credited_by > m.credited_through)))
            GROUP BY e.wallet_id)
        SELECT count(*), count(*) FILTER (WHERE won <> 0),
               (array_agg(format('wallet %s: %s won', wallet_id, won)) FILTER (WHERE won <> 0))[1:5]
        FROM open""",  # noqa: S608 (a constant of this file)
    ),
    (
        "usage_equals_payments",
        "a wallet's month and day count their payments, and its month the top-ups that were paid back",
        """
        WITH used AS (
            SELECT bucket, wallet_id, month, sum(basis)::bigint AS basis, sum(spent)::bigint AS spent,
                   sum(topup)::bigint AS topup
            FROM (
                SELECT bucket, wallet_id, usage_month AS month, basis,
                       CASE WHEN kind = 1 THEN approved - returned ELSE 0 END AS spent,
                       CASE WHEN kind = 3 THEN approved - returned ELSE 0 END AS topup
                FROM payment
                UNION ALL SELECT bucket, wallet_id, usage_month, 0, 0, topup FROM act WHERE topup <> 0
                UNION ALL SELECT bucket, wallet_id, month, basis, spent, topup FROM opening_usage) b
            GROUP BY 1, 2, 3),
        of_day AS (
            SELECT bucket, wallet_id, day, sum(spent)::bigint AS spent FROM (
                SELECT bucket, wallet_id, to_char(local_day, 'YYYYMMDD')::int AS day,
                       approved - returned AS spent
                FROM payment WHERE kind = 1
                UNION ALL SELECT bucket, wallet_id, day, day_spent FROM opening_wallet WHERE day > 0) d
            GROUP BY 1, 2, 3),
        kept AS (
            SELECT bucket, wallet_id, month, month_basis AS basis, month_spent AS spent, month_topup AS topup
            FROM wallet WHERE month > 0
            UNION ALL SELECT bucket, wallet_id, month, basis, spent, topup FROM usage_month),
        judged AS (
            SELECT wallet_id, month AS period, ARRAY[k.basis, k.spent, k.topup] AS counted,
                   ARRAY[u.basis, u.spent, u.topup] AS said,
                   (coalesce(k.basis, 0), coalesce(k.spent, 0), coalesce(k.topup, 0))
                   <> (coalesce(u.basis, 0), coalesce(u.spent, 0), coalesce(u.topup, 0)) AS broken
            FROM kept k FULL JOIN used u USING (bucket, wallet_id, month)
            UNION ALL
            SELECT wallet_id, w.day, ARRAY[w.day_spent], ARRAY[d.spent], w.day_spent <> coalesce(d.spent, 0)
            FROM wallet w LEFT JOIN of_day d USING (bucket, wallet_id, day) WHERE w.day > 0)
        SELECT count(*), count(*) FILTER (WHERE broken),
               (array_agg(format('wallet %s in %s counts %s, payments say %s',
                                 wallet_id, period, counted, said)) FILTER (WHERE broken))[1:5]
        FROM judged""",
    ),
    (
        "returns_equal_payments",
        "what is marked as returned has come back by refunds, voids and reversals that stand",
        """
        WITH back AS (
            SELECT bucket, wallet_id, original_seq AS seq, sum(approved - returned)::bigint AS won
            FROM payment WHERE kind IN (2, 5, 7) AND original_seq > 0 GROUP BY 1, 2, 3),
        judged AS (
            SELECT p.wallet_id, p.seq,
                   p.returned > p.approved OR (p.outcome = 4) <> (p.returned = p.approved)
                   OR (p.outcome = 3) <> (p.returned > 0 AND p.returned < p.approved)
                   OR p.kind <> 6 AND p.returned <> coalesce(b.won, 0) AS broken
            FROM payment p LEFT JOIN back b USING (bucket, wallet_id, seq)
            WHERE p.outcome IN (1, 3, 4) AND p.approved > 0)
        SELECT count(*), count(*) FILTER (WHERE broken),
               (array_agg(format('wallet %s posting %s', wallet_id, seq)) FILTER (WHERE broken))[1:5]
        FROM judged""",
    ),
    (
        "holds_within_lots",
        "no lot is held beyond what is in it, and every hold names its own won",
        """
        WITH parts AS (
            SELECT h.bucket, h.wallet_id, h.seq, h.won AS total, (use ->> 0)::int AS lot_no,
                   (use ->> 2)::bigint AS won
            FROM hold h LEFT JOIN LATERAL jsonb_array_elements(h.uses::jsonb) AS use ON true),
        by_lot AS (
            SELECT wallet_id, held > coalesce(balance, 0) AS broken,
                   format('wallet %s lot %s: %s held of %s', wallet_id, lot_no, held, balance) AS why
            FROM (SELECT bucket, wallet_id, lot_no, sum(won)::bigint AS held FROM parts
                  WHERE lot_no IS NOT NULL GROUP BY 1, 2, 3) p
            LEFT JOIN lot USING (bucket, wallet_id, lot_no)),
        by_hold AS (
            SELECT wallet_id, sum(won) IS DISTINCT FROM total OR min(won) <= 0 AS broken,
                   format('wallet %s hold %s: %s, its lots say %s', wallet_id, seq, total, sum(won))
            FROM parts GROUP BY bucket, wallet_id, seq, total),
        judged AS (SELECT * FROM by_lot UNION ALL SELECT * FROM by_hold)
        SELECT count(*), count(*) FILTER (WHERE broken),
               (array_agg(why) FILTER (WHERE broken))[1:5]
        FROM judged""",
    ),
    (
        "wallets_count_holds",
        "a wallet counts its holds",
        """
        SELECT count(*), count(*) FILTER (WHERE w.holds <> coalesce(h.holds, 0)),
               (array_agg(format('wallet %s counts %s holds, it has %s', w.wallet_id, w.holds, h.holds))
                FILTER (WHERE w.holds <> coalesce(h.holds, 0)))[1:5]
        FROM wallet w LEFT JOIN (SELECT bucket, wallet_id, count(*) AS holds FROM hold GROUP BY 1, 2) h
          ON h.bucket = w.bucket AND h.wallet_id = w.wallet_id
        WHERE w.holds <> 0 OR h.holds IS NOT NULL""",
    ),
    (
        "holds_equal_preauthorisations",
        "every open pre-authorisation has its hold, which is what it and the increments to it still hold",
        """
        WITH asked AS (
            SELECT bucket, wallet_id, coalesce(nullif(original_seq, 0), seq) AS seq,
                   sum(approved - returned)::bigint AS standing, bool_or(outcome = 7) AS closed,
                   min((detail::jsonb ->> 'expires')::int) AS expires
            FROM payment WHERE kind = 6 AND approved > 0 GROUP BY 1, 2, 3),
        completed AS (
            SELECT DISTINCT bucket, wallet_id, original_seq AS seq
            FROM payment WHERE kind = 1 AND original_seq > 0 AND approved > 0),
        seen AS (
            SELECT bucket, wallet_id, to_char(max(business_date), 'YYYYMMDD')::int AS day
            FROM payment JOIN (SELECT DISTINCT bucket, wallet_id FROM asked) a USING (bucket, wallet_id)
            GROUP BY 1, 2),
        judged AS (
            SELECT wallet_id, seq, h.won, a.standing,
                   CASE WHEN h.won IS NULL
                        THEN a.standing > 0 AND NOT a.closed AND c.seq IS NULL AND a.expires >= s.day
                        ELSE a.standing IS DISTINCT FROM h.won OR a.closed OR c.seq IS NOT NULL
                             OR a.expires IS DISTINCT FROM h.expires END AS broken
            FROM asked a FULL JOIN hold h USING (bucket, wallet_id, seq)
            LEFT JOIN completed c USING (bucket, wallet_id, seq)
            LEFT JOIN seen s USING (bucket, wallet_id)
            WHERE h.won IS NOT NULL OR a.standing > 0)
        SELECT count(*), count(*) FILTER (WHERE broken),
               (array_agg(format('wallet %s hold %s: %s, asked for %s', wallet_id, seq, won, standing))
                FILTER (WHERE broken))[1:5]
        FROM judged""",
    ),
)


def run(engine: Engine) -> Proof:
    """Prove the books. Reads one snapshot; payments go on meanwhile."""
    with (
        engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection,
        connection.begin(),
    ):
        return prove(connection)


def prove(connection: Connection) -> Proof:
    """Prove what the transaction sees: the whole, or one programme (see service.transfer.tables)."""
    debited, credited = _sums(connection, _DEBITS), _sums(connection, _CREDITS)
    lots = dict(_rows(connection, "SELECT kind, sum(balance)::bigint FROM lot GROUP BY kind"))
    checks = totals(debited, credited, lots)
    parts = (proofs_acts, proofs_donations, proofs_review, proofs_watch, proofs_bank)
    for name, about, query in chain_of(_CHECKS, *(part.CHECKS for part in parts)):
        rows, broken, examples = connection.execute(text(query)).one()
        checks.append(Counted(name, about, rows, broken, tuple(examples or ())))
    checks.append(_chain(connection))
    entries = _one(connection, "SELECT (SELECT count(*) FROM entry) + (SELECT count(*) FROM house_entry)")
    payments = _one(connection, "SELECT count(*) FROM payment")
    return judge(entries, payments, balances_of(debited, credited), checks)


def _rows(connection: Connection, query: str) -> list[tuple[int, int]]:
    return [(row[0], row[1]) for row in connection.execute(text(query))]


def _one(connection: Connection, query: str) -> int:
    found: Any = connection.execute(text(query)).scalar_one()
    return int(found)


def _sums(connection: Connection, query: str) -> dict[int, int]:
    """Won by account number, over both journals."""
    out: dict[int, int] = {}
    for journal in ("entry", "house_entry", "opening_entry"):
        for account, won in _rows(connection, query.format(journal)):
            out[Account(account)] = out.get(Account(account), 0) + won
    return out


def _chain(connection: Connection) -> Counted:
    """Recompute every closed date's digest and its link to the date before.

    Of a date whose entries have left, the digest that was computed then stands in for them.
    """
    left = {
        (row.programme_no, row.business_date): DayDigest(
            row.payments, row.entries, row.won, row.content_sha256
        )
        for row in connection.execute(text("SELECT * FROM archived_date"))
    }
    days = connection.execute(
        select(t.business_day).order_by(t.business_day.c.programme_no, t.business_day.c.business_date)
    ).all()
    broken: list[str] = []
    last: dict[int, str] = {}
    for day in days:
        digest = left.get((day.programme_no, day.business_date)) or day_digest(
            connection, day.programme_no, day.business_date
        )
        before = last.get(day.programme_no, GENESIS)
        last[day.programme_no] = day.sha256
        told = (day.payments, day.entries, day.won, day.previous_sha256, day.sha256)
        if told != (digest.payments, digest.entries, digest.won, before, chain(before, digest)):
            broken.append(f"programme {day.programme_no}, {day.business_date}")
    return Counted(
        "closed_dates",
        "every closed date is as it was closed, and chained to the one before",
        len(days),
        len(broken),
        tuple(broken[:_EXAMPLES]),
    )
