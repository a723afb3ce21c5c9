"""A month of payments judged once more by other rules: seconds and peak memory of a simulation.

    python -m tests.bench.what_if [--payments 1000000] [--wallets 60000] [--workers 2]

The payments are made by SQL as lanes would have left them: one lot a wallet, three funders, one tier.
"""

import argparse
import json
import shutil
import sys
import threading
import time
from datetime import date, datetime, timedelta
from typing import Any

import psutil
import psycopg
from msgspec.structs import replace

from switch.domain.budget import Budget
from switch.domain.calendar import SEOUL
from switch.domain.payment import bucket_of
from switch.domain.programme import Programme
from switch.service.import_files import no_progress
from switch.service.review.simulate import Wish, simulate
from switch.store.engine import conninfo, resolve, stop_embedded
from switch.store.reference import load_reference
from tests.support.stage import ROOT, Stage

FIRST, LAST = date(2026, 10, 1), date(2026, 10, 31)
SHOPS = 1_000

_PAYMENTS = """
INSERT INTO payment (bucket, local_day, local_time, terminal_id, stan, kind, wallet_id, seq, card_no,
    merchant_no, programme_no, policy_no, business_date, transmission, content, amount, approved, outcome,
    reason, approval, rrn, channel, basis, usage_month, usage_before, cashback, ledger_after,
    available_after, returned,
    original_seq, batch_no, detail)
SELECT bucket, day, time, terminal, i %% 1000000, 1, wallet_id, 2 + n, 1, merchant_no,
    %(programme)s, %(policy)s, day,
    '1001000000', i, won, won, 1, 0, '000001', lpad(i::text, 12, '0'), 'pos', won, 202610,
    before, won / 10, 0, 0, 0, 0, 1,
    format('{"uses":[[1,%%s]],"pieces":[{"kind":"tier","code":"0-300000","basis":%%s,"rate_ppm":100000,'
           '"won":%%s,"shares":[["national",%%s],["city",%%s],["district",%%s]],"budget":"cashback"}],"entry":4,'
           '"grants":[[NATIONAL,%%s],[CITY,%%s],[DISTRICT,%%s]]}',
           won, won, won / 10, won / 25, won / 50, won / 25, won / 25, won / 50, won / 25)
FROM made WHERE day = %(day)s"""
_ENTRIES = """
INSERT INTO entry (bucket, business_date, wallet_id, seq, line, programme_no, source, debit, credit, won,
    lot_no, merchant_no, funder_no, budget_no)
SELECT bucket, day, wallet_id, 2 + n, line, %(programme)s, 1, debit, credit, won / part, lot,
    CASE WHEN lot = 1 THEN merchant_no ELSE 0 END, funder, budget
FROM made, (VALUES (1, 201, 221, 1, 1, 0, 0), (2, 111, 211, 25, 0, %(national)s, %(nb)s),
    (3, 111, 211, 50, 0, %(city)s, %(cb)s), (4, 111, 211, 25, 0, %(district)s, %(db)s))
    AS l(line, debit, credit, part, lot, funder, budget)
WHERE day = %(day)s"""
_MADE = """
CREATE TABLE made AS
SELECT bucket, wallet_id, n, i, won::bigint, day, time,
       'T' || lpad((i %% 1000)::text, 4, '0') || '000' AS terminal,
       (SELECT min(merchant_no) FROM merchant) + i %% %(shops)s AS merchant_no,
       coalesce(sum(won) OVER (PARTITION BY wallet_id ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING
                               AND 1 PRECEDING), 0)::bigint AS before
FROM (SELECT w.bucket, w.wallet_id, n, w.wallet_id * 40 + n AS i,
             10000 + (w.wallet_id * 7 + n * 13) %% 50 * 100 AS won,
             date '2026-10-01' + (n * 30 / %(each)s)::int AS day,
             90000 + ((w.wallet_id + n) %% 10) * 10000 + (w.wallet_id %% 60) * 100 + n AS time
      FROM wallet w, generate_series(0, %(each)s - 1) AS n) x"""


def build(stage: Stage, payments: int, wallets: int) -> None:
    """Fill the books of a month."""
    stage.programme()
    stage.shops(SHOPS)
    reference = load_reference(stage.engine)
    (programme_no,) = reference.programmes
    budgets = reference.given[programme_no].budget_no
    funders = reference.funder_no[programme_no]
    policy_no = next(no for start, no in reference.starts[programme_no] if start <= 20261001000000)
    known: dict[str, Any] = {
        "programme": programme_no, "policy": policy_no, "shops": SHOPS, "each": payments // wallets,
        **{funder: funders[funder] for funder in ("national", "city", "district")},
        **{name: budgets.get(("cashback", funder), 0)
           for name, funder in (("nb", "national"), ("cb", "city"), ("db", "district"))},
    }  # fmt: skip
    each = payments // wallets
    with psycopg.connect(conninfo(resolve(stage.url, size="large")), autocommit=True) as connection:
        for ahead in range(-1, 33):
            connection.execute("SELECT dure_ensure_day(%s)", (FIRST + timedelta(days=ahead),))
        ids = range(1, wallets + 1)
        copy_wallet = "COPY wallet (bucket, wallet_id, programme_no, points_on, seq, lot_seq) FROM STDIN"
        copy_member = "COPY member (programme_no, member_id, bucket, wallet_id) FROM STDIN"
        with connection.cursor() as cursor:
            with cursor.copy(copy_wallet) as copy:
                for number in ids:
                    copy.write_row((bucket_of(number), number, programme_no, False, 1 + each, 1))
            with cursor.copy(copy_member) as copy:
                for number in ids:
                    copy.write_row((programme_no, f"M{number:07d}", bucket_of(number), number))
        connection.execute(_MADE, known)
        connection.execute("CREATE INDEX ON made (day)")
        connection.execute(
            "INSERT INTO lot (bucket, wallet_id, lot_no, kind, balance, granted, opened, expires)"
            " SELECT bucket, wallet_id, 1, 1, 400000 - sum(won), 400000, 20260930, 20310930 FROM made"
            " GROUP BY 1, 2"
        )
        connection.execute(
            "INSERT INTO entry (bucket, business_date, wallet_id, seq, line, programme_no, source, debit,"
            " credit, won, lot_no, merchant_no, funder_no)"
            " SELECT bucket, '2026-09-30', wallet_id, 1, 1, %s, 2, 101, 201, 400000, 1, 0, 0 FROM wallet",
            (programme_no,),
        )
        paid = _PAYMENTS
        for funder, line in (("national", "nb"), ("city", "cb"), ("district", "db")):
            paid = paid.replace(funder.upper(), f"{known[funder]},{known[line]}")  # inside a literal
        for ahead in range(31):
            day = {**known, "day": FIRST + timedelta(days=ahead)}
            connection.execute(paid, day)
            connection.execute(_ENTRIES, day)
        connection.execute("VACUUM ANALYZE")


def other_rules(programme: Programme) -> Programme:
    """A tighter month: less in the first tier, smaller payments, and a budget that ends before it does."""
    last = programme.policies[-1]
    shares = (("national", 40_000), ("city", 20_000), ("district", 30_000))
    tiers = (replace(last.tiers[0], rate_ppm=90_000, shares=shares), *last.tiers[1:])
    policies = (
        *programme.policies[:-1],
        replace(last, tiers=tiers, limits=replace(last.limits, day_max=14_500)),
    )
    others = tuple(one for one in programme.budgets if one.code != "cashback")
    budgets = (
        *others,
        *(Budget(code="cashback", funder=one, monthly=250_000_000) for one in last.funder_order),
    )
    return replace(programme, policies=policies, budgets=budgets)


class Peak(threading.Thread):
    """The most memory (bytes) that this process and its workers hold together; shared pages count in each."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.ended = threading.Event()
        self.own = self.workers = 0

    def run(self) -> None:
        me = psutil.Process()
        while not self.ended.wait(0.1):
            try:
                own = me.memory_info().rss
                workers = sum(
                    one.memory_info().rss for one in me.children(recursive=True) if "python" in one.name()
                )
            except psutil.NoSuchProcess:
                continue
            self.own, self.workers = max(self.own, own), max(self.workers, own + workers)


def measure(payments: int, wallets: int, workers: int) -> dict[str, Any]:
    """Make the month, simulate it, say what it took."""
    directory = ROOT / "var" / "bench" / "what-if"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    (directory / "clock").write_text(datetime(2026, 9, 30, 12, tzinfo=SEOUL).isoformat() + "\n")
    stage = Stage(directory, size="large")
    try:
        started = time.monotonic()
        build(stage, payments, wallets)
        made = time.monotonic() - started
        programme = next(iter(load_reference(stage.engine).programmes.values()))
        rules = other_rules(programme)
        wish = Wish(FIRST, LAST, as_version=rules.policies[-1].version, workers=workers)
        peak = Peak()
        peak.start()
        cpu = time.process_time()
        told = simulate(stage.engine, programme.programme_id, rules, wish, no_progress)
        cpu = time.process_time() - cpu
        peak.ended.set()
    finally:
        stage.engine.dispose()
        stop_embedded(stage.url)
        shutil.rmtree(directory, ignore_errors=True)
    return {
        "payments": told.payments,
        "wallets": told.wallets,
        "workers": workers,
        "seconds": told.seconds,
        "cpu_seconds_of_the_command": round(cpu, 2),
        "peak_mib_of_the_command": peak.own / 2**20,
        "peak_mib_with_workers": peak.workers / 2**20,
        "seconds_to_make": round(made, 1),
        "declined_then": told.declined_then,
        "declined_now": told.declined_now,
        "cashback_then": told.cashback_then,
        "cashback_now": told.cashback_now,
        "budgets": [(one.funder, one.missed, one.ended_now) for one in told.budgets if one.missed],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.what_if", description=__doc__)
    parser.add_argument("--payments", type=int, default=1_000_000)
    parser.add_argument("--wallets", type=int, default=60_000)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    sys.stdout.write(json.dumps(measure(chosen.payments, chosen.wallets, chosen.workers), indent=2) + "\n")
