"""Explanations in Korean, in the polite form that a call centre speaks."""

from switch.domain.explain_words import Why, Words, clock_of, outer_name, plain

REASONS: dict[str, Why] = {
    "approved": Why("결제가 승인되었습니다."),
    "acknowledged": Why("전문은 접수되었으나 처리할 금액이 남아 있지 않았습니다."),
    "exception": Why("전문은 접수되었으며, 운영자 확인이 필요한 예외 목록에 올라 있습니다."),
    "partial_approval": Why(
        "이 가맹점에서 쓸 수 있는 금액이 모자라, 부분 승인을 받는 단말기이므로 일부만 승인되었습니다."
    ),
    "unknown_merchant": Why(
        "등록되지 않은 가맹점이거나 이 가맹점의 단말기가 아닙니다.", "가맹점과 단말기를 등록하면 됩니다."
    ),
    "merchant_closed": Why(
        "결제일에 지역화폐에 참여하지 않는 가맹점입니다.", "참여 가맹점에서 결제하면 됩니다."
    ),
    "invalid_transaction": Why("이곳에서는 할 수 없는 거래입니다."),
    "invalid_amount": Why("금액이 1원 이상이 아닙니다.", "1원 이상의 금액으로 요청하면 됩니다."),
    "unknown_card": Why("등록되지 않은 카드입니다.", "카드를 회원에게 등록하면 됩니다."),
    "format_error": Why("전문 형식이 규격에 맞지 않습니다.", "DE44에 표시된 항목을 고치면 됩니다."),
    "terminal_not_permitted": Why(
        "등록되지 않았거나 사용이 중지되었거나 개시되지 않은 단말기입니다.",
        "단말기를 개시하거나 사용 중지를 해제하면 됩니다.",
    ),
    "mac_failure": Why("전문 인증값(MAC)이 맞지 않습니다.", "단말기의 키를 다시 교환하면 됩니다."),
    "pin_key_error": Why(
        "단말기의 키로 비밀번호를 읽을 수 없었습니다.", "단말기의 키를 다시 교환하면 됩니다."
    ),
    "hsm_unavailable": Why("보안 모듈이 응답하지 않았습니다.", "잠시 후 다시 시도하면 됩니다."),
    "books_unavailable": Why("원장 시스템이 응답하지 않았습니다.", "잠시 후 다시 시도하면 됩니다."),
    "malfunction": Why("승인 시스템에 오류가 있었습니다.", "다시 시도하면 됩니다. 원인은 로그에 있습니다."),
    "implausible_date": Why("거래일자가 수신일과 너무 다릅니다.", "단말기의 시각을 맞추면 됩니다."),
    "no_policy": Why("이 날짜에 적용되는 정책이 아직 없습니다."),
    "other_programme": Why("다른 지역의 카드입니다.", "이 지역의 카드로 결제하면 됩니다."),
    "key_serial_replayed": Why(
        "이미 사용된 키 일련번호입니다. 전문이 재전송되었을 수 있습니다.",
        "다음 번호로 새 전문을 보내면 됩니다.",
    ),
    "certificate_not_permitted": Why(
        "접속에 쓰인 인증서가 이 단말기의 것이 아닙니다.", "단말기 자신의 인증서로 접속하면 됩니다."
    ),
    "session_superseded": Why(
        "이 단말기의 더 새로운 접속이 있습니다.", "최신 접속을 쓰거나 다시 개시하면 됩니다."
    ),
    "batch_closed": Why("단말기의 배치가 이미 마감되었습니다.", "다음 배치로 보내면 됩니다."),
    "out_of_balance": Why("단말기의 합계가 원장과 다릅니다.", "배치 상세 내역을 전송하면 됩니다."),
    "duplicate_differs": Why(
        "같은 거래가 다른 내용으로 이미 전송되었습니다.", "새 결제에는 새 거래번호를 써야 합니다."
    ),
    "card_expired": Why("유효기간이 지난 카드입니다.", "회원의 새 카드로 결제하면 됩니다."),
    "card_blocked": Why("사용이 정지된 카드입니다.", "운영자가 정지를 해제하면 됩니다."),
    "card_lost": Why(
        "분실 신고된 카드입니다.", "다른 카드로 결제해야 합니다. 이 카드는 다시 쓸 수 없습니다."
    ),
    "card_stolen": Why(
        "도난 신고된 카드입니다.", "다른 카드로 결제해야 합니다. 이 카드는 다시 쓸 수 없습니다."
    ),
    "wallet_stopped": Why("회원의 지갑이 정지되어 있습니다.", "운영자가 정지를 해제하면 됩니다."),
    "wrong_pin": Why("비밀번호가 틀렸습니다.", "올바른 비밀번호를 입력하면 됩니다."),
    "pin_tries_exceeded": Why(
        "비밀번호를 연속으로 너무 많이 틀렸습니다.", "운영자가 카드의 정지를 해제하면 됩니다."
    ),
    "merchant_restricted": Why(
        "회원이 가진 금액을 이 가맹점에서는 쓸 수 없습니다.",
        "다른 가맹점에서 결제해야 합니다. 충전하더라도 결제되지 않습니다.",
    ),
    "insufficient_funds": Why(
        "이 가맹점에서 쓸 수 있는 금액이 부족합니다.",
        figures="{short} 부족했습니다. {short} 이상 충전했다면 승인되었을 것입니다.",
    ),
    "over_payment_limit": Why(
        "1회 결제 한도를 초과했습니다.",
        figures="1회 한도 {limit}을 {short} 초과했습니다.",
    ),
    "over_day_limit": Why(
        "1일 결제 한도를 초과했습니다.",
        figures="1일 한도 {limit} 중 {used}을 이미 써서 {short} 초과했습니다.",
    ),
    "over_month_limit": Why(
        "월 결제 한도를 초과했습니다.",
        figures="월 한도 {limit} 중 {used}을 이미 써서 {short} 초과했습니다.",
    ),
    "over_topup_limit": Why(
        "월 충전 한도를 초과했습니다.",
        figures="월 충전 한도 {limit} 중 {used}을 이미 충전하여 {short} 초과했습니다.",
    ),
    "over_holding_limit": Why(
        "보유 한도를 초과했습니다.",
        figures="보유 한도는 {limit}이고 이미 {used}을 보유하고 있어 {short} 초과했습니다.",
    ),
    "over_issuance_limit": Why(
        "이번 달 발행 한도가 모두 소진되었습니다.",
        "발행 한도가 남아 있는 달에 충전하면 됩니다.",
        "이번 달 남은 발행 한도보다 {short} 많았습니다.",
    ),
    "too_many_topups": Why("아직 쓰지 않은 충전 건수가 너무 많습니다.", "충전금을 먼저 쓰면 됩니다."),
    "original_not_found": Why("원거래를 찾을 수 없습니다.", "원거래 정보를 보낸 그대로 적으면 됩니다."),
    "original_not_approved": Why("원거래가 승인되지 않아 돌려줄 금액이 없습니다."),
    "over_remaining": Why(
        "원거래에 남은 금액보다 많습니다.",
        figures="원거래 {limit} 중 {used}이 이미 취소되었습니다.",
    ),
    "reversed_before": Why("취소 전문이 먼저 도착하여 승인하지 않았습니다."),
    "amount_differs": Why("원거래 금액과 다릅니다.", "당일 취소는 전액으로만 할 수 있습니다."),
    "void_too_late": Why("원거래의 영업일이 지났습니다.", "당일 취소 대신 환불로 처리하면 됩니다."),
    "hold_closed": Why(
        "이미 완료되었거나 해제되었거나 기간이 지난 가승인입니다.", "새로 가승인을 받으면 됩니다."
    ),
    "too_many_holds": Why("진행 중인 가승인이 너무 많습니다.", "가승인을 먼저 완료하거나 해제하면 됩니다."),
    "entry_not_permitted": Why(
        "이 카드에는 쓸 수 없는 방식입니다.", "칩이나 QR 등 다른 방식으로 결제하면 됩니다."
    ),
    "pin_required": Why(
        "비밀번호 없는 비접촉 결제의 한도에 이르렀습니다.", "비밀번호를 입력하고 결제하면 됩니다."
    ),
    "unknown_case": Why(
        "이 가맹점의 지역화폐에 없는 기부 사연입니다.", "모금 중인 사연의 코드를 쓰면 됩니다."
    ),
    "case_closed": Why("종료된 기부 사연입니다.", "모금 중인 사연에 기부하면 됩니다."),
    "case_over": Why("기부 사연의 모금 기간이 끝났습니다.", "모금 중인 사연에 기부하면 됩니다."),
    "case_filled": Why(
        "기부 사연에 더 필요한 금액보다 많습니다.",
        figures="목표액 {limit} 중 {used}이 이미 모여 {short} 초과했습니다.",
    ),
    "gifts_only": Why("기부만 받는 가맹점입니다.", "기부할 사연을 지정하면 됩니다."),
    "case_elsewhere": Why(
        "이 가맹점에서 받지 않는 기부 사연입니다.", "사연이 등록된 곳에서 기부하면 됩니다."
    ),
    "stopped_by_watch": Why(
        "이상 거래로 의심되어 운영자가 확인할 때까지 사용이 정지되었습니다.",
        "운영자가 정지를 해제하면 됩니다.",
    ),
    "atc_replayed": Why(
        "이미 사용된 칩 거래 카운터입니다. 복제된 카드일 수 있습니다.", "칩을 다시 읽어 결제하면 됩니다."
    ),
    "cryptogram_failure": Why("칩의 암호문이 맞지 않습니다.", "정상 카드로 다시 결제하면 됩니다."),
    "cvv_failure": Why("카드 검증값(CVV)이 맞지 않습니다.", "카드에 적힌 값을 입력하면 됩니다."),
    "cvv_tries_exceeded": Why(
        "카드 검증값(CVV)을 연속으로 너무 많이 틀렸습니다.", "운영자가 카드의 정지를 해제하면 됩니다."
    ),
}

TEXT: dict[str, str] = {
    "headline_approved": "{moment} {merchant}, {kind} {amount}: 승인되었습니다.",
    "headline_partial": "{moment} {merchant}, {kind} {amount}: {approved}만 승인되었습니다.",
    "headline_noted": "{moment} {merchant}, {kind} {amount}: 접수되었으며 금액은 움직이지 않았습니다.",
    "headline_declined": "{moment} {merchant}, {kind} {amount}: 거절되었습니다({code}).",
    "headline_standing": "{programme} 회원 {member}, {moment} 기준입니다.",
    "answer": "판정 결과",
    "money": "결제 수단",
    "cashback": "캐시백",
    "returned": "취소 내역",
    "since": "이후 변동",
    "member": "회원",
    "record": "원장 기록",
    "limits": "한도",
    "lots": "잔액",
    "month": "이번 달 캐시백",
    "declined": "최근 거절",
    "no_merchant": "가맹점 없음",
    "cure": "승인되려면: {cure}",
    "would_pass": "{won}까지는 승인되었을 것입니다.",
    "resets": "한도는 {day} 00:00부터 새로 계산됩니다.",
    "also": "그 밖의 사유: {why}",
    "rule": "제한 규칙 {code}: {rule}.",
    "in_force": "{moment}부터 시행된 정책 버전 {version} 기준입니다.",
    "version": "{moment}부터 시행된 정책 버전 {version}에 따라 판정했습니다.",
    "original": "원거래: {moment} {kind} {won} (전표 번호 {seq}).",
    "note": "운영자 참고: {note}.",
    "case": "기부 사연 {case}에 대한 기부입니다.",
    "outside_ref": "충전의 외부 참조번호: {ref}.",
    "paid": "{place}. {won} – {lot}.",
    "held": "{won}을 {day}까지 잡아 두었습니다 – {lot}.",
    "released": "잡아 둔 {won}을 풀었습니다 – {lot}.",
    "opened": "{won}이 새 로트 {lot_no}번에 충전되었습니다.",
    "lot": "{kind}(로트 {lot_no}번)",
    "lot_of": "{funder} {kind} ‘{campaign}’(로트 {lot_no}번)",
    "lot_expires": "{lot}, {day}까지",
    "passed_short": "‘{campaign}’: 최소 결제금액에 {short} 모자라 쓰이지 않았습니다.",
    "passed_barred": "‘{campaign}’: 이 가맹점에서는 쓸 수 없어 쓰이지 않았습니다.",
    "missing": "{won} 부족했습니다.",
    "points_off": "포인트는 회원이 사용을 설정한 경우에만 쓰입니다.",
    "basis": "캐시백 대상 금액은 {basis}입니다({kinds}). 이 결제 전까지 {month}의 누적 대상 금액은"
    " {before}입니다.",
    "no_basis": "캐시백 대상({kinds})으로 결제한 금액이 없습니다.",
    "company": "법인 지갑에는 캐시백이 없습니다.",
    "no_piece": "해당하는 구간이나 추가 적립이 없어 캐시백이 없습니다.",
    "tier": "누적 {from_} 초과 {to} 이하 구간: {basis}의 {rate}",
    "bonus": "추가 적립 ‘{code}’: {basis}의 {rate}",
    "campaign": "캠페인 ‘{code}’: {basis}의 {rate}",
    "equals": "{piece} = {won}{shares}.",
    "floored": "{piece} = {exact}, 원 미만을 버려 {won}{shares}.",
    "capped": "{piece} = {exact}, 이 캠페인에서 회원이 더 받을 수 있는 금액이 {won}입니다{shares}.",
    "above_cap": "캐시백이 적립되는 월 한도 {cap}을 넘은 {won}에는 캐시백이 없습니다.",
    "due": "산정된 캐시백은 모두 {won}입니다.",
    "granted": "적립이 확정된 캐시백: {won}{shares}.",
    "missed": "{funder}의 예산 ‘{budget}’에 {month} 잔액이 모자라 {won}은 적립되지 않았습니다.",
    "kept": "적립된 {granted} 중 {kept}이 남아 있습니다.",
    "return": "{moment} {kind} {won}: 캐시백 {taken}을 회수하고 {kept}을 남겼습니다{shares}.",
    "return_none": "{moment} {kind} {won}: 회수한 캐시백이 없습니다.",
    "return_again": "{moment} {kind} {won}: 캐시백 {taken}을 다시 적립하여 {kept}이 되었습니다{shares}.",
    "recovered_again": "회수했던 캐시백 {won}을 되돌렸습니다 – {lot}.",
    "restored": "{won}을 되돌렸습니다 – {lot}.",
    "treasury": "유효기간이 지난 금액이므로 {won}은 {funder}에 귀속되었습니다.",
    "recovered": "회수한 캐시백 중 {won}을 잔액에서 뺐습니다 – {lot}.",
    "receivable": "캐시백 {won}은 이미 쓰였으므로 다음 적립에서 상계합니다.",
    "open_clawback": "회수분은 아직 지급되지 않은 적립 예정 금액에서 뺐습니다.",
    "undone": "이 취소는 나중에 다시 취소되었습니다.",
    "correction_less": "정정 {number}번: 정책 버전 {version} 기준 캐시백이 {won} 적습니다({state}).",
    "correction_more": "정정 {number}번: 정책 버전 {version} 기준 캐시백이 {won} 많습니다({state}).",
    "correction_shifted": "정정 {number}번: 정책 버전 {version} 기준 부담 기관이 바뀝니다({state}).",
    "corrected": "정정 처리 금액: {won}{shares}.",
    "waived": "{won}은 회수하지 않기로 했습니다.",
    "signature": "단말기 {terminal}, 거래번호 {stan}, 조회번호 {rrn}, 영업일 {day}.",
    "posting": "회원 {member}의 전표 {seq}번, 카드 {card}, 입력 방식 {entry}, 채널 {channel}.",
    "posting_back": "회원 {member}의 전표 {seq}번, 카드 {card}, 채널 {channel}.",
    "state": "카드: {cards}. 지갑 상태: {state}. 포인트: {points}.",
    "limit": "{name}: 한도 {limit} 중 {left}이 남았습니다({used} 사용).",
    "limit_resets": "{name}: 한도 {limit} 중 {left}이 남았습니다({used} 사용). {day} 00:00부터 새로"
    " 계산됩니다.",
    "limit_payment": "{name}: {limit}.",
    "no_limits": "정책에 정해진 한도가 없습니다.",
    "lot_has": "{lot}: {won}.",
    "lot_held": "{lot}: {won}, 그중 {held}은 가승인으로 잡혀 있습니다.",
    "lot_barred": "사용 제한: {rules}.",
    "no_lots": "지갑에 잔액이 없습니다.",
    "owed": "상계할 금액 {won}이 있으며 다음 캐시백에서 차감됩니다.",
    "month_cashback": "{month} 캐시백은 {won}입니다(대상 금액 {basis}).",
    "month_corrected": "{month} 결제에 대한 정정 금액: {won}.",
    "tier_left": "앞으로 {left}까지 {rate} 적립(누적 {from_} 초과 {to} 이하 구간).",
    "tier_none": "이번 달 캐시백 한도를 모두 써서 더 결제해도 구간 적립이 없습니다.",
    "decline_line": "{moment}, {merchant}, {amount}: {why}",
}

NAMES: dict[str, str] = {
    "purchase": "결제",
    "refund": "환불",
    "topup": "충전",
    "inquiry": "잔액 조회",
    "reversal": "취소 전문",
    "preauth": "가승인",
    "void": "당일 취소",
    "gift": "기부",
    "charged": "충전금",
    "points": "포인트",
    "grant": "정책 지원금",
    "coupon": "쿠폰",
    "keyed": "직접 입력",
    "stripe": "자기띠",
    "qr": "QR 코드",
    "chip": "IC 칩",
    "contactless": "비접촉",
    "ecommerce": "온라인 입력",
    "pos": "매장",
    "online": "온라인",
    "delivery": "배달",
    "mall": "온라인몰",
    "proposed": "제안됨(승인 전)",
    "approved": "승인됨(처리 전)",
    "posted": "처리 완료",
    "left_out": "결제가 변경되어 제외됨",
    "limit_payment": "1회 결제 한도",
    "limit_day": "1일 결제 한도",
    "limit_month": "월 결제 한도",
    "limit_topup_month": "월 충전 한도",
    "limit_holding": "보유 한도",
    "wallet_active": "정상",
    "wallet_stopped": "정지",
    "on": "사용",
    "off": "적립만",
    "active": "정상",
    "blocked": "정지",
    "lost": "분실",
    "stolen": "도난",
}


def _won(won: int) -> str:
    return f"{plain(won)}원"


def _day(day: int) -> str:
    return f"{day // 10_000}년 {day // 100 % 100}월 {day % 100}일"


def _month(month: int) -> str:
    return f"{month // 100}년 {month % 100}월"


def _moment(moment: int) -> str:
    return f"{_day(moment // 1_000_000)} {clock_of(moment)}"


KO = Words(TEXT, REASONS, NAMES, _won, _day, _month, _moment, outer_name)
"""Korean."""
