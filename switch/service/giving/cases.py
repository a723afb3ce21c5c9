"""Donation cases: opening, closing, looking at them. What one was opened with never changes."""

from collections.abc import Sequence
from datetime import date, datetime

import msgspec
from sqlalchemy import Connection, Engine, insert, select, text, update

from switch.domain.calendar import SEOUL, day_of_date
from switch.domain.toml_reader import nearest
from switch.service.admin import NotFoundError, RefusedError
from switch.service.giving.case_file import NewCase
from switch.service.giving.finding import programme_of
from switch.service.import_files import Problems
from switch.store.bulk import lock_administration
from switch.store.reference_write import MerchantAt, ProgrammeAt, find_merchants
from switch.store.schema_donations import donation_case

_TOTALS = text("""
    SELECT c.code, c.kind, c.title, c.body, c.target, c.given, c.deadline, m.merchant_id, c.state,
           c.opened_by, c.opened_at, c.closed_by, c.closed_at,
           coalesce(g.gifts, 0), coalesce(g.members, 0), coalesce(g.points, 0), coalesce(g.charged, 0),
           coalesce(g.returned, 0)
    FROM donation_case c JOIN merchant m USING (merchant_no)
    LEFT JOIN (
        SELECT case_code, count(*) FILTER (WHERE NOT returned) AS gifts,
               count(DISTINCT wallet_id) FILTER (WHERE NOT returned) AS members,
               (sum(points) FILTER (WHERE NOT returned))::bigint AS points,
               (sum(charged) FILTER (WHERE NOT returned))::bigint AS charged,
               count(*) FILTER (WHERE returned) AS returned
        FROM gift WHERE programme_no = :programme_no AND (:code = '' OR case_code = :code) GROUP BY case_code
    ) g ON g.case_code = c.code
    WHERE c.programme_no = :programme_no AND (:code = '' OR c.code = :code)
    ORDER BY c.deadline, c.code
""")


class CaseView(msgspec.Struct, frozen=True):
    """A case and what was given to it, won; gifts that stand, their members, and gifts taken back."""

    code: str
    kind: str
    title: str
    text: str
    target: int
    given: int
    deadline: date
    merchant: str
    state: str
    opened_by: str
    opened_at: datetime
    closed_by: str | None
    closed_at: datetime | None
    gifts: int
    members: int
    points: int
    charged: int
    returned: int

    @property
    def left(self) -> int:
        """Won that it still needs."""
        return self.target - self.given


class OpenReport(msgspec.Struct, frozen=True):
    """What was opened, and what was open with the same contents already."""

    opened: int
    unchanged: int


def open_cases(
    engine: Engine,
    programme_id: str,
    cases: Sequence[NewCase],
    problems: Problems,
    *,
    actor: str,
    now: datetime,
) -> OpenReport:
    """Open cases, all or none; one that stands with the same contents is left as it is.

    `problems` are those of the file so far. Raises NotFoundError, ImportRefusedError.
    """
    new: list[dict[str, object]] = []
    with engine.begin() as connection:
        lock_administration(connection)
        at = programme_of(connection, programme_id)
        known = {
            row.code: row
            for row in connection.execute(
                select(donation_case).where(donation_case.c.programme_no == at.programme_no)
            )
        }
        shops = find_merchants(connection, {case.merchant for case in cases})
        seen: set[str] = set()
        for case in cases:
            if case.code in seen:
                problems.add(case.line, "code", f"{case.code} stands twice", "keep one")
            seen.add(case.code)
            shop = _shop(at, case, shops.get(case.merchant), problems, now)
            if shop is None:
                continue
            values = {
                "kind": case.kind,
                "title": case.title,
                "body": case.text,
                "target": case.target,
                "deadline": case.deadline,
                "merchant_no": shop.merchant_no,
            }
            before = known.get(case.code)
            if before is None:
                if case.deadline < now.astimezone(SEOUL).date():
                    problems.add(case.line, "deadline", f"{case.deadline} is over", "name a later day")
                said = {"opened_by": actor, "opened_at": now}
                new.append({"programme_no": at.programme_no, "code": case.code, **values, **said})
            elif any(getattr(before, name) != value for name, value in values.items()):
                fix = "close it and open another one under a code of its own"
                problems.add(case.line, "code", f"{case.code} stands with other contents", fix)
        problems.raise_any()
        if new:
            connection.execute(insert(donation_case), new)
    return OpenReport(len(new), len(cases) - len(new))


def _shop(
    at: ProgrammeAt, case: NewCase, shop: MerchantAt | None, problems: Problems, now: datetime
) -> MerchantAt | None:
    """The case's merchant, if it takes gifts."""
    if shop is None or shop.programme_no != at.programme_no:
        told = f'programme {at.programme.programme_id} has no merchant "{case.merchant}"'
        problems.add(case.line, "merchant_id", told, "import it first, or correct the id")
        return None
    group = at.programme.policy_at(now).donation_group
    today = day_of_date(now.astimezone(SEOUL).date())
    if not group:
        fix = 'set donation_group = "…" in the policy'
        problems.add(case.line, "merchant_id", "the programme's policy in force knows no donations", fix)
        return None
    if not any(
        code == group and since <= today and (not to or today < to) for code, since, to in shop.groups
    ):
        told = f'{case.merchant} is not in the group "{group}" today'
        problems.add(case.line, "merchant_id", told, "only its members take gifts: put it in there first")
        return None
    return shop


def case_views(engine: Engine, programme_id: str, code: str = "") -> list[CaseView]:
    """All cases with their totals, or the one of this code. Raises NotFoundError."""
    with engine.connect() as connection:
        at = programme_of(connection, programme_id)
        found = connection.execute(_TOTALS, {"programme_no": at.programme_no, "code": code}).all()
        if code and not found:
            raise NotFoundError(f'no donation case "{code}": {_nearest(connection, at.programme_no, code)}')
        return [CaseView(*row) for row in found]


def close_case(engine: Engine, programme_id: str, code: str, *, actor: str, now: datetime) -> CaseView:
    """Close a case for good: no gift is taken any more. Raises NotFoundError, RefusedError."""
    with engine.begin() as connection:
        at = programme_of(connection, programme_id)
        mine = (donation_case.c.programme_no == at.programme_no, donation_case.c.code == code)
        row = connection.execute(select(donation_case.c.state).where(*mine).with_for_update()).first()
        if row is None:
            raise NotFoundError(f'no donation case "{code}": {_nearest(connection, at.programme_no, code)}')
        if row.state == "closed":
            raise RefusedError(f"case {code} is closed already")
        connection.execute(
            update(donation_case).where(*mine).values(state="closed", closed_by=actor, closed_at=now)
        )
    return case_views(engine, programme_id, code)[0]


def _nearest(connection: Connection, programme_no: int, code: str) -> str:
    codes = list(
        connection.scalars(
            select(donation_case.c.code).where(donation_case.c.programme_no == programme_no).limit(1_000)
        )
    )
    return nearest(code, codes) if codes else "open one with `dure-switch donation open`"
