"""Commands that look at the books, and the operator's acts on cards."""

from datetime import date
from typing import Annotated

import typer

from switch.cli.options import AsJson, CardNo, Member, OfBusinessDate, Programme, read_day
from switch.cli.output import show_json, show_json_rows, show_table
from switch.cli.runtime import open_books
from switch.service.admin import CardAct, act_on_card
from switch.service.exceptions import exception_list
from switch.service.inspect import wallet_view
from switch.service.inspect_merchant import merchant_view
from switch.service.inspect_payments import PaymentView, entry_list, every_payment, payment_list

wallet = typer.Typer(no_args_is_help=True, help="Wallets of members.")
payment = typer.Typer(no_args_is_help=True, help="Payments as they were answered.")
merchant = typer.Typer(no_args_is_help=True, help="Merchants.")
card = typer.Typer(no_args_is_help=True, help="Cards: block, unblock, report lost or stolen.")


@wallet.command("show")
def wallet_show(
    context: typer.Context,
    programme: Programme,
    member: Member,
    last: Annotated[int, typer.Option(min=0, max=1_000, help="How many payments to show.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Show a member's wallet: lots, balances, usage, cards (masked), last payments. Amounts in won.

    Example:  dure-switch wallet show --programme seoro --member M-0001
    """
    with open_books(context) as books:
        view = wallet_view(books.engine, programme, member, last)
    if as_json:
        show_json(view)
        return
    facts: list[tuple[str, object]] = [
        ("state", view.state),
        ("holder", view.holder),
        ("tags", ", ".join(view.tags)),
        ("points may be spent", view.points_on),
        ("balance", view.balance),
        *((f"balance, {kind}", won) for kind, won in view.balance_by_kind.items()),
        ("held by pre-authorisations", view.held),
        ("owed by the member", view.receivable),
    ]
    if view.month:
        facts += [
            (f"spent in {view.month}", view.month_spent),
            (f"of it counted for cashback in {view.month}", view.month_basis),
            (f"topped up in {view.month}", view.month_topup),
            (f"spent on {view.day}", view.day_spent),
        ]
    show_table(f"Wallet of {member} ({programme})", ("", "won"), facts)
    columns = ("lot", "kind", "funder", "balance", "granted", "opened", "expires", "campaign")
    rows = [
        (
            f"{one.lot_no}",
            one.kind,
            one.funder,
            one.balance,
            one.granted,
            f"{one.opened}",
            f"{one.expires or ''}",
            one.campaign,
        )
        for one in view.lots
    ]
    show_table("Lots", columns, rows)
    if view.holds:
        show_table(
            "Holds",
            ("seq", "day", "until", "won", "from lots"),
            [
                (
                    *(f"{one.seq}", one.local_day, f"{one.expires}", one.won),
                    ", ".join(f"{lot}: {won:,}" for lot, won in one.lots),
                )
                for one in view.holds
            ],
        )
    show_table(
        "Cards",
        ("card-no", "card", "form", "expiry", "state", "wrong PINs", "wrong CVVs", "taps", "won by taps"),
        [
            (
                *(one.card_no, one.card, one.form, one.expiry, one.state, one.pin_tries, one.cvv_tries),
                *(one.tap_count, one.tap_won),
            )
            for one in view.cards
        ],
    )
    _show_payments(view.payments)


@payment.command("list")
def payments(
    context: typer.Context,
    programme: Annotated[str | None, typer.Option(help="Of this programme.")] = None,
    member: Annotated[str | None, typer.Option(help="Of this member; needs --programme.")] = None,
    terminal: Annotated[str | None, typer.Option(help="From this terminal.")] = None,
    day: Annotated[str | None, typer.Option("--date", help="Of this local day, YYYY-MM-DD.")] = None,
    last: Annotated[int, typer.Option(min=1, max=1_000, help="How many, the newest.")] = 50,
    everything: Annotated[
        bool, typer.Option("--all", help="All there are, one a line; needs --json.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List payments, approved and declined, oldest first. Name a member, a terminal or a day.

    Examples:

    \b
        dure-switch payment list --terminal T0000001 --date 2026-11-20
        dure-switch payment list --date 2026-11-20 --all --json > day.json
    """
    if member is not None and programme is None:
        raise typer.BadParameter("--member needs --programme: member ids are a programme's own")
    if member is None and terminal is None and day is None:
        raise typer.BadParameter("name --member, --terminal or --date: all payments are too many")
    if everything and not as_json:
        raise typer.BadParameter("--all needs --json: a table of that many is not read")
    with open_books(context) as books:
        if everything:
            show_json_rows(
                every_payment(
                    books.engine,
                    programme_id=programme,
                    member_id=member,
                    terminal_id=terminal,
                    local_day=read_day(day),
                )
            )
            return
        found = payment_list(
            books.engine,
            programme_id=programme,
            member_id=member,
            terminal_id=terminal,
            local_day=read_day(day),
            last=last,
        )
    if as_json:
        show_json(found)
    else:
        _show_payments(found)


@payment.command("exceptions")
def exceptions(
    context: typer.Context,
    day: Annotated[str, typer.Option("--date", help="Of this business date, YYYY-MM-DD.")],
    programme: Annotated[str | None, typer.Option(help="Of this programme.")] = None,
    last: Annotated[int, typer.Option(min=1, max=1_000, help="How many, the newest.")] = 1_000,
    as_json: AsJson = False,
) -> None:
    """List what was answered 00 and needs a person: completions above or without a hold, offline purchases
    that broke a rule, reversals that fit no payment or several, or not its amount.

    Example:  dure-switch payment exceptions --date 2026-11-20
    """
    with open_books(context) as books:
        found = exception_list(books.engine, read_day(day) or date.min, programme_id=programme, last=last)
    if as_json:
        show_json(found)
        return
    show_table(
        "Exceptions",
        ("day", "time", "kind", "merchant", "terminal", "stan", "amount", "booked", "why"),
        [
            (
                *(one.local_day, one.local_time, one.kind, one.merchant, one.terminal, one.stan),
                *(one.amount, one.approved, one.detail.get("note", "no payment fits what it names")),
            )
            for one in found
        ],
    )


def _show_payments(found: list[PaymentView]) -> None:
    show_table(
        "Payments",
        (
            "day",
            "time",
            "kind",
            "merchant",
            "terminal",
            "stan",
            "amount",
            "approved",
            "DE39",
            "reason",
            "cashback",
            "returned",
        ),
        [
            (
                *(one.local_day, one.local_time, one.kind, one.merchant, one.terminal, one.stan),
                *(one.amount, one.approved, one.code, one.reason, one.cashback, one.returned),
            )
            for one in found
        ],
    )


def entries(
    context: typer.Context,
    programme: Programme,
    member: Member,
    day: OfBusinessDate = None,
    as_json: AsJson = False,
) -> None:
    """List the entries of a member's wallet in the order booked.

    Each moves won from the credit account to the debit account. Example:

        dure-switch entries --programme seoro --member M-0001
    """
    with open_books(context) as books:
        found = entry_list(books.engine, programme, member, read_day(day))
    if as_json:
        show_json(found)
        return
    show_table(
        "Entries",
        ("date", "seq", "line", "source", "debit", "credit", "won", "lot", "merchant", "funder"),
        [
            (
                *(one.business_date, one.seq, one.line, one.source, one.debit, one.credit, one.won),
                *(one.lot_no or "", one.merchant, one.funder),
            )
            for one in found
        ],
    )


@merchant.command("show")
def merchant_show(
    context: typer.Context,
    merchant_id: Annotated[str, typer.Argument(metavar="MERCHANT", help="The merchant's id (DE42).")],
    as_json: AsJson = False,
) -> None:
    """Show a merchant: facts, annual sales and groups by date, terminals.

    Example:  dure-switch merchant show S-0001
    """
    with open_books(context) as books:
        view = merchant_view(books.engine, merchant_id)
    if as_json:
        show_json(view)
        return
    facts = [
        (name, ", ".join(value) if isinstance(value, tuple) else value) for name, value in view.facts.items()
    ]
    show_table(f"Merchant {view.merchant} ({view.programme})", ("", ""), facts)
    if view.changes:
        head = ("from", "category", "size", "region", "head region")
        show_table("Changes", head, [(str(day), *rest) for day, *rest in view.changes])
    show_table("Annual sales", ("from", "won"), list(view.annual_sales.items()))
    groups = [(group, str(start), str(end or "")) for group, start, end in view.groups]
    show_table("Groups", ("group", "from", "until (not included)"), groups)
    show_table("Terminals", ("terminal",), [(one,) for one in view.terminals])


def _act(context: typer.Context, programme: str, member: str, card_no: int, act: CardAct) -> None:
    with open_books(context) as books:
        after = act_on_card(books.engine, programme, member, card_no, act)
    typer.echo(f"card {after.card_no} ({after.masked}) of {member}: {after.before} → {after.state}")


@card.command("block")
def card_block(context: typer.Context, programme: Programme, member: Member, card_no: CardNo) -> None:
    """Block a card until it is unblocked.

    Example:  dure-switch card block --programme seoro --member M-0001 --card-no 1
    """
    _act(context, programme, member, card_no, CardAct.BLOCK)


@card.command("unblock")
def card_unblock(context: typer.Context, programme: Programme, member: Member, card_no: CardNo) -> None:
    """Unblock a card and forget its wrong PINs.

    Example:  dure-switch card unblock --programme seoro --member M-0001 --card-no 1
    """
    _act(context, programme, member, card_no, CardAct.UNBLOCK)


@card.command("lost")
def card_lost(context: typer.Context, programme: Programme, member: Member, card_no: CardNo) -> None:
    """Report a card lost. There is no way back: the member gets a new one.

    Example:  dure-switch card lost --programme seoro --member M-0001 --card-no 1
    """
    _act(context, programme, member, card_no, CardAct.LOST)


@card.command("stolen")
def card_stolen(context: typer.Context, programme: Programme, member: Member, card_no: CardNo) -> None:
    """Report a card stolen. There is no way back: the member gets a new one.

    Example:  dure-switch card stolen --programme seoro --member M-0001 --card-no 1
    """
    _act(context, programme, member, card_no, CardAct.STOLEN)
