"""Why a payment was answered as it was: one table from the internal reason to DE39 and to words.

`number` is stored with the payment; never renumber. `code` is DE39 (ISO 8583:1987). Several reasons share
a code, because the codes are fewer than the truths; the reason itself is kept and shown to operators.
"""

import msgspec


class Reason(msgspec.Struct, frozen=True, gc=False):
    """One reason: its stored number, name, DE39 and what to tell a person."""

    number: int
    name: str
    code: str
    english: str
    korean: str


_TABLE = (
    (0, "approved", "00", "approved", "승인"),
    (1, "acknowledged", "00", "taken note of; no money moved", "접수됨"),
    (2, "exception", "00", "taken note of; an operator must look at it", "접수됨(확인 필요)"),
    (3, "partial_approval", "10", "approved in part: the money does not suffice for all", "부분 승인"),
    # refused before any lock is taken
    (10, "unknown_merchant", "03", "the merchant is unknown or does not own this terminal", "미등록 가맹점"),
    (11, "merchant_closed", "03", "the merchant takes no part in the programme on this day", "해지 가맹점"),
    (12, "invalid_transaction", "12", "this kind of payment is not possible here", "거래 불가"),
    (13, "invalid_amount", "13", "the amount must be 1 won or more", "금액 오류"),
    (14, "unknown_card", "14", "the card is unknown", "미등록 카드"),
    (
        15,
        "format_error",
        "30",
        "the message breaks the specification in the field named by DE44",
        "전문 오류",
    ),
    (
        16,
        "terminal_not_permitted",
        "58",
        "the terminal is unknown, stopped or not signed on",
        "단말기 사용 불가",
    ),
    (17, "mac_failure", "63", "the message's MAC is wrong: exchange keys again", "전문 인증 오류"),
    (18, "pin_key_error", "81", "the PIN cannot be read: exchange keys again", "비밀번호 키 오류"),
    (19, "hsm_unavailable", "91", "the security module does not answer: try again", "일시 장애"),
    (20, "books_unavailable", "91", "the books do not answer: try again", "일시 장애"),
    (21, "malfunction", "96", "the switch failed: try again", "시스템 오류"),
    (22, "implausible_date", "12", "the payment's date lies too far from today", "거래일자 오류"),
    (23, "no_policy", "12", "the programme has no rules for this date", "정책 없음"),
    (24, "other_programme", "57", "the card belongs to another programme than the merchant", "타 지역 카드"),
    (25, "key_serial_replayed", "63", "the key serial number was used before", "키 일련번호 재사용"),
    (
        26,
        "certificate_not_permitted",
        "58",
        "the client certificate is not this terminal's",
        "단말기 인증서 불일치",
    ),
    (27, "session_superseded", "58", "a newer session speaks for this terminal", "이전 접속 무효"),
    (28, "batch_closed", "12", "the terminal's batch is closed", "마감된 배치"),
    (29, "out_of_balance", "95", "the batch totals differ: upload the details", "마감 불일치"),
    # decided on the wallet
    (
        30,
        "duplicate_differs",
        "94",
        "the same payment was sent before with other contents",
        "중복 거래 불일치",
    ),
    (31, "card_expired", "54", "the card has expired", "유효기간 만료"),
    (32, "card_blocked", "62", "the card is blocked", "사용 정지 카드"),
    (33, "card_lost", "41", "the card is reported lost", "분실 카드"),
    (34, "card_stolen", "43", "the card is reported stolen", "도난 카드"),
    (35, "wallet_stopped", "62", "the wallet is stopped", "사용 정지 지갑"),
    (36, "wrong_pin", "55", "the PIN is wrong", "비밀번호 오류"),
    (37, "pin_tries_exceeded", "75", "too many wrong PINs: an operator must unblock", "비밀번호 횟수 초과"),
    (40, "merchant_restricted", "57", "this money may not be spent at this merchant", "사용 제한 가맹점"),
    (41, "insufficient_funds", "51", "the money that may be spent here does not suffice", "잔액 부족"),
    (42, "over_payment_limit", "61", "over the limit for one payment", "1회 한도 초과"),
    (43, "over_day_limit", "61", "over the limit for one day", "1일 한도 초과"),
    (44, "over_month_limit", "61", "over the limit for one month", "월 한도 초과"),
    (45, "over_topup_limit", "61", "over the month's limit for top-ups", "월 충전 한도 초과"),
    (46, "over_holding_limit", "61", "over what a wallet may hold", "보유 한도 초과"),
    (
        47,
        "too_many_topups",
        "61",
        "too many top-ups are not spent yet",
        "충전 건수 초과",
    ),
    (50, "original_not_found", "25", "the original payment is unknown", "원거래 없음"),
    (51, "original_not_approved", "12", "the original payment was not approved", "원거래 미승인"),
    (52, "over_remaining", "13", "more than remains of the original payment", "취소 가능 금액 초과"),
    (53, "reversed_before", "12", "its reversal came first", "선취소 거래"),
    (54, "amount_differs", "13", "not the amount of the original payment", "원거래 금액 불일치"),
    (55, "void_too_late", "12", "the original's business date has passed: refund it", "취소 가능일 경과"),
    (56, "hold_closed", "12", "the hold is completed, released or expired", "종료된 가승인"),
    (57, "too_many_holds", "61", "the wallet has too many open pre-authorisations", "가승인 건수 초과"),
    (
        66,
        "over_issuance_limit",
        "61",
        "the month's issue of the programme is used up",
        "이번 달 발행 한도 소진",
    ),
    # donations
    (75, "unknown_case", "25", "the merchant's programme has no such donation case", "기부 사연 없음"),
    (76, "case_closed", "12", "the donation case is closed", "종료된 기부 사연"),
    (77, "case_over", "12", "the last day of the donation case is over", "기부 기간 종료"),
    (78, "case_filled", "61", "more than the donation case still needs", "기부 목표액 초과"),
    (
        79,
        "gifts_only",
        "57",
        "this merchant takes gifts to donation cases and nothing else",
        "기부 전용 가맹점",
    ),
    (
        85,
        "case_elsewhere",
        "57",
        "this merchant takes no gifts to that donation case",
        "이 가맹점의 사연 아님",
    ),
    # what the card itself shows
    (60, "entry_not_permitted", "57", "this form of card cannot be used in this way", "사용 불가 방식"),
    (61, "pin_required", "65", "contactless without a PIN has reached its limit", "비밀번호 필요"),
    (62, "atc_replayed", "05", "the chip's counter was used before", "거래 카운터 재사용"),
    (63, "cryptogram_failure", "05", "the chip's cryptogram is wrong", "암호문 오류"),
    (64, "cvv_failure", "05", "the card verification value is wrong", "CVV 오류"),
    (
        65,
        "cvv_tries_exceeded",
        "75",
        "too many wrong verification values: an operator must unblock",
        "CVV 횟수 초과",
    ),
    (80, "stopped_by_watch", "62", "stopped until an operator has looked into it", "확인 중 사용 정지"),
)

REASONS: dict[str, Reason] = {row[1]: Reason(*row) for row in _TABLE}
BY_NUMBER: dict[int, Reason] = {reason.number: reason for reason in REASONS.values()}
CODE: dict[int, str] = {reason.number: reason.code for reason in REASONS.values()}


def reason(name: str) -> Reason:
    """The row of a reason; KeyError for a name that the table does not have."""
    return REASONS[name]
