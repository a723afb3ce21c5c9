"""Merchants that change on days, members with tags and companies: what a file may change, and what it may not."""
# ruff: noqa: E501 - tables of cases, one a line

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from switch.domain.calendar import SEOUL, day_of_date
from switch.store.reference import load_reference
from tests.integration.admin.conftest import TOWN, Desk

HEAD, ROW = TOWN["merchants"].splitlines()
TODAY = datetime.now(SEOUL).date()
PAYMENT = """\
INSERT INTO payment (bucket, local_day, local_time, terminal_id, stan, kind, wallet_id, seq, card_no,
    merchant_no, programme_no, policy_no, business_date, transmission, content, amount, approved, outcome,
    reason, approval, rrn, channel, basis, usage_month, usage_before, cashback, ledger_after, available_after,
    returned, original_seq, detail, batch_no)
VALUES (1, :day, 120000, 'T0000001', 1, 1, 1, 90, 1, 1, 1, 1, :day, '1118030000', 0, 1000, 1000, 1, 0,
    '000000', '', 'pos', 0, 202611, 0, 0, 0, 0, 0, 0, '', 1)"""


def day(ahead: int) -> str:
    return (TODAY + timedelta(days=ahead)).isoformat()


def merchants(
    town: Desk, since: str | None, *, category: str = "academy", size: str = "small", groups: str = ""
) -> str:
    """The path of a file with the town's merchant as it is from a day on."""
    row = ROW.replace("restaurant,", f"{category},").replace(",small,", f",{size},")
    if groups:
        row = row.replace("other:2026-01-01", groups)
    told = "" if since is None else f",{since}"
    head = HEAD if since is None else f"{HEAD},effective_from"
    return str(town.file("again.csv", f"{head}\n{row}{told}\n"))


def paid(town: Desk, ahead: int) -> None:
    """A payment of the merchant whose terminal's clock says so."""
    with town.engine.begin() as connection:
        connection.execute(text("SELECT dure_ensure_day(:day)"), {"day": TODAY + timedelta(days=ahead)})
        connection.execute(text(PAYMENT), {"day": TODAY + timedelta(days=ahead)})


def test_a_merchant_changes_on_its_day_and_the_same_file_again_changes_nothing(
    town: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    epoch = town.scalar("SELECT reference_epoch FROM control")
    path = merchants(town, day(1))
    for changed in (1, 0):
        capsys.readouterr()
        assert town.dure("import", "merchants", path, "--json") == 0
        assert json.loads(capsys.readouterr().out)["changed"] == changed
    assert town.scalar("SELECT reference_epoch FROM control") == int(str(epoch)) + 1
    assert town.dure("import", "merchants", merchants(town, day(3), size="large")) == 0
    capsys.readouterr()
    assert town.dure("merchant", "show", "S-1", "--json") == 0
    shown = json.loads(capsys.readouterr().out)["changes"]
    assert [(one[1], one[2]) for one in shown] == [("academy", "small"), ("academy", "large")]
    shop = load_reference(town.engine).merchants[1]
    told = [(shop.on(day_of_date(TODAY + timedelta(days=n)))) for n in (0, 1, 2, 3)]
    assert [one.category for one in told] == ["restaurant", "academy", "academy", "academy"]
    assert [one.size for one in told] == ["small", "small", "small", "large"]
    # what holds today, and what is to come last, are no contradictions; without a day nothing is changed
    for path in (str(town.folder / "merchants.csv"), merchants(town, None, size="large")):
        assert town.dure("import", "merchants", path) == 0
    assert load_reference(town.engine).merchants[1] == shop


def test_a_plan_can_be_changed_until_its_day_comes(town: Desk) -> None:
    for category in ("academy", "bookshop"):
        assert town.dure("import", "merchants", merchants(town, day(1), category=category)) == 0
    assert town.scalar("SELECT string_agg(category, ' ') FROM merchant_fact") == "bookshop"


REFUSED = [
    (None, "", 0, "again.csv:2: category: would change from restaurant to academy, without a day: add the column effective_from"),
    (0, "", 0, "again.csv:2: effective_from: would change the merchant on or before today"),
    (-30, "", 0, "again.csv:2: effective_from: would change the merchant on or before today"),
    (1, "", 1, "again.csv:2: effective_from: would change the merchant on or before the last day of a payment booked here"),
    (2, "other:2026-01-01;market:{1}", 0, "again.csv:2: groups: would change groups on or before the last day of a payment booked here"),
]  # fmt: skip


def test_no_day_is_changed_that_payments_were_judged_by(
    town: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    epoch = town.scalar("SELECT reference_epoch FROM control")
    for since, groups, paid_ahead, told in REFUSED:
        if paid_ahead:
            paid(town, paid_ahead)
        path = merchants(town, None if since is None else day(since), groups=groups.replace("{1}", day(1)))
        assert town.dure("import", "merchants", path) == 2
        assert told in capsys.readouterr().err
        assert town.scalar("SELECT count(*) FROM merchant_fact") == 0
        assert town.scalar("SELECT count(*) FROM merchant_group") == 2
        assert town.scalar("SELECT reference_epoch FROM control") == epoch
    # from the day after the last payment on it may
    groups = f"other:2026-01-01;market:{day(2)}"
    assert town.dure("import", "merchants", merchants(town, day(2), groups=groups)) == 0
    assert town.scalar("SELECT count(*) FROM merchant_group") == 3


def test_a_change_waits_for_batches_that_were_judged_by_the_old_facts(town: Desk) -> None:
    """Else one might be booked for tomorrow just after nobody was found to have paid tomorrow."""
    path = merchants(town, day(1))
    with town.engine.connect() as lane, ThreadPoolExecutor(1) as pool:
        lane.execute(text("SELECT pg_advisory_xact_lock_shared(1, :day)"), {"day": day_of_date(TODAY)})
        changing = pool.submit(town.dure, "import", "merchants", path)
        with pytest.raises(TimeoutError):
            changing.result(0.7)
        lane.commit()
        assert changing.result(10.0) == 0


def test_members_have_tags_and_may_be_companies(town: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    tags = "SELECT string_agg(tags || ':' || holder, ' ' ORDER BY wallet_id) FROM wallet"
    head = "member_id,programme,points_on,holder,tags\n"
    rows = 'M-1,seoro,yes,,"youth, volunteer"\nM-2,seoro,no,person,\nC-1,seoro,no,company,\n'
    path = str(town.file("more.csv", head + rows))
    for new, changed in ((1, 1), (0, 0)):
        capsys.readouterr()
        assert town.dure("import", "members", path, "--json") == 0
        report = json.loads(capsys.readouterr().out)
        assert (report["new"], report["changed"]) == (new, changed)
    assert town.scalar(tags) == "6:1 0:1 0:2"
    told = []
    for member in ("M-1", "C-1"):
        assert town.dure("wallet", "show", "--programme", "seoro", "--member", member, "--json") == 0
        told.append(json.loads(capsys.readouterr().out))
    assert [one["tags"] for one in told] == [["youth", "volunteer"], []]
    assert [one["holder"] for one in told] == ["person", "company"]
    # a file without these columns leaves them as they are
    assert town.dure("import", "members", str(town.file("less.csv", TOWN["members"]))) == 0
    assert town.scalar(tags) == "6:1 0:1 0:2"
    assert town.dure("import", "members", str(town.file("none.csv", head + "M-1,seoro,yes,,\n"))) == 0
    assert town.scalar(tags) == "0:1 0:1 0:2"


IMPOSSIBLE = [
    ("M-1,seoro,yes,,yuoth", 'more.csv:2: tags: seoro has no member tag "yuoth": did you mean "youth"?'),
    ("M-1,seoro,yes,firm,", "more.csv:2: holder: 'firm' is not known: write one of person, company"),
    ("M-1,seoro,yes,company,", "more.csv:2: holder: the wallet is a person's: give the company a member_id of its own"),
    ("M-9,seoro,yes,,Youth", "more.csv:2: tags: 'Youth' is no tag"),
]  # fmt: skip


def test_what_a_member_cannot_be_is_told(town: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    for row, told in IMPOSSIBLE:
        path = town.file("more.csv", f"member_id,programme,points_on,holder,tags\n{row}\n")
        assert town.dure("import", "members", str(path)) == 2
        assert told in capsys.readouterr().err
    assert town.scalar("SELECT count(*) FROM wallet WHERE tags <> 0 OR holder <> 1") == 0
