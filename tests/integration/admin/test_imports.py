"""Imports on a real database: all or nothing, re-runnable, and without a card number in the clear."""
# ruff: noqa: E501 - tables of cases, one a line

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from switch.service.vault import Vault, card_row_id
from tests.integration.admin.conftest import CANARY, SECOND, SEORO, TOWN, Desk


def _pan(number: int) -> str:
    digits = f"94106101{number:07d}"
    doubled = sum(sum(divmod(2 * int(d), 10)) for d in digits[::-2]) + sum(int(d) for d in digits[-2::-2])
    return f"{digits}{-doubled % 10}"


def _counts(desk: Desk) -> dict[str, object]:
    tables = ("member", "wallet", "card", "card_index", "merchant", "terminal", "lot", "entry", "funding")
    return {name: desk.scalar(f"SELECT count(*) FROM {name}") for name in tables}


def test_town_is_in_the_books(town: Desk) -> None:
    assert _counts(town) == {
        "member": 2,
        "wallet": 2,
        "card": 2,
        "card_index": 2,
        "merchant": 1,
        "terminal": 1,
        "lot": 3,
        "entry": 3,
        "funding": 3,
    }
    assert (
        town.scalar("SELECT valid_to::text FROM merchant_group WHERE group_code = 'market'") == "2026-01-01"
    )


@pytest.mark.parametrize("kind", list(TOWN))
def test_the_same_file_again_changes_nothing(
    town: Desk, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before, epoch = _counts(town), town.scalar("SELECT reference_epoch FROM control")
    capsys.readouterr()
    assert town.dure("import", kind, str(town.folder / f"{kind}.csv"), "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["new"], report["changed"], report["unchanged"]) == (0, 0, report["rows"])
    assert _counts(town) == before
    assert town.scalar("SELECT reference_epoch FROM control") == epoch


def test_funding_books_lots_entries_and_sequences(town: Desk) -> None:
    with town.engine.connect() as connection:
        lots = connection.execute(
            text(
                "SELECT l.lot_no, l.kind, f.funder_id, l.balance, l.granted, l.opened, l.expires FROM lot l"
                " JOIN member m USING (wallet_id) LEFT JOIN funder f USING (funder_no)"
                " ORDER BY m.member_id, l.lot_no"
            )
        ).all()
        entries = connection.execute(
            text(
                "SELECT e.wallet_id, e.seq, e.line, e.source, e.debit, e.credit, e.won, e.lot_no, e.business_date"
                " FROM entry e ORDER BY e.wallet_id, e.seq"
            )
        ).all()
    assert [tuple(row) for row in lots] == [
        (1, 1, None, 100_000, 100_000, 20251120, 20301120),
        (2, 2, "district", 5_000, 5_000, 20251120, 20301130),
        (1, 2, "city", 700, 700, 20250228, 20300228),
    ]
    assert [tuple(row)[1:8] for row in entries] == [
        (1, 1, 2, 101, 201, 100_000, 1),
        (2, 1, 2, 111, 202, 5_000, 2),
        (1, 1, 2, 111, 202, 700, 1),
    ]
    assert town.scalar("SELECT count(*) FROM wallet WHERE (seq, lot_seq) IN ((2, 2), (1, 1))") == 2


def test_funding_goes_to_the_next_open_date(town: Desk) -> None:
    town.execute("UPDATE programme SET closed_through = (now() AT TIME ZONE 'Asia/Seoul')::date")
    more = TOWN["funding"].splitlines()[0] + "\nseoro,B-9,M-1,charged,1,,2025-11-20\n"
    assert town.dure("import", "funding", str(town.file("more.csv", more))) == 0
    assert town.scalar(
        "SELECT e.business_date = p.closed_through + 1 FROM entry e, programme p WHERE e.won = 1"
    )


CHANGES = {
    "members": ("M-2,seoro,no", "M-2,seoro,yes", "SELECT points_on::text FROM wallet WHERE wallet_id = 2", "true"),
    "cards": (f"{CANARY},3012,1,1234", f"{CANARY},3112,1,4321", "SELECT expiry || pvv FROM card WHERE wallet_id = 1", "31124321"),
    "merchants": ("088,110-123-456789", "004,999-888-777777", "SELECT bank_code || account_no FROM merchant", "004999-888-777777"),
    "terminals": ("UB5CEC5B82CBD727FF49D1881D6FA3973,090199", "U" + "0" * 32 + ",ABCDEF", "SELECT tmk_kcv FROM terminal", "ABCDEF"),
}  # fmt: skip


@pytest.mark.parametrize("kind", list(CHANGES))
def test_a_changed_row_is_changed_and_counted(
    town: Desk, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new, query, expected = CHANGES[kind]
    assert old in TOWN[kind]
    epoch = town.scalar("SELECT reference_epoch FROM control")
    path = town.file("again.csv", TOWN[kind].replace(old, new))
    capsys.readouterr()
    assert town.dure("import", kind, str(path), "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["new"], report["changed"]) == (0, 1)
    assert town.scalar(query) == expected
    raised = town.scalar("SELECT reference_epoch FROM control") != epoch
    assert raised == (kind != "members")


BAD = [
    ("members", "member_id,programme,points_on\nM-9,seoro,yes\nM-8,soro,yes\n", 'again.csv:3: programme: no programme "soro": did you mean "seoro"?'),
    ("members", "member_id,programme,points_on\nM-9,seoro,yes\nM-9,seoro,yes\n", "again.csv:3: member_id: stands on line 2 already"),
    ("members", f"member_id,programme,points_on\n{CANARY},seoro,yes\n", "again.csv:2: member_id: is a card number"),
    ("cards", f"programme,member_id,pan,expiry,pvki,pvv\nseoro,M-7,{CANARY},3012,,\n", 'again.csv:2: member_id: programme seoro has no member "M-7"'),
    ("cards", f"programme,member_id,pan,expiry,pvki,pvv\nseoro,M-2,{CANARY},3012,,\n", "again.csv:2: pan: 941061******0019 belongs to another member"),
    ("cards", "programme,member_id,pan,expiry,pvki,pvv\nseoro,M-2,4012345678909,3012,,\n", "again.csv:2: pan: 401234***8909 is outside the card ranges of seoro"),
    ("cards", f"programme,member_id,pan,expiry,pvki,pvv\nseoro,M-2,{SECOND},3012,1,\n", "again.csv:2: pvv: pvki and pvv go together"),
    ("merchants", TOWN["merchants"].replace("other:2026-01-01", "other:2025-01-01"), "again.csv:2: groups: would change groups on or before today"),
    ("merchants", TOWN["merchants"].replace("180000000,2025-01-01", "180000000,"), "again.csv:2: sales_from: annual_sales and sales_from go together"),
    ("terminals", TOWN["terminals"].replace("S-1", "S-2"), 'again.csv:2: merchant_id: no merchant "S-2"'),
    ("funding", TOWN["funding"].replace("100000", "100001"), "again.csv:2: reference: B-1 is booked already with other contents (100,000 won)"),
    ("funding", TOWN["funding"].replace("city", "citty"), 'again.csv:4: funder: seoro has no funder "citty": did you mean "city"?'),
    ("funding", TOWN["funding"].replace("charged,100000,", "charged,100000,city"), "again.csv:2: funder: points have a funder"),
    ("funding", TOWN["funding"].replace("B-1,", "B-3,").replace("2025-11-20", "2999-01-01"), "again.csv:2: day: 2999-01-01 has not come yet"),
    ("funding", TOWN["funding"].replace("B-1,", "B-3,").replace("2025-11-20", "2024-12-31"), "again.csv:2: day: seoro has no policy in force on 2024-12-31"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "content", "expected"), BAD)
def test_a_contradiction_is_told_and_nothing_is_written(
    town: Desk, kind: str, content: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _counts(town)
    capsys.readouterr()
    assert town.dure("import", kind, str(town.file("again.csv", content))) == 2
    told = capsys.readouterr()
    assert expected in told.err
    assert told.out == ""
    assert CANARY not in told.err
    assert _counts(town) == before


def test_settled_sales_stay(town: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    town.execute("UPDATE programme SET closed_through = '2025-06-30'")
    again = town.file("again.csv", TOWN["merchants"].replace("180000000", "190000000"))
    assert town.dure("import", "merchants", str(again)) == 2
    assert "180,000,000 won from 2025-01-01 on has been settled with" in capsys.readouterr().err


def test_an_import_never_frees_a_card(town: Desk) -> None:
    assert town.dure("card", "block", "--programme", "seoro", "--member", "M-1", "--card-no", "1") == 0
    active = town.file("again.csv", TOWN["cards"].replace("1234,", "1234,active"))
    assert town.dure("import", "cards", str(active)) == 0
    assert town.scalar("SELECT state FROM card WHERE wallet_id = 1") == "blocked"
    lost = town.file("again.csv", TOWN["cards"].replace("1234,", "1234,lost"))
    assert town.dure("import", "cards", str(lost)) == 0
    assert town.scalar("SELECT state FROM card WHERE wallet_id = 1") == "lost"


def test_a_file_may_say_what_form_a_card_has_and_otherwise_leaves_it(town: Desk) -> None:
    form = "SELECT form FROM card WHERE wallet_id = 1"
    assert town.scalar(form) == "card"
    head, *rows = TOWN["cards"].replace(",state", ",state,form").splitlines()
    told = "\n".join([head, *(row + ",qr" for row in rows)])
    assert town.dure("import", "cards", str(town.file("again.csv", told))) == 0
    assert town.scalar(form) == "qr"
    assert town.dure("import", "cards", str(town.file("again.csv", TOWN["cards"]))) == 0
    assert town.scalar(form) == "qr"
    assert town.dure("import", "cards", str(town.file("again.csv", told.replace(",qr", ",ring")))) == 2


def test_card_numbers_are_sealed(town: Desk) -> None:
    vault = Vault.load(town.folder / "vault.keys")
    with town.engine.connect() as connection:
        row = connection.execute(
            text(
                "SELECT c.bucket, c.wallet_id, c.card_no, c.key_version, c.pan_box, c.masked FROM card c"
                " JOIN card_index USING (pan_hmac) WHERE pan_hmac = :key"
            ),
            {"key": vault.pan_hmac(CANARY)},
        ).one()
    assert vault.open(row[3], bytes(row[4]), card_row_id(*row[:3])) == CANARY
    assert row.masked == "941061******0019"


def test_a_card_number_is_nowhere_in_the_clear(
    town: Desk, server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    town.dure("wallet", "show", "--programme", "seoro", "--member", "M-1", "--json")
    town.dure("import", "cards", str(town.file("again.csv", TOWN["cards"].replace("M-1", CANARY))))
    shown = capsys.readouterr()
    assert CANARY not in shown.out + shown.err
    (town.folder / "again.csv").unlink()
    (town.folder / "cards.csv").unlink()
    with town.engine.connect() as connection:
        tables = list(
            connection.scalars(
                text("SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'")
            )
        )
        for table in tables:
            rows = connection.scalars(text(f"SELECT t::text FROM {table} t"))
            held = "\n".join(rows)
            assert CANARY not in held, table
            assert CANARY.encode().hex() not in held, table
    connection.close()
    town.execute("CHECKPOINT")
    places = (Path(server.removeprefix("embedded:")), town.folder)
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    assert len(files) > 100
    for path in files:
        assert CANARY.encode() not in path.read_bytes(), path


def test_many_rows_take_seconds(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert desk.dure("programme", "apply", str(SEORO)) == 0
    count = 20_000
    numbers = range(1, count + 1)
    files = {
        "members": "member_id,programme,points_on\n" + "".join(f"M-{n},seoro,yes\n" for n in numbers),
        "cards": "programme,member_id,pan,expiry,pvki,pvv\n"
        + "".join(f"seoro,M-{n},{_pan(n)},3012,1,1234\n" for n in numbers),
        "funding": "programme,reference,member_id,kind,won,funder,day\n"
        + "".join(f"seoro,B-{n},M-{n},charged,{n},,2025-11-20\n" for n in numbers),
    }
    for kind, content in files.items():
        path = desk.file(f"{kind}.csv", content)
        started = time.perf_counter()
        assert desk.dure("import", kind, str(path)) == 0
        took = time.perf_counter() - started
        with capsys.disabled():
            print(f"  {kind}: {count:,} rows in {took:.1f} s", end="")  # noqa: T201
        assert took < 15
    assert desk.scalar("SELECT sum(won) FROM entry") == count * (count + 1) // 2
    assert desk.scalar("SELECT count(DISTINCT bucket) FROM wallet") == 1024


def test_subprocess_exit_codes(town: Desk) -> None:
    environment = {**os.environ, "DURE_SWITCH_CONFIG": str(town.config)}

    def dure(*arguments: str) -> subprocess.CompletedProcess[str]:
        script = Path(sys.executable).with_name("dure-switch")
        return subprocess.run(
            [str(script), *arguments], env=environment, capture_output=True, text=True, check=False
        )

    good = dure("import", "members", str(town.folder / "members.csv"))
    assert (good.returncode, good.stdout) == (0, "members.csv: 0 new, 0 changed, 2 unchanged\n")
    bad = dure("import", "members", str(town.folder / "cards.csv"))
    assert bad.returncode == 2
    assert "Traceback" not in bad.stderr
    lost = dure("wallet", "show", "--programme", "seoro", "--member", "M-1", "--config", "/nowhere.toml")
    assert (lost.returncode, lost.stdout) == (78, "")
    assert lost.stderr.count("\n") == 1


def test_funding_waits_for_a_date_being_closed_and_goes_to_the_next(town: Desk) -> None:
    more = TOWN["funding"].splitlines()[0] + "\nseoro,B-9,M-1,charged,1,,2025-11-20\n"
    path = town.file("more.csv", more)
    today = text("SELECT to_char(now() AT TIME ZONE 'Asia/Seoul', 'YYYYMMDD')::int")
    with town.engine.connect() as closer, ThreadPoolExecutor(1) as pool:
        day = closer.scalar(today)
        closer.execute(text("SELECT pg_advisory_xact_lock(1, :day)"), {"day": day})
        booking = pool.submit(town.dure, "import", "funding", str(path))
        time.sleep(0.5)
        assert not booking.done()
        closer.execute(
            text("UPDATE programme SET closed_through = to_date(:day, 'YYYYMMDD')"), {"day": str(day)}
        )
        closer.commit()
        assert booking.result(timeout=20) == 0
    assert town.scalar(
        "SELECT e.business_date = p.closed_through + 1 FROM entry e, programme p WHERE e.won = 1"
    )


def test_new_rules_wait_for_batches_that_were_judged_by_the_old_ones(town: Desk) -> None:
    """Else a version could be changed under a payment that is just being booked by it."""
    text_now = SEORO.read_text(encoding="utf-8")
    changed = town.file("changed.toml", text_now.replace("payment_max = 1_000_000", "payment_max = 900_000"))
    today = text("SELECT to_char(now() AT TIME ZONE 'Asia/Seoul', 'YYYYMMDD')::int")
    with town.engine.connect() as lane, ThreadPoolExecutor(1) as pool:
        lane.execute(text("SELECT pg_advisory_xact_lock_shared(1, :day)"), {"day": lane.scalar(today)})
        applying = pool.submit(town.dure, "programme", "apply", str(changed))
        with pytest.raises(TimeoutError):
            applying.result(1.0)
        lane.commit()
        assert applying.result(10.0) == 0
