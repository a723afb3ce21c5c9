"""Reads a scenario file strictly: every fault is found before anything is played, and told with its line."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import yaml

from terminal_sim import scenario as town
from terminal_sim import scenario_steps as words
from terminal_sim.scenario import Scenario, Step
from terminal_sim.scenario_sense import Sense, nearest

FILE_CHARACTERS_MAX: Final = 500_000
STEPS_MAX: Final = 10_000
FAULTS_MAX: Final = 20
DEPTH_MAX: Final = 20
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.+?)`")
_MISSING: Final = re.compile(r"Object missing required field `(.+?)`")
_PATH: Final = re.compile(r" - at `(?:key in )?\$(.*?)`$")
_NAMED: Final[dict[str, type]] = {
    "members": town.Member,
    "cards": town.Card,
    "merchants": town.Merchant,
    "terminals": town.Terminal,
    "lines": town.Line,
    "cases": town.Case,
}

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


class Mapping(dict[str, Any]):
    """A mapping that knows the line of itself and of its keys."""

    line: int
    lines: dict[str, int]


class ListOf(list[Any]):
    """A list that knows the line of itself and of its items."""

    line: int
    lines: list[int]


class _Reader:
    def __init__(self, text: str, filename: str) -> None:
        self.text = text
        self.filename = filename
        self.faults: list[str] = []

    def read(self) -> Scenario:
        root = self._tree()
        if not isinstance(root, Mapping):
            self.fault(1, "is not a scenario", "begin with title:, about:, programme: (see SCENARIOS.md)")
            raise ScenarioError(self.faults)
        steps = self._steps(root.pop("steps", None), root)
        self._entries(root)
        scenario = None if self.faults else self._shape(root, Scenario, root.line)
        if scenario is not None:
            scenario = msgspec.structs.replace(_completed(scenario), steps=steps)
            Sense(scenario, self.fault, lambda *at: _line_of(root, *at)).check()
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
            items = ListOf(self._value(loader, item, depth + 1) for item in node.value)
            items.line = node.start_mark.line + 1
            items.lines = [item.start_mark.line + 1 for item in node.value]
            return items
        try:
            return loader.construct_object(node)
        except ValueError as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from None

    def _mapping(self, loader: yaml.SafeLoader, node: yaml.MappingNode, depth: int) -> Mapping:
        found = Mapping()
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

    def _entries(self, root: Mapping) -> None:
        """Each named thing by itself, so that a fault is told with its own line."""
        for section, shape in _NAMED.items():
            found = root.get(section)
            if isinstance(found, Mapping):
                for name, given in found.items():
                    if given is not None:
                        self._shape(given, shape, found.lines[str(name)])

    def _shape(self, tree: Any, shape: type[Shape], line: int, step: int = 0) -> Shape | None:
        try:
            return msgspec.convert(tree, shape, strict=True)
        except msgspec.ValidationError as error:
            self.fault(*_explained(str(error), tree, shape, line), step=step)
            return None

    def _steps(self, items: Any, root: Mapping) -> list[Step]:
        if not isinstance(items, ListOf) or not items:
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
        if not isinstance(item, Mapping) or len(item) != 1:
            self.fault(
                line, "is no step", "write one word with its particulars, such as - clock: …", step=number
            )
            return None
        ((word, given),) = item.items()
        shape = words.STEPS.get(word)
        if shape is None:
            self.fault(line, f"unknown step {word}", nearest(word, list(words.STEPS)), step=number)
            return None
        short = words.SHORT_FORMS.get(word)
        if short is not None and not isinstance(given, Mapping):
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
        if isinstance(place, Mapping):
            line = place.lines.get(unknown[1], line)
        known = [field.encode_name for field in _fields(shape)] if not path else []
        return line, f"unknown key {unknown[1]}", nearest(unknown[1], known)
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
        if isinstance(tree, Mapping) and key in tree:
            line, tree = tree.lines.get(key, line), tree[key]
        elif isinstance(tree, ListOf) and index.isdecimal() and int(index) < len(tree):
            line, tree = tree.lines[int(index)], tree[int(index)]
        else:
            break
    return line, tree


def _completed(scenario: Scenario) -> Scenario:
    """With a card for every member that has none, and a terminal for every merchant, of the same name."""
    owners = {card.member for card in scenario.cards.values()}
    cards = {name: town.Card(member=name) for name in scenario.members if name not in owners}
    served = {terminal.merchant for terminal in scenario.terminals.values()}
    terminals = {name: town.Terminal(merchant=name) for name in scenario.merchants if name not in served}
    return msgspec.structs.replace(
        scenario, cards={**cards, **scenario.cards}, terminals={**terminals, **scenario.terminals}
    )


def _line_of(root: Mapping, section: str, key: str | int = "") -> int:
    """Where a section, or an entry of it, stands."""
    found = root.get(section)
    if isinstance(found, Mapping):
        return found.lines.get(str(key), found.line)
    if isinstance(found, ListOf) and isinstance(key, int):
        return found.lines[key]
    return root.lines.get(section, root.line)
