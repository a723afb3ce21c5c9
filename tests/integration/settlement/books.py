"""Builds books as the switch would leave them, with plain SQL: programmes, merchants, wallets, payments."""

import json
from datetime import date, datetime, time

import msgspec
from sqlalchemy import Engine, text

from switch.domain.calendar import SEOUL, day_of_date
from switch.domain.cashback import Rating, rate
from switch.domain.payment import Kind, Outcome, bucket_of
from switch.domain.programme import Bonus, FeeClass, Funder, Policy, Programme, Tier
from switch.domain.programme_file import canonical_json
from switch.ledger.chart import Account
from switch.ledger.journal import Source

FUNDERS = ("national", "city", "district")
TIERS = (
    Tier(0, 300_000, 100_000, (("national", 40_000), ("city", 20_000), ("district", 40_000))),
    Tier(300_000, 500_000, 70_000, (("national", 40_000), ("city", 20_000), ("district", 10_000))),
    Tier(500_000, 1_000_000, 60_000, (("national", 40_000), ("city", 20_000))),
)
FEE_CLASSES = (
    FeeClass(0, 300_000_000, 1_500),
    FeeClass(300_000_000, 500_000_000, 7_500),
    FeeClass(500_000_000, 1_000_000_000, 9_000),
    FeeClass(1_000_000_000, 3_000_000_000, 11_500),
)


def programme(name: str = "seoro") -> Programme:
    policy = Policy(
        programme_id=name,
        version="1",
        effective_from=datetime(2025, 1, 1, tzinfo=SEOUL),
        funder_order=FUNDERS,
        tiers=TIERS,
        fee_classes=FEE_CLASSES,
        fee_default_ppm=15_000,
        bonuses=(Bonus("market", "traditional_market", None, 30_000, (("city", 30_000),)),),
    )
    return Programme(
        programme_id=name,
        name=name,
        cutover=time(0),
        funders=tuple(Funder(each, each) for each in FUNDERS),
        bins=("941061",),
        policies=(policy,),
    )


class Paid(msgspec.Struct):
    """A purchase as later refunds need it."""

    wallet: int
    seq: int
    day: date
    local_day: date
    merchant: int
    amount: int
    basis: int
    usage_before: int
    uses: list[tuple[int, int]]
    returned: int = 0


class Books:
    """One programme. Wallet 7 has 10,000,000 won charged before anything else, and so have all others."""

    def __init__(self, engine: Engine, name: str = "seoro", number: int = 1, **policy: object) -> None:
        self.engine = engine
        made = programme(name)
        policies = tuple(msgspec.structs.replace(one, **policy) for one in made.policies)
        self.programme = msgspec.structs.replace(made, policies=policies)
        self.policy = self.programme.policies[0]
        self.no = number
        self.funder_no = {each: number * 10 + index for index, each in enumerate(FUNDERS, 1)}
        self.groups: dict[int, set[str]] = {}
        self._stan = number * 100_000
        self._usage: dict[tuple[int, int], int] = {}
        with engine.begin() as connection:
            connection.execute(
                text("INSERT INTO programme VALUES (:no, :id, :id, :document, 'sha', now(), NULL)"),
                {"no": number, "id": name, "document": canonical_json(self.programme).decode()},
            )
            connection.execute(
                text("INSERT INTO policy VALUES (:no, :no, '1', :start, :document, 'sha')"),
                {
                    "no": number,
                    "start": self.policy.effective_from,
                    "document": msgspec.json.encode(self.policy, order="deterministic").decode(),
                },
            )
            for each, funder_no in self.funder_no.items():
                connection.execute(
                    text("INSERT INTO funder VALUES (:funder, :no, :id, :id)"),
                    {"funder": funder_no, "no": number, "id": each},
                )

    def merchant(
        self,
        merchant_no: int,
        annual_sales: int | None = 200_000_000,
        *,
        payout_days: int | None = None,
        account: str = "110-222-333333",
        group: str | None = None,
    ) -> int:
        with self.engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO merchant VALUES (:no, :id, :programme, :name, 'restaurant', 'seo', 'seo',"
                    " 'small', '{pos}', '2025-01-01', NULL, '1234567890', '088', :account,"
                    " '김사장 & Söhne <주>', :days)"
                ),
                {
                    "no": merchant_no,
                    "id": f"M{merchant_no:05d}",
                    "programme": self.no,
                    "name": f"가게 {merchant_no}",
                    "account": account,
                    "days": payout_days,
                },
            )
            if annual_sales is not None:
                connection.execute(
                    text("INSERT INTO merchant_sales VALUES (:no, '2025-01-01', :won)"),
                    {"no": merchant_no, "won": annual_sales},
                )
            if group is not None:
                self.groups[merchant_no] = {group}
                connection.execute(
                    text("INSERT INTO merchant_group VALUES (:no, :code, '2025-01-01', NULL)"),
                    {"no": merchant_no, "code": group},
                )
        return merchant_no

    def wallet(self, wallet_id: int, day: date, won: int = 10_000_000) -> int:
        """A wallet with one charged lot, topped up on `day`."""
        where = {"bucket": bucket_of(wallet_id), "wallet": wallet_id}
        with self.engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO wallet (bucket, wallet_id, programme_no, points_on, lot_seq)"
                    " VALUES (:bucket, :wallet, :no, true, 1)"
                ),
                {**where, "no": self.no},
            )
            connection.execute(
                text(
                    "INSERT INTO lot VALUES (:bucket, :wallet, 1, 1, 0, 0, :won, :opened, 20301231)",
                ),
                {**where, "won": won, "opened": day_of_date(day)},
            )
        self._post(wallet_id, day, [(Account.SAFEGUARDED, Account.CARD_MONEY, won, 1, 0, 0)], Kind.TOPUP)
        return wallet_id

    def buy(
        self,
        wallet_id: int,
        merchant_no: int,
        won: int,
        day: date,
        *,
        cashback: int | None = None,
        usage_before: int | None = None,
        points: tuple[int, int] | None = None,
    ) -> Paid:
        """A purchase with charged money (and `points` = (lot, won) of it); lies where an argument says so."""
        month = day.year * 100 + day.month
        uses = [points, (1, won - points[1])] if points else [(1, won)]
        basis = uses[-1][1]
        before = self._usage.get((wallet_id, month), 0) if usage_before is None else usage_before
        rating = rate(
            self.policy,
            basis=basis,
            usage_before=before,
            groups=self.groups.get(merchant_no, set()),
            channel="pos",
        )
        money = {1: Account.CARD_MONEY}
        entries = [
            (money.get(lot, Account.POINTS), Account.MERCHANT_PAYABLE, part, lot, merchant_no, 0)
            for lot, part in uses
        ]
        entries += [
            (Account.FUNDER_DUE, Account.CASHBACK_ACCRUED, part, 0, 0, self.funder_no[funder])
            for funder, part in rating.by_funder
        ]
        told = rating.total if cashback is None else cashback
        seq = self._post(
            wallet_id,
            day,
            entries,
            Kind.PURCHASE,
            merchant_no=merchant_no,
            amount=won,
            basis=basis,
            month=month,
            before=before,
            cashback=told,
        )
        self._usage[wallet_id, month] = self._usage.get((wallet_id, month), 0) + basis
        return Paid(wallet_id, seq, day, day, merchant_no, won, basis, before, uses)

    def refund(
        self,
        paid: Paid,
        won: int,
        day: date,
        *,
        credited: bool = False,
        local_day: date | None = None,
        kind: Kind = Kind.REFUND,
    ) -> int:
        """A refund of a purchase that used charged money alone; `credited` takes the cashback from points.

        `local_day` is what the terminal holds to be the day.
        """
        left = paid.basis - paid.returned
        was = self._rating(paid, left)
        kept = self._rating(paid, left - won)
        taken = _less(was, kept)
        total = sum(part for _, part in taken)
        entries = [(Account.MERCHANT_PAYABLE, Account.CARD_MONEY, won, 1, paid.merchant, 0)]
        for funder, part in taken:
            pair = (Account.CASHBACK_ACCRUED, Account.FUNDER_DUE)
            debit, credit = pair if part > 0 else pair[::-1]
            entries.append((debit, credit, abs(part), 0, 0, self.funder_no[funder]))
        if credited:
            entries.append((Account.CARD_MONEY, Account.CASHBACK_ACCRUED, total, 1, 0, 0))
        month = paid.day.year * 100 + paid.day.month
        seq = self._post(
            paid.wallet,
            day,
            entries,
            kind,
            merchant_no=paid.merchant,
            amount=won,
            basis=-won,
            month=month,
            before=paid.usage_before,
            cashback=-total,
            original=paid.seq,
            detail={
                "original": {"day": day_of_date(paid.local_day), "seq": paid.seq},
                "basis_left": [left, left - won],
            },
            local_day=local_day,
        )
        paid.returned += won
        self._usage[paid.wallet, month] -= won
        return seq

    def undo_refund(self, paid: Paid, refund_seq: int, won: int, day: date) -> int:
        """The reversal of the last refund of a purchase: everything it did, the other way round."""
        left = paid.basis - paid.returned
        given = _less(self._rating(paid, left + won), self._rating(paid, left))
        entries = [(Account.CARD_MONEY, Account.MERCHANT_PAYABLE, won, 1, paid.merchant, 0)]
        for funder, part in given:
            pair = (Account.FUNDER_DUE, Account.CASHBACK_ACCRUED)
            debit, credit = pair if part > 0 else pair[::-1]
            entries.append((debit, credit, abs(part), 0, 0, self.funder_no[funder]))
        paid.returned -= won
        month = paid.day.year * 100 + paid.day.month
        self._usage[paid.wallet, month] += won
        return self._post(
            paid.wallet,
            day,
            entries,
            Kind.REVERSAL,
            merchant_no=paid.merchant,
            amount=won,
            basis=won,
            month=month,
            before=paid.usage_before,
            cashback=sum(part for _, part in given),
            original=refund_seq,
            detail={
                "original": {"day": day_of_date(day), "seq": refund_seq},
                "basis_left": [left, left + won],
            },
        )

    def _rating(self, paid: Paid, basis: int):  # type: ignore[no-untyped-def]
        groups = self.groups.get(paid.merchant, set())
        return rate(self.policy, basis=basis, usage_before=paid.usage_before, groups=groups, channel="pos")

    def _post(
        self,
        wallet_id: int,
        day: date,
        entries: list[tuple[int, int, int, int, int, int]],
        kind: Kind,
        *,
        merchant_no: int = 0,
        amount: int = 0,
        basis: int = 0,
        month: int = 0,
        before: int = 0,
        cashback: int = 0,
        original: int = 0,
        detail: dict[str, object] | None = None,
        local_day: date | None = None,
    ) -> int:
        self._stan += 1
        where = {"bucket": bucket_of(wallet_id), "wallet": wallet_id, "day": day, "no": self.no}
        with self.engine.begin() as connection:
            for each in {day, local_day or day}:
                connection.execute(text("SELECT dure_ensure_day(:day)"), {"day": each})
            seq = connection.execute(
                text(
                    "UPDATE wallet SET seq = seq + 1"
                    " WHERE bucket = :bucket AND wallet_id = :wallet RETURNING seq"
                ),
                where,
            ).scalar_one()
            connection.execute(
                text(
                    "INSERT INTO payment VALUES (:bucket, :local_day, 120000, 'T0000001', :stan, :kind,"
                    " :wallet, :seq, 1, :merchant, :no, :no, :day, '0101000000', 0, :amount, :amount,"
                    " :outcome, 0, '123456', :rrn, 'pos', :basis, :month, :before, :cashback, 0, 0, 0,"
                    " :original, :detail)"
                ),
                {
                    **where,
                    "local_day": local_day or day,
                    "stan": self._stan,
                    "kind": int(kind),
                    "seq": seq,
                    "merchant": merchant_no,
                    "amount": amount,
                    "outcome": int(Outcome.APPROVED),
                    "rrn": f"{self._stan:012d}",
                    "basis": basis,
                    "month": month,
                    "before": before,
                    "cashback": cashback,
                    "original": original,
                    "detail": json.dumps(detail or {}),
                },
            )
            for line, (debit, credit, won, lot, merchant, funder) in enumerate(entries):
                connection.execute(
                    text(
                        "INSERT INTO entry VALUES (:bucket, :day, :wallet, :seq, :line, :no, :source, :debit,"
                        " :credit, :won, :lot, :merchant, :funder)"
                    ),
                    {
                        **where,
                        "seq": seq,
                        "line": line,
                        "source": int(Source.PAYMENT),
                        "debit": int(debit),
                        "credit": int(credit),
                        "won": won,
                        "lot": lot,
                        "merchant": merchant,
                        "funder": funder,
                    },
                )
                sign = 1 if credit in (Account.CARD_MONEY, Account.POINTS) else -1
                if lot:
                    connection.execute(
                        text(
                            "UPDATE lot SET balance = balance + :change"
                            " WHERE bucket = :bucket AND wallet_id = :wallet AND lot_no = :lot"
                        ),
                        {**where, "change": sign * won, "lot": lot},
                    )
        return int(seq)


def _less(was: Rating, now: Rating) -> list[tuple[str, int]]:
    """Won by funder that one rating has above another."""
    won = dict(was.by_funder)
    for funder, part in now.by_funder:
        won[funder] = won.get(funder, 0) - part
    return [(funder, part) for funder, part in won.items() if part]
