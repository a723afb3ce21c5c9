"""Do the names of a scenario meet, are its values possible: everything that a shape alone does not show."""

import difflib
import re
from collections.abc import Iterable
from typing import Final, Protocol

from switch.wire.private import CHANNELS
from terminal_sim import scenario_steps as words
from terminal_sim.scenario import ALL_TERMINALS, Scenario, Step

DIALECTS: Final = ("ascii", "bcd")
KEY_KINDS: Final = ("session", "dukpt_tdes", "dukpt_aes")
KEY_FORMS: Final = ("", "block", "x917")
PIN_FORMATS: Final = ("", "0", "3", "4")
CARD_FORMS: Final = ("", "card", "qr", "mobile")
PAUSE_S_MAX: Final = 30
SCENARIO_FAULTS: Final = ("drop", "delay", "duplicate", "truncate", "corrupt_mac", "late", "deaf")
_NAME: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,14}")
_ACTS: Final = ("block", "unblock", "lost", "stolen")
_CASE: Final = re.compile(r"[A-Z0-9-]{1,20}")
_REFERENCE: Final = re.compile(r"[A-Za-z0-9._:-]{1,40}")
_LANGUAGES: Final = ("ko", "en")
_CHECK_VALUE: Final = re.compile(r"[0-9]{3}|absent")


class FaultTeller(Protocol):
    """Takes a fault: its line, what is wrong, what to do, and the step if it is one's."""

    def __call__(self, line: int, what: str, remedy: str, *, step: int = 0) -> None: ...


class LineFinder(Protocol):
    """The line of a section, or of an entry of it."""

    def __call__(self, section: str, key: str | int = "") -> int: ...


def nearest(word: str, known: list[str]) -> str:
    """What to write instead of a word that is not known."""
    close = difflib.get_close_matches(word, known, 1)
    if close:
        return f"did you mean {close[0]}?"
    return f"known are {', '.join(known)}" if known else "remove it, or see SCENARIOS.md"


class Sense:
    """Checks one scenario: `Sense(scenario, fault, line_of).check()`."""

    def __init__(self, scenario: Scenario, fault: FaultTeller, line_of: LineFinder) -> None:
        self.scenario = scenario
        self.fault = fault
        self.line_of = line_of
        self.messages: set[str] = set()

    def check(self) -> None:
        """Tells every fault."""
        self._names()
        self._cards()
        self._terminals()
        self._lots()
        self._cases()
        if self.scenario.start.tzinfo is None:
            self.fault(self.line_of("start"), "start has no offset", "write 2025-06-10T12:00:00+09:00")
        for step in self.scenario.steps:
            self._step(step)

    # The town

    def _names(self) -> None:
        for section in ("members", "cards", "merchants", "terminals", "lines"):
            for name in getattr(self.scenario, section):
                if not _NAME.fullmatch(name):
                    remedy = "use 1 to 15 letters, digits, points and dashes"
                    self.fault(self.line_of(section, name), f"{name} is no name", remedy)
        for name, line in self.scenario.lines.items():
            if line is not None:
                self._one_of(self.line_of("lines", name), "dialect", line.dialect, DIALECTS)

    def _cards(self) -> None:
        for name, card in self.scenario.cards.items():
            line = self.line_of("cards", name)
            self._known(line, "member", card.member, self.scenario.members)
            if not re.fullmatch(r"\d{4,12}", card.pin, re.ASCII):
                self.fault(line, "a PIN has 4 to 12 digits", "write it in quotes")
            if not re.fullmatch(r"\d\d(0[1-9]|1[0-2])", card.expiry, re.ASCII):
                self.fault(line, f"{card.expiry} is no expiry", 'write it as "YYMM"')
            self._one_of(line, "form", card.form, CARD_FORMS)

    def _terminals(self) -> None:
        for name, terminal in self.scenario.terminals.items():
            line = self.line_of("terminals", name)
            self._known(line, "merchant", terminal.merchant, self.scenario.merchants)
            if terminal.line:
                self._known(line, "line", terminal.line, self.scenario.lines)
            self._one_of(line, "keys", terminal.keys, KEY_KINDS)
            self._one_of(line, "key_form", terminal.key_form, KEY_FORMS)
            self._one_of(line, "pin_format", terminal.pin_format, PIN_FORMATS)

    def _lots(self) -> None:
        for index, lot in enumerate(self.scenario.lots):
            line = self.line_of("lots", index)
            self._known(line, "member", lot.member, self.scenario.members)
            if lot.won < 1 or lot.kind not in ("charged", "points"):
                self.fault(line, "no lot", "give won (1 or more) and kind charged or points")
            if (lot.kind == "points") != bool(lot.funder):
                remedy = "name a funder for points, none for charged"
                self.fault(line, "the funder does not fit the kind", remedy)

    def _cases(self) -> None:
        for code, case in self.scenario.cases.items():
            line = self.line_of("cases", code)
            self._known(line, "merchant", case.merchant, self.scenario.merchants)
            if not _CASE.fullmatch(code):
                self.fault(line, f"{code} is no code of a case", "use 1 to 20 of A-Z, 0-9 and -")
            if case.target < 1:
                self.fault(line, "a case that needs nothing", "give target: won, 1 or more")

    def _known(self, line: int, what: str, name: str, known: Iterable[str], step: int = 0) -> None:
        names = list(known)
        if name not in names:
            self.fault(line, f"no {what} {name}", nearest(name, names), step=step)

    def _one_of(self, line: int, what: str, given: str, known: tuple[str, ...], step: int = 0) -> None:
        if given not in known:
            self.fault(line, f"unknown {what} {given}", nearest(given, [k for k in known if k]), step=step)

    # The steps

    def _step(self, step: Step) -> None:
        scenario, line, number = self.scenario, step.line, step.number
        for what, known in (("card", scenario.cards), ("terminal", scenario.terminals)):
            name = getattr(step, what, None)
            if isinstance(name, str):
                self._known(line, what, name, known, number)
        for name in getattr(step, "terminals", ()):
            if name != ALL_TERMINALS:
                self._known(line, "terminal", name, scenario.terminals, number)
        if isinstance(step, words.Issue):
            for name in step.members:
                self._known(line, "member", name, scenario.members, number)
        for name in self._referred(step):
            self._known(line, "earlier message", name, self.messages, number)
        if name := getattr(step, "name", ""):
            if name in self.messages:
                self.fault(line, f"{name} stands twice", "name each message once", step=number)
            self.messages.add(name)
        self._values(step)
        self._words(step)
        if isinstance(step, words.Assert):
            self._assertion(step)

    def _referred(self, step: Step) -> list[str]:
        of = getattr(step, "of", None)
        expect = getattr(step, "expect", None)
        named = [*of] if isinstance(of, list) else [of]
        named += [getattr(step, "stan_of", None), getattr(expect, "same_as", None)]
        return [name for name in named if isinstance(name, str)]

    def _values(self, step: Step) -> None:
        line, number = step.line, step.number
        at = getattr(step, "at", None)
        if at is not None and at.tzinfo is None:
            self.fault(line, "the time has no offset", f"write {at.isoformat()}+09:00", step=number)
        for won in (getattr(step, "won", None), getattr(step, "leaves", None)):
            if won is not None and not 0 <= won < 10**12:
                self.fault(line, f"{won} won fit no message", "write 0 to 999,999,999,999", step=number)
        if isinstance(step, words.Pause) and not 0 < step.seconds <= PAUSE_S_MAX:
            self.fault(line, f"a pause of {step.seconds} s", f"write 1 to {PAUSE_S_MAX}", step=number)
        check = getattr(step, "check", None)
        if check is not None and not _CHECK_VALUE.fullmatch(check):
            self.fault(line, f"{check} is no check value", 'write three digits in quotes, "123"', step=number)
        if isinstance(step, words.SendRaw) and (
            bool(step.hex) == bool(step.text) or not re.fullmatch(r"([0-9A-Fa-f]{2})*", step.hex)
        ):
            self.fault(line, "nothing to send", "give hex (whole bytes) or text", step=number)
        reference = getattr(step, "reference", None)
        if reference is not None and not _REFERENCE.fullmatch(reference):
            self.fault(line, "no reference", "use 1 to 40 letters, digits and ._:-", step=number)
        code = getattr(getattr(step, "expect", None), "code", None)
        if code is not None and not re.fullmatch(r"[0-9A-Z]{1,2}", str(code)):
            self.fault(line, f"{code} is no answer code", "write two digits", step=number)

    def _words(self, step: Step) -> None:
        """Values that are one of a few words."""
        line, number = step.line, step.number
        channel = getattr(step, "channel", None)
        if channel is not None:
            self._one_of(line, "channel", channel, tuple(sorted(CHANNELS)), number)
        fault = getattr(step, "fault", None)
        if fault is not None:
            self._one_of(line, "fault", fault, SCENARIO_FAULTS, number)
        if isinstance(step, words.Payment):
            self._one_of(line, "entry", step.entry, words.ENTRIES, number)
        if isinstance(step, words.Reversal):
            for part in step.hide:
                self._one_of(line, "part of DE90", part, words.HIDDEN_PARTS, number)
        if isinstance(step, words.CardOrder):
            self._one_of(line, "act", step.act, _ACTS, number)
        if isinstance(step, words.Explain):
            self._one_of(line, "lang", step.lang, _LANGUAGES, number)
        if isinstance(step, words.Gift) and step.only is not None:
            self._one_of(line, "only", step.only, ("points", "charged"), number)
        if isinstance(step, words.Hsm):
            self._one_of(line, "state", step.state, ("up", "down"), number)

    def _assertion(self, step: words.Assert) -> None:
        scenario, line, number = self.scenario, step.line, step.number
        for name in step.cases:
            self._known(line, "case", name, scenario.cases, number)
        for name in (*step.wallets, *step.entries, *step.cashback, *step.treasury):
            self._known(line, "member", name, scenario.members, number)
        for name in step.exceptions:
            self._known(line, "terminal", name, scenario.terminals, number)
        merchants = [payout.merchant for payout in step.payouts or ()]
        for name in (*merchants, *(step.carried or ()), *(step.fees or ())):
            self._known(line, "merchant", name, scenario.merchants, number)
        if step.proof not in (None, "holds"):
            self.fault(line, f"proof: {step.proof}", "write proof: holds", step=number)
        if step.journals not in (None, "agree"):
            self.fault(line, f"journals: {step.journals}", "write journals: agree", step=number)
