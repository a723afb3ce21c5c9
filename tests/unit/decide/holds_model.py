"""The rules of holds, advices, voids and partial amounts a second time, as an auditor would write them down.

Slow and plain: every question is answered from the list of what happened, nothing is kept twice. It shares
with the core only the rates of the test world. Money is won, days are yyyymmdd.
"""

from typing import Any

Uses = list[tuple[int, int]]
"""(lot number, won) in spending order."""

TIERS = {
    6: ((0, 300_000, 10), (300_000, 500_000, 7), (500_000, 1_000_000, 6)),
    7: ((0, 300_000, 5),),
}
"""By month: won of usage above, up to, percent."""
BARRED = {3: ("charged",)}
"""By merchant: kinds of value that it may not take."""


def cashback(month: int, before: int, basis: int) -> int:
    """Won that `basis` earns after `before` won of the month; every segment is floored on its own."""
    won = 0
    for above, up_to, percent in TIERS[month % 100]:
        won += max(0, min(before + basis, up_to) - max(before, above)) * percent // 100
    return won


class Ledger:
    """One member: what happened, and what follows from it."""

    def __init__(
        self, lots: dict[int, tuple[str, int, int, bool]], points_on: bool, next_day: dict[int, int]
    ) -> None:
        """`lots`: number → (kind, won, last day, whether a funder gave it)."""
        self.kind = {no: lot[0] for no, lot in lots.items()}
        self.won = {no: lot[1] for no, lot in lots.items()}
        self.last_day = {no: lot[2] for no, lot in lots.items()}
        self.given = {no for no, lot in lots.items() if lot[3]}
        self.points_on = points_on
        self.next_day = next_day
        self.acts: dict[str, dict[str, Any]] = {}
        self.stones: set[str] = set()
        self.owed = 0
        self.merchants: dict[int, int] = {}
        self.treasury = 0
        self.credited = 0
        self.accrued: dict[int, int] = {}

    # What stands, from the list of acts.

    def pieces(self, root: str, today: int) -> Uses:
        """What an open hold keeps, lot by lot in the order in which they were taken into it."""
        base = self.acts[root]
        if base.get("closed") or not base["got"] or base["expires"] < today:
            return []
        return [piece for piece in base["pieces"] if piece[1]]

    def held(self, lot_no: int, today: int, but: str = "") -> int:
        roots = [name for name, act in self.acts.items() if act["what"] == "hold" and not act["base"]]
        kept = [piece for root in roots if root != but for piece in self.pieces(root, today)]
        return sum(won for no, won in kept if no == lot_no)

    def usage(self, month: int) -> int:
        """Basis of the month so far."""
        return sum(act["basis"] for act in self.acts.values() if act.get("month") == month)

    def spent(self, month: int) -> int:
        return sum(
            act["got"] - act["returned"]
            for act in self.acts.values()
            if act["what"] == "sale" and act["month"] == month
        )

    def choose(
        self, won: int, day: int, today: int, merchant: int, own: str = "", taken: Uses | None = None
    ) -> Uses:
        """Lots that would pay up to `won`: points if switched on, then charged; earliest last day first."""
        found: Uses = []
        kinds = ["points", "charged"] if self.points_on else ["charged"]
        for kind in kinds:
            if kind in BARRED.get(merchant, ()):
                continue
            lots = [no for no in self.won if self.kind[no] == kind and self.last_day[no] >= day]
            for no in sorted(lots, key=lambda no: (self.last_day[no], no)):
                mine = sum(part for at, part in taken or [] if at == no)
                part = min(won, self.won[no] - self.held(no, today, own) - mine)
                if part > 0:
                    found.append((no, part))
                    won -= part
        return found

    # What terminals send. Each returns (what was approved, cashback).

    def sale(self, name: str, won: int, day: int, today: int, merchant: int, **how: Any) -> tuple[int, int]:
        """A purchase; `partial`, or an `advice` that is booked as far as it goes."""
        blank = {"what": "sale", "asked": won, "got": 0, "returned": 0, "basis": 0, "month": day // 100}
        self.acts[name] = blank
        if name in self.stones:
            return 0, 0
        uses = self.choose(won, day, today, merchant)
        if sum(part for _, part in uses) < won and not how.get("partial") and not how.get("advice"):
            return 0, 0
        return self.book(name, uses, day, today, merchant)

    def book(self, name: str, uses: Uses, day: int, today: int, merchant: int) -> tuple[int, int]:
        got = sum(part for _, part in uses)
        basis = sum(part for no, part in uses if self.kind[no] == "charged")
        before = self.usage(day // 100)
        earned = cashback(day // 100, before, basis)
        for no, part in uses:
            self.won[no] -= part
        self.merchants[merchant] = self.merchants.get(merchant, 0) + got
        self.accrued[today] = self.accrued.get(today, 0) + earned
        facts = {"got": got, "uses": uses, "basis": basis, "rated": basis, "before": before, "booked": today}
        self.acts[name] |= {**facts, "merchant": merchant}
        return got, earned

    def hold(
        self, name: str, won: int, day: int, today: int, merchant: int, *, of: str = "", partial: bool = False
    ) -> tuple[int, int]:
        """A 0100, or with `of` an increment to it."""
        self.acts[name] = {"what": "hold", "asked": won, "got": 0, "returned": 0, "base": "", "basis": 0}
        root = self.root(of) if of else name
        if name in self.stones or (of and not (self.acts[of]["got"] and self.pieces(root, today))):
            return 0, 0
        uses = self.choose(won, day, today, merchant)
        got = sum(part for _, part in uses)
        if not got or (got < won and not partial):
            return 0, 0
        self.acts[name] |= {"got": got, "base": root if of else ""}
        if not of:
            expires = self.next_day[day]
            self.acts[name] |= {"pieces": [], "expires": expires, "merchant": merchant, "done": ""}
        pieces = self.acts[root]["pieces"]
        for no, part in uses:
            at = next((at for at, piece in enumerate(pieces) if piece[0] == no and piece[1]), None)
            if at is None:
                pieces.append((no, part))
            else:
                pieces[at] = (no, pieces[at][1] + part)
        return got, 0

    def root(self, name: str) -> str:
        """The first 0100 behind a 0100."""
        base: str = self.acts[name]["base"]
        return base or name

    def complete(self, name: str, won: int, day: int, today: int, merchant: int, of: str) -> tuple[int, int]:
        """The completion of a hold: its pieces first, then whatever else may be spent."""
        self.acts[name] = {
            "what": "sale",
            "asked": won,
            "got": 0,
            "returned": 0,
            "basis": 0,
            "month": day // 100,
        }
        if name in self.stones or of in self.stones:
            return 0, 0
        known = self.acts.get(of)
        root = self.root(of) if known else ""
        if known and self.acts[root].get("done"):
            return 0, 0
        uses: Uses = []
        left = won
        if known and known["got"] and self.acts[root]["got"]:
            for no, part in self.pieces(root, today):
                uses.append((no, min(part, left)))
                left -= uses[-1][1]
            uses = [use for use in uses if use[1]]
            if uses:
                self.acts[root]["closed"] = True
        if left:
            uses = uses + self.choose(left, day, today, merchant, taken=uses)
        booked = self.book(name, uses, day, today, merchant)
        if booked[0] and root:
            self.acts[root]["done"] = name
        return booked

    def give_back(self, name: str, of: str, won: int, today: int) -> tuple[int, int]:
        """Return won of a sale: the lots last spent first; then what was earned with them."""
        sale = self.acts[of]
        back: Uses = []
        skip, left = sale["returned"], won
        for no, part in reversed(sale["uses"]):
            gone = min(skip, part)
            skip -= gone
            take = min(part - gone, left)
            left -= take
            if take:
                back.append((no, take))
        assert not left
        restored = [use for use in back if self.last_day[use[0]] >= today]
        lost = sum(part for _, part in back) - sum(part for _, part in restored)
        self.treasury += lost
        for no, part in restored:
            self.won[no] += part
        basis = sum(part for no, part in back if self.kind[no] == "charged")
        month = sale["month"]
        had = cashback(month, sale["before"], sale["rated"])
        keeps = cashback(month, sale["before"], sale["rated"] - basis)
        recovered: Uses = []
        owed = had - keeps
        if owed and sale["booked"] <= self.credited:
            points = [no for no in self.won if self.kind[no] == "points" and self.last_day[no] >= today]
            points.sort(key=lambda no: (self.last_day[no], no))
            charged = [(no, part) for no, part in restored if self.kind[no] == "charged"]
            for no, most in [*((no, self.won[no] - self.held(no, today)) for no in points), *charged]:
                part = min(most, owed)
                if part > 0:
                    recovered.append((no, part))
                    self.won[no] -= part
                    owed -= part
            self.owed += owed
            self.accrued[today] = self.accrued.get(today, 0) + sum(p for _, p in recovered) + owed
        self.accrued[today] = self.accrued.get(today, 0) - (had - keeps)
        self.merchants[sale["merchant"]] -= won
        facts = {"restored": restored, "recovered": recovered, "lost": lost, "earned": keeps - had}
        sale["rated"] -= basis
        before, sale["returned"] = sale["returned"], sale["returned"] + won
        self.acts[name] |= {"got": won, "basis": -basis, "month": month, "of": of, "span": (before, won)}
        self.acts[name] |= facts
        return won, keeps - had

    def refund(self, name: str, won: int, today: int, of: str) -> tuple[int, int]:
        """A refund of part of a sale, by a message that may be declined."""
        self.acts[name] = {"what": "back", "asked": won, "got": 0, "returned": 0, "basis": 0}
        sale = self.acts.get(of)
        if not sale or sale["what"] != "sale" or not 0 < won <= sale["got"] - sale["returned"]:
            return 0, 0
        return self.give_back(name, of, won, today)

    def void(self, name: str, won: int, today: int, of: str, same_day: bool) -> tuple[int, int]:
        """A void: of the same business date, whole, untouched."""
        self.acts[name] = {"what": "void", "asked": won, "got": 0, "returned": 0, "basis": 0}
        act = self.acts.get(of)
        if not act or not act["got"] or act["returned"] or not same_day:
            return 0, 0
        if won not in (act["asked"], act["got"]):
            return 0, 0
        if act["what"] == "sale":
            return self.give_back(name, of, act["got"], today)
        if not self.acts[self.root(of)]["done"] and self.pieces(self.root(of), today):
            self.free(name, of, act["got"])
        return 0, 0

    def free(self, name: str, of: str, won: int) -> None:
        """Give the last won of a hold free."""
        root = self.acts[self.root(of)]
        left = won
        freed: Uses = []
        for at in reversed(range(len(root["pieces"]))):
            no, part = root["pieces"][at]
            take = min(part, left)
            root["pieces"][at] = (no, part - take)
            left -= take
            if take:
                freed.insert(0, (no, take))
        root["pieces"] = [piece for piece in root["pieces"] if piece[1]]
        assert not left
        self.acts[name] |= {"freed": freed, "of": of, "span": (self.acts[of]["returned"], won)}
        self.acts[of]["returned"] += won

    def reverse(self, name: str, won: int, today: int, of: str, replacement: int) -> tuple[int, int]:
        """A reversal: never declined, and moves money only where it fits."""
        self.acts[name] = {"what": "reversal", "asked": won, "got": 0, "returned": 0, "basis": 0}
        act = self.acts.get(of)
        if act is None:
            self.stones.add(of)
            return 0, 0
        released = act.get("freed")
        whole = act["got"] and act["returned"] >= act["got"]
        if (not act["got"] and not released) or act.get("undone"):
            return 0, 0
        done = self.acts[self.root(of)]["done"] if act["what"] == "hold" else ""
        if whole or won not in (act["asked"], act["got"]):
            return 0, 0
        if act["what"] == "hold" and not done:
            free = act["got"] - act["returned"] - max(0, replacement)
            if free > 0 and self.pieces(self.root(of), today):
                self.free(name, of, free)
            return 0, 0
        if act["what"] == "hold":
            if act["base"]:
                return 0, 0
            act, of = self.acts[done], str(done)
        if act["what"] == "sale":
            back = act["got"] - act["returned"] - max(0, replacement)
            return self.give_back(name, of, back, today) if back > 0 else (0, 0)
        if replacement > 0:
            return 0, 0
        return self.hold_again(of, today) if released else self.undo(name, of, today)

    def hold_again(self, void: str, today: int) -> tuple[int, int]:
        act = self.acts[void]
        asked = self.acts[act["of"]]
        root = self.acts[self.root(act["of"])]
        kept = asked["returned"] == sum(act["span"]) and not root["done"] and root["expires"] >= today
        if kept and all(self.won[no] - self.held(no, today) >= part for no, part in act["freed"]):
            asked["returned"] = act["span"][0]
            act["undone"] = True
            for no, part in act["freed"]:
                at = next((at for at, piece in enumerate(root["pieces"]) if piece[0] == no), None)
                if at is None:
                    root["pieces"].append((no, part))
                else:
                    root["pieces"][at] = (no, root["pieces"][at][1] + part)
        return 0, 0

    def undo(self, name: str, of: str, today: int) -> tuple[int, int]:
        """Take a refund or void back: the sale stands again."""
        back = self.acts[of]
        sale = self.acts[back["of"]]
        if sale["returned"] != sum(back["span"]):
            return 0, 0
        change: dict[int, int] = {}
        for no, part in back["restored"]:
            change[no] = change.get(no, 0) - part
        for no, part in back["recovered"]:
            change[no] = change.get(no, 0) + part
        if any(self.won[no] - self.held(no, today) + by < 0 for no, by in change.items()):
            return 0, 0
        for no, by in change.items():
            self.won[no] += by
        sale["returned"] = back["span"][0]
        sale["rated"] -= back["basis"]
        back["undone"] = True
        self.treasury -= back["lost"]
        self.merchants[sale["merchant"]] += back["got"]
        self.accrued[today] = (
            self.accrued.get(today, 0) - back["earned"] - sum(p for _, p in back["recovered"])
        )
        self.acts[name] |= {"got": back["got"], "basis": -back["basis"], "month": back["month"]}
        return back["got"], -back["earned"]

    def night(self, day: int, today: int, lot_no: int, last_day: int) -> None:
        """Credit what a business date came to: points join the lot with the same last day, or open one."""
        won = self.accrued.get(day, 0)
        self.credited = day
        if won > 0:
            paid = min(won, self.owed)
            self.owed -= paid
            if won > paid:
                same = [
                    no
                    for no in self.won
                    if self.kind[no] == "points" and self.last_day[no] == last_day and no not in self.given
                ]
                at = same[0] if same else lot_no
                self.kind[at], self.last_day[at] = "points", last_day
                self.won[at] = self.won.get(at, 0) + won - paid
        points = [no for no in self.won if self.kind[no] == "points" and self.last_day[no] >= today]
        for no in sorted(points, key=lambda no: (self.last_day[no], no)):
            # Money held is left alone, even where the hold's time has just run out.
            part = min(max(0, -won), self.won[no] - self.held(no, self.oldest_kept(today)))
            self.won[no] -= part
            won += part
        self.owed += max(0, -won)

    def oldest_kept(self, today: int) -> int:
        """The night asks for holds as the books keep them: expired ones go with the next payment."""
        return self.swept if self.swept else today

    swept = 0
    """The last day on which a payment of the wallet was decided."""
