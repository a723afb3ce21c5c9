"""Names and identities of bank files: made from what a run is, so that a repeated run makes the same.

ISO 20022 allows 35 characters (Max35Text). The programme's number, not its id, stands in identities: ids may
be longer than that leaves room for.
"""

from datetime import date
from functools import lru_cache

MAX35 = 35


def _day(day: date) -> str:
    return day.strftime("%Y%m%d")


@lru_cache(maxsize=64)
def _run(programme_no: int, business_date: date, cycle: int) -> str:
    return f"DURE{programme_no:05d}-{_day(business_date)}-{cycle:02d}"


def message_id(programme_no: int, business_date: date, cycle: int, file_no: int) -> str:
    """MsgId of a programme's file with the number `file_no` (from 1): DURE00001-20261120-01-000042."""
    return f"{_run(programme_no, business_date, cycle)}-{file_no:06d}"


def payment_information_id(programme_no: int, business_date: date, cycle: int, file_no: int) -> str:
    """PmtInfId of the file's one batch."""
    return f"{message_id(programme_no, business_date, cycle, file_no)}-B1"


def end_to_end_id(programme_no: int, business_date: date, cycle: int, merchant_no: int, attempt: int) -> str:
    """EndToEndId of one payout; a new attempt has a new one. At most 35 characters for any int4 merchant."""
    return f"{_run(programme_no, business_date, cycle)}-{merchant_no}-{attempt:02d}"


def transfer_end_to_end_id(
    programme_no: int, business_date: date, cycle: int, purpose: str, funder_no: int, attempt: int
) -> str:
    """EndToEndId of a transfer between own accounts: DURE00001-20261120-01-FUNDING-3-01.

    The purpose is cut to its first four letters for a funder whose number leaves no room for it.
    """
    run, end = _run(programme_no, business_date, cycle), f"{funder_no}-{attempt:02d}"
    whole = f"{run}-{purpose.upper()}-{end}"
    return whole if len(whole) <= MAX35 else f"{run}-{purpose.upper()[:4]}-{end}"


def file_name(
    programme_id: str, business_date: date, cycle: int, file_no: int, pay_on: date, suffix: str
) -> str:
    """Name in the outbox: seoro_20261120_01_000042_pay20261124.pain.001.xml (`suffix` with its dot)."""
    run = f"{programme_id}_{_day(business_date)}_{cycle:02d}"
    return f"{run}_{file_no:06d}_pay{_day(pay_on)}{suffix}"
