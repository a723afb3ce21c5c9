"""Random histories of holds, advices, voids and partial amounts: the core against an auditor's own model.

A failure prints its seed; run it alone with -k.
"""

import random
from typing import Any

import pytest

from switch.domain.payment import Kind, PaymentKey
from switch.domain.request import OriginalRef, PinCheck, Request
from switch.domain.wallet import Wallet
from switch.ledger.chart import Account
from tests.unit.decide import world
from tests.unit.decide.books import Books
from tests.unit.decide.holds_model import Ledger
from tests.unit.decide.sequences import POINTS_EXPIRE, Night

DAYS = (20260628, 20260629, 20260630, 20260701, 20260702)
NEXT = dict(zip(DAYS, (*DAYS[1:], 20260703), strict=True))
ACTS_A_DAY = 14
KIND = {
    "sale": Kind.PURCHASE,
    "offline": Kind.PURCHASE,
    "complete": Kind.PURCHASE,
    "hold": Kind.PREAUTH,
    "more": Kind.PREAUTH,
    "void": Kind.VOID,
    "refund": Kind.REFUND,
    "reversal": Kind.REVERSAL,
}
HOLDING, SELLING = ("hold", "more"), ("sale", "offline", "complete")
RETURNING = ("refund", "void")


class History:
    """Writes acts, sends each to the core and to the model, and compares all that stands."""

    def __init__(self, seed: int) -> None:
        self.draw = draw = random.Random(f"holds {seed}")
        lots = [
            world.charged(1, draw.choice((3_000, 90_000, 400_000)), expires=20310601),
            world.charged(2, draw.choice((1, 10_005, 290_000)), expires=20260701),
            world.points(3, draw.choice((1, 900, 9_000)), expires=20260630, funder_no=world.CITY),
            world.points(4, draw.choice((7, 4_000)), expires=20310630),
        ]
        wallet = world.wallet(*lots, points_on=draw.random() < 0.6)
        self.books = Books({1: wallet}, world.reference(hold_days=1, completion_over=100_000))
        name = {1: "charged", 2: "points"}
        known = {x.lot_no: (name[x.kind], x.balance, x.expires, bool(x.funder_no)) for x in lots}
        self.model = Ledger(known, wallet.points_on, NEXT)
        self.sent: dict[str, tuple[str, Request, int]] = {}
        self.ahead: list[tuple[str, str, Request]] = []
        self.today = DAYS[0]

    @property
    def wallet(self) -> Wallet:
        return self.books.wallets[1]

    def request(self, what: str, won: int, day: int, merchant: int, of: str = "", **more: Any) -> Request:
        number = len(self.sent) + len(self.ahead) + 1
        ref = None
        if of:
            named = self._named(of)
            key = named.key
            ref = OriginalRef(key.stan, named.transmission, (key.kind,), "T1", key.local_day)
        return Request(
            key=PaymentKey(self.wallet.bucket, day, 120_000, "T1", number, KIND[what]),
            wallet_id=1,
            card_no=self.draw.choice((1, 2)),
            programme_no=world.PROGRAMME_NO,
            merchant_no=merchant,
            amount=won,
            channel="pos",
            transmission=f"{number:010d}",
            rrn=f"{number:012d}",
            approval="000001",
            content=number,
            pin=PinCheck.NONE,
            expiry=None,
            original=ref,
            **more,
        )

    def _named(self, of: str) -> Request:
        return next(
            r for n, r in [(n, s[1]) for n, s in self.sent.items()] + [a[1:] for a in self.ahead] if n == of
        )

    def send(self, what: str, request: Request, of: str = "") -> None:
        """To both, and compare."""
        name, model, today = str(request.key.stan), self.model, self.today
        day, shop, won = request.key.local_day, request.merchant_no, request.amount
        self.sent[name] = (what, request, today)
        answer = self.books.request(request, today)
        if what in ("sale", "offline"):
            how = {"partial": request.partial, "advice": request.advice}
            expected = model.sale(name, won, day, today, shop, **how)
        elif what in HOLDING:
            expected = model.hold(name, won, day, today, shop, of=of, partial=request.partial)
        elif what == "complete":
            expected = model.complete(name, won, day, today, shop, of)
        elif what == "refund":
            expected = model.refund(name, won, today, of)
        elif what == "void":
            expected = model.void(name, won, today, of, of in self.sent and self.sent[of][2] == today)
        else:
            expected = model.reverse(name, won, today, of, request.replacement)
        model.swept = today
        assert (answer.stored.approved, answer.stored.cashback) == expected, (what, request)
        self.compare()
        if self.draw.random() < 0.1:
            again = self.books.request(request, today)
            assert again.repeated
            assert again.stored is answer.stored
            self.compare()

    def compare(self) -> None:
        wallet, model = self.wallet, self.model
        assert {no: lot.balance for no, lot in wallet.lots.items()} == model.won
        assert wallet.receivable == model.owed
        for month in (202606, 202607):
            usage = wallet.usage_of(month)
            assert (usage.spent, usage.basis) == (model.spent(month), model.usage(month))
        held = {seq: hold.uses for seq, hold in wallet.held.items()}
        expected = {}
        for name, act in model.acts.items():
            if act["what"] == "hold" and not act["base"] and act["got"]:
                pieces = model.pieces(name, model.swept)
                if pieces:
                    expected[self.books.stored[self.sent[name][1].key].seq] = pieces
        assert {seq: [(no, won) for no, _, won in uses] for seq, uses in held.items()} == expected
        accounts = self.books.accounts()
        for shop in (world.PLAIN, world.LIQUOR):
            assert -accounts[Account.MERCHANT_PAYABLE, shop] == model.merchants.get(shop, 0)
        treasury = [won for (account, _), won in accounts.items() if account == Account.TREASURY_RETURN]
        assert -sum(treasury) == model.treasury
        assert sum(accounts.values()) == 0

    def night(self, day: int) -> None:
        last_day = POINTS_EXPIRE[day // 100]
        self.model.night(day, self.today, self.wallet.lot_seq + 1, last_day)
        self.books.night(Night(day, self.today))
        self.compare()

    def act(self) -> None:
        """One message, about what was sent before, will be sent later, or nothing."""
        draw, today = self.draw, self.today
        if self.ahead and draw.random() < 0.5:
            what, _, request = self.ahead.pop(0)
            self.send(what, request)
            return
        dice = draw.random()
        won = draw.choice((1, 9, 101, 5_009, 10_005, 20_000, 60_000))
        shop = world.LIQUOR if draw.random() < 0.1 else world.PLAIN
        partial = draw.random() < 0.4
        if dice < 0.16:
            self.send("sale", self.request("sale", won, today, shop, partial=partial))
        elif dice < 0.24:
            day = draw.choice([day for day in DAYS if day <= today][-3:])
            self.send("offline", self.request("offline", won, day, shop, advice=True))
        elif dice < 0.42:
            self.send("hold", self.request("hold", won, today, shop, partial=partial))
        elif dice < 0.46:
            late = self.request(*("hold", won, today, shop))
            self.ahead.append(("hold", str(late.key.stan), late))
            self.follow("reversal", str(late.key.stan))
            if draw.random() < 0.5:
                self.follow("complete", str(late.key.stan))
        else:
            what = draw.choice(
                ("more", "complete", "complete", "void", "refund", "reversal", "reversal", "reversal")
            )
            fitting = {
                **dict.fromkeys(("more", "complete"), HOLDING),
                "void": HOLDING + SELLING,
                "refund": SELLING,
                "reversal": HOLDING + SELLING + RETURNING,
            }
            able = [name for name, sent in self.sent.items() if sent[0] in fitting[what]][-8:]
            if able:
                self.follow(what, draw.choice(able))

    def follow(self, what: str, of: str) -> None:
        """A message that names another."""
        draw, named, today = self.draw, self._named(of), self.today
        asked, got = named.amount, self.model.acts.get(of, {}).get("got", 0)
        more: dict[str, Any] = {}
        won = draw.choice((asked, asked, got or asked))
        day = today
        if what in ("more", "complete"):
            won = max(1, draw.choice((asked, asked // 2, asked + 500, 3_000)))
            more["advice"] = what == "complete"
            if what == "complete":
                day = draw.choice([day for day in DAYS if named.key.local_day <= day <= today])
        elif what == "refund":
            won = max(1, draw.choice((got, got // 3, got // 2, 5)))
        elif what == "reversal":
            day = named.key.local_day
            if draw.random() < 0.4:
                more["replacement"] = draw.choice((0, got // 2, got, got + 1, 1))
        self.send(what, self.request(what, won, day, named.merchant_no, of, **more), of)


def play(seed: int) -> History:
    history = History(seed)
    for number, day in enumerate(DAYS):
        history.today = day
        night_at = history.draw.randrange(ACTS_A_DAY)
        for at in range(ACTS_A_DAY):
            if number and at == night_at:
                history.night(DAYS[number - 1])
            history.act()
    return history


@pytest.mark.parametrize("start", range(0, 300, 100))
def test_random_holds_agree_with_the_model(start: int) -> None:
    for seed in range(start, start + 100):
        try:
            play(seed)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
