"""Options that several commands have, so that they are called and explained alike everywhere."""

from datetime import date
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Write JSON instead of tables.")]
Programme = Annotated[str, typer.Option("--programme", help="The programme's id.")]
Member = Annotated[str, typer.Option("--member", help="The member's id.")]
CardNo = Annotated[
    int, typer.Option("--card-no", min=1, help="The card's number, as `wallet show` lists it.")
]
OfBusinessDate = Annotated[str | None, typer.Option("--date", help="Of this business date, YYYY-MM-DD.")]


def read_day(text: str | None) -> date | None:
    """The day that an option names, if it is given. Raises typer.BadParameter."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no day: write it as YYYY-MM-DD") from None
