"""The command that says why."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from switch.cli.options import AsJson, read_day
from switch.cli.output import show_json
from switch.cli.runtime import open_books
from switch.domain.explain import LANGUAGES
from switch.domain.explain_facts import Explanation
from switch.service.review.explain import explain as explain_named
from switch.service.review.finding import is_card_number
from switch.service.vault import Vault

_LINE_MAX = 64


def explain(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="PAYMENT|CARD", help="What to explain; - reads it from stdin.")
    ],
    programme: Annotated[
        str | None, typer.Option("--programme", help="The programme; a member's id needs it.")
    ] = None,
    day: Annotated[
        str | None, typer.Option("--date", help="The local day of a reference number, YYYY-MM-DD.")
    ] = None,
    language: Annotated[str, typer.Option("--lang", help="ko or en.")] = "en",
    as_json: AsJson = False,
) -> None:
    """Say why a payment was approved or declined and how its cashback came about, or how a member stands.

    \b
        dure-switch explain T0000001/000123/2026-07-01          terminal, trace number, local day
        dure-switch explain 618212000123 --date 2026-07-01      retrieval reference number (DE37)
        dure-switch explain 90001:17                            wallet and posting, as wallet show tells them
        dure-switch explain M-0001 --programme seoro --lang ko  a member
        dure-switch explain -                                   a card's number, from stdin: it stays out of
                                                                the shell's history

    Everything is told from what was stored with the payment, by the version of the rules that judged it.
    JSON has the facts and both languages.
    """
    if language not in LANGUAGES:
        raise typer.BadParameter(f"{language!r} is no language here: write --lang ko or --lang en")
    if name == "-":
        name = sys.stdin.readline(_LINE_MAX).strip()
    with open_books(context) as books:
        card = is_card_number(name)
        vault = Vault.load(Path(books.settings.vault.key_file)) if card else None
        local_day = read_day(day)
        found = explain_named(
            books.engine, name, books.now(), programme_id=programme, day=local_day, vault=vault
        )
    if as_json:
        show_json(found)
    else:
        _show(found.told[language])


def _show(told: Explanation) -> None:
    typer.echo(told.headline)
    for section in told.sections:
        typer.echo(f"\n{section.title}:")
        for line in section.lines:
            typer.echo(f"  {line}")
