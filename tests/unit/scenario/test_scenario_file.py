"""Scenario files are read strictly: each fault names its line and what to do."""

from datetime import datetime
from pathlib import Path

import pytest

from terminal_sim import scenario as town
from terminal_sim import scenario_steps as words
from terminal_sim.scenario_file import FAULTS_MAX, ScenarioError, parse_scenario, read_scenario

GOOD = """\
title: A payment
about: Rule 4
programme: seoro
members: {kim: , lee: {points: yes}}
cards:
  phone: {member: kim, pin: "0123"}
merchants: {cafe: }
terminals:
  till: {merchant: cafe}
lots:
  - {member: kim, won: 50_000}
  - {member: lee, won: 1_000, kind: points, funder: city}
steps:
  - clock: 2025-06-10T12:00:00.5+09:00
  - sign_on: till
  - purchase: {as: tea, card: phone, terminal: till, won: 4_500, pin: "0123", expect: {cashback: 450}}
  - repeat: {of: tea, expect: {same_as: tea}}
  - settle: 2025-06-10
  - assert: {wallets: {kim: {charged: 45_500}}, proof: holds}
"""


def test_a_good_file_is_read_whole() -> None:
    scenario = parse_scenario(GOOD, "good.yaml")
    assert [step.number for step in scenario.steps] == [1, 2, 3, 4, 5, 6]
    clock, sign_on, purchase, repeat, settle, check = scenario.steps
    assert isinstance(clock, words.Clock)
    assert clock.at == datetime.fromisoformat("2025-06-10T12:00:00.500000+09:00")
    assert isinstance(sign_on, words.SignOn)
    assert sign_on.terminals == ["till"]
    assert isinstance(purchase, words.Purchase)
    assert (purchase.name, purchase.won, purchase.pin, purchase.line) == ("tea", 4_500, "0123", 16)
    assert purchase.expect.cashback == 450
    assert isinstance(repeat, words.Repeat)
    assert repeat.expect.same_as == "tea"
    assert isinstance(settle, words.Settle)
    assert settle.day.isoformat() == "2025-06-10"
    assert isinstance(check, words.Assert)
    assert check.wallets["kim"].charged == 45_500


def test_members_without_a_card_and_shops_without_a_terminal_get_one_of_their_name() -> None:
    scenario = parse_scenario(
        GOOD.replace("terminals:\n  till: {merchant: cafe}\n", "").replace("till", "cafe"), "f"
    )
    assert scenario.cards.keys() == {"phone", "lee"}
    assert scenario.cards["lee"].member == "lee"
    assert scenario.terminals == {"cafe": town.Terminal(merchant="cafe")}


@pytest.mark.parametrize(
    ("old", "new", "line", "fault"),
    [
        ("title: A payment", "titel: A payment", 1, "unknown key titel: did you mean title?"),
        ("about: Rule 4\n", "", 1, "about is missing"),
        ("clock: 2025", "clok: 2025", 14, "step 1: unknown step clok: did you mean clock?"),
        ("12:00:00.5+09:00", "12:00:00.5", 14, "the time has no offset"),
        ("won: 4_500", "amount: 4_500", 16, "step 3: unknown key amount"),
        ("won: 4_500", 'won: "4500"', 16, "won: expected int, got str"),
        ("won: 4_500", "won: 4500.5", 16, "won: expected int, got float"),
        ("won: 4_500", "won: -1", 16, "fit no message"),
        ("card: phone", "card: fone", 16, "no card fone: did you mean phone?"),
        ("clock: 2025-06-10T12:00:00.5+09:00", "clock: noon", 14, "is no instant: write it as 2025-06-10T12"),
        ("of: tea", "of: coffee", 17, "step 4: no earlier message coffee"),
        ("same_as: tea", "same_as: toast", 17, "no earlier message toast"),
        ("sign_on: till", "sign_on: tall", 15, "no terminal tall: did you mean till?"),
        ('pin: "0123"}\nmerch', "pin: 0123}\nmerch", 6, "expected str, got int"),
        ('pin: "0123"}\nmerch', 'pin: "12"}\nmerch', 6, "a PIN has 4 to 12 digits"),
        ("{member: kim, pin", "{member: kin, pin", 6, "no member kin: did you mean kim?"),
        ("{merchant: cafe}", "{merchant: cave}", 9, "no merchant cave: did you mean cafe?"),
        ("kind: points, funder: city", "kind: points", 12, "the funder does not fit the kind"),
        ("won: 50_000", "won: 0", 11, "no lot"),
        ("kim: {charged", "kin: {charged", 19, "step 6: no member kin"),
        ("charged: 45_500", "charge: 45_500", 19, "unknown key charge"),
        ("proof: holds", "proof: maybe", 19, "write proof: holds"),
        ("settle: 2025-06-10", "settle: yesterday", 18, "date: is no date: write it as 2025-06-10"),
        ("cashback: 450", "cashbak: 450", 16, "unknown key cashbak"),
        ("  - repeat: {of: tea", "  - repeat: {as: tea, of: tea", 17, "tea stands twice"),
        ("members: {kim: ,", "members: {kim: , kim: ,", 4, "kim stands twice"),
        ("cards:\n", "cards: [\n", 7, "not YAML"),
        ("  phone:", "  a phone!:", 6, "is no name"),
        (", expect: {cash", ", channel: post, expect: {cash", 16, "unknown channel post: did you mean pos?"),
    ],
)  # fmt: skip
def test_a_fault_names_its_line_and_the_remedy(old: str, new: str, line: int, fault: str) -> None:
    assert GOOD.count(old) == 1
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(GOOD.replace(old, new), "bad.yaml")
    matching = [text for text in caught.value.faults if fault in text]
    assert matching, caught.value.faults
    assert matching[0].startswith(f"bad.yaml:{line}:")


@pytest.mark.parametrize(
    "text", ["", "- 1\n", "just words", "title: x\n", "a: !!python/object:os.system {}", "\t"]
)
def test_what_is_no_scenario_is_refused(text: str) -> None:
    with pytest.raises(ScenarioError):
        parse_scenario(text, "bad.yaml")


def test_all_faults_are_told_at_once_up_to_a_limit() -> None:
    bad = GOOD + "".join(f"  - purchase: {{card: nobody{n}, terminal: till, won: 1}}\n" for n in range(30))
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(bad, "bad.yaml")
    assert len(caught.value.faults) == 30
    assert str(caught.value).count("\n") == FAULTS_MAX
    assert "10 more" in str(caught.value)


def test_deep_nesting_and_aliases_end_in_a_fault() -> None:
    with pytest.raises(ScenarioError):
        parse_scenario("title: " + "[" * 500 + "]" * 500, "bad.yaml")
    with pytest.raises(ScenarioError, match="aliases"):
        parse_scenario("a: &a [*a]\n", "bad.yaml")


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(ScenarioError, match="cannot be read"):
        read_scenario(Path("nowhere.yaml"))


TERMINALS = """\
title: Terminals of every make
about: Words of lines, keys, entry modes and faults
programme: seoro
members: {kim: }
cards: {code: {member: kim, form: qr}}
merchants: {cafe: }
lines: {routed: {dialect: bcd, tpdu: yes, inclusive: yes, tls: yes}, plain: }
terminals:
  till: {merchant: cafe, line: routed, keys: dukpt_aes, pin_format: "4", partial: yes, batches: yes}
steps:
  - key_exchange: {terminals: till, lost: yes}
  - preauth: {as: hold, card: code, terminal: till, won: 4_500, entry: chip, check: "absent"}
  - complete: {as: done, of: hold, won: 4_000, fault: late}
  - reversal: {as: undo, of: done, leaves: 1_000, hide: [stan, time], rrn: yes, send: no}
  - race: [undo]
  - answer: {of: undo, expect: {code: 00}}
  - close_batch: {as: evening, terminal: till, off_by: 1, expect: {code: 95, in_balance: no}}
  - upload: till
  - hsm: down
  - pause: 1
  - restart: {kill: yes}
  - assert: {wallets: {kim: {held: 0}}, exceptions: {till: 1}, journals: agree}
"""


def test_the_words_of_the_whole_protocol() -> None:
    scenario = parse_scenario(TERMINALS, "t.yaml")
    assert scenario.lines == {
        "routed": town.Line(dialect="bcd", tpdu=True, inclusive=True, tls=True),
        "plain": None,
    }
    exchange, hold, done, undo, race, _, close, upload, hsm, pause, restart, check = scenario.steps
    assert isinstance(exchange, words.KeyExchange)
    assert exchange.lost
    assert isinstance(hold, words.Preauth)
    assert (hold.entry, hold.check, hold.send) == ("chip", "absent", True)
    assert isinstance(done, words.Complete)
    assert (done.of, done.fault) == ("hold", "late")
    assert isinstance(undo, words.Reversal)
    assert (undo.leaves, undo.hide, undo.rrn, undo.send) == (1_000, ("stan", "time"), True, False)
    assert isinstance(race, words.Race)
    assert race.of == ["undo"]
    assert isinstance(close, words.CloseBatch)
    assert (close.off_by, close.expect.in_balance) == (1, False)
    assert isinstance(upload, words.Upload)
    assert isinstance(hsm, words.Hsm)
    assert isinstance(pause, words.Pause)
    assert isinstance(restart, words.Restart)
    assert isinstance(check, words.Assert)
    assert (check.exceptions, check.journals, check.wallets["kim"].held) == ({"till": 1}, "agree", 0)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("dialect: bcd", "dialect: ebcdic", "unknown dialect ebcdic: did you mean bcd?"),
        ("line: routed", "line: rooted", "no line rooted: did you mean routed?"),
        ("keys: dukpt_aes", "keys: dukpt", "unknown keys dukpt: did you mean dukpt_"),
        ('pin_format: "4"', 'pin_format: "2"', "unknown pin_format 2"),
        ("form: qr", "form: watch", "unknown form watch"),
        ("entry: chip", "entry: chips", "unknown entry chips: did you mean chip?"),
        ("fault: late", "fault: storm", "unknown fault storm"),
        ('check: "absent"', 'check: "12"', "12 is no check value"),
        ("hide: [stan, time]", "hide: [rrn]", "unknown part of DE90 rrn"),
        ("hsm: down", "hsm: off-line", "unknown state off-line"),
        ("pause: 1", "pause: 31", "a pause of 31 s: write 1 to 30"),
        ("race: [undo]", "race: [undone]", "no earlier message undone: did you mean undo?"),
        ("journals: agree", "journals: yes", "journals: expected str"),
        ("exceptions: {till: 1}", "exceptions: {tills: 1}", "no terminal tills: did you mean till?"),
    ],
)
def test_wrong_words_of_the_protocol_are_told(old: str, new: str, fault: str) -> None:
    assert old in TERMINALS
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(TERMINALS.replace(old, new), "t.yaml")
    assert fault in str(caught.value)
