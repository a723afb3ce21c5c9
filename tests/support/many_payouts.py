"""Many payouts of one run at once, by SQL, with all that the books hold for them."""

from sqlalchemy import Connection, text

FIRST = 1_001
"""The first merchant's number; it is paid as many won as its number says."""

_STATEMENTS = """
    INSERT INTO merchant SELECT n, 'M' || n, 1, 'S' || n, 'restaurant', 'seo', 'seo', 'small', '{pos}',
        '2025-01-01', NULL, '1234567890', '088', '110-222-' || n,
        '김사장 & Söhne <' || n || '>', NULL FROM numbers;
    INSERT INTO merchant_net (programme_no, business_date, cycle, merchant_no, sales, refunds, fee_rate_ppm,
        fee, carried_in, paid, carried_out) SELECT 1, '2026-11-20', 1, n, 0, 0, 0, 0, n, n, 0 FROM numbers;
    INSERT INTO payout (programme_no, business_date, cycle, merchant_no, attempt, pay_on, won, end_to_end_id,
        bank_code, account_no, account_holder) SELECT 1, '2026-11-20', 1, n, 1, '2026-11-24', n,
        'DURE00001-20261120-01-' || n || '-01', '088', '110-222-' || n,
        '김사장 & Söhne <' || n || '>' FROM numbers;
    INSERT INTO house_entry SELECT 1, '2026-11-21', 'pay_merchants:2026-11-20:1', n, 221, 231, n, n, 0
        FROM numbers
"""


def add_payouts(connection: Connection, count: int) -> None:
    """Add payouts of `count` merchants from FIRST on to the run of 2026-11-20, whose merchants are paid."""
    numbers = f"generate_series({FIRST}, {FIRST + count - 1}) AS n"
    for statement in _STATEMENTS.replace("numbers", numbers).split(";"):
        connection.execute(text(statement))
