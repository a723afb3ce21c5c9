"""Explanations in English."""

from switch.domain.explain_words import Why, Words, clock_of, inner_name, plain

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

REASONS: dict[str, Why] = {
    "approved": Why("The payment was approved."),
    "acknowledged": Why("The message was taken note of; there was nothing to move any more."),
    "exception": Why("The message was taken note of, and waits on the list of exceptions for an operator."),
    "partial_approval": Why(
        "The money that may be spent here did not cover all of it, and the terminal takes less."
    ),
    "unknown_merchant": Why(
        "The merchant is unknown, or this terminal is not its own.", "Register the merchant and its terminal."
    ),
    "merchant_closed": Why(
        "The merchant takes no part in the programme on this day.", "Pay at a merchant that takes part."
    ),
    "invalid_transaction": Why("This kind of payment is not possible here."),
    "invalid_amount": Why("The amount is not 1 won or more.", "Send an amount of at least 1 won."),
    "unknown_card": Why("The card is not registered.", "Register the card to a member."),
    "format_error": Why("The message breaks the specification.", "Correct the field that DE44 names."),
    "terminal_not_permitted": Why(
        "The terminal is unknown, stopped or not signed on.", "Sign the terminal on, or let it in again."
    ),
    "mac_failure": Why("The message's authentication code is wrong.", "Exchange the terminal's keys again."),
    "pin_key_error": Why(
        "The PIN could not be read under the terminal's key.", "Exchange the terminal's keys again."
    ),
    "hsm_unavailable": Why("The security module did not answer.", "Trying again later would have helped."),
    "books_unavailable": Why("The books did not answer.", "Trying again later would have helped."),
    "malfunction": Why("The switch failed.", "Trying again would have helped; the log names the failure."),
    "implausible_date": Why(
        "The payment's date lies too far from the day of its arrival.", "Set the terminal's clock."
    ),
    "no_policy": Why("The programme has no rules for this date yet."),
    "other_programme": Why(
        "The card belongs to another city's programme.", "Pay with a card of this programme."
    ),
    "key_serial_replayed": Why(
        "The key serial number was used before: somebody may be repeating messages.",
        "A new message with the next number.",
    ),
    "certificate_not_permitted": Why(
        "The line's certificate is not this terminal's.", "Connect with the terminal's own certificate."
    ),
    "session_superseded": Why(
        "A newer line speaks for this terminal.", "Use the newest line, or sign on again."
    ),
    "batch_closed": Why("The terminal's batch was closed already.", "Send it in the next batch."),
    "out_of_balance": Why("The terminal's totals differ from the books.", "Upload the batch's details."),
    "duplicate_differs": Why(
        "The same payment was sent before with other contents.", "A new payment needs a new trace number."
    ),
    "card_expired": Why("The card had expired.", "Pay with the member's new card."),
    "card_blocked": Why("The card was blocked.", "The operator unblocks it."),
    "card_lost": Why("The card was reported lost.", "Pay with another card; this one never works again."),
    "card_stolen": Why("The card was reported stolen.", "Pay with another card; this one never works again."),
    "wallet_stopped": Why("The member's wallet was stopped.", "The operator opens it again."),
    "wrong_pin": Why("The PIN was wrong.", "The right PIN."),
    "pin_tries_exceeded": Why(
        "There had been too many wrong PINs in a row.", "The operator unblocks the card."
    ),
    "merchant_restricted": Why(
        "The member's money may not be spent at this merchant.",
        "Another merchant; more money would not have helped.",
    ),
    "insufficient_funds": Why(
        "The money that may be spent here did not suffice.",
        figures="{short} were missing: a top-up of {short} would have made it pass.",
    ),
    "over_payment_limit": Why(
        "It was over the limit for one payment.",
        figures="{short} over the limit of {limit} for one payment.",
    ),
    "over_day_limit": Why(
        "It was over the limit for one day.",
        figures="{short} over the daily limit of {limit}, of which {used} were used.",
    ),
    "over_month_limit": Why(
        "It was over the limit for one month.",
        figures="{short} over the monthly limit of {limit}, of which {used} were used.",
    ),
    "over_topup_limit": Why(
        "It was over the month's limit for top-ups.",
        figures="{short} over the month's top-up limit of {limit}, of which {used} were used.",
    ),
    "over_holding_limit": Why(
        "It was over what a wallet may hold.",
        figures="{short} over the most that a wallet may hold, {limit}; it held {used}.",
    ),
    "over_issuance_limit": Why(
        "The programme's issue of the month was used up.",
        "A top-up in a month whose issue is not used up yet.",
        "{short} were missing of the month's issue.",
    ),
    "too_many_topups": Why(
        "Too many top-ups of this wallet are not spent yet.", "Spending some of them first."
    ),
    "original_not_found": Why("The payment that it names is unknown.", "Name the original as it was sent."),
    "original_not_approved": Why("The payment that it names was not approved: there is nothing to return."),
    "over_remaining": Why(
        "It was more than remains of the original payment.",
        figures="{used} of {limit} had come back already.",
    ),
    "reversed_before": Why("Its reversal had come first, so it must not be booked."),
    "amount_differs": Why(
        "It was not the amount of the original payment.", "A void takes back the whole amount."
    ),
    "void_too_late": Why("The original's business date had passed.", "A refund instead of a void."),
    "hold_closed": Why("The pre-authorisation was completed, released or had expired.", "A new one."),
    "too_many_holds": Why(
        "The wallet had too many open pre-authorisations.", "Completing or releasing one of them first."
    ),
    "entry_not_permitted": Why(
        "This form of card cannot be used in this way.", "Another way of reading it, such as its chip or QR."
    ),
    "pin_required": Why(
        "Contactless payments without a PIN had reached their limit.", "The same payment with the PIN."
    ),
    "unknown_case": Why(
        "The merchant's programme has no such donation case.", "The code of a case that is open."
    ),
    "case_closed": Why("The donation case is closed.", "A gift to a case that is open."),
    "case_over": Why("The last day of the donation case had passed.", "A gift to a case that is open."),
    "case_filled": Why(
        "It was more than the donation case still needs.",
        figures="{short} more than the case still needs: of {limit}, {used} have been given.",
    ),
    "gifts_only": Why(
        "This merchant takes gifts to donation cases and nothing else.", "A gift that names its case."
    ),
    "case_elsewhere": Why(
        "This merchant takes no gifts to that donation case.", "A gift where the case is posted."
    ),
    "stopped_by_watch": Why(
        "Payments are stopped until an operator has looked into what the watch has found.",
        "The operator's release.",
    ),
    "atc_replayed": Why("The chip's counter was used before: the card may be a copy.", "A new chip reading."),
    "cryptogram_failure": Why("The chip's cryptogram was wrong.", "A genuine card, read anew."),
    "cvv_failure": Why("The card verification value was wrong.", "The value that stands on the card."),
    "cvv_tries_exceeded": Why(
        "There had been too many wrong verification values in a row.", "The operator unblocks the card."
    ),
}

TEXT: dict[str, str] = {
    "headline_approved": "{kind} of {amount} at {merchant} on {moment}: approved.",
    "headline_partial": "{kind} of {amount} at {merchant} on {moment}: approved for {approved}.",
    "headline_noted": "{kind} of {amount} at {merchant} on {moment}: answered, and no money moved.",
    "headline_declined": "{kind} of {amount} at {merchant} on {moment}: declined ({code}).",
    "headline_standing": "Member {member} of {programme} on {moment}.",
    "answer": "The answer",
    "money": "The money",
    "cashback": "The cashback",
    "returned": "What came back",
    "since": "What happened since",
    "member": "The member",
    "record": "Where it stands in the books",
    "limits": "Limits",
    "lots": "Money",
    "month": "Cashback of the month",
    "declined": "Declined lately",
    "no_merchant": "no merchant",
    "cure": "What would have made it pass: {cure}",
    "would_pass": "Up to {won} would have passed.",
    "resets": "It counts anew from {day} 00:00.",
    "also": "Also: {why}",
    "rule": "Rule {code}: {rule}.",
    "in_force": "By version {version} of the rules, in force since {moment}.",
    "version": "Judged by version {version} of the rules, in force since {moment}.",
    "original": "It belongs to the {kind} of {won} on {moment} (posting {seq}).",
    "note": "Noted for the operator: {note}.",
    "case": "It was a gift to the donation case {case}.",
    "outside_ref": "Outside reference of the top-up: {ref}.",
    "paid": "{place}. {won} from {lot}.",
    "held": "{won} of {lot} are held until {day}.",
    "released": "{won} of {lot} were released.",
    "opened": "It opened lot {lot_no} with {won}.",
    "lot": "{kind} (lot {lot_no})",
    "lot_of": "{kind} “{campaign}” of {funder} (lot {lot_no})",
    "lot_expires": "{lot}, valid until {day}",
    "passed_short": "“{campaign}” did not pay: {short} below its minimum spend.",
    "passed_barred": "“{campaign}” did not pay: it may not be spent at this merchant.",
    "missing": "{won} were missing.",
    "points_off": "Points are spent only if the member has switched them on.",
    "basis": "{basis} of it counted for cashback ({kinds}); {before} had counted in {month} before it.",
    "no_basis": "Nothing of it was paid with money that earns cashback ({kinds}).",
    "company": "A company's wallet earns no cashback.",
    "no_piece": "No tier and no bonus covers it: it earned no cashback.",
    "tier": "Tier {from_} to {to}: {rate} of {basis}",
    "bonus": "Bonus “{code}”: {rate} of {basis}",
    "campaign": "Campaign “{code}”: {rate} of {basis}",
    "equals": "{piece} = {won}{shares}.",
    "floored": "{piece} = {exact}, floored to {won}{shares}.",
    "capped": "{piece} = {exact}, but only {won} were left to this member of the campaign{shares}.",
    "above_cap": "{won} lay above the month's {cap}, up to which cashback is earned.",
    "due": "Due in all: {won}.",
    "granted": "Granted: {won}{shares}.",
    "missed": "The budget “{budget}” of {funder} had nothing left for {won} of it in {month}.",
    "kept": "Of the {granted} granted, {kept} still stand.",
    "return": "{moment}: {kind} of {won}; {taken} of cashback were clawed back{shares}, {kept} were kept.",
    "return_none": "{moment}: {kind} of {won}; no cashback was clawed back.",
    "return_again": "{moment}: {kind} of {won}; {taken} of cashback granted again{shares}, {kept} stand.",
    "recovered_again": "{won} of cashback went back to {lot}.",
    "restored": "{won} went back to {lot}.",
    "treasury": "{won} went to {funder}: the lot had expired.",
    "recovered": "Of the cashback {won} were taken from {lot}.",
    "receivable": "{won} of cashback had been spent: the member owes them to the next credit.",
    "open_clawback": "The cashback was taken from what was promised and not yet credited.",
    "undone": "This return was itself reversed later.",
    "correction_less": "Correction {number}: by version {version} it is {won} of cashback less; {state}.",
    "correction_more": "Correction {number}: by version {version} it is {won} of cashback more; {state}.",
    "correction_shifted": "Correction {number}: by version {version} other funders pay it; {state}.",
    "corrected": "Booked: {won}{shares}.",
    "waived": "{won} were waived.",
    "signature": "Terminal {terminal}, trace number {stan}, reference {rrn}, business date {day}.",
    "posting": "Posting {seq} of member {member}, card {card}, {entry}, channel {channel}.",
    "posting_back": "Posting {seq} of member {member}, card {card}, channel {channel}.",
    "state": "Cards: {cards}. The wallet is {state}; points are {points}.",
    "limit": "{name}: {left} left of {limit} ({used} used).",
    "limit_resets": "{name}: {left} left of {limit} ({used} used); it counts anew from {day} 00:00.",
    "limit_payment": "{name}: {limit}.",
    "no_limits": "The rules set no limit.",
    "lot_has": "{won} in {lot}.",
    "lot_held": "{won} in {lot}; {held} of it are held by pre-authorisations.",
    "lot_barred": "Restrictions: {rules}.",
    "no_lots": "There is no money in the wallet.",
    "owed": "The member owes {won}, which the next cashback pays off.",
    "month_cashback": "{won} of cashback in {month}, on {basis} that counted.",
    "month_corrected": "Corrections of payments of {month}: {won}.",
    "tier_left": "{rate} on the next {left} ({from_} to {to}).",
    "tier_none": "This month's cashback is used up: what is spent now earns nothing from the tiers.",
    "decline_line": "{moment}, {merchant}, {amount}: {why}",
}

NAMES: dict[str, str] = {
    "purchase": "purchase",
    "refund": "refund",
    "topup": "top-up",
    "inquiry": "balance inquiry",
    "reversal": "reversal",
    "preauth": "pre-authorisation",
    "void": "void",
    "gift": "gift",
    "charged": "charged money",
    "points": "points",
    "grant": "grant",
    "coupon": "coupon",
    "keyed": "keyed in",
    "stripe": "magnetic stripe",
    "qr": "QR code",
    "chip": "chip",
    "contactless": "contactless",
    "ecommerce": "online entry",
    "pos": "shop",
    "online": "online",
    "delivery": "delivery",
    "mall": "mall",
    "proposed": "proposed, not approved yet",
    "approved": "approved, not posted yet",
    "posted": "posted",
    "left_out": "left out, because the payment had changed",
    "limit_payment": "One payment",
    "limit_day": "One day",
    "limit_month": "One month",
    "limit_topup_month": "Top-ups of a month",
    "limit_holding": "Holding",
    "wallet_active": "open",
    "wallet_stopped": "stopped",
    "on": "spent",
    "off": "saved",
    "active": "active",
    "blocked": "blocked",
    "lost": "lost",
    "stolen": "stolen",
}


def _won(won: int) -> str:
    return f"{plain(won)} won"


def _day(day: int) -> str:
    return f"{day % 100} {_MONTHS[day // 100 % 100 - 1]} {day // 10_000}"


def _month(month: int) -> str:
    return f"{_MONTHS[month % 100 - 1]} {month // 100}"


def _moment(moment: int) -> str:
    return f"{_day(moment // 1_000_000)}, {clock_of(moment)}"


EN = Words(TEXT, REASONS, NAMES, _won, _day, _month, _moment, inner_name)
"""English."""
