"""One process of the race: reads lines of JSON, pays what they say, says so, and may be killed at any time.

    python -m tests.integration.budgets.worker DATABASE_URL

A line is [round, month, [[member, won], …]]; the answer the round, once every payment is answered. Asked
again after a kill, it sends the same payments again, as terminals do.
"""

import asyncio
import json
import sys
from datetime import datetime

from sqlalchemy import create_engine

from switch.domain.calendar import SEOUL
from switch.service.authorizer import Authorizer, Limits
from switch.service.holder import ReferenceHolder
from switch.store.engine import conninfo
from switch.store.reference import load_reference
from tests.integration.budgets.town import purchase


async def main(url: str, terminal: str) -> None:
    engine = create_engine(url, connect_args={"options": "-c timezone=Asia/Seoul"})
    holder = ReferenceHolder(engine, load_reference(engine))
    now = datetime(2026, 6, 29, 12, tzinfo=SEOUL)
    authorizer = Authorizer(conninfo(engine.url), holder, lambda: now, lanes=1, limits=Limits(batch_max=16))
    await authorizer.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        number, month, payments = json.loads(line)
        asked = [
            authorizer.submit(purchase(member, won, month, stan=stan, terminal=terminal))
            for stan, (member, won) in enumerate(payments, 1)
        ]
        await asyncio.gather(*asked)
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
    await authorizer.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
