"""The simulated bank: what it takes and refuses, what it pays, what it answers, and how it comes back."""

from pathlib import Path

import pytest
from lxml import etree

from terminal_sim.bank import Bank
from terminal_sim.bank_order import schema
from terminal_sim.bank_script import ScriptError, load
from tests.unit.bank.orders import (
    CITY,
    FRIDAY,
    HOUSE,
    MONDAY,
    TUESDAY,
    WEDNESDAY,
    balances,
    days,
    entries,
    order,
    out,
    put,
    script,
    statements,
    texts,
    verdicts,
)

PAY = [("A-1", 300_000, "111-1"), ("A-2", 200_000, "222-2"), ("A-3", 100_000, "333-3")]


def played(folder: Path, more: str = "", *, opening: int = 1_000_000, as_one: bool = True) -> Path:
    """One order for Monday, brought on Friday, through Wednesday."""
    rules = script(folder, more, opening=opening)
    put(folder, "pay.xml", order("M-1", MONDAY, PAY, as_one=as_one))
    with Bank(folder, rules) as bank:
        days(bank, FRIDAY, WEDNESDAY)
    return folder


def test_all_is_well(tmp_path: Path) -> None:
    played(tmp_path)
    (report,) = out(tmp_path, "pain.002")
    assert texts(report, ".//p:GrpSts") == ["ACCP"]
    assert verdicts(report) == {"A-1": "", "A-2": "", "A-3": ""}
    days_told = statements(tmp_path, HOUSE)
    assert [balances(one) for one in days_told] == [
        (1_000_000, 1_000_000),
        (1_000_000, 400_000),
        (400_000, 400_000),
        (400_000, 400_000),
    ]  # Friday, Monday, Tuesday, Wednesday: none on the week-end
    assert entries(days_told[1]) == [(-600_000, "M-1-B1")]
    assert texts(days_told[1], ".//s:TxDtls//s:EndToEndId") == ["A-1", "A-2", "A-3"]
    assert [texts(one, ".//s:ElctrncSeqNb") for one in days_told] == [["1"], ["2"], ["3"], ["4"]]
    assert (tmp_path / "taken" / "pay.xml").exists()
    assert not list((tmp_path / "in").iterdir())


def test_every_answer_is_valid_by_the_published_schema(tmp_path: Path) -> None:
    more = (
        '---\n[[payee]]\naccount = "222-2"\ndoes = "reject"\ncode = "AC04"\n'
        '[[payee]]\naccount = "333-3"\ndoes = "return"\ncode = "AC06"\n'
        f'[[charge]]\naccount = "{HOUSE}"\non = 2026-11-24\nwon = 700\n'
    )
    for as_one in (True, False):
        folder = played(tmp_path / str(as_one), more, as_one=as_one)
        for kind, version in (("pain.002", "001.10"), ("camt.053", "001.08"), ("camt.054", "001.08")):
            found = out(folder, kind)
            assert found
            for document in found:
                published = schema(f"{kind}.{version}")
                assert published.validate(document), published.error_log


def test_single_entries_where_the_order_asks_for_them(tmp_path: Path) -> None:
    played(tmp_path, as_one=False)
    assert entries(statements(tmp_path, HOUSE)[1]) == [
        (-300_000, "A-1"),
        (-200_000, "A-2"),
        (-100_000, "A-3"),
    ]


def test_a_reject_is_told_at_once_and_not_paid(tmp_path: Path) -> None:
    played(tmp_path, '---\n[[payee]]\naccount = "222-2"\ndoes = "reject"\ncode = "AC04"\n')
    (report,) = out(tmp_path, "pain.002")
    assert texts(report, ".//p:GrpSts") == ["PART"]
    assert texts(report, ".//p:DtldNbOfTxs") == ["2", "1"]
    assert texts(report, ".//p:DtldCtrlSum") == ["400000", "200000"]
    assert verdicts(report) == {"A-1": "", "A-2": "AC04", "A-3": ""}
    assert entries(statements(tmp_path, HOUSE)[1]) == [(-400_000, "M-1-B1")]


def test_only_the_refused_are_told_where_the_script_says_so(tmp_path: Path) -> None:
    more = 'report = "refused"\n---\n[[payee]]\naccount = "222-2"\ndoes = "reject"\ncode = "AC04"\n'
    played(tmp_path, more)
    assert verdicts(out(tmp_path, "pain.002")[0]) == {"A-2": "AC04"}


def test_a_return_is_announced_and_stands_on_the_statement(tmp_path: Path) -> None:
    played(tmp_path, '---\n[[payee]]\naccount = "222-2"\ndoes = "return"\ncode = "AC06"\ndays = 1\n')
    (notice,) = out(tmp_path, "camt.054")
    assert texts(notice, ".//n:EndToEndId") == ["A-2"]
    assert texts(notice, ".//n:RtrInf/n:Rsn/n:Cd") == ["AC06"]
    tuesday = statements(tmp_path, HOUSE)[2]
    assert entries(tuesday) == [(200_000, "A-2")]
    assert balances(tuesday) == (400_000, 600_000)


def test_a_return_that_nobody_announces(tmp_path: Path) -> None:
    rule = '---\n[[payee]]\naccount = "222-2"\ndoes = "return"\ncode = "AC06"\nannounce = false\n'
    played(tmp_path, rule)
    assert out(tmp_path, "camt.054") == []
    assert entries(statements(tmp_path, HOUSE)[2]) == [(200_000, "A-2")]


def test_never_more_than_the_balance(tmp_path: Path) -> None:
    played(tmp_path, opening=450_000)
    first, second = out(tmp_path, "pain.002")
    assert verdicts(first) == {"A-1": "", "A-2": "", "A-3": ""}  # accepted on Friday
    assert verdicts(second) == {"A-2": "AM04"}  # not covered on Monday, though what follows is
    assert texts(second, ".//p:GrpSts") == ["PART"]
    assert balances(statements(tmp_path, HOUSE)[1]) == (450_000, 50_000)


def test_between_own_accounts_both_statements_show_it(tmp_path: Path) -> None:
    rules = script(tmp_path)
    put(tmp_path, "fees.xml", order("M-2", MONDAY, [("F-1", 5_000, CITY)], bank="088", as_one=False))
    with Bank(tmp_path, rules) as bank:
        days(bank, FRIDAY, MONDAY)
        assert (bank.balance(HOUSE), bank.balance(CITY)) == (995_000, 5_000)
    assert entries(statements(tmp_path, HOUSE)[1]) == [(-5_000, "F-1")]
    assert entries(statements(tmp_path, CITY)[1]) == [(5_000, "F-1")]


def test_money_from_outside_comes_once(tmp_path: Path) -> None:
    credit = f'[[credit]]\naccount = "{HOUSE}"\non = 2026-11-21\nwon = 900\nremittance = "TOPUP-20261120"\n'
    rules = script(tmp_path, f"---\n{credit}{credit}")  # two of the same are two
    with Bank(tmp_path, rules) as bank:
        days(bank, FRIDAY, TUESDAY)
    told = statements(tmp_path, HOUSE)
    assert [entries(one) for one in told] == [[], [(900, "TOPUP-20261120")] * 2, []]


def test_the_same_order_again_is_refused_and_paid_once(tmp_path: Path) -> None:
    rules = script(tmp_path)
    for name in ("one.xml", "two.xml"):
        put(tmp_path, name, order("M-1", MONDAY, PAY))
    with Bank(tmp_path, rules) as bank:
        days(bank, FRIDAY, FRIDAY)
        put(tmp_path, "one.xml", order("M-1", MONDAY, PAY))  # even under the name that it had
        days(bank, MONDAY, MONDAY)
        assert bank.balance(HOUSE) == 400_000
    codes = [texts(one, ".//p:OrgnlGrpInfAndSts//p:Cd") for one in out(tmp_path, "pain.002")]
    assert codes == [[], ["DU01"], ["DU01"]]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"won": 1}, "AM10"),
        ({"count": 2}, "AM18"),
    ],
)
def test_totals_that_do_not_agree_refuse_the_whole_file(
    tmp_path: Path, wrong: dict[str, int], code: str
) -> None:
    rules = script(tmp_path)
    put(tmp_path, "bad.xml", order("M-1", MONDAY, PAY, **wrong))  # type: ignore[arg-type]
    with Bank(tmp_path, rules) as bank:
        days(bank, FRIDAY, MONDAY)
        assert bank.balance(HOUSE) == 1_000_000
    (report,) = out(tmp_path, "pain.002")
    assert texts(report, ".//p:GrpSts") == ["RJCT"]
    assert texts(report, ".//p:Rsn/p:Cd") == [code]


@pytest.mark.parametrize(
    ("payment", "more", "code"),
    [
        (("A-1", 5, "12 34"), {}, "AC01"),
        (("A-1", 5, "111"), {"bank": "9999"}, "RC04"),
        (("A-1", 5, "111"), {"debtor": "999"}, "AC02"),
    ],
)
def test_what_cannot_be_paid_is_refused(
    tmp_path: Path, payment: tuple[str, int, str], more: dict[str, str], code: str
) -> None:
    rules = script(tmp_path)
    put(tmp_path, "bad.xml", order("M-1", MONDAY, [payment], **more))  # type: ignore[arg-type]
    with Bank(tmp_path, rules) as bank:
        days(bank, FRIDAY, MONDAY)
        assert bank.balance(HOUSE) == 1_000_000
    assert verdicts(out(tmp_path, "pain.002")[0]) == {"A-1": code}


def test_an_end_to_end_id_pays_once_for_ever(tmp_path: Path) -> None:
    rules = script(tmp_path)
    put(tmp_path, "one.xml", order("M-1", MONDAY, [("A-1", 5, "111"), ("A-1", 5, "111")]))
    put(tmp_path, "two.xml", order("M-2", MONDAY, [("A-1", 5, "111"), ("A-2", 5, "111")]))
    with Bank(tmp_path, rules) as bank:
        days(bank, FRIDAY, MONDAY)
        assert bank.balance(HOUSE) == 1_000_000 - 10
    assert verdicts(out(tmp_path, "pain.002")[1]) == {"A-1": "DU04", "A-2": ""}


@pytest.mark.parametrize(
    "data",
    [
        b"no xml",
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        b'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"/>',
    ],
)
def test_what_cannot_be_read_is_put_aside_with_the_reason(tmp_path: Path, data: bytes) -> None:
    rules = script(tmp_path)
    put(tmp_path, "bad.xml", data)
    with Bank(tmp_path, rules) as bank:
        (told,) = bank.morning(FRIDAY)
    assert told.what == "refused"
    assert (tmp_path / "refused" / "bad.xml").read_bytes() == data
    assert (tmp_path / "refused" / "bad.xml.reason.txt").read_text("utf-8").strip() == told.about


def test_what_is_not_whole_yet_waits_and_what_was_changed_on_the_way_is_refused(tmp_path: Path) -> None:
    rules = script(tmp_path)
    put(tmp_path, "one.xml.part", order("M-1", MONDAY, PAY))
    put(tmp_path, "two.xml", order("M-2", MONDAY, PAY))
    put(tmp_path, "two.xml.sha256", b"0" * 64 + b"  two.xml\n")
    with Bank(tmp_path, rules) as bank:
        (told,) = bank.morning(FRIDAY)
    assert "sha256" in told.about
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["one.xml.part"]


def test_answers_that_come_twice_late_or_only_when_asked_for(tmp_path: Path) -> None:
    told: dict[str, list[str]] = {}
    for answer in ("twice", "again", "late", "silent"):
        folder = tmp_path / answer
        rules = script(folder, f'---\n[[file]]\nnumber = 1\nanswer = "{answer}"\ndays = 2\n')
        put(folder, "pay.xml", order("M-1", MONDAY, PAY))
        with Bank(folder, rules) as bank:
            days(bank, FRIDAY, MONDAY)
            early = len(out(folder, "pain.002"))
            days(bank, TUESDAY, TUESDAY)
            later = len(out(folder, "pain.002"))
            bank.answer("M-1")
        told[answer] = [str(early), str(later), str(len(out(folder, "pain.002")))]
    assert told == {
        "twice": ["2", "2", "2"],
        "again": ["2", "2", "2"],
        "late": ["0", "1", "1"],
        "silent": ["0", "0", "1"],
    }
    same = {path.read_bytes() for path in (tmp_path / "twice" / "out").glob("*pain.002.xml")}
    other = {path.read_bytes() for path in (tmp_path / "again" / "out").glob("*pain.002.xml")}
    assert (len(same), len(other)) == (1, 2)


def test_a_statement_that_comes_twice(tmp_path: Path) -> None:
    played(tmp_path, f'---\n[[statement_twice]]\naccount = "{HOUSE}"\non = 2026-11-23\n')
    sequences = [texts(one, ".//s:ElctrncSeqNb")[0] for one in statements(tmp_path, HOUSE)]
    assert sequences == ["1", "2", "2", "3", "4"]


def test_holidays_and_days_that_the_script_closes(tmp_path: Path) -> None:
    rules = script(tmp_path, "closed = [2026-11-23]")
    put(tmp_path, "pay.xml", order("M-1", MONDAY, PAY))
    with Bank(tmp_path, rules) as bank:
        days(bank, FRIDAY, TUESDAY)
    assert [texts(one, ".//s:Bal/s:Dt/s:Dt")[0] for one in statements(tmp_path, HOUSE)] == [
        "2026-11-20",
        "2026-11-24",
    ]
    assert not rules.is_open(FRIDAY.replace(month=12, day=25))


def test_a_day_that_is_over_does_not_come_again(tmp_path: Path) -> None:
    with Bank(tmp_path, script(tmp_path)) as bank:
        bank.evening(MONDAY)
        put(tmp_path, "pay.xml", order("M-1", MONDAY, PAY))
        (told,) = bank.morning(MONDAY)
    assert (told.what, "2026-11-23" in told.about) == ("over", True)
    assert (tmp_path / "in" / "pay.xml").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("speed = 3", "speed"),
        ('---\n[[payee]]\naccount = "1"\ndoes = "lose"\ncode = "AC04"\n', "lose"),
        (f'---\n[[account]]\nnumber = "{HOUSE}"\nname = "x"\n', "twice"),
        ('---\n[[credit]]\naccount = "9"\non = 2026-11-21\nwon = 9\nremittance = "x"\n', "account 9"),
    ],
)
def test_a_bad_script_is_told_in_one_line(tmp_path: Path, more: str, message: str) -> None:
    with pytest.raises(ScriptError, match=message) as told:
        script(tmp_path, more)
    assert "\n" not in str(told.value)


def test_a_script_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match=r"nowhere\.toml"):
        load(tmp_path / "nowhere.toml")


def test_books_of_another_bank_are_left_alone(tmp_path: Path) -> None:
    with Bank(tmp_path, script(tmp_path)):
        pass
    text = (tmp_path / "bank.toml").read_text("utf-8").replace('code = "088"', 'code = "020"')
    (tmp_path / "bank.toml").write_text(text, "utf-8")
    with pytest.raises(ScriptError, match="bank 088"):
        Bank(tmp_path, load(tmp_path / "bank.toml"))


def test_the_schemas_are_those_of_the_messages() -> None:
    assert isinstance(schema("pain.001.001.09"), etree.XMLSchema)
