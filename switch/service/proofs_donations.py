"""Invariants of donations and of references of top-ups, as proofs.py counts them: (name, about, SQL)."""

CHECKS: tuple[tuple[str, str, str], ...] = (
    (
        "donation_cases",
        "every donation case was given what its standing gifts come to, and not more than it needs",
        """
        WITH given AS (
            SELECT programme_no, case_code, sum(points + charged) FILTER (WHERE NOT returned)::bigint AS won
            FROM gift GROUP BY 1, 2),
        judged AS (
            SELECT coalesce(c.code, g.case_code) AS code, c.given, g.won,
                   c.code IS NULL OR c.given <> coalesce(g.won, 0) OR c.given > c.target AS broken
            FROM donation_case c FULL JOIN given g
              ON g.programme_no = c.programme_no AND g.case_code = c.code)
        SELECT count(*), count(*) FILTER (WHERE broken),
               (array_agg(format('case %s: %s won, its gifts are %s', code, given, won))
                FILTER (WHERE broken))[1:5]
        FROM judged""",
    ),
    (
        "gifts_equal_entries",
        "every gift is a posting of points and charged money to a merchant, and stands as its payment does",
        """
        WITH moved AS (
            SELECT bucket, wallet_id, seq,
                   coalesce(sum(won) FILTER (WHERE debit = 202), 0)::bigint AS points,
                   coalesce(sum(won) FILTER (WHERE debit = 201), 0)::bigint AS charged
            FROM entry WHERE credit = 221 AND debit IN (201, 202, 203, 204) GROUP BY 1, 2, 3),
        paid AS (
            SELECT bucket, wallet_id, seq, returned FROM payment WHERE kind = 8 AND approved > 0),
        judged AS (
            SELECT coalesce(g.wallet_id, p.wallet_id) AS wallet_id, coalesce(g.seq, p.seq) AS seq,
                   g.seq IS NULL OR m.seq IS NULL OR (g.points, g.charged) <> (m.points, m.charged)
                   OR (p.seq IS NOT NULL AND g.returned <> (p.returned > 0))
                   OR (p.seq IS NULL AND (g.returned OR NOT EXISTS (
                       SELECT FROM act a WHERE a.bucket = g.bucket AND a.wallet_id = g.wallet_id
                         AND a.seq = g.seq AND a.kind = 6))) AS broken
            FROM gift g FULL JOIN paid p
              ON p.bucket = g.bucket AND p.wallet_id = g.wallet_id AND p.seq = g.seq
            LEFT JOIN moved m ON m.bucket = g.bucket AND m.wallet_id = g.wallet_id AND m.seq = g.seq)
        SELECT count(*), count(*) FILTER (WHERE broken),
               (array_agg(format('wallet %s posting %s', wallet_id, seq)) FILTER (WHERE broken))[1:5]
        FROM judged""",
    ),
    (
        "donation_receipts",
        "receipts are numbered 1, 2, 3 … in each programme and year",
        """
        WITH counted AS (
            SELECT programme_no, year, count(*) AS receipts, max(number) AS last
            FROM donation_receipt GROUP BY 1, 2)
        SELECT count(*), count(*) FILTER (WHERE receipts <> last),
               (array_agg(format('programme %s, %s: %s receipts, the last is %s',
                                 programme_no, year, receipts, last))
                FILTER (WHERE receipts <> last))[1:5]
        FROM counted""",
    ),
    (
        "topup_references",
        "every outside reference names a top-up that stands and bears it, and no two stand under one",
        """
        WITH standing AS (
            SELECT p.bucket, p.wallet_id, p.seq, p.programme_no,
                   p.detail::jsonb ->> 'outside_ref' AS reference
            FROM payment p
            WHERE p.kind = 3 AND p.approved > p.returned AND p.detail LIKE '%"outside_ref"%'),
        judged AS (
            SELECT coalesce(r.reference, s.reference) AS reference, r.seq IS NULL OR s.seq IS NULL AS broken
            FROM topup_reference r FULL JOIN standing s
              ON s.programme_no = r.programme_no AND s.reference = r.reference AND s.bucket = r.bucket
             AND s.wallet_id = r.wallet_id AND s.seq = r.seq)
        SELECT count(*), count(*) FILTER (WHERE broken),
               (array_agg(format('reference %s', reference)) FILTER (WHERE broken))[1:5]
        FROM judged""",
    ),
)
