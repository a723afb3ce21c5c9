"""What should happen, told a second time: dicts and plain arithmetic, payment by payment.

The switch works out differences and stores explanations; the model keeps, for every purchase, the pile of
won that still stands and the cashback that still stands for it, and rates the pile anew. Of the switch's
rules it uses one only, `cashback.rate`, which has tests of its own.
"""

from collections import Counter, defaultdict
from typing import Any

from switch.domain.cashback import rate
from switch.domain.payment import Kind
from switch.domain.request import PinCheck, Request
from switch.domain.wallet import Wallet
from tests.unit.decide import world
from tests.unit.decide.sequences import LIMITS, POINTS_EXPIRE, Night

BARRED = {world.LIQUOR: {"charged"}, world.DEPARTMENT: {"charged", "points"}}
KIND = {1: "charged", 2: "points"}
Answer = dict[str, Any]


class Model:
    """Wallets, payments and account totals (debit − credit, in won)."""

    def __init__(self, wallets: dict[int, Wallet]) -> None:
        self.wallets: dict[int, dict[str, Any]] = {
            number: {
                "on": w.points_on,
                "lots": {
                    no: {"kind": KIND[lot.kind], "won": lot.balance, "till": lot.expires, "of": lot.funder_no}
                    for no, lot in w.lots.items()
                },
                "usage": defaultdict(lambda: {"spent": 0, "basis": 0, "topup": 0}),
                "days": Counter[int](),
                "latest": 0,
                "owed": 0,
                "tries": Counter[int](),
            }
            for number, w in wallets.items()
        }
        self.accounts: Counter[tuple[str, int]] = Counter()
        self.accrued: Counter[tuple[int, int]] = Counter()  # (wallet, business day) → won not yet credited
        self.payments: dict[Any, Answer] = {}
        self.stones: set[tuple[int, str, int, str]] = set()
        self.credited = 0
        self.policies = {p.version: p for p in world.programme(LIMITS).policies}

    # ── asking ──────────────────────────────────────────────────────────────────────────────────────────
    def request(self, r: Request, today: int) -> Answer:
        """The answer to a request that is booked on `today`."""
        known = self.payments.get(r.key)
        if known is not None:
            return known
        w = self.wallets[r.wallet_id]
        answer: Answer = {"request": r, "today": today, "pile": [], "funders": Counter(), "reason": ""}
        answer |= {"approved": 0, "cashback": 0, "basis": 0, "returned": 0, "after": (0, 0)}
        self.payments[r.key] = answer
        answer["reason"] = self._decide(w, r, today, answer)
        if answer["reason"] == "approved":
            merchant: int = answer.get("place", r.merchant_no)
            day = max(r.key.local_day, today) if r.original else r.key.local_day
            answer["after"] = self._balances(w, merchant, day)
        return answer

    def _decide(self, w: dict[str, Any], r: Request, today: int, answer: Answer) -> str:
        if r.key.kind == Kind.REVERSAL:
            return self._reverse(w, r, today, answer)
        if (r.wallet_id, r.key.terminal_id, r.key.stan, r.transmission) in self.stones:
            return "reversed_before"
        if r.key.kind == Kind.REFUND:
            return self._refund(w, r, today, answer)
        if r.expiry not in (None, 3112):
            return "card_expired"
        if w["tries"][r.card_no] >= 3:
            return "pin_tries_exceeded"
        if r.pin != PinCheck.NONE:
            if r.pin == PinCheck.WRONG:
                w["tries"][r.card_no] += 1
                return "pin_tries_exceeded" if w["tries"][r.card_no] == 3 else "wrong_pin"
            w["tries"][r.card_no] = 0
        gone = r.merchant_no == world.GONE and r.key.local_day >= 20260701
        if gone and r.key.kind in (Kind.PURCHASE, Kind.TOPUP):
            return "merchant_closed"
        if r.key.kind == Kind.PURCHASE:
            return self._purchase(w, r, today, answer)
        if r.key.kind == Kind.TOPUP:
            return self._topup(w, r, answer)
        return "approved"

    def _purchase(self, w: dict[str, Any], r: Request, today: int, answer: Answer) -> str:
        day, merchant = r.key.local_day, r.merchant_no
        barred = BARRED.get(merchant, set())
        kinds = ["points", "charged"] if w["on"] else ["charged"]
        here = self._spendable(w, [k for k in kinds if k not in barred], day)
        have = sum(lot["won"] for _, lot in here)
        elsewhere = sum(lot["won"] for _, lot in self._spendable(w, [k for k in kinds if k in barred], day))
        if have < r.amount and (have + elsewhere >= r.amount or "charged" in barred):
            return "merchant_restricted"
        usage = w["usage"][day // 100]
        if r.amount > LIMITS.payment_max:
            return "over_payment_limit"
        if w["days"][day] + r.amount > LIMITS.day_max:
            return "over_day_limit"
        if usage["spent"] + r.amount > LIMITS.month_max:
            return "over_month_limit"
        if have < r.amount:
            return "insufficient_funds"
        left = r.amount
        for no, lot in here:
            won = min(left, lot["won"])
            if won:
                answer["pile"].append([no, won])
                self._lot(w, r.wallet_id, no, -won, ("merchant", merchant))
                left -= won
        answer["start"] = usage["basis"]
        answer["approved"] = r.amount
        answer["basis"] = self._basis(w, answer["pile"])
        answer["month"] = day // 100
        answer["cashback"] = self._rerate(r.wallet_id, answer, today)
        self._count(w, day, r.amount, answer["basis"])
        return "approved"

    def _topup(self, w: dict[str, Any], r: Request, answer: Answer) -> str:
        usage = w["usage"][r.key.local_day // 100]
        if usage["topup"] + r.amount > LIMITS.topup_month_max:
            return "over_topup_limit"
        if sum(lot["won"] for lot in w["lots"].values()) + r.amount > LIMITS.holding_max:
            return "over_holding_limit"
        no = max(w["lots"]) + 1
        w["lots"][no] = {"kind": "charged", "won": 0, "till": r.key.local_day + 5_0000, "of": 0}
        self._lot(w, r.wallet_id, no, r.amount, ("safeguarded", 0))
        usage["topup"] += r.amount
        answer |= {"approved": r.amount, "lot": no}
        return "approved"

    # ── giving back ─────────────────────────────────────────────────────────────────────────────────────
    def _original(self, r: Request) -> Answer | None:
        ref = r.original
        assert ref is not None
        for found in self.payments.values():
            q = found["request"]
            if (q.wallet_id, q.key.stan, q.key.kind in ref.kinds) == (r.wallet_id, ref.stan, True) and (
                q.key.terminal_id,
                q.transmission,
            ) == (ref.terminal_id, ref.transmission):
                return None if found["request"] is r else found
        return None

    def _refund(self, w: dict[str, Any], r: Request, today: int, answer: Answer) -> str:
        bought = self._original(r) if r.original and Kind.PURCHASE in r.original.kinds else None
        if bought is None:
            return "original_not_found"
        if bought["reason"] != "approved":
            return "original_not_approved"
        if r.amount > sum(won for _, won in bought["pile"]):
            return "over_remaining"
        self._give_back(w, r, today, answer, bought, r.amount)
        return "approved"

    def _reverse(self, w: dict[str, Any], r: Request, today: int, answer: Answer) -> str:
        of = self._original(r)
        if of is None:
            assert r.original is not None
            self.stones.add((r.wallet_id, r.original.terminal_id, r.original.stan, r.original.transmission))
            return "acknowledged"
        kind = of["request"].key.kind
        if of["reason"] != "approved" or kind == Kind.INQUIRY or of["returned"] == of["approved"]:
            return "acknowledged"
        if r.amount != of["request"].amount:
            return "exception"
        if kind == Kind.PURCHASE:
            self._give_back(w, r, today, answer, of, sum(won for _, won in of["pile"]))
            return "approved"
        if kind == Kind.TOPUP:
            if w["lots"][of["lot"]]["won"] < of["approved"]:
                return "exception"
            self._lot(w, r.wallet_id, of["lot"], -of["approved"], ("safeguarded", 0))
            w["usage"][of["request"].key.local_day // 100]["topup"] -= of["approved"]
            of["returned"] = answer["approved"] = of["approved"]
            return "approved"
        return self._undo_refund(w, r, today, answer, of)

    def _give_back(
        self, w: dict[str, Any], r: Request, today: int, answer: Answer, bought: Answer, amount: int
    ) -> None:
        place = bought["request"].merchant_no
        late = max(r.key.local_day, today)
        moved, left = [], amount
        while left:
            no, won = bought["pile"].pop()
            take = min(won, left)
            if take < won:
                bought["pile"].append([no, won - take])
            moved.append((no, take))
            left -= take
        back = []
        for no, won in moved:
            lot = w["lots"][no]
            if lot["till"] < late:  # money without a funder goes to the first one
                self._move(("merchant", place), ("treasury", lot["of"] or 1), won)
            else:
                self._lot(w, r.wallet_id, no, won, ("merchant", place))
                back.append((no, won))
        basis = self._basis(w, moved)
        taken = -self._rerate(r.wallet_id, bought, today)
        if taken > 0 and bought["today"] <= self.credited:
            answer["clawed"] = self._recover(w, r.wallet_id, today, late, taken, back)
        bought["returned"] += amount
        bought.setdefault("refunds", []).append(answer)
        self._count(w, bought["request"].key.local_day, -amount, -basis)
        answer |= {"approved": amount, "cashback": -taken, "basis": -basis, "place": place}
        answer |= {"bought": bought, "moved": moved, "back": back}

    def _recover(
        self,
        w: dict[str, Any],
        wallet_id: int,
        today: int,
        late: int,
        left: int,
        back: list[tuple[int, int]],
    ) -> list[tuple[int, int]]:
        clawed = []
        sources = [(no, lot["won"]) for no, lot in self._spendable(w, ["points"], late)]
        sources += [(no, won) for no, won in back if w["lots"][no]["kind"] == "charged"]
        for no, most in sources:
            won = min(most, left)
            if won:
                self._lot(w, wallet_id, no, -won, ("accrued", wallet_id))
                self.accrued[wallet_id, today] += won
                clawed.append((no, won))
                left -= won
        if left:
            w["owed"] += left
            self._move(("accrued", wallet_id), ("owed", wallet_id), -left)
            self.accrued[wallet_id, today] += left
        return clawed

    def _undo_refund(self, w: dict[str, Any], r: Request, today: int, answer: Answer, of: Answer) -> str:
        bought = of["bought"]
        standing = [refund for refund in bought["refunds"] if not refund.get("undone")]
        if standing[-1] is not of:
            return "exception"
        clawed = Counter(dict(of.get("clawed", ())))
        if any(w["lots"][no]["won"] + clawed[no] < won for no, won in of["back"]):
            return "exception"
        for no, won in clawed.items():
            self._lot(w, r.wallet_id, no, won, ("accrued", r.wallet_id))
            self.accrued[r.wallet_id, today] -= won
        back = dict.fromkeys(no for no, _ in of["back"])
        for no, won in reversed(of["moved"]):
            if no in back:
                self._lot(w, r.wallet_id, no, -won, ("merchant", of["place"]))
            else:
                self._move(("merchant", of["place"]), ("treasury", w["lots"][no]["of"] or 1), -won)
            if bought["pile"] and bought["pile"][-1][0] == no:
                bought["pile"][-1][1] += won
            else:
                bought["pile"].append([no, won])
        given = self._rerate(r.wallet_id, bought, today)
        basis = self._basis(w, of["moved"])
        self._count(w, bought["request"].key.local_day, of["approved"], basis)
        bought["returned"] -= of["approved"]
        of["returned"], of["undone"] = of["approved"], True
        answer |= {"approved": of["approved"], "cashback": given, "basis": basis, "place": of["place"]}
        return "approved"

    # ── the night ───────────────────────────────────────────────────────────────────────────────────────
    def night(self, night: Night) -> None:
        """Credit what was accrued on a business date."""
        expires = POINTS_EXPIRE[night.day // 100]
        for wallet_id, w in self.wallets.items():
            net = self.accrued.pop((wallet_id, night.day), 0)
            if net > 0:
                paid = min(net, w["owed"])
                w["owed"] -= paid
                self._move(("accrued", wallet_id), ("owed", wallet_id), paid)
                if net > paid:
                    lots = w["lots"].items()
                    match = [
                        n
                        for n, lot in lots
                        if (lot["kind"], lot["till"], lot["of"]) == ("points", expires, 0)
                    ]
                    no = match[0] if match else max(w["lots"]) + 1
                    w["lots"].setdefault(no, {"kind": "points", "won": 0, "till": expires, "of": 0})
                    self._lot(w, wallet_id, no, net - paid, ("accrued", wallet_id))
            elif net < 0:
                left = -net
                for no, lot in self._spendable(w, ["points"], night.booked_on):
                    won = min(left, lot["won"])
                    if won:
                        self._lot(w, wallet_id, no, -won, ("accrued", wallet_id))
                    left -= won
                w["owed"] += left
                self._move(("accrued", wallet_id), ("owed", wallet_id), -left)
        self.credited = night.day

    # ── arithmetic ──────────────────────────────────────────────────────────────────────────────────────
    def _move(self, debit: tuple[str, int], credit: tuple[str, int], won: int) -> None:
        self.accounts[debit] += won
        self.accounts[credit] -= won

    def _lot(self, w: dict[str, Any], wallet_id: int, no: int, won: int, other: tuple[str, int]) -> None:
        w["lots"][no]["won"] += won
        self._move(other, (w["lots"][no]["kind"], wallet_id), won)

    def _spendable(self, w: dict[str, Any], kinds: list[str], day: int) -> list[tuple[int, dict[str, Any]]]:
        found: list[tuple[int, dict[str, Any]]] = []
        for kind in kinds:
            lots = [(no, lot) for no, lot in w["lots"].items() if lot["kind"] == kind and lot["till"] >= day]
            found += sorted(lots, key=lambda item: (item[1]["till"], item[0]))
        return found

    def _balances(self, w: dict[str, Any], merchant: int, day: int) -> tuple[int, int]:
        kinds = {"charged", "points"} - BARRED.get(merchant, set()) - (set() if w["on"] else {"points"})
        free = sum(lot["won"] for _, lot in self._spendable(w, sorted(kinds), day))
        return sum(lot["won"] for lot in w["lots"].values()), free

    def _basis(self, w: dict[str, Any], parts: Any) -> int:
        return sum(won for no, won in parts if w["lots"][no]["kind"] == "charged")

    def _rerate(self, wallet_id: int, bought: Answer, today: int) -> int:
        """Make the cashback of a purchase what its standing pile earns; returns by how much it rose."""
        r = bought["request"]
        policy = self.policies["july" if r.key.local_day >= 20260701 else "june"]
        groups = {"traditional_market"} if r.merchant_no == world.MARKET else set()
        basis = self._basis(self.wallets[wallet_id], bought["pile"])
        rating = rate(policy, basis=basis, usage_before=bought["start"], groups=groups, channel="pos")
        now = Counter(dict(rating.by_funder))
        rise = 0
        for number, funder in enumerate(world.FUNDERS, 1):
            change = now[funder] - bought["funders"][funder]
            self._move(("funder", number), ("accrued", wallet_id), change)
            rise += change
        bought["funders"] = now
        self.accrued[wallet_id, today] += rise
        return rise

    def _count(self, w: dict[str, Any], day: int, spent: int, basis: int) -> None:
        usage = w["usage"][day // 100]
        usage["spent"] += spent
        usage["basis"] += basis
        w["latest"] = max(w["latest"], day)
        w["days"][day] += spent
