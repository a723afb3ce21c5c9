"""Step 9: does the bank's statement show it? Every payment of the run booked, and what came back paid again.

The statements themselves are taken in by settlement.steps.inbox; here a run is held against what is known.
"""

from sqlalchemy import text

from settlement.frame import Frame
from settlement.report import ReconcileOutcome

_PAYMENTS = text("""
    WITH item AS (
        SELECT l.end_to_end_id, p.won, p.state, p.state = 'booked' AS through,
               EXISTS (SELECT FROM payout n WHERE n.programme_no = p.programme_no
                       AND n.business_date = p.business_date AND n.cycle = p.cycle
                       AND n.merchant_no = p.merchant_no AND n.attempt > p.attempt) AS again
        FROM bank_file f
        JOIN bank_file_line l ON l.programme_no = f.programme_no AND l.file_no = f.file_no
        JOIN payout p ON p.programme_no = l.programme_no AND p.end_to_end_id = l.end_to_end_id
        WHERE f.programme_no = :programme_no AND f.business_date = :business_date AND f.cycle = :cycle
          AND f.state <> 'voided'
        UNION ALL
        SELECT l.end_to_end_id, t.won, t.state, t.booked_on IS NOT NULL AND t.received_on IS NOT NULL,
               t.state = 'rejected'  -- the next night orders anew what is still due
        FROM bank_file f
        JOIN bank_file_line l ON l.programme_no = f.programme_no AND l.file_no = f.file_no
        JOIN house_transfer t ON t.programme_no = l.programme_no AND t.end_to_end_id = l.end_to_end_id
        WHERE f.programme_no = :programme_no AND f.business_date = :business_date AND f.cycle = :cycle
          AND f.state <> 'voided'
    )
    SELECT CASE WHEN state IN ('rejected', 'returned') THEN CASE WHEN again THEN 'over' ELSE state END
                WHEN through THEN 'booked' ELSE 'open' END AS stands,
           count(*) AS payments, sum(won)::bigint AS won,
           count(*) FILTER (WHERE state = 'returned') AS returned,
           coalesce(sum(won) FILTER (WHERE state = 'returned'), 0)::bigint AS returned_won
    FROM item GROUP BY 1
""")
_SUSPENSE = text("""
    SELECT count(*) FROM bank_entry e
    WHERE e.programme_no = :programme_no AND e.state = 'suspense' AND e.carrier <> '' AND EXISTS (
        SELECT FROM bank_file f
        JOIN bank_file_line l ON l.programme_no = f.programme_no AND l.file_no = f.file_no
        WHERE f.programme_no = e.programme_no AND f.business_date = :business_date AND f.cycle = :cycle
          AND f.state <> 'voided'
          AND (l.end_to_end_id = e.end_to_end_id OR f.payment_information_id = e.payment_information_id
               OR f.message_id = e.message_id OR position(l.end_to_end_id IN e.remittance) > 0
               OR position(f.message_id IN e.remittance) > 0))
""")


def run(frame: Frame) -> ReconcileOutcome:
    """Count what the statements show of the payments in the run's files.

    Done when each is booked – a transfer on both accounts –, each rejected or returned payout is paid again,
    and nothing that names one of them is in suspense.
    """
    connection = frame.connection
    with connection.begin():
        rows = {row.stands: row for row in connection.execute(_PAYMENTS, frame.key.columns())}
        suspense = connection.execute(_SUSPENSE, frame.key.columns()).scalar_one()
    frame.observer.reached("reconcile:counted")
    booked, waiting = rows.get("booked"), rows.get("open")
    waits: list[str] = []
    if waiting:
        waits.append(
            f"{waiting.payments:,} payments of {waiting.won:,} won are on no statement of the bank: its"
            f" camt.053 belongs into {frame.settings.files.inbox}"
        )
    waits += [
        f"{rows[state].payments:,} payouts of {rows[state].won:,} won were {state} and are not paid again:"
        " correct the merchants' accounts (`account`)"
        for state in ("rejected", "returned")
        if state in rows
    ]
    if suspense:
        waits.append(f"{suspense:,} entries in suspense name its payments: see `open`")
    return ReconcileOutcome(
        booked.payments if booked else 0,
        booked.won if booked else 0,
        sum(row.returned for row in rows.values()),
        sum(row.returned_won for row in rows.values()),
        waiting.payments if waiting else 0,
        waiting.won if waiting else 0,
        "; ".join(waits),
    )
