"""Names and identities of bank files: made from what a run is, so that a repeated run makes the same.

ISO 20022 allows 35 characters (Max35Text). The programme's number, not its id, stands in identities: ids may
be longer than that leaves room for.
"""

from datetime import date

MAX35 = 35


def _day(day: date) -> str:
    return day.strftime("%Y%m%d")


def message_id(programme_no: int, business_date: date, cycle: int, pay_on: date) -> str:
    """MsgId of the file that pays `business_date` on `pay_on`: DURE00001-20261120-01-20261124."""
    return f"DURE{programme_no:05d}-{_day(business_date)}-{cycle:02d}-{_day(pay_on)}"


def payment_information_id(programme_no: int, business_date: date, cycle: int, pay_on: date) -> str:
    """PmtInfId of the file's one batch."""
    return f"{message_id(programme_no, business_date, cycle, pay_on)}-B1"


def end_to_end_id(programme_no: int, business_date: date, cycle: int, merchant_no: int, attempt: int) -> str:
    """EndToEndId of one payout; a new attempt has a new one. At most 35 characters for any int4 merchant."""
    return f"DURE{programme_no:05d}-{_day(business_date)}-{cycle:02d}-{merchant_no}-{attempt:02d}"


def file_name(programme_id: str, business_date: date, cycle: int, pay_on: date) -> str:
    """Name in the outbox: seoro_20261120_01_pay20261124.pain.001.xml."""
    return f"{programme_id}_{_day(business_date)}_{cycle:02d}_pay{_day(pay_on)}.pain.001.xml"


def transfer_end_to_end_id(
    programme_no: int, business_date: date, cycle: int, purpose: str, funder_no: int, attempt: int
) -> str:
    """EndToEndId of a transfer between own accounts: DURE00001-20261120-01-FUNDING-3-01."""
    run = f"DURE{programme_no:05d}-{_day(business_date)}-{cycle:02d}"
    return f"{run}-{purpose.upper()}-{funder_no}-{attempt:02d}"
