"""Step 8: has the bank answered? Its status reports, and its statements where it sends no reports.

The answers themselves are taken in by settlement.steps.inbox; here a run is held against what is known.
"""

from sqlalchemy import text

from settlement.frame import Frame
from settlement.report import AckOutcome
from settlement.store.bank import mark_answered

_STATES = text("""
    SELECT coalesce(p.state, h.state) AS state, count(*) AS payments,
           sum(coalesce(p.won, h.won))::bigint AS won
    FROM bank_file f JOIN bank_file_line l USING (programme_no, file_no)
    LEFT JOIN payout p USING (end_to_end_id) LEFT JOIN house_transfer h USING (end_to_end_id)
    WHERE f.programme_no = :programme_no AND f.business_date = :business_date AND f.cycle = :cycle
      AND f.state <> 'voided'
    GROUP BY 1
""")  # each identity by its own index: right after a file is made there are no statistics to join otherwise
_UNANSWERED = ("ordered", "sent")


def run(frame: Frame) -> AckOutcome:
    """Count what the bank has said of the payments in the run's files. Done when each has its word."""
    connection = frame.connection
    with connection.begin():
        mark_answered(connection, frame.key.programme_no)
        rows = {row.state: row for row in connection.execute(_STATES, frame.key.columns())}
    frame.observer.reached("acknowledge:counted")
    unanswered = sum(rows[state].payments for state in _UNANSWERED if state in rows)
    not_sent = rows["ordered"].payments if "ordered" in rows else 0
    accepted = sum(rows[state].payments for state in ("accepted", "booked", "returned") if state in rows)
    rejected = rows.get("rejected")
    waits = ""
    if not_sent:
        waits = f"{not_sent:,} of {unanswered:,} payments without an answer are not at the bank yet"
    elif unanswered:
        waits = (
            f"{unanswered:,} payments have no answer of the bank: its pain.002 belongs into"
            f" {frame.settings.files.inbox} (or: ack FILE)"
        )
    return AckOutcome(
        accepted,
        rejected.payments if rejected else 0,
        rejected.won if rejected else 0,
        unanswered,
        waits,
    )
