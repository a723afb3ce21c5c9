"""A small city with rules of watching: members 1 to 6, payments through real lanes, flags read back."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace
from sqlalchemy import text

from switch.domain.payment import Kind, PaymentKey, bucket_of
from switch.domain.programme import Programme
from switch.domain.programme_file import canonical_policy
from switch.domain.reasons import BY_NUMBER
from switch.domain.request import OriginalRef, PinCheck, Request
from switch.domain.watch import Watch
from switch.service.batch import Answer
from switch.service.watch.follow import Follower
from tests.integration.authorizer.ground import Ground, ask
from tests.support.postgres import Database
from tests.unit.decide import world

TODAY = 20260629
MUCH = Watch(code="much", kind="volume", subject="member", days=2, won=300_000)
AGAIN = Watch(
    code="again", kind="repeats", subject="member", seconds=600, count=3, similar_ppm=100_000,
    action="decline", stop_days=2,
)  # fmt: skip
BUSY = Watch(
    code="busy", kind="volume", subject="shop", seconds=3_600, count=9, action="decline", stop_days=1
)


def programme(*watches: Watch) -> Programme:
    """The world's programme, with rules."""
    return replace(world.programme(), watches=watches or (MUCH, AGAIN, BUSY))


class Beat(Ground):
    """The ground with members, terminals, and a way to pay."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, programme())
        self.add([world.wallet(world.charged(1, 5_000_000), wallet_id=n) for n in range(1, 7)])
        with self.engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO member SELECT programme_no, 'M-' || wallet_id, bucket, wallet_id FROM wallet"
                )
            )
            connection.execute(
                text(
                    "INSERT INTO terminal (terminal_id, merchant_no, state, tmk, tmk_kcv)"
                    " SELECT 'T000000' || merchant_no, merchant_no, 'active', '', '' FROM merchant"
                )
            )
            for one in programme().policies:
                connection.execute(
                    text("UPDATE policy SET document = :document WHERE version = :version"),
                    {"document": canonical_policy(one).decode(), "version": one.version},
                )
        self.stan = 0

    def payment(
        self, member: int, won: int, time: int, *, shop: int = world.PLAIN, day: int = TODAY,
        kind: Kind = Kind.PURCHASE, of: Request | None = None,
    ) -> Request:  # fmt: skip
        """One request at the shop's own terminal."""
        self.stan += 1
        terminal = f"T000000{shop}"
        original = None
        if of is not None:
            original = OriginalRef(of.key.stan, of.transmission, (of.key.kind,), terminal, of.key.local_day)
        return Request(
            PaymentKey(bucket_of(member), day, time, terminal, self.stan, kind),
            *(member, 1, world.PROGRAMME_NO, shop, won, "pos", f"{day % 10_000:04d}{time:06d}"),
            *(f"{self.stan:012d}", f"{self.stan:06d}", self.stan, PinCheck.NONE, None, original),
        )

    async def pay(self, *requests: Request) -> list[str]:
        """Through lanes of a switch that has just started; the reasons answered."""
        return [why(answer) for answer in await self.told(requests)]

    async def told(self, requests: Sequence[Request]) -> list[Answer]:
        """As `pay`, with the whole answers; one after another, as a terminal sends them."""
        authorizer = self.authorizer()
        await authorizer.start()
        try:
            return [(await ask(authorizer, [one]))[0] for one in requests]
        finally:
            await authorizer.stop()

    def follower(self) -> Follower:
        """A watch that has just started."""
        one = Follower(self.engine, self.now)
        one.start()
        return one

    def flags(self) -> list[dict[str, Any]]:
        """Every flag, with how many payments speak for it."""
        return self._rows(
            "SELECT f.*, (SELECT count(*) FROM watch_evidence e WHERE e.programme_no = f.programme_no"
            " AND e.flag_no = f.flag_no) AS payments FROM watch_flag f ORDER BY flag_no"
        )

    def stops(self) -> list[dict[str, Any]]:
        """Every stop."""
        return self._rows("SELECT * FROM watch_stop ORDER BY flag_no")

    def written(self) -> list[list[dict[str, Any]]]:
        """All that the watch has written."""
        evidence = self._rows("SELECT * FROM watch_evidence ORDER BY 1, 2, 3, 4, 5, 6, 7, 8")
        return [self.flags(), self.stops(), evidence]

    def _rows(self, query: str) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(text(query))]


def why(answer: Answer) -> str:
    """The name of the reason answered."""
    return BY_NUMBER[answer.stored.reason].name
