"""The words of the papers in Korean and English. Korean is what merchants and the city read."""

from settlement.errors import UsageError
from settlement.papers.words_city import CITY

LANGS = ("ko", "en")

_STATEMENT: dict[str, tuple[str, str]] = {
    "title": ("가맹점 정산 내역서", "Merchant settlement statement"),
    "page": ("{} / {} 쪽", "page {} of {}"),
    "unit": ("요약 (원)", "Summary (won)"),
    "programme": ("지역화폐", "Programme"),
    "merchant": ("가맹점", "Merchant"),
    "business_no": ("사업자등록번호", "Business number"),
    "period": ("기간", "Period"),
    "settled": ("정산 완료 영업일", "Settled through"),
    "nothing_settled": ("이 기간에 정산된 날이 없습니다", "no date of this period is settled"),
    "paid_in_all": ("이 기간 지급액 (원)", "Paid for this period (won)"),
    "sums": ("정산 요약", "How it adds up"),
    "item": ("항목", "Item"),
    "won": ("금액(원)", "Won"),
    "opening": ("전 기간 이월액", "Carried in at the beginning"),
    "sales": ("매출", "Sales"),
    "refunds": ("취소·환불", "Refunds"),
    "fee": ("수수료", "Fee"),
    "vat": ("수수료 부가세", "VAT on fee"),
    "rebate": ("수수료 환급", "Fee rebate"),
    "rebate_vat": ("환급 부가세", "VAT rebated"),
    "subsidy": ("지원금", "Subsidy"),
    "reserved": ("유보금", "Kept back"),
    "released": ("유보금 해제", "Released"),
    "reserve": ("유보금 잔액 (원)", "Kept back in all (won)"),
    "held": ("지급 보류 사유", "Why held"),
    "held_hold": ("운영자가 지급 보류", "the operator holds payouts"),
    "held_account": ("등록된 계좌 없음", "no bank account"),
    "held_own": ("등록된 계좌가 지급 계좌임", "its account is the one that pays"),
    "held_small": ("지급 단위 미만", "less than one unit of payouts"),
    "rounding": ("단수 차이", "Rounding"),
    "paid": ("지급액", "Paid"),
    "due": ("합계", "Sum"),
    "paid_of": ("합계 중 지급액", "of which paid"),
    "closing": ("합계 중 다음 기간 이월액", "of which carried out"),
    "days": ("일자별 정산", "By business date"),
    "date": ("영업일", "Date"),
    "cycle": ("회차", "Cycle"),
    "rate": ("수수료율", "Rate"),
    "carried_in": ("전일 이월", "Carried in"),
    "carried_out": ("다음 이월", "Carried out"),
    "total": ("합계", "Total"),
    "payouts": ("입금 내역", "Payouts"),
    "pay_on": ("입금(예정)일", "Pay day"),
    "account": ("계좌", "Account"),
    "state": ("상태", "State"),
    "payments": ("거래 내역", "Payments"),
    "time": ("거래 시각", "Time"),
    "terminal": ("단말기", "Terminal"),
    "approval": ("승인번호", "Approval"),
    "by_act": ("운영자 처리", "by the operator"),
    "again": ("재지급 {}회차", "attempt {}"),
    "arrived": ("입금 완료", "arrived"),
    "under_way": ("입금 예정·진행 중", "under way"),
    "not_arrived": ("미입금", "not arrived"),
    "ordered": ("입금 예정", "ordered"),
    "sent": ("은행 전송됨", "sent to the bank"),
    "accepted": ("은행 접수됨", "taken by the bank"),
    "booked": ("{} 입금 완료", "booked on {}"),
    "rejected": ("은행 거절: {}", "rejected: {}"),
    "returned": ("{} 반송: {}", "returned on {}: {}"),
    "no_reason": ("사유 미기재", "no reason given"),
    "superseded": ("재지급 (아래 참조)", "paid again below"),
    "read_1": (
        "계산: 전일 이월 + 매출 − 취소·환불 − 수수료 (± 그 밖의 항목) = 지급액 + 다음 이월",
        "How to read it: carried in + sales − refunds − fee (± other items) = paid + carried out.",
    ),
    "read_2": (
        "수수료 = (하루 매출 − 취소·환불) × 수수료율, 1원 미만은 버립니다. 환불이 더 많은 날은 돌려드립니다.",
        "Fee = (the day's sales − refunds) × rate, floored to a won; of a day below 0 it is given back.",
    ),
    "read_3": (
        "이월액이 음수이면 이후 매출에서 차감하고, 양수이면 지급을 보류한 금액이며 추후 지급합니다.",
        "What is carried below 0 is taken from later sales; above 0 it was held and is paid later.",
    ),
    "read_4": (
        "입금이 거절·반송되면 올바른 계좌를 운영자에게 알려 주십시오. 다음 정산 때 다시 지급합니다.",
        "If a payout was rejected or came back, tell the operator the right account: it is paid again.",
    ),
    "read_5": (
        "일자별 금액, 이월액, 합계를 검산한 뒤 발행한 문서입니다.",
        "Every line, what is carried from line to line, and all sums were checked before this was made.",
    ),
}

# External codes of ISO 20022 (ExternalStatusReason1Code, ExternalReturnReason1Code) that payees meet.
_REASON: dict[str, tuple[str, str]] = {
    "AC01": ("계좌번호 오류", "wrong account number"),
    "AC03": ("받는 계좌번호 오류", "wrong payee account"),
    "AC04": ("해지된 계좌", "account closed"),
    "AC06": ("거래가 막힌 계좌", "account blocked"),
    "AC07": ("해지된 받는 계좌", "payee account closed"),
    "AG01": ("이 계좌에 허용되지 않는 거래", "not allowed on this account"),
    "AG02": ("거래 종류 오류", "wrong kind of transaction"),
    "AM02": ("금액 한도 초과", "amount over the limit"),
    "AM04": ("출금 계좌 잔액 부족", "too little on the paying account"),
    "AM05": ("중복된 지급", "duplicate"),
    "BE01": ("예금주 불일치", "account holder does not match"),
    "BE04": ("받는 사람 주소 누락", "payee address missing"),
    "CUST": ("요청에 따른 취소", "taken back on request"),
    "DUPL": ("중복된 지급", "duplicate"),
    "FF01": ("형식 오류", "wrong format"),
    "MD07": ("예금주 사망", "account holder deceased"),
    "MS02": ("사유 미기재 (예금주)", "no reason given by the payee"),
    "MS03": ("사유 미기재 (은행)", "no reason given by the bank"),
    "NARR": ("은행에 문의", "ask the bank"),
    "RC01": ("은행 코드 오류", "wrong bank code"),
    "RR04": ("규정에 따른 사유", "regulatory reason"),
    "TM01": ("마감 시각 지남", "past the cut-off time"),
}


_WORDS = {**CITY, **_STATEMENT}


class Words:
    """The words of one language."""

    def __init__(self, lang: str) -> None:
        if lang not in LANGS:
            raise UsageError(f"--lang {lang!r}: the papers speak {' and '.join(LANGS)}")
        self.lang = lang
        self._at = LANGS.index(lang)

    def __getitem__(self, key: str) -> str:
        return _WORDS[key][self._at]

    def reason(self, code: str) -> str:
        """A bank's reason in words, with its code; an unknown code stands for itself."""
        if not code:
            return self["no_reason"]
        known = _REASON.get(code)
        return f"{known[self._at]} ({code})" if known else code
