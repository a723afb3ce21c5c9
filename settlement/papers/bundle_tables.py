"""What of the database goes into the auditor's bundle: one query a file, each in an order of its own.

Nothing here names a card or a member: wallets stand by number. :programme_no, :first and :last are the
bundle's. Instants are in UTC with microseconds, as the audit log hashes them.
"""

# ruff: noqa: S608 (every query is built from constants of this file)

_OF_RUN = "programme_no = :programme_no AND business_date BETWEEN :first AND :last"
# From the first of the period's files to the last, whatever run made those between: numbers have no gap.
_FILES = (
    "SELECT file_no FROM bank_file WHERE programme_no = :programme_no"
    f" AND file_no BETWEEN (SELECT min(file_no) FROM bank_file WHERE {_OF_RUN})"
    f" AND (SELECT max(file_no) FROM bank_file WHERE {_OF_RUN})"
)
_ITEMS = (
    f"SELECT end_to_end_id FROM bank_file_line WHERE programme_no = :programme_no AND file_no IN ({_FILES})"
)
_PAYOUTS = (
    f"SELECT * FROM payout WHERE programme_no = :programme_no"
    f" AND (business_date BETWEEN :first AND :last OR end_to_end_id IN ({_ITEMS}))"
)
_TRANSFERS = (
    f"SELECT * FROM house_transfer WHERE programme_no = :programme_no"
    f" AND (business_date BETWEEN :first AND :last OR end_to_end_id IN ({_ITEMS}))"
)
_STATEMENTS = "programme_no = :programme_no AND first <= :last AND last >= :first"
_MERCHANTS = (
    f"SELECT merchant_no FROM merchant_net WHERE {_OF_RUN} UNION SELECT merchant_no FROM ({_PAYOUTS}) p"
)
_SEOUL_DAY = "(received_at AT TIME ZONE 'Asia/Seoul')::date"


def _utc(column: str) -> str:
    return f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') AS {column}"""


INBOUND = f"""
    SELECT inbound_no, name, sha256, size, kind, message_id, {_utc("received_at")}, archived, state, problem
    FROM inbound_file WHERE programme_no IN (0, :programme_no) AND (
        {_SEOUL_DAY} BETWEEN :first AND :last
        OR inbound_no IN (SELECT inbound_no FROM bank_statement WHERE {_STATEMENTS})
        OR inbound_no IN (SELECT e.inbound_no FROM payout_event e WHERE e.programme_no = :programme_no
            AND e.end_to_end_id IN (SELECT end_to_end_id FROM ({_PAYOUTS}) p
                                    UNION SELECT end_to_end_id FROM ({_TRANSFERS}) t)))
    ORDER BY inbound_no
"""

FILES = f"""
    SELECT file_no, business_date, name, sha256 FROM bank_file
    WHERE programme_no = :programme_no AND file_no IN ({_FILES}) ORDER BY file_no
"""

DAYS = """
    SELECT business_date, entries FROM business_day
    WHERE programme_no = :programme_no AND business_date BETWEEN :first AND :last ORDER BY business_date
"""

ENTRIES = """
    SELECT bucket, wallet_id, seq, line, source, debit, credit, won, lot_no, merchant_no, funder_no, budget_no
    FROM entry WHERE programme_no = :programme_no AND business_date = :day
    ORDER BY bucket, wallet_id, seq, line
"""

# In the order in which the date's fingerprint takes them: postings as the database orders names.
HOUSE = """
    SELECT posting, line, debit, credit, won, merchant_no, funder_no
    FROM house_entry WHERE programme_no = :programme_no AND business_date = :day ORDER BY posting, line
"""

TABLES: dict[str, str] = {
    "programme.csv": """
        SELECT programme_no, programme_id, name, sha256, document FROM programme
        WHERE programme_no = :programme_no""",
    "policy.csv": f"""
        SELECT policy_no, version, {_utc("effective_from")}, sha256, document FROM policy
        WHERE programme_no = :programme_no ORDER BY policy_no""",
    "funder.csv": """
        SELECT funder_no, funder_id, name FROM funder
        WHERE programme_no = :programme_no ORDER BY funder_no""",
    "business_day.csv": f"""
        SELECT business_date, {_utc("closed_at")}, payments, entries, won, previous_sha256, sha256
        FROM business_day WHERE programme_no = :programme_no AND business_date <= :last
        ORDER BY business_date""",
    "settlement_run.csv": f"""
        SELECT business_date, cycle, {_utc("created_at")}, calendar FROM settlement_run
        WHERE {_OF_RUN} ORDER BY business_date, cycle""",
    "settlement_step.csv": f"""
        SELECT business_date, cycle, step, state, {_utc("started_at")}, {_utc("ended_at")}, inputs_sha256,
               booked_on, outcome
        FROM settlement_step WHERE {_OF_RUN} ORDER BY business_date, cycle, step COLLATE "C" """,
    "merchant.csv": f"""
        SELECT merchant_no, merchant_id, name, business_no, category, region, size FROM merchant
        WHERE merchant_no IN ({_MERCHANTS}) ORDER BY merchant_no""",
    "merchant_sales.csv": f"""
        SELECT merchant_no, valid_from, annual_sales FROM merchant_sales
        WHERE merchant_no IN ({_MERCHANTS}) ORDER BY merchant_no, valid_from""",
    "merchant_group.csv": f"""
        SELECT merchant_no, group_code, valid_from, valid_to FROM merchant_group
        WHERE merchant_no IN ({_MERCHANTS}) ORDER BY merchant_no, group_code COLLATE "C", valid_from""",
    "merchant_net.csv": f"""
        SELECT business_date, cycle, merchant_no, sales, refunds, fee_rate_ppm, fee, vat, rebate, rebate_vat,
               subsidy, reserved, released, rounding, carried_in, paid, carried_out, carried_since, held,
               reserve_ppm, reserve_max, reserve
        FROM merchant_net WHERE {_OF_RUN} ORDER BY business_date, cycle, merchant_no""",
    "merchant_hold.csv": f"""
        SELECT hold_no, merchant_no, kind, rate_ppm, max_won, reason, placed_by, {_utc("placed_at")},
               released_by, {_utc("released_at")}
        FROM merchant_hold WHERE programme_no = :programme_no ORDER BY hold_no""",
    "merchant_subsidy.csv": f"""
        SELECT reference, merchant_no, funder_no, won, about, proposed_by, {_utc("proposed_at")}, approved_by,
               {_utc("approved_at")}, taken_date, taken_cycle
        FROM merchant_subsidy WHERE programme_no = :programme_no ORDER BY reference COLLATE "C" """,
    "fee_rebate.csv": f"""
        SELECT merchant_no, business_date, cycle, rebate_no, net, charged_ppm, due_ppm, won, vat, proposed_by,
               {_utc("proposed_at")}, approved_by, {_utc("approved_at")}, taken_date, taken_cycle
        FROM fee_rebate WHERE programme_no = :programme_no
        ORDER BY merchant_no, business_date, cycle, rebate_no""",
    "funding_stop.csv": f"""
        SELECT business_date, funder_no, won, {_utc("stopped_at")}, credited_by FROM funding_stop
        WHERE {_OF_RUN} ORDER BY business_date, funder_no""",
    "payout.csv": f"""
        SELECT business_date, cycle, merchant_no, attempt, pay_on, won, end_to_end_id, bank_code, account_no,
               account_holder, state, reason, booked_on, returned_on
        FROM ({_PAYOUTS}) p ORDER BY business_date, cycle, merchant_no, attempt""",
    "house_transfer.csv": f"""
        SELECT business_date, cycle, purpose, funder_no, attempt, pay_on, won, end_to_end_id, debtor, payee,
               bank_code, account_no, account_holder, state, reason, booked_on, received_on
        FROM ({_TRANSFERS}) t ORDER BY business_date, cycle, purpose COLLATE "C", funder_no, attempt""",
    "payout_event.csv": f"""
        SELECT end_to_end_id, event_no, event, {_utc("at")}, inbound_no, reason, told FROM payout_event
        WHERE programme_no = :programme_no AND end_to_end_id IN (
            SELECT end_to_end_id FROM ({_PAYOUTS}) p UNION SELECT end_to_end_id FROM ({_TRANSFERS}) t)
        ORDER BY end_to_end_id COLLATE "C", event_no""",
    "bank_file.csv": f"""
        SELECT file_no, business_date, cycle, profile, debtor, debtor_name, debtor_account, debtor_bank,
               pay_on, message_id, payment_information_id, name, remittance, {_utc("created_at")}, made_by,
               payments, won, sha256, state
        FROM bank_file WHERE programme_no = :programme_no AND file_no IN ({_FILES}) ORDER BY file_no""",
    "bank_file_line.csv": f"""
        SELECT file_no, line, end_to_end_id FROM bank_file_line
        WHERE programme_no = :programme_no AND file_no IN ({_FILES}) ORDER BY file_no, line""",
    "file_approval.csv": f"""
        SELECT file_no, approval_no, sha256, made_by, approved_by, {_utc("approved_at")}, {_utc("voided_at")},
               void_reason
        FROM file_approval WHERE programme_no = :programme_no AND file_no IN ({_FILES})
        ORDER BY file_no, approval_no""",
    "file_delivery.csv": f"""
        SELECT file_no, try_no, channel, by, {_utc("started_at")}, {_utc("ended_at")}, outcome, told
        FROM file_delivery WHERE programme_no = :programme_no AND file_no IN ({_FILES})
        ORDER BY file_no, try_no""",
    "inbound_file.csv": INBOUND,
    "bank_statement.csv": f"""
        SELECT account, statement_id, sequence, first, last, opening, closing, entries, inbound_no
        FROM bank_statement WHERE {_STATEMENTS}
        ORDER BY account COLLATE "C", first, sequence NULLS LAST, statement_id COLLATE "C" """,
    "bank_entry.csv": f"""
        SELECT account, statement_id, entry_no, booked_on, won, reference, end_to_end_id,
               payment_information_id, message_id, remittance, return_reason, state, kind, carrier,
               matched_to, resolved_by, {_utc("resolved_at")}
        FROM bank_entry WHERE (account, statement_id) IN (
            SELECT account, statement_id FROM bank_statement WHERE {_STATEMENTS})
          AND programme_no = :programme_no
        ORDER BY account COLLATE "C", statement_id COLLATE "C", entry_no""",
    "audit.csv": f"""
        SELECT audit_no, {_utc("at")}, actor, act, subject, detail, previous_sha256, sha256
        FROM settlement_audit ORDER BY audit_no""",
}
"""Files of the bundle by name, and the query that fills each."""
