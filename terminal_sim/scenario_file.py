"""Reads a scenario file strictly: every fault is found before anything is played, and told with its line."""

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import yaml

from switch.wire.private import CHANNELS
from terminal_sim import scenario as words
from terminal_sim.scenario import Scenario, Step

FILE_CHARACTERS_MAX: Final = 500_000
STEPS_MAX: Final = 10_000
FAULTS_MAX: Final = 20
DEPTH_MAX: Final = 20
_NAME: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,14}")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.+?)`")
_MISSING: Final = re.compile(r"Object missing required field `(.+?)`")
_PATH: Final = re.compile(r" - at `(?:key in )?\$(.*?)`$")
_NAMED: Final[dict[str, type]] = {
    "members": words.Member,
    "cards": words.Card,
    "merchants": words.Merchant,
    "terminals": words.Terminal,
}
_ACTS: Final = ("block", "unblock", "lost")

Shape = TypeVar("Shape")


# msgspec speaks of JSON; the writer of a scenario has learnt YAML.
_YAML_WORDS = (
    ("expected object", "expected key: value"),
    ("expected array", "expected a list"),
    ("got object", "got key: value"),
    ("got array", "got a list"),
)


class ScenarioError(Exception):
    """A file that is no scenario: every fault with file, line and what to do."""

    def __init__(self, faults: list[str]) -> None:
        more = [f"… and {len(faults) - FAULTS_MAX} more"] if len(faults) > FAULTS_MAX else []
        super().__init__("\n".join(faults[:FAULTS_MAX] + more))
        self.faults = faults


def read_scenario(path: Path) -> Scenario:
    """Reads and checks the file. Raises ScenarioError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ScenarioError([f"{path}: cannot be read ({why}): give a UTF-8 file"]) from None
    return parse_scenario(text, str(path))


def parse_scenario(text: str, filename: str) -> Scenario:
    """The scenario that `text` describes. Raises ScenarioError with all faults."""
    return _Reader(text, filename).read()


class _Loader(yaml.SafeLoader):
    """Without aliases: a few lines of them can stand for more than fits into memory."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases (*) are not for scenarios", mark)
        return super().compose_node(parent, index)


class _Mapping(dict[str, Any]):
    """A mapping that knows the line of itself and of its keys."""

    line: int
    lines: dict[str, int]


class _List(list[Any]):
    line: int
    lines: list[int]


class _Reader:
    def __init__(self, text: str, filename: str) -> None:
        self.text = text
        self.filename = filename
        self.faults: list[str] = []

    def read(self) -> Scenario:
        root = self._tree()
        if not isinstance(root, _Mapping):
            self.fault(1, "is not a scenario", "begin with title:, about:, programme: (see SCENARIOS.md)")
            raise ScenarioError(self.faults)
        steps = self._steps(root.pop("steps", None), root)
        self._entries(root)
        scenario = None if self.faults else self._shape(root, Scenario, root.line)
        if scenario is not None:
            scenario = msgspec.structs.replace(_completed(scenario), steps=steps)
            _Sense(self, root, scenario).check()
        if self.faults or scenario is None:
            raise ScenarioError(self.faults)
        return scenario

    def fault(self, line: int, what: str, remedy: str, *, step: int = 0) -> None:
        place = f" step {step}:" if step else ""
        self.faults.append(f"{self.filename}:{line}:{place} {what}: {remedy}")

    # From text to a tree with lines

    def _tree(self) -> Any:
        if len(self.text) > FILE_CHARACTERS_MAX:
            self.fault(1, f"more than {FILE_CHARACTERS_MAX:,} characters", "divide the scenario")
            raise ScenarioError(self.faults)
        try:
            loader = _Loader(self.text)
            node = loader.get_single_node()
            return None if node is None else self._value(loader, node, 0)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            problem = f"{error.problem or error.context}".replace("\n", " ")
            self.fault(mark.line + 1 if mark else 1, f"not YAML: {problem}", "correct the text there")
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            self.fault(1, f"not YAML: {error}".replace("\n", " "), "correct the text")
        raise ScenarioError(self.faults)

    def _value(self, loader: yaml.SafeLoader, node: yaml.Node, depth: int) -> Any:
        if depth > DEPTH_MAX:
            raise yaml.constructor.ConstructorError(None, None, "nested too deeply", node.start_mark)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(loader, node, depth)
        if isinstance(node, yaml.SequenceNode):
            items = _List(self._value(loader, item, depth + 1) for item in node.value)
            items.line = node.start_mark.line + 1
            items.lines = [item.start_mark.line + 1 for item in node.value]
            return items
        try:
            return loader.construct_object(node)
        except ValueError as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from None

    def _mapping(self, loader: yaml.SafeLoader, node: yaml.MappingNode, depth: int) -> _Mapping:
        found = _Mapping()
        found.line = node.start_mark.line + 1
        found.lines = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = loader.construct_object(key_node)
            if not isinstance(key, str | int) or isinstance(key, bool):
                self.fault(line, f"{key!r} is no key", "write a word, in quotes if it is yes, no, on or off")
                continue
            if key in found:
                self.fault(line, f"{key} stands twice", "keep one of the two")
            found[key] = self._value(loader, value_node, depth + 1)  # type: ignore[index]
            found.lines[str(key)] = line
        return found

    # From the tree to shapes

    def _entries(self, root: _Mapping) -> None:
        """Each named thing by itself, so that a fault is told with its own line."""
        for section, shape in _NAMED.items():
            found = root.get(section)
            if isinstance(found, _Mapping):
                for name, given in found.items():
                    if given is not None:
                        self._shape(given, shape, found.lines[str(name)])

    def _shape(self, tree: Any, shape: type[Shape], line: int, step: int = 0) -> Shape | None:
        try:
            return msgspec.convert(tree, shape, strict=True)
        except msgspec.ValidationError as error:
            self.fault(*_explained(str(error), tree, shape, line), step=step)
            return None

    def _steps(self, items: Any, root: _Mapping) -> list[Step]:
        if not isinstance(items, _List) or not items:
            self.fault(root.lines.get("steps", root.line), "there are no steps", "list them under steps:")
            return []
        if len(items) > STEPS_MAX:
            self.fault(items.line, f"more than {STEPS_MAX:,} steps", "divide the scenario")
            return []
        return [
            step
            for number, (item, line) in enumerate(zip(items, items.lines, strict=True), 1)
            if (step := self._step(number, item, line)) is not None
        ]

    def _step(self, number: int, item: Any, line: int) -> Step | None:
        if not isinstance(item, _Mapping) or len(item) != 1:
            self.fault(
                line, "is no step", "write one word with its particulars, such as - clock: …", step=number
            )
            return None
        ((word, given),) = item.items()
        shape = words.STEPS.get(word)
        if shape is None:
            self.fault(line, f"unknown step {word}", _nearest(word, list(words.STEPS)), step=number)
            return None
        short = words.SHORT_FORMS.get(word)
        if short is not None and not isinstance(given, _Mapping):
            given = {short: given}
        if short == "terminals" and isinstance(given, dict) and isinstance(given.get(short), str):
            given = {**given, short: [given[short]]}
        if isinstance(given, dict) and given.keys() & {"number", "line"}:
            self.fault(line, "number and line are not for you to set", "remove them", step=number)
            return None
        step = self._shape(given, shape, line, number)
        return None if step is None else msgspec.structs.replace(step, number=number, line=line)


def _explained(message: str, tree: Any, shape: Any, line: int) -> tuple[int, str, str]:
    """Line, what is wrong and what to do, from a conversion's complaint."""
    match = _PATH.search(message)
    path = match[1] if match else ""
    what = message[: match.start()] if match else message
    line, place = _locate(tree, path, line)
    if unknown := _UNKNOWN.match(what):
        if isinstance(place, _Mapping):
            line = place.lines.get(unknown[1], line)
        known = [field.encode_name for field in _fields(shape)] if not path else []
        return line, f"unknown key {unknown[1]}", _nearest(unknown[1], known)
    where = path.lstrip(".") or "this"
    if missing := _MISSING.match(what):
        return line, f"{missing[1]} is missing", "add it (SCENARIOS.md tells what it is)"
    what = what[0].lower() + what[1:].replace("`", "")
    hint = "numbers and times stand without quotes, PINs and rates in quotes"
    if "RFC3339 encoded datetime" in what:
        what, hint = "is no instant", "write it as 2025-06-10T12:00:00+09:00"
    elif "RFC3339 encoded date" in what:
        what, hint = "is no date", "write it as 2025-06-10"
    else:
        for theirs, ours in _YAML_WORDS:
            what = what.replace(theirs, ours)
    return line, f"{where}: {what}", hint


def _fields(shape: Any) -> Iterator[msgspec.structs.FieldInfo]:
    return (f for f in msgspec.structs.fields(shape) if f.name not in ("number", "line"))


def _locate(tree: Any, path: str, line: int) -> tuple[int, Any]:
    """The line of the innermost thing on `path` that has one, and the thing."""
    for key, index in re.findall(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]", path):
        if isinstance(tree, _Mapping) and key in tree:
            line, tree = tree.lines.get(key, line), tree[key]
        elif isinstance(tree, _List) and index.isdecimal() and int(index) < len(tree):
            line, tree = tree.lines[int(index)], tree[int(index)]
        else:
            break
    return line, tree


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, 1)
    if close:
        return f"did you mean {close[0]}?"
    return f"known are {', '.join(known)}" if known else "remove it, or see SCENARIOS.md"


def _completed(scenario: Scenario) -> Scenario:
    """With a card for every member that has none, and a terminal for every merchant, of the same name."""
    owners = {card.member for card in scenario.cards.values()}
    cards = {name: words.Card(member=name) for name in scenario.members if name not in owners}
    served = {terminal.merchant for terminal in scenario.terminals.values()}
    terminals = {name: words.Terminal(merchant=name) for name in scenario.merchants if name not in served}
    return msgspec.structs.replace(
        scenario, cards={**cards, **scenario.cards}, terminals={**terminals, **scenario.terminals}
    )


class _Sense:
    """Do the names meet? Everything that a shape alone does not show."""

    def __init__(self, reader: _Reader, root: _Mapping, scenario: Scenario) -> None:
        self.reader = reader
        self.root = root
        self.scenario = scenario
        self.messages: set[str] = set()

    def check(self) -> None:
        self._sections()
        for step in self.scenario.steps:
            self._step(step)

    def _line(self, section: str, key: str | int = "") -> int:
        found = self.root.get(section)
        if isinstance(found, _Mapping):
            return found.lines.get(str(key), found.line)
        if isinstance(found, _List) and isinstance(key, int):
            return found.lines[key]
        return self.root.lines.get(section, self.root.line)

    def _sections(self) -> None:
        scenario, fault = self.scenario, self.reader.fault
        for section in ("members", "cards", "merchants", "terminals"):
            for name in getattr(scenario, section):
                if not _NAME.fullmatch(name):
                    remedy = "use 1 to 15 letters, digits, points and dashes"
                    fault(self._line(section, name), f"{name} is no name", remedy)
        for name, card in scenario.cards.items():
            line = self._line("cards", name)
            self._known(line, "member", card.member, scenario.members)
            if not re.fullmatch(r"\d{4,12}", card.pin, re.ASCII):
                fault(line, "a PIN has 4 to 12 digits", "write it in quotes")
            if not re.fullmatch(r"\d\d(0[1-9]|1[0-2])", card.expiry, re.ASCII):
                fault(line, f"{card.expiry} is no expiry", 'write it as "YYMM"')
        for name, terminal in scenario.terminals.items():
            self._known(self._line("terminals", name), "merchant", terminal.merchant, scenario.merchants)
        for index, lot in enumerate(scenario.lots):
            line = self._line("lots", index)
            self._known(line, "member", lot.member, scenario.members)
            if lot.won < 1 or lot.kind not in ("charged", "points"):
                fault(line, "no lot", "give won (1 or more) and kind charged or points")
            if (lot.kind == "points") != bool(lot.funder):
                fault(line, "the funder does not fit the kind", "name a funder for points, none for charged")
        if scenario.start.tzinfo is None:
            fault(self._line("start"), "start has no offset", "write 2025-06-10T12:00:00+09:00")

    def _known(self, line: int, what: str, name: str, known: Any, step: int = 0) -> None:
        if name not in known:
            self.reader.fault(line, f"no {what} {name}", _nearest(name, list(known)), step=step)

    def _step(self, step: Step) -> None:
        scenario, line, number = self.scenario, step.line, step.number
        for what, known in (("card", scenario.cards), ("terminal", scenario.terminals)):
            name = getattr(step, what, None)
            if isinstance(name, str):
                self._known(line, what, name, known, number)
        for name in getattr(step, "terminals", ()):
            if name != words.ALL_TERMINALS:
                self._known(line, "terminal", name, scenario.terminals, number)
        expect = getattr(step, "expect", None)
        named = getattr(step, "of", None), getattr(step, "stan_of", None), getattr(expect, "same_as", None)
        for name in named:
            if isinstance(name, str):
                self._known(line, "earlier message", name, self.messages, number)
        if name := getattr(step, "name", ""):
            if name in self.messages:
                self.reader.fault(line, f"{name} stands twice", "name each message once", step=number)
            self.messages.add(name)
        self._values(step)
        if isinstance(step, words.Assert):
            self._assertion(step)

    def _values(self, step: Step) -> None:
        fault = self.reader.fault
        at = getattr(step, "at", None)
        if at is not None and at.tzinfo is None:
            fault(step.line, "the time has no offset", f"write {at.isoformat()}+09:00", step=step.number)
        won = getattr(step, "won", None)
        if won is not None and not 0 <= won < 10**12:
            fault(step.line, f"{won} won fit no message", "write 0 to 999,999,999,999", step=step.number)
        channel = getattr(step, "channel", None)
        if channel is not None and channel not in CHANNELS:
            fault(
                step.line, f"unknown channel {channel}", _nearest(channel, sorted(CHANNELS)), step=step.number
            )
        if isinstance(step, words.CardOrder) and step.act not in _ACTS:
            fault(step.line, f"unknown act {step.act}", _nearest(step.act, list(_ACTS)), step=step.number)
        if isinstance(step, words.SendRaw) and (
            bool(step.hex) == bool(step.text) or not re.fullmatch(r"([0-9A-Fa-f]{2})*", step.hex)
        ):
            fault(step.line, "nothing to send", "give hex (whole bytes) or text", step=step.number)
        code = getattr(getattr(step, "expect", None), "code", None)
        if code is not None and not re.fullmatch(r"[0-9A-Z]{1,2}", str(code)):
            fault(step.line, f"{code} is no answer code", "write two digits", step=step.number)

    def _assertion(self, step: words.Assert) -> None:
        scenario, line, number = self.scenario, step.line, step.number
        for name in (*step.wallets, *step.entries, *step.cashback):
            self._known(line, "member", name, scenario.members, number)
        merchants = [payout.merchant for payout in step.payouts or ()]
        for name in (*merchants, *(step.carried or ()), *(step.fees or ())):
            self._known(line, "merchant", name, scenario.merchants, number)
        if step.proof not in (None, "holds"):
            self.reader.fault(line, f"proof: {step.proof}", "write proof: holds", step=number)
