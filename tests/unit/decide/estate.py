"""Random days of terminals that use all of the protocol: holds, completions, voids, advices, partial amounts,
cards in every form. As `sequences`, nothing here knows how a payment is decided."""

from collections.abc import Iterator

from msgspec.structs import replace

from switch.domain.payment import Kind
from switch.domain.programme import Contactless
from switch.domain.request import Entry, PinCheck, Proof, Request
from switch.domain.wallet import Wallet
from switch.store.reference import Reference
from tests.unit.decide import world
from tests.unit.decide.sequences import DAYS, LIMITS, Act, Day, Night, _Writer, wallets

POLICY = {
    "hold_days": 1,
    "completion_over": 100_000,
    "contactless": Contactless(no_pin_max=60_000, no_pin_count_max=4, no_pin_sum_max=150_000),
}
FORMS = {1: "card", 2: "mobile"}
ENTRIES = {
    "card": (Entry.KEYED, Entry.CHIP, Entry.CONTACTLESS, Entry.STRIPE, Entry.ECOMMERCE),
    "mobile": (Entry.QR, Entry.CONTACTLESS, Entry.ECOMMERCE, Entry.KEYED),
}


class _Terminals(_Writer):
    """Writes what terminals send; `counter` counts each card's chip."""

    def __init__(self, seed: int, wallet_ids: range) -> None:
        super().__init__(seed, wallet_ids)
        self.counter = 0

    def shown(self, request: Request) -> Request:
        """The request with a way in, and what the card proved."""
        draw = self.draw
        entry = draw.choice(ENTRIES[FORMS[request.card_no]])
        atc, proof = 0, Proof.NONE
        if entry == Entry.CHIP:
            self.counter += 1
            atc = self.counter - draw.choice((0, 0, 0, 0, 3))
            proof = draw.choices((Proof.OK, Proof.WRONG_ARQC), (9, 1))[0]
        elif draw.random() < 0.3:
            proof = draw.choices((Proof.OK, Proof.WRONG_CVV), (5, 1))[0]
        return replace(
            request,
            entry=entry,
            atc=max(0, atc),
            proof=proof,
            partial=draw.random() < 0.3,
            batch_no=draw.choice((0, 1, 2)),
        )

    def vague(self, request: Request) -> Request:
        """The request, sometimes with an original that is named in part."""
        ref, draw = request.original, self.draw
        assert ref is not None
        if draw.random() < 0.8:
            return request
        missing = draw.choice(({"stan": 0}, {"transmission": ""}, {"stan": 0, "transmission": "", "rrn": ""}))
        named = {
            "rrn": f"{ref.stan:012d}",
            "amount": request.amount if request.key.kind == Kind.REVERSAL else 0,
            "merchant_no": request.merchant_no,
            "day_exact": draw.random() < 0.5,
            **missing,
        }
        return replace(request, original=replace(ref, **named))

    def advice(self, of: Request | None, wallet_id: int) -> Request:
        draw = self.draw
        if of is None:
            made = self.purchase(wallet_id)
        else:
            amount = draw.choice((of.amount, max(1, of.amount * 2 // 3), of.amount + draw.randint(1, 9_000)))
            made = self.request(Kind.PURCHASE, wallet_id, amount, of.merchant_no, of)
        return replace(self.shown(made), advice=True, partial=False, pin=PinCheck.NONE)

    def acts(self) -> list[Request]:
        draw = self.draw
        wallet_id = draw.choice(self.wallet_ids)
        sent = self.sent[wallet_id]
        asked = [r for r in sent[-20:] if r.key.kind == Kind.PREAUTH]
        dice = draw.random()
        if dice < 0.45 or not sent:
            return [self._dressed(one) for one in super().acts()]
        if dice < 0.60 or not asked:
            return [self._preauth(wallet_id)]
        of = draw.choice(asked)
        if dice < 0.66:
            amount = draw.choice((1_000, 20_000))
            more = self.request(Kind.PREAUTH, wallet_id, amount, of.merchant_no, of)
            return [self.vague(self.shown(more))]
        if dice < 0.76:
            return [self.vague(self.advice(of, wallet_id))]
        if dice < 0.79:
            return [self.advice(None, wallet_id)]
        if dice < 0.81:
            late = self._preauth(wallet_id)
            first = self.request(Kind.REVERSAL, wallet_id, late.amount, late.merchant_no, late)
            return [first, self.advice(late, wallet_id), *([late] if draw.random() < 0.5 else [])]
        able = [r for r in sent[-14:] if r.key.kind not in (Kind.REVERSAL, Kind.INQUIRY)] or [of]
        of = draw.choice(able)
        if dice < 0.89:
            amount = of.amount if draw.random() < 0.9 else of.amount + 1
            return [self.vague(self.request(Kind.VOID, wallet_id, amount, of.merchant_no, of))]
        back = self.request(Kind.REVERSAL, wallet_id, of.amount, of.merchant_no, of)
        if draw.random() < 0.5:
            back = replace(back, replacement=draw.randint(0, of.amount + 1))
        return [self.vague(back)]

    def _preauth(self, wallet_id: int) -> Request:
        bought = self.purchase(wallet_id)
        return self.shown(self.request(Kind.PREAUTH, wallet_id, bought.amount, bought.merchant_no))

    def _dressed(self, one: Request) -> Request:
        if one.key.kind in (Kind.REVERSAL, Kind.REFUND) or one in self.sent[one.wallet_id]:
            return one
        return self.shown(one)


def members(seed: int, count: int) -> dict[int, Wallet]:
    """As `sequences.wallets`, each with a plastic card and a telephone."""
    found = wallets(seed, count)
    for wallet in found.values():
        wallet.cards = {no: replace(card, form=FORMS[no]) for no, card in wallet.cards.items()}
    return found


def estate(seed: int, *, wallet_count: int, requests_a_day: int) -> Iterator[Act]:
    """Five days of requests; the night of each falls into the next one. The same seed, the same acts."""
    writer = _Terminals(seed, range(1, wallet_count + 1))
    for number, day in enumerate(DAYS):
        writer.today = day
        yield Day(day)
        if number:
            yield Night(DAYS[number - 1], day)
        done = 0
        while done < requests_a_day:
            for request in writer.acts():
                writer.sent[request.wallet_id].append(request)
                done += 1
                yield request


def reference() -> Reference:
    """The world with rules for holds and contactless payments."""
    return world.reference(LIMITS, **POLICY)
