"""Invariants between the books and the bank, as proofs.py counts them: (name, about, SQL)."""

# Won by merchant that an account of theirs holds (credits less debits) in the house's journal.
_HELD = """
        SELECT programme_no, merchant_no,
               sum(CASE WHEN credit = {0} THEN won ELSE -won END)::bigint AS won
        FROM house_entry WHERE debit = {0} OR credit = {0} GROUP BY 1, 2"""

_JUDGED = """
        SELECT count(*), count(*) FILTER (WHERE broken),
               (array_agg(format('merchant %s: booked %s, should be %s', merchant_no, booked, due))
                FILTER (WHERE broken))[1:5]
        FROM (SELECT merchant_no, coalesce(h.won, 0) AS booked, coalesce(d.won, 0) AS due,
                     coalesce(h.won, 0) <> coalesce(d.won, 0) AS broken
              FROM held h FULL JOIN due d USING (programme_no, merchant_no)) judged"""


def _by_merchant(account: int, due: str) -> str:
    return f"WITH held AS ({_HELD.format(account)}), due AS ({due}) {_JUDGED}"


CHECKS: tuple[tuple[str, str, str], ...] = (
    (
        "payouts_on_their_way",
        "what is paid out and not yet on the bank's statement is the payouts that are under way",
        _by_merchant(
            231,
            """SELECT programme_no, merchant_no, sum(won)::bigint AS won FROM payout
               WHERE state IN ('ordered', 'sent', 'accepted') GROUP BY 1, 2""",
        ),
    ),
    (
        "payouts_that_came_back",
        "what came back is held apart for its merchant until it is paid again",
        _by_merchant(
            261,
            """SELECT p.programme_no, p.merchant_no, sum(p.won)::bigint AS won FROM payout p
               WHERE EXISTS (SELECT FROM payout_event e WHERE e.programme_no = p.programme_no
                             AND e.end_to_end_id = p.end_to_end_id AND e.event IN ('announced', 'returned'))
                 AND NOT EXISTS (SELECT FROM payout_event e WHERE e.programme_no = p.programme_no
                             AND e.end_to_end_id = p.end_to_end_id AND e.event = 'represented')
               GROUP BY 1, 2""",
        ),
    ),
    (
        "merchants_reserves",
        "what is kept back from a merchant is what its statements say",
        _by_merchant(
            222,
            """SELECT programme_no, merchant_no, sum(reserved - released)::bigint AS won FROM merchant_net
               GROUP BY 1, 2 HAVING sum(reserved - released) <> 0""",
        ),
    ),
    (
        "merchants_payable",
        "what the house has booked on what merchants are due is their nets, and payouts rejected by the bank",
        _by_merchant(
            221,
            """SELECT programme_no, merchant_no, sum(won)::bigint AS won FROM (
                   SELECT programme_no, merchant_no, carried_out - carried_in - sales + refunds AS won
                   FROM merchant_net
                   UNION ALL
                   SELECT programme_no, merchant_no, won FROM payout p
                   WHERE state = 'rejected' AND NOT EXISTS (
                       SELECT FROM payout_event e WHERE e.programme_no = p.programme_no
                       AND e.end_to_end_id = p.end_to_end_id AND e.event = 'represented')) n
               GROUP BY 1, 2 HAVING sum(won) <> 0""",
        ),
    ),
    (
        "merchants_nets_follow",
        "what a merchant carries in is what its run before carried out",
        """
        WITH runs AS (
            SELECT programme_no, business_date, cycle, lag(business_date) OVER w AS before_date,
                   lag(cycle) OVER w AS before_cycle
            FROM (SELECT DISTINCT programme_no, business_date, cycle FROM merchant_net
                  UNION SELECT programme_no, business_date, cycle FROM settlement_step
                  WHERE step = 'pay_merchants' AND state = 'done') r
            WINDOW w AS (PARTITION BY programme_no ORDER BY business_date, cycle)),
        pairs AS (
            SELECT r.programme_no, r.business_date, r.cycle, b.merchant_no, b.carried_out
            FROM runs r JOIN merchant_net b ON b.programme_no = r.programme_no
             AND b.business_date = r.before_date AND b.cycle = r.before_cycle AND b.carried_out <> 0),
        judged AS (
            SELECT merchant_no, business_date, coalesce(p.carried_out, 0) AS before,
                   coalesce(n.carried_in, 0) AS carried_in
            FROM pairs p FULL JOIN (SELECT * FROM merchant_net WHERE carried_in <> 0) n
            USING (programme_no, business_date, cycle, merchant_no))
        SELECT count(*), count(*) FILTER (WHERE before <> carried_in),
               (array_agg(format('merchant %s on %s carries %s in, %s out the run before',
                                 merchant_no, business_date, carried_in, before))
                FILTER (WHERE before <> carried_in))[1:5]
        FROM judged""",
    ),
    (
        "payouts_follow_from_nets",
        "every payout of a first attempt is what its merchant's net pays, and every later one repeats it",
        """
        WITH judged AS (
            SELECT coalesce(n.merchant_no, p.merchant_no) AS merchant_no,
                   coalesce(n.business_date, p.business_date) AS business_date,
                   n.paid, p.least, p.most,
                   n.paid IS DISTINCT FROM p.least OR p.least <> p.most OR p.attempts <> p.last AS broken
            FROM (SELECT * FROM merchant_net WHERE paid > 0) n
            FULL JOIN (SELECT programme_no, business_date, cycle, merchant_no, min(won) AS least,
                              max(won) AS most, count(*) AS attempts, max(attempt) AS last
                       FROM payout GROUP BY 1, 2, 3, 4) p
            USING (programme_no, business_date, cycle, merchant_no))
        SELECT count(*), count(*) FILTER (WHERE broken),
               (array_agg(format('merchant %s of %s: net pays %s, payouts are %s to %s',
                                 merchant_no, business_date, paid, least, most)) FILTER (WHERE broken))[1:5]
        FROM judged""",
    ),
    (
        "bank_files",
        "files for the bank are numbered without a gap, hold what they say, and no payout is in two",
        """
        WITH lines AS (
            SELECT l.programme_no, l.file_no, l.end_to_end_id, coalesce(p.won, t.won) AS won
            FROM bank_file_line l LEFT JOIN payout p USING (programme_no, end_to_end_id)
            LEFT JOIN house_transfer t USING (programme_no, end_to_end_id)),
        sums AS (
            SELECT programme_no, file_no, count(won) AS payments, sum(won)::bigint AS won
            FROM lines GROUP BY 1, 2),
        twice AS (
            SELECT programme_no, end_to_end_id FROM bank_file_line
            JOIN bank_file f USING (programme_no, file_no)
            WHERE f.state <> 'voided' GROUP BY 1, 2 HAVING count(*) > 1),
        judged AS (
            SELECT format('file %s: %s payments of %s won, its lines are %s of %s', f.file_no, f.payments,
                          f.won, s.payments, s.won) AS why,
                   (f.payments, f.won) IS DISTINCT FROM (s.payments, s.won) AS broken
            FROM bank_file f LEFT JOIN sums s USING (programme_no, file_no)
            UNION ALL
            SELECT format('programme %s: %s files, the last is number %s', programme_no, count(*),
                          max(file_no)), count(*) <> max(file_no) FROM bank_file GROUP BY programme_no
            UNION ALL
            SELECT format('%s stands in two files', end_to_end_id), true FROM twice)
        SELECT count(*), count(*) FILTER (WHERE broken), (array_agg(why) FILTER (WHERE broken))[1:5]
        FROM judged""",
    ),
    (
        "bank_files_approved",
        "what went to the bank was approved, as it went, by somebody who had not made it",
        """
        WITH judged AS (
            SELECT f.file_no, NOT EXISTS (
                SELECT FROM file_approval a WHERE a.programme_no = f.programme_no AND a.file_no = f.file_no
                  AND a.sha256 = f.sha256 AND a.voided_at IS NULL
                  AND lower(a.approved_by) <> lower(f.made_by)) AS broken
            FROM bank_file f WHERE f.state IN ('delivering', 'delivered', 'answered'))
        SELECT count(*), count(*) FILTER (WHERE broken),
               (array_agg(format('file %s', file_no)) FILTER (WHERE broken))[1:5]
        FROM judged""",
    ),
    (
        "bank_statements",
        "every statement of the bank goes from its opening to its closing balance by its entries",
        """
        WITH sums AS (
            SELECT programme_no, account, statement_id, count(*) AS entries, sum(won)::bigint AS won
            FROM bank_entry GROUP BY 1, 2, 3),
        judged AS (
            SELECT s.statement_id, s.opening, s.closing, e.won,
                   s.opening + coalesce(e.won, 0) <> s.closing
                   OR s.entries <> coalesce(e.entries, 0) AS broken
            FROM bank_statement s LEFT JOIN sums e USING (programme_no, account, statement_id))
        SELECT count(*), count(*) FILTER (WHERE broken),
               (array_agg(format('statement %s: %s to %s, its entries come to %s',
                                 statement_id, opening, closing, won)) FILTER (WHERE broken))[1:5]
        FROM judged""",
    ),
    (
        "suspense_equals_entries",
        "what is in suspense is the entries of the bank that nobody has named",
        """
        WITH judged AS (
            SELECT programme_no, coalesce(h.won, 0) AS booked, coalesce(e.won, 0) AS due
            FROM (SELECT programme_no, sum(CASE WHEN credit = 262 THEN won ELSE -won END)::bigint AS won
                  FROM house_entry WHERE debit = 262 OR credit = 262 GROUP BY 1) h
            FULL JOIN (SELECT programme_no, sum(won)::bigint AS won FROM bank_entry
                       WHERE state = 'suspense' GROUP BY 1) e USING (programme_no))
        SELECT count(*), count(*) FILTER (WHERE booked <> due),
               (array_agg(format('programme %s: %s won in suspense, entries come to %s',
                                 programme_no, booked, due)) FILTER (WHERE booked <> due))[1:5]
        FROM judged""",
    ),
    (
        "prepayments",
        "no funder's prepayment is overdrawn, and what was used of it is the cashback that it covered",
        """
        WITH moved AS (
            SELECT programme_no, funder_no,
                   sum(CASE WHEN credit = 243 THEN won ELSE -won END)::bigint AS left_over,
                   (coalesce(sum(won) FILTER (WHERE debit = 243 AND credit = 111), 0)
                    - coalesce(sum(won) FILTER (WHERE debit = 111 AND credit = 243), 0))::bigint AS used
            FROM house_entry WHERE debit = 243 OR credit = 243 GROUP BY 1, 2),
        covered AS (
            SELECT programme_no, funder_no, sum(won)::bigint AS won FROM (
                SELECT programme_no, funder_no, net AS won FROM funding_night WHERE covered AND funder_no > 0
                UNION ALL
                SELECT s.programme_no, s.funder_no, s.won FROM funding_stop s
                JOIN funding_night n ON n.programme_no = s.programme_no AND n.funder_no = s.funder_no
                 AND n.business_date = s.credited_by) c
            GROUP BY 1, 2),
        judged AS (
            SELECT funder_no, left_over, used, c.won,
                   coalesce(left_over, 0) < 0 OR coalesce(used, 0) <> coalesce(c.won, 0) AS broken
            FROM moved FULL JOIN covered c USING (programme_no, funder_no))
        SELECT count(*), count(*) FILTER (WHERE broken),
               (array_agg(format('funder %s: %s left, %s used, covered cashback is %s',
                                 funder_no, left_over, used, won)) FILTER (WHERE broken))[1:5]
        FROM judged""",
    ),
)
