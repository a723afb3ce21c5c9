"""From a stored payment to the facts that explain it: what is written down, with names; nothing is judged."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection, Row, select

from switch.domain.calendar import add_days, add_months, day_of_date
from switch.domain.decision import Detail, decode_detail
from switch.domain.explain_facts import (
    BudgetWon,
    CorrectionFact,
    FaultFact,
    LotFact,
    OriginalFact,
    PassedOver,
    PaymentFacts,
    ReturnFact,
    RuleText,
)
from switch.domain.granting import first_grants, kept_of
from switch.domain.payment import Kind, Outcome
from switch.domain.programme import Policy
from switch.domain.reasons import BY_NUMBER
from switch.domain.request import Entry
from switch.domain.wallet import LOT_KIND_NAME, Holder
from switch.service.review.names import Names
from switch.store.corrections import LEFT_OUT, POSTED
from switch.store.schema import card, lot, member, merchant, payment, wallet
from switch.store.schema_review import correction, correction_line
from switch.store.watch_stops import stops_of

_TAKES_BACK = (Kind.REFUND, Kind.REVERSAL, Kind.VOID)
_OF_DAY, _OF_MONTH = "over_day_limit", "over_month_limit"
_MONTHLY = ("over_month_limit", "over_topup_limit")
_STATES = {LEFT_OUT: "left_out", POSTED: "posted"}


class Reader:
    """Reads the facts of payments of one wallet; lots and names are read once."""

    def __init__(self, connection: Connection, names: Names, bucket: int, wallet_id: int) -> None:
        self._connection = connection
        self._names = names
        self._at = (bucket, wallet_id)
        mine = (lot.c.bucket == bucket, lot.c.wallet_id == wallet_id)
        self.lots = {row.lot_no: row for row in connection.execute(select(lot).where(*mine))}
        owner = connection.execute(
            select(member.c.member_id, wallet.c.holder)
            .join(wallet, wallet.c.wallet_id == member.c.wallet_id)
            .where(wallet.c.bucket == bucket, wallet.c.wallet_id == wallet_id)
        ).one()
        self.member_id: str = owner.member_id
        self._company = owner.holder == Holder.COMPANY
        mine = (card.c.bucket == bucket, card.c.wallet_id == wallet_id)
        self._cards: dict[int, str] = {
            row.card_no: row.masked for row in connection.execute(select(card).where(*mine))
        }

    def payment(self, row: Row[Any], *, brief: bool = False) -> PaymentFacts:
        """Every fact of one payment; `brief` leaves out what needs other rows."""
        detail = decode_detail(row.detail.encode())
        version = self._names.versions.get(row.policy_no)
        policy = version.policy if version else None
        shop = self._connection.execute(
            select(merchant.c.merchant_id, merchant.c.name).where(merchant.c.merchant_no == row.merchant_no)
        ).first()
        reason = BY_NUMBER.get(row.reason)
        facts = PaymentFacts(
            programme=self._names.programme.programme_id,
            member=self.member_id,
            card=self._cards.get(row.card_no, ""),
            kind=Kind(row.kind).name.lower(),
            moment=_moment(row),
            business_day=day_of_date(row.business_date),
            merchant=shop.merchant_id if shop else "",
            merchant_name=shop.name if shop else "",
            terminal=row.terminal_id,
            stan=row.stan,
            rrn=row.rrn,
            channel=row.channel,
            entry="" if row.kind in _TAKES_BACK else Entry(detail.entry).name.lower(),
            seq=row.seq,
            amount=row.amount,
            approved=row.approved,
            outcome=Outcome(row.outcome).name.lower(),
            reason=reason.name if reason else str(row.reason),
            code=reason.code if reason else "",
            version=policy.version if policy else "",
            version_since=version.since if version else 0,
            cap=policy.cap if policy else 0,
            faults=self._faults(row, detail, policy),
            note=detail.note,
            case=detail.case,
            outside_ref=detail.outside_ref,
        )
        return facts if brief else self._whole(facts, row, detail, policy)

    def _whole(
        self, facts: PaymentFacts, row: Row[Any], detail: Detail, policy: Policy | None
    ) -> PaymentFacts:
        names = self._names
        own = row.kind not in _TAKES_BACK
        granted = first_grants(detail)
        return replace(
            facts,
            lots=tuple(self._lot(number, won) for number, won in detail.uses),
            held=tuple(self._lot(number, won) for number, _, won in detail.hold),
            released=tuple(self._lot(number, won) for number, _, won in detail.released),
            hold_expires=detail.expires,
            opened_lot=detail.lot_no,
            passed_over=tuple(
                PassedOver(names.campaigns[number].name if number in names.campaigns else str(number), short)
                for number, short in detail.passed_over
            ),
            basis=row.basis,
            usage_month=row.usage_month,
            usage_before=row.usage_before,
            basis_kinds=policy.cashback_basis if policy else (),
            company=self._company and not (policy is not None and policy.company_cashback),
            pieces=detail.pieces,
            campaigns={code: one.name for code, (_, one) in names.windows.items()},
            funders={one.id: one.name for one in names.programme.funders},
            granted=names.shares(granted) if own else (),
            missed=names.shares(detail.missed),
            kept=names.shares(kept_of(detail)) if own else (),
            returned=row.returned,
            returns=self._returns(row) if row.kind == Kind.PURCHASE else (),
            own_return=None if own or not row.approved else self._return(row, detail),
            original=self._original(row, detail),
            corrections=self._corrections(row) if row.kind == Kind.PURCHASE else (),
        )

    def _faults(self, row: Row[Any], detail: Detail, policy: Policy | None) -> tuple[FaultFact, ...]:
        if detail.faults:
            return tuple(
                FaultFact(
                    BY_NUMBER[one.reason].name if one.reason in BY_NUMBER else str(one.reason),
                    one.limit,
                    one.used,
                    one.short,
                    one.resets,
                    tuple(self._names.rule(policy, code) for code in one.rules),
                )
                for one in detail.faults
            )
        if row.outcome != Outcome.DECLINED:
            part = row.kind == Kind.GIFT and detail.limit  # the case needed no more
            return (FaultFact("case_filled", detail.limit, detail.used, detail.short),) if part else ()
        name = BY_NUMBER[row.reason].name if row.reason in BY_NUMBER else str(row.reason)
        rules = tuple(self._names.rule(policy, code) for code in detail.rules)
        if name == "stopped_by_watch":
            rules = self._flags(row)
        resets = _resets(name, day_of_date(row.local_day))
        return (FaultFact(name, detail.limit, detail.used, detail.short, resets, rules),)

    def _flags(self, row: Row[Any]) -> tuple[RuleText, ...]:
        """The flags whose stops cover a payment's day, lifted since or not."""
        day = day_of_date(row.local_day)
        found = stops_of(self._connection, row.programme_no, row.wallet_id, row.merchant_no, day)
        return tuple(
            RuleText(f"flag {one.flag_no}", f"감시 기록 {one.flag_no}번", f"flag {one.flag_no} of the watch")
            for one in found
        )

    def lot_fact(self, number: int, won: int) -> LotFact:
        """A lot by its number, with won of it."""
        return self._lot(number, won)

    def _lot(self, number: int, won: int) -> LotFact:
        row = self.lots.get(number)
        if row is None:
            return LotFact(number, "", won)
        campaign = self._names.campaigns.get(row.campaign_no)
        return LotFact(
            number,
            LOT_KIND_NAME.get(row.kind, str(row.kind)),
            won,
            self._names.funder(row.funder_no),
            campaign.name if campaign else "",
            row.expires,
        )

    def _rows(self, *wanted: Any) -> Sequence[Row[Any]]:
        bucket, wallet_id = self._at
        mine = (payment.c.bucket == bucket, payment.c.wallet_id == wallet_id)
        return self._connection.execute(select(payment).where(*mine, *wanted).order_by(payment.c.seq)).all()

    def _returns(self, row: Row[Any]) -> tuple[ReturnFact, ...]:
        kinds = [int(kind) for kind in _TAKES_BACK]
        rows = self._rows(
            payment.c.original_seq == row.seq, payment.c.kind.in_(kinds), payment.c.approved > 0
        )
        return tuple(self._return(one, decode_detail(one.detail.encode())) for one in rows)

    def _return(self, row: Row[Any], detail: Detail) -> ReturnFact:
        taken = first_grants(detail)
        kept = sum(won for _, _, won in detail.kept_after or ())
        return ReturnFact(
            kind=Kind(row.kind).name.lower(),
            moment=_moment(row),
            won=row.approved,
            kept=kept,
            taken=self._names.shares(taken),
            restored=tuple(self._lot(number, won) for number, _, won in detail.restored),
            treasury=tuple(BudgetWon(self._names.funder(funder), "", won) for funder, won in detail.treasury),
            recovered=tuple(self._lot(number, won) for number, _, won in detail.recovered),
            receivable=detail.receivable,
            undone=row.returned > 0,
            again=row.basis > 0,
        )

    def _original(self, row: Row[Any], detail: Detail) -> OriginalFact | None:
        if not row.original_seq:
            return None
        rows = self._rows(payment.c.seq == row.original_seq)
        if not rows:
            return None
        one = rows[0]
        kind = Kind(one.kind).name.lower()
        return OriginalFact(kind, _moment(one), one.seq, one.approved, one.rrn)

    def _corrections(self, row: Row[Any]) -> tuple[CorrectionFact, ...]:
        bucket, wallet_id = self._at
        rows = self._connection.execute(
            select(correction_line, correction.c.policy_no, correction.c.approved_at)
            .join(correction, correction.c.correction_no == correction_line.c.correction_no)
            .where(
                correction_line.c.bucket == bucket,
                correction_line.c.wallet_id == wallet_id,
                correction_line.c.seq == row.seq,
            )
            .order_by(correction_line.c.correction_no, correction_line.c.funder_no)
        ).all()
        found: list[CorrectionFact] = []
        for number in dict.fromkeys(one.correction_no for one in rows):
            mine = [one for one in rows if one.correction_no == number]
            booked = tuple((one.funder_no, one.budget_no, one.booked) for one in mine if one.booked)
            version = self._names.versions.get(mine[0].policy_no)
            waiting = "approved" if mine[0].approved_at else "proposed"
            found.append(
                CorrectionFact(
                    number=number,
                    state=_STATES.get(mine[0].state, waiting),
                    version=version.policy.version if version else "",
                    stood=sum(one.stood for one in mine),
                    due=sum(one.due for one in mine),
                    booked=self._names.shares(booked),
                    waived=sum(one.waived for one in mine),
                )
            )
        return tuple(found)


def _moment(row: Row[Any]) -> int:
    return day_of_date(row.local_day) * 1_000_000 + int(row.local_time)


def _resets(reason: str, day: int) -> int:
    """The day from which a limit counts anew, where a payment of an older release does not say it."""
    if reason == _OF_DAY:
        return add_days(day, 1)
    return add_months(day // 100 * 100 + 1, 1) if reason in _MONTHLY else 0
