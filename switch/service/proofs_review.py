"""Invariants of corrections: their lines say what the entries say, and two people agreed on them."""

# (name, about, query); each query counts (rows looked at, rows that break the invariant, examples).
CHECKS: tuple[tuple[str, str, str], ...] = (
    (
        "corrections_equal_entries",
        "what corrections have booked of each wallet, funder and budget is the sum of its entries",
        """
        WITH said AS (
            SELECT bucket, wallet_id, funder_no, budget_no,
                   sum(CASE WHEN debit = 111 THEN won ELSE -won END)::bigint AS won
            FROM entry WHERE source = 4 AND 111 IN (debit, credit) GROUP BY 1, 2, 3, 4),
        told AS (
            SELECT bucket, wallet_id, funder_no, budget_no, sum(booked)::bigint AS won
            FROM correction_line WHERE booked <> 0 GROUP BY 1, 2, 3, 4),
        judged AS (
            SELECT wallet_id, funder_no, coalesce(t.won, 0) AS won, coalesce(s.won, 0) AS said
            FROM told t FULL JOIN said s USING (bucket, wallet_id, funder_no, budget_no))
        SELECT count(*), count(*) FILTER (WHERE won <> said),
               (array_agg(format('wallet %s funder %s: %s, entries say %s', wallet_id, funder_no, won, said))
                FILTER (WHERE won <> said))[1:5]
        FROM judged""",
    ),
    (
        "corrections_agreed_on",
        "every correction that has booked anything was approved by somebody else than its proposer",
        """
        WITH booked AS (
            SELECT DISTINCT correction_no FROM correction_line WHERE state <> 0)
        SELECT count(*), count(*) FILTER (WHERE c.approved_by IS NULL
                                             OR lower(c.approved_by) = lower(c.proposed_by)),
               (array_agg(format('correction %s', correction_no))
                FILTER (WHERE c.approved_by IS NULL OR lower(c.approved_by) = lower(c.proposed_by)))[1:5]
        FROM booked LEFT JOIN correction c USING (correction_no)""",
    ),
)
