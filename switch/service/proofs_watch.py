"""What must hold between flags, the payments that speak for them, and whom they stop."""

from typing import Final

CHECKS: Final[tuple[tuple[str, str, str], ...]] = (
    (
        "stops_equal_flags",
        "a wallet is stopped exactly as long as its flags say, and no cleared flag stops anybody",
        """
        WITH said AS (
            SELECT bucket, wallet_id, max(until_day) AS until FROM watch_stop
            WHERE subject = 1 AND lifted_at IS NULL GROUP BY 1, 2),
        judged AS (
            SELECT w.wallet_id AS subject, w.stopped_until <> coalesce(s.until, 0) AS broken
            FROM wallet w LEFT JOIN said s ON s.bucket = w.bucket AND s.wallet_id = w.wallet_id
            WHERE w.stopped_until <> 0 OR s.until IS NOT NULL
            UNION ALL
            SELECT s.wallet_id + s.merchant_no,
                   f.state IS NULL OR (f.state = 'cleared') <> (s.lifted_at IS NOT NULL)
            FROM watch_stop s
            LEFT JOIN watch_flag f ON f.programme_no = s.programme_no AND f.flag_no = s.flag_no)
        SELECT count(*), count(*) FILTER (WHERE broken),
               (array_agg(format('wallet or shop %s', subject)) FILTER (WHERE broken))[1:5]
        FROM judged""",
    ),
    (
        "flags_have_evidence",
        "every payment that speaks for a flag is in the books",
        """
        SELECT count(*), count(*) FILTER (WHERE p.wallet_id IS NULL OR f.flag_no IS NULL),
               (array_agg(format('flag %s of programme %s', e.flag_no, e.programme_no))
                FILTER (WHERE p.wallet_id IS NULL OR f.flag_no IS NULL))[1:5]
        FROM watch_evidence e
        LEFT JOIN watch_flag f ON f.programme_no = e.programme_no AND f.flag_no = e.flag_no
        LEFT JOIN payment p ON p.bucket = e.bucket AND p.local_day = e.local_day
            AND p.local_time = e.local_time AND p.terminal_id = e.terminal_id AND p.stan = e.stan
            AND p.kind = e.kind""",
    ),
)
