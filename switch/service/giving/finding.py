"""What acts by command are about: the programme, its campaigns and budgets by name, its members."""

from collections.abc import Iterator
from datetime import date, datetime

import msgspec
from sqlalchemy import Connection, Engine, select, text

from switch.domain.budget import Line
from switch.domain.calendar import business_date
from switch.domain.campaign import Campaign
from switch.domain.toml_reader import nearest
from switch.service.admin import NotFoundError
from switch.store.budget_pool import lines_of
from switch.store.bulk import CHUNK
from switch.store.funding import ensure_days
from switch.store.reference_write import ProgrammeAt, find_programmes
from switch.store.schema_programme import campaign

_MEMBERS = text("""
    SELECT m.member_id, m.bucket, m.wallet_id FROM member m JOIN wallet w USING (bucket, wallet_id)
    WHERE m.programme_no = :programme_no AND m.member_id > :after AND (:tag = 0 OR w.tags & :tag <> 0)
    ORDER BY m.member_id LIMIT :most
""")


class Person(msgspec.Struct, frozen=True, gc=False):
    """A member and where the wallet is."""

    member_id: str
    bucket: int
    wallet_id: int


class CampaignAt(msgspec.Struct, frozen=True):
    """A campaign with its numbers, and the budget that pays it; None where the funder has set no bound.

    `pots` are its own, a line for each funder; `tag` is the bit of its audience, 0 everybody. Several may pay
    a window of extra cashback: `line` and `funder_no` are the first one's.
    """

    campaign_no: int
    campaign: Campaign
    funder_no: int
    line: Line | None
    pots: tuple[Line, ...]
    tag: int


def programme_of(connection: Connection, programme_id: str) -> ProgrammeAt:
    """The programme of this id. Raises NotFoundError."""
    found = find_programmes(connection).get(programme_id)
    if found is None:
        raise NotFoundError(f'no programme "{programme_id}": `dure-switch programme list` shows them')
    return found


def campaigns_of(connection: Connection, at: ProgrammeAt) -> dict[str, CampaignAt]:
    """A programme's campaigns by code, in the order of its file."""
    numbers = {
        row.code: row.campaign_no
        for row in connection.execute(select(campaign).where(campaign.c.programme_no == at.programme_no))
    }
    lines = lines_of(connection, at)
    tags = at.programme.member_tags
    return {
        one.code: CampaignAt(
            numbers[one.code],
            one,
            at.funder_numbers[one.shares[0][0]],
            lines.get((one.budget_code, one.shares[0][0])),
            tuple(line for (code, _), line in lines.items() if one.total_max and code == one.budget_code),
            1 << tags.index(one.audience) if one.audience else 0,
        )
        for one in at.programme.campaigns
        if one.code in numbers
    }


def campaign_of(connection: Connection, at: ProgrammeAt, code: str) -> CampaignAt:
    """The campaign of this code. Raises NotFoundError."""
    known = campaigns_of(connection, at)
    if code not in known:
        fix = nearest(code, known) if known else "add it to the programme's file and apply that"
        raise NotFoundError(f'programme {at.programme.programme_id} has no campaign "{code}": {fix}')
    return known[code]


def members_by(connection: Connection, programme_no: int, tag: int = 0) -> Iterator[Person]:
    """All members of a programme, or those with a tag (its bit), by member id; read a piece at a time."""
    after = ""
    while True:
        at = {"programme_no": programme_no, "after": after, "tag": tag, "most": CHUNK}
        rows = connection.execute(_MEMBERS, at).all()
        for row in rows:
            yield Person(*row)
        if len(rows) < CHUNK:
            return
        after = rows[-1].member_id


def open_days(engine: Engine, at: ProgrammeAt, now: datetime) -> date:
    """The business date of `now`, with the partitions that booking on it may need."""
    day = business_date(now, at.programme.cutover)
    ensure_days(engine, day)
    return day
