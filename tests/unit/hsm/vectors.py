"""The published vectors as the tests want them: by file of their source and by name."""

import json
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parents[2] / "vectors"


def vector(name: str) -> dict[str, Any]:
    """A file of vectors."""
    content: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text("utf-8"))
    return content


def named(name: str, part: str) -> dict[str, Any]:
    """One part of a collection: name → hex text, ASCII text or list of hex texts."""
    entries = vector(name)["files"][f"test/{part}.c"]
    return {e["name"]: next(e[k] for k in ("hex", "ascii", "hex_rows") if k in e) for e in entries}


def raw(text: str) -> bytes:
    """Bytes of a hex text."""
    return bytes.fromhex(text)


def shown(data: bytes) -> str:
    """As the vectors have it: upper-case hex."""
    return data.hex().upper()
