"""Invariants of acts, budgets and expiry: what operators and the night did with value, by the entries."""

# (name, about, query); each query counts (rows looked at, rows that break the invariant, examples).
CHECKS: tuple[tuple[str, str, str], ...] = (
    (
        "acts_equal_entries",
        "every act is a posting that moves what it says, and nothing was booked by command without one",
        """
        WITH moved AS (
            SELECT bucket, wallet_id, seq,
                   coalesce(sum(won) FILTER (WHERE debit BETWEEN 201 AND 204 OR credit BETWEEN 201 AND 204
                                                OR debit = 121), 0)::bigint AS won
            FROM entry WHERE source IN (4, 5) GROUP BY 1, 2, 3),
        judged AS (
            SELECT wallet_id, seq, a.won, m.won AS said, a.won IS DISTINCT FROM m.won AS broken
            FROM act a FULL JOIN moved m USING (bucket, wallet_id, seq))
        SELECT count(*), count(*) FILTER (WHERE broken),
               (array_agg(format('wallet %s posting %s moves %s, entries say %s', wallet_id, seq, won, said))
                FILTER (WHERE broken))[1:5]
        FROM judged""",
    ),
    (
        "budgets_hold",
        "of every budget each won is still free, at a lane, or granted: none twice and none lost",
        """
        WITH judged AS (
            SELECT m.budget_no, m.month, m.amount,
                   m.free + coalesce(sum(s.won + s.granted - s.returned + s.retired), 0)::bigint AS found
            FROM budget_month m LEFT JOIN budget_slot s USING (budget_no, month)
            GROUP BY m.budget_no, m.month, m.amount, m.free)
        SELECT count(*), count(*) FILTER (WHERE found <> amount),
               (array_agg(format('budget %s in %s has %s, its parts are %s', budget_no, month, amount, found))
                FILTER (WHERE found <> amount))[1:5]
        FROM judged""",
    ),
    (
        "budgets_equal_entries",
        "what a budget has granted, less what came back, is the sum of its entries",
        """
        WITH booked AS (
            SELECT e.budget_no, coalesce(p.usage_month, a.budget_month) AS month,
                   CASE WHEN e.debit IN (101, 111) THEN e.won ELSE -e.won END AS won
            FROM entry e
            LEFT JOIN payment p ON e.source = 1 AND p.bucket = e.bucket AND p.wallet_id = e.wallet_id
                               AND p.seq = e.seq
            LEFT JOIN act a ON e.source <> 1 AND a.bucket = e.bucket AND a.wallet_id = e.wallet_id
                           AND a.seq = e.seq
            WHERE e.budget_no > 0
            UNION ALL SELECT budget_no, month, won FROM opening_budget),
        said AS (
            SELECT b.budget_no, CASE WHEN w.budget_no IS NULL THEN b.month ELSE 0 END AS month,
                   sum(b.won)::bigint AS won
            FROM booked b LEFT JOIN budget_month w ON w.budget_no = b.budget_no AND w.month = 0
            GROUP BY 1, 2),
        counted AS (
            SELECT budget_no, month, sum(granted - returned)::bigint AS won FROM budget_slot GROUP BY 1, 2),
        judged AS (
            SELECT budget_no, month, coalesce(c.won, 0) AS won, coalesce(s.won, 0) AS said
            FROM counted c FULL JOIN said s USING (budget_no, month))
        SELECT count(*), count(*) FILTER (WHERE won <> said),
               (array_agg(format('budget %s in %s: %s granted, entries say %s', budget_no, month, won, said))
                FILTER (WHERE won <> said))[1:5]
        FROM judged""",
    ),
    (
        "expiry_equals_entries",
        "what the nights have taken from expired lots is the sum of its entries",
        """
        WITH said AS (
            SELECT programme_no, debit - 200 AS kind, funder_no, sum(won)::bigint AS won
            FROM (SELECT programme_no, debit, funder_no, won FROM entry WHERE source = 6
                  UNION ALL SELECT programme_no, debit, funder_no, won FROM opening_entry WHERE source = 6) e
            GROUP BY 1, 2, 3),
        told AS (
            SELECT programme_no, kind, funder_no, sum(won)::bigint AS won FROM expiry GROUP BY 1, 2, 3),
        judged AS (
            SELECT programme_no, kind, funder_no, coalesce(t.won, 0) AS won, coalesce(s.won, 0) AS said
            FROM told t FULL JOIN said s USING (programme_no, kind, funder_no))
        SELECT count(*), count(*) FILTER (WHERE won <> said),
               (array_agg(format('programme %s kind %s funder %s: %s, entries say %s',
                                 programme_no, kind, funder_no, won, said)) FILTER (WHERE won <> said))[1:5]
        FROM judged""",
    ),
    (
        "expired_lots_are_empty",
        "no wallet at rest since the last expiry keeps money in a lot that had expired, but what is held",
        """
        WITH held AS (
            SELECT h.bucket, h.wallet_id, (use ->> 0)::int AS lot_no, sum((use ->> 2)::bigint) AS won
            FROM hold h CROSS JOIN LATERAL jsonb_array_elements(h.uses::jsonb) AS use GROUP BY 1, 2, 3),
        judged AS (
            SELECT l.wallet_id, l.lot_no, l.balance,
                   NOT EXISTS (SELECT FROM entry e WHERE e.bucket = l.bucket AND e.wallet_id = l.wallet_id
                               AND e.business_date > m.expired_through AND e.source NOT IN (3, 6))
                   AND NOT EXISTS (SELECT FROM payment p WHERE p.bucket = l.bucket
                               AND p.wallet_id = l.wallet_id AND p.business_date > m.expired_through)
                   AS broken
            FROM lot l JOIN wallet w USING (bucket, wallet_id)
            JOIN expiry_mark m ON m.programme_no = w.programme_no
            LEFT JOIN held h USING (bucket, wallet_id, lot_no)
            WHERE l.expires BETWEEN 1 AND to_char(m.expired_through, 'YYYYMMDD')::int
              AND l.balance > coalesce(h.won, 0))
        SELECT count(*), count(*) FILTER (WHERE broken),
               (array_agg(format('wallet %s lot %s: %s won', wallet_id, lot_no, balance))
                FILTER (WHERE broken))[1:5]
        FROM judged""",
    ),
)
