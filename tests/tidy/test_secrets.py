"""No record that holds a card's data, a PIN or a key shows it in its repr: a repr ends up in a log.

Every record of the programs (msgspec.Struct, NamedTuple, pydantic model) is found by itself, filled with a
mark in each field whose name says that it may hold a secret, and shown. A new record needs no entry here.
"""

import importlib
import pkgutil
import types
from datetime import datetime
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pydantic
import pytest

from tests.tidy.test_tidy import PACKAGES

MARK = "9410619867530986"
SECRET_WORDS = {
    "pan", "pin", "pvv", "cvv", "cvv2", "track", "track2", "icc", "block",
    "tmk", "tpk", "tpks", "tak", "bdk", "pvk", "cvk", "imk", "lmk", "zmk", "kbpk", "key", "keys",
    "secret", "password", "exported", "component", "payload", "fields", "private",
}  # fmt: skip
NO_SECRET = {
    "key_file": "where a key is",
    "password_file": "where a password is",
    "key_mode": "session or derived keys",
    "key_form": "the form of a key block",
    "key_type": "a type's code",
    "key_version": "a number",
    "pin_format": "a format's number",
    "pan_hmac": "an index without the key that made it",
    "pan_box": "sealed; long, and of no use in a log",
    "tmk_kcv": "a check value",
    "lmk_check_value": "a check value",
}
NO_SECRET_HERE = {
    "switch.domain.toml_reader.Problem.key": "the name of a setting",
    "switch.settings.listener.Tls.key": "where a key is",
    "switch.service.mqtt.Outgoing.payload": "what terminals are told has no card data in it",
    "switch.service.mqtt.Incoming.payload": "what terminals tell of themselves",
    "terminal_sim.soundbox.Publish.payload": "what terminals tell of themselves",
    "terminal_sim.reply.Exchange.key": "what a reply is matched by",
}
# What the author of a scenario or of a simulated town wrote down: words, and the PINs of cards of nobody.
WRITTEN = (
    "terminal_sim.scenario.",
    "terminal_sim.scenario_steps.",
    "terminal_sim.town_plan.Event.",
)


def _modules() -> list[types.ModuleType]:
    found = []
    for package in PACKAGES:
        top = importlib.import_module(package)
        names = [one.name for one in pkgutil.walk_packages(top.__path__, f"{package}.")]
        found += [importlib.import_module(name) for name in names if ".migrations" not in name]
    return found


def _is_record(found: object) -> bool:
    if not isinstance(found, type):
        return False
    named = issubclass(found, tuple) and hasattr(found, "_fields")
    return named or issubclass(found, msgspec.Struct | pydantic.BaseModel)


RECORDS: list[Any] = [
    found
    for module in _modules()
    for found in vars(module).values()
    if _is_record(found) and found.__module__ == module.__name__
]


def _whole_name(record: type) -> str:
    return f"{record.__module__}.{record.__qualname__}"


def _texts(hint: Any) -> bool:
    """Whether a type can hold text or bytes."""
    return hint in (str, bytes) or any(_texts(one) for one in get_args(hint))


def _secrets(record: Any) -> list[str]:
    """The fields of a record that may hold a secret, by their names."""
    name = _whole_name(record)
    if f"{name}.".startswith(WRITTEN):
        return []
    return [
        field
        for field, hint in get_type_hints(record).items()
        if not SECRET_WORDS.isdisjoint(field.split("_"))
        and _texts(hint)
        and field not in NO_SECRET
        and f"{name}.{field}" not in NO_SECRET_HERE
    ]


def _filled(hint: Any, mark: str) -> Any:
    """A value of a type, with the mark wherever it has text."""
    if hint is str:
        return mark
    if hint is bytes:
        return mark.encode()
    if hint is int:
        return 7
    if hint is datetime:
        return datetime(2026, 5, 4)  # noqa: DTZ001 - it is only shown
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _example(hint)
    kind, inner = get_origin(hint), get_args(hint)
    if kind is tuple:
        return tuple(_filled(one, mark) for one in inner if one is not ...)
    if kind in (list, set, frozenset):
        return kind([_filled(inner[0], mark)])
    if kind is dict:
        return {_filled(inner[0], ""): _filled(inner[1], mark)}
    if inner:  # X | None: without it, so that no record holds itself
        return None if type(None) in inner and not _texts(hint) else _filled(inner[0], mark)
    return None


def _example(record: Any) -> Any:
    secrets = _secrets(record)
    values = {
        name: _filled(hint, MARK if name in secrets else "")
        for name, hint in get_type_hints(record).items()
        if not name.startswith("__") and "ClassVar" not in str(hint)
    }
    build = record.model_construct if issubclass(record, pydantic.BaseModel) else record
    return build(**values)


HOLDERS = [record for record in RECORDS if _secrets(record)]


def test_the_records_that_matter_are_among_those_looked_at() -> None:
    names = {record.__name__ for record in HOLDERS}
    assert {"Payment", "Reversal", "Message", "TerminalRow", "Session", "CardKeys", "ClearKey"} <= names
    assert len(RECORDS) > 150


def test_each_exception_is_still_needed() -> None:
    fields = {f"{_whole_name(record)}.{field}" for record in RECORDS for field in get_type_hints(record)}
    assert set(NO_SECRET_HERE) <= fields
    assert set(NO_SECRET) <= {field.rpartition(".")[2] for field in fields}


@pytest.mark.parametrize("record", HOLDERS, ids=_whole_name)
def test_a_record_does_not_show_its_secrets(record: Any) -> None:
    shown = repr(_example(record))
    assert MARK not in shown, f"give it a __repr__ without {_secrets(record)}"
