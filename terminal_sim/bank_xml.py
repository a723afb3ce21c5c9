"""Elements of one ISO 20022 message, made as they are read."""

from collections.abc import Callable
from functools import partial
from typing import Any

from lxml import etree


class Maker:
    """Makes elements of a message's namespace: make.Amt("5", Ccy="KRW"), make.Dt(make.Dt("2026-11-20"))."""

    def __init__(self, message: str) -> None:
        self._namespace = f"urn:iso:std:iso:20022:tech:xsd:{message}"
        self._spaces: Any = {None: self._namespace}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return partial(self, name)

    def __call__(self, name: str, *content: Any, **attributes: str) -> Any:
        element = etree.Element(f"{{{self._namespace}}}{name}", attributes, self._spaces)
        for part in content:
            if isinstance(part, str):
                element.text = part
            else:
                element.append(part)
        return element


def to_bytes(document: Any) -> bytes:
    """A whole message as it is sent; the same message gives the same bytes."""
    return etree.tostring(document, xml_declaration=True, encoding="UTF-8", pretty_print=True)
