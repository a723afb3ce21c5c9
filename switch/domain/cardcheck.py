"""May this card be used in this way: its state, its form, its chip's counter, its proof, its PIN.

The order of the questions is the order in which an answer helps a cardholder. What is counted (wrong PINs and
verification values, the chip's counter, contactless payments without a PIN) comes back as the card's new
counters, whatever the answer.
"""

from msgspec.structs import replace

from switch.domain.payment import Kind
from switch.domain.request import Entry, PinCheck, Proof, Request, Terms
from switch.domain.spend import without_pin
from switch.domain.wallet import Card, Wallet

# Looked up once: an enumeration's member costs a search at each use.
_CONTACTLESS = Entry.CONTACTLESS
_OK, _WRONG_ARQC, _WRONG_CVV = Proof.OK, Proof.WRONG_ARQC, Proof.WRONG_CVV
_PIN_OK, _PIN_WRONG = PinCheck.OK, PinCheck.WRONG

_CARD_STATES = {"blocked": "card_blocked", "lost": "card_lost", "stolen": "card_stolen"}

# Which forms of a token each way into the terminal can be.
_FORMS: dict[int, tuple[str, ...]] = {
    Entry.KEYED: ("card",),
    Entry.STRIPE: ("card",),
    Entry.CHIP: ("card",),
    Entry.QR: ("qr", "mobile"),
    Entry.CONTACTLESS: ("card", "mobile"),
    Entry.ECOMMERCE: ("card", "mobile"),
}
_WITH_CVV = frozenset({Entry.KEYED, Entry.STRIPE, Entry.ECOMMERCE})
"""Where a verification value (CVV, CVV2) proves the card: only there do wrong ones block it."""

_WITH_TAPS = frozenset({Kind.PURCHASE, Kind.PREAUTH, Kind.GIFT})


def check_card(
    request: Request, wallet: Wallet, terms: Terms, pin_tries_max: int, cvv_tries_max: int
) -> tuple[str | None, Card | None]:
    """The reason to refuse (or None) and the card with its new counters (or None: unchanged)."""
    card = wallet.cards[request.card_no]
    if not request.atc:
        return _check(request, wallet, terms, card, pin_tries_max, cvv_tries_max)
    # The highest counter is kept whatever the answer; a wrong cryptogram proves no counter, or anybody could
    # bar a card with one message.
    seen = request.atc > card.atc and request.proof not in (_WRONG_ARQC, _WRONG_CVV)
    refused, changed = _check(request, wallet, terms, card, pin_tries_max, cvv_tries_max)
    return refused, replace(changed or card, atc=request.atc) if seen else changed


def _check(
    request: Request, wallet: Wallet, terms: Terms, card: Card, pin_tries_max: int, cvv_tries_max: int
) -> tuple[str | None, Card | None]:
    refused = _state(request, wallet, card, pin_tries_max)
    if refused is None:
        refused = _use(request, card, cvv_tries_max)
    if refused is not None:
        return refused, None
    if request.proof == _WRONG_CVV:
        tries = card.cvv_tries + 1
        name = "cvv_tries_exceeded" if tries >= cvv_tries_max else "cvv_failure"
        return name, replace(card, cvv_tries=tries)
    changed: Card | None = None
    if card.cvv_tries and request.proof == _OK and request.entry in _WITH_CVV:
        changed = replace(card, cvv_tries=0)
    if request.pin == _PIN_WRONG:
        tries = card.pin_tries + 1
        name = "pin_tries_exceeded" if tries >= pin_tries_max else "wrong_pin"
        return name, replace(changed or card, pin_tries=tries)
    if request.pin == _PIN_OK and (card.pin_tries or card.tap_count or card.tap_won):
        changed = replace(changed or card, pin_tries=0, tap_count=0, tap_won=0)
    if request.entry == _CONTACTLESS and _needs_pin(request, card, terms):
        return "pin_required", changed
    return None, changed


def _state(request: Request, wallet: Wallet, card: Card, pin_tries_max: int) -> str | None:
    if not wallet.active:
        return "wallet_stopped"
    if card.state != "active":
        return _CARD_STATES.get(card.state, "card_blocked")
    if card.expiry < request.key.local_day // 100 % 10_000 or request.expiry not in (None, card.expiry):
        return "card_expired"
    if card.pin_tries >= pin_tries_max:
        return "pin_tries_exceeded"  # with or without a PIN: only an operator unblocks the card
    return None


def _use(request: Request, card: Card, cvv_tries_max: int) -> str | None:
    if card.form not in _FORMS[request.entry]:
        return "entry_not_permitted"
    # A thief who guesses verification values must not bar the holder's chip: it is the use that is blocked.
    if card.cvv_tries and card.cvv_tries >= cvv_tries_max and request.entry in _WITH_CVV:
        return "cvv_tries_exceeded"
    if request.proof == _WRONG_ARQC:
        return "cryptogram_failure"
    if 0 < request.atc <= card.atc and (not request.advice or request.atc == card.atc):
        return "atc_replayed"  # an advice may come late: only the very counter booked last is worth a look
    return None


def _needs_pin(request: Request, card: Card, terms: Terms) -> bool:
    """Whether a contactless payment without a good PIN is over its limit, alone or with those before it."""
    if request.key.kind not in _WITH_TAPS or request.advice or not without_pin(request):
        return False
    limits = terms.policy.contactless
    return (
        0 < limits.no_pin_max < request.amount
        or 0 < limits.no_pin_count_max < card.tap_count + 1
        or 0 < limits.no_pin_sum_max < card.tap_won + request.amount
    )


def tapped(card: Card, won: int) -> Card:
    """The card after a contactless payment of `won` without a PIN; `won` < 0 after one was taken back.

    A reversal gives the sum its won back, never the count: a tap happened, and the count guards a card in
    a stranger's hand.
    """
    return replace(card, tap_count=card.tap_count + (won > 0), tap_won=max(0, card.tap_won + won))
