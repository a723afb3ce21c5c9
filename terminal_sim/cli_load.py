"""The command `load`: measured load, or an estate with faults whose journals are held against the books."""

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from terminal_sim.card import ENTRY_MODES, IssuerKeys, SimCard
from terminal_sim.cli_common import (
    EXIT_UNAVAILABLE,
    KEY_SEED,
    LOAD_SEED,
    address,
    fail,
    finish,
    rows,
)
from terminal_sim.compare import EXIT_DIFFERENCES, compare_with_host, keys_of_days
from terminal_sim.connection import ConnectionLostError, LineSettings, ReplyTimeoutError
from terminal_sim.estate import KINDS, Estate, EstatePlan, EstateReport
from terminal_sim.estate_lines import UnansweredError
from terminal_sim.faults import ABOUT, FaultPlan, chances
from terminal_sim.keys import tmk
from terminal_sim.load import LoadCard, LoadPlan, LoadReport, run_load
from terminal_sim.pki import client_context
from terminal_sim.sandbox import Installation
from terminal_sim.sandbox_files import issuer_keys
from terminal_sim.scenario_run import EXIT_BAD_FILE
from terminal_sim.terminal import Terminal, TerminalError

EXPIRY_DEFAULT: Final = "3012"
TPDU: Final = bytes.fromhex("6000010002")
ESTATE_JOURNAL_MAX: Final = 200_000
_FAULTS: Final = "; ".join(f"{name}: {about}" for name, about in ABOUT.items())


def load(
    switch: Annotated[str, typer.Option(help="HOST:PORT of the switch.")],
    terminals: Annotated[
        Path, typer.Option(help="terminals.csv as imported, with keys made by `dure-terminal-sim keys`.")
    ],
    cards: Annotated[Path, typer.Option(help="CSV with a column pan, and pin and expiry if they are used.")],
    rate: Annotated[
        int | None, typer.Option(min=1, help="Open loop: payments per second, whatever comes back.")
    ] = None,
    in_flight: Annotated[
        int | None, typer.Option(min=1, help="Closed loop: payments under way at any time (32 by default).")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, max=86_400, help="How long.")] = 10.0,
    connections: Annotated[int, typer.Option(min=1, max=1_000)] = 2,
    amount_min: Annotated[int, typer.Option(min=1, help="Won.")] = 1_000,
    amount_max: Annotated[int, typer.Option(min=1, help="Won.")] = 40_000,
    pin_percent: Annotated[int, typer.Option(min=0, max=100, help="Share of payments with a PIN.")] = 0,
    fault: Annotated[
        list[str] | None, typer.Option(help=f"NAME=CHANCE of a message, such as drop=0.01. {_FAULTS}.")
    ] = None,
    kind: Annotated[
        list[str] | None, typer.Option(help=f"NAME=CHANCE: {', '.join(KINDS)}; the rest are purchases.")
    ] = None,
    entry: Annotated[
        list[str] | None, typer.Option(help=f"NAME=CHANCE: {', '.join(ENTRY_MODES)}; the rest is keyed.")
    ] = None,
    batches: Annotated[
        bool, typer.Option("--batches", help="Every terminal closes a batch in the end.")
    ] = False,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="In the end hold every journal against the books; with --config."),
    ] = False,
    config: Annotated[
        Path | None, typer.Option(help="The switch's configuration: to compare, and to make chips and CVVs.")
    ] = None,
    dialect: Annotated[str, typer.Option(help="ascii or bcd, as the listener has it.")] = "ascii",
    tpdu: Annotated[bool, typer.Option("--tpdu", help="A TPDU stands before each message.")] = False,
    inclusive: Annotated[bool, typer.Option("--inclusive", help="The length counts itself.")] = False,
    tls_ca: Annotated[
        Path | None, typer.Option(help="Connect with TLS and trust this authority (PEM).")
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(help="The terminals' own certificate (PEM).")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="The key of that certificate (PEM).")] = None,
    seed: Annotated[int, typer.Option(help="Of cards, amounts and faults.")] = LOAD_SEED,
    key_seed: Annotated[int, typer.Option(help="The seed given to `keys`.")] = KEY_SEED,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Load a running switch with payments: real MACs, checked answers, latency percentiles.

    With --rate, latency counts from the moment a payment was due, so a pause is charged to everyone it held
    up. With --fault, --kind, --entry, --batches or --compare it is an estate of careful terminals instead:
    each does one thing at a time, keeps a journal, and after a fault does what a good one does. Examples:

    \b
        dure-terminal-sim load --switch 127.0.0.1:7701 --terminals t.csv --cards c.csv --rate 500
        dure-terminal-sim load --switch 127.0.0.1:7701 --terminals t.csv --cards c.csv --fault drop=0.01
            --fault duplicate=0.02 --kind preauth=0.1 --batches --compare --config config/switch.toml

    Exit codes: 0 done · 2 bad options or files · 3 a journal differs from the books · 75 the switch cannot be
    reached, refuses the terminals, or leaves them without an answer.
    """
    if rate is not None and in_flight is not None:
        fail("give --rate (open loop) or --in-flight (closed loop), not both", EXIT_BAD_FILE)
    careful = bool(fault or kind or entry or batches or compare)
    if careful and rate is not None:
        fail(
            "--rate is for measuring; with faults, kinds, entries or --compare give --in-flight",
            EXIT_BAD_FILE,
        )
    if compare and config is None:
        fail("--compare needs --config FILE: the switch's commands tell what is in the books", EXIT_BAD_FILE)
    host, port = address(switch)
    fleet = [
        Terminal(
            *(row["terminal_id"], row["merchant_id"], tmk(key_seed, row["terminal_id"])),
            journal_max=ESTATE_JOURNAL_MAX if careful else 0,
            dialect=dialect
            if dialect in ("ascii", "bcd")
            else fail(f"--dialect {dialect}: write ascii or bcd", EXIT_BAD_FILE),
        )
        for row in rows(terminals, ("terminal_id", "merchant_id"))
    ]
    wallet = [
        LoadCard(row["pan"], row.get("pin") or None, row.get("expiry") or None)
        for row in rows(cards, ("pan",))
    ]
    try:
        settings = _settings(dialect, tpdu, inclusive, tls_ca, tls_certificate, tls_key)
        common: dict[str, Any] = {
            "host": host,
            "port": port,
            "settings": settings,
            "connections": connections,
            "duration_s": seconds,
            "amount_min": amount_min,
            "amount_max": amount_max,
            "pin_share_ppm": pin_percent * 10_000,
            "seed": seed,
        }
        if careful:
            plan = EstatePlan(
                **common,
                at_once=in_flight or 32,
                kinds=chances(kind or [], KINDS),
                entries=chances(entry or [], tuple(ENTRY_MODES)),
                batches=batches,
            )
            faults = FaultPlan.read(fault or [], seed)
            report = finish(_careful(plan, fleet, wallet, faults, config, compare=compare))
            _tell_estate(report, as_json=as_json)
        else:
            measured = LoadPlan(
                **common, in_flight=None if rate is not None else in_flight or 32, rate_per_s=rate
            )
            shown = wallet if config is None else [_with_check_value(card, config) for card in wallet]
            _tell_load(finish(run_load(measured, fleet, shown)), as_json=as_json)
    except ValueError as error:
        fail(str(error), EXIT_BAD_FILE)
    except (TerminalError, UnansweredError) as error:
        fail(str(error), EXIT_UNAVAILABLE)
    except (ConnectionLostError, ReplyTimeoutError):
        fail("the switch did not answer a sign-on: its log says why", EXIT_UNAVAILABLE)


def _settings(
    dialect: str, tpdu: bool, inclusive: bool, ca: Path | None, certificate: Path | None, key: Path | None
) -> LineSettings:
    """Raises ValueError when the files of TLS do not go together or cannot be read."""
    if ca is None and (certificate or key):
        raise ValueError("--tls-certificate and --tls-key go with --tls-ca: whom to trust")
    try:
        tls = None if ca is None else client_context(ca, certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"the files of TLS cannot be used: {error}") from None
    return LineSettings(dialect=dialect, inclusive=inclusive, tpdu=TPDU if tpdu else b"", tls=tls)


def _with_check_value(card: LoadCard, config: Path) -> LoadCard:
    """The card as its holder reads it to a shop that keys it: with CVV2, where cards here have one."""
    issuer = issuer_keys(config)
    expiry = card.expiry or EXPIRY_DEFAULT
    if issuer.cvk is None:
        return card
    check = SimCard(card.pan, expiry, "", issuer).check_value()
    return msgspec.structs.replace(card, expiry=expiry, cvv2=check)


async def _careful(
    plan: EstatePlan,
    fleet: Sequence[Terminal],
    wallet: Sequence[LoadCard],
    faults: FaultPlan,
    config: Path | None,
    *,
    compare: bool,
) -> EstateReport:
    issuer = IssuerKeys() if config is None else issuer_keys(config)
    cards = [SimCard(card.pan, card.expiry or EXPIRY_DEFAULT, card.pin or "", issuer) for card in wallet]
    if config is None or not compare:
        return await Estate(plan, fleet, cards, faults).play()
    installation = Installation(config)
    before = await keys_of_days(installation)
    report = await Estate(plan, fleet, cards, faults).play()
    outcome = await compare_with_host(installation, fleet, report.days, before=before)
    return msgspec.structs.replace(report, compared=outcome.compared, differences=outcome.shown())


def _tell_load(report: LoadReport, *, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
        return
    typer.echo(f"{report.answered:,} of {report.sent:,} answered, {report.answers_per_s:,.0f} a second")
    typer.echo("answers  " + ", ".join(f"{code}: {count:,}" for code, count in report.outcomes.items()))
    typer.echo("latency  " + ", ".join(f"{at} {us / 1000:.1f} ms" for at, us in report.latency_us.items()))


def _tell_estate(report: EstateReport, *, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        typer.echo(f"{report.turns:,} customers in {report.elapsed_s:.1f} s, seed {report.seed}")
        for name, counts in (("answers", report.answers), ("faults", report.faults), ("did", report.did)):
            typer.echo(f"{name:8} " + (", ".join(f"{what}: {n:,}" for what, n in counts.items()) or "none"))
        if report.compared:
            typer.echo(
                f"compared {report.compared:,} lines of journals, {len(report.differences)} differences"
            )
        for difference in report.differences:
            typer.echo(f"differs  {difference}")
    if report.differences:
        raise typer.Exit(EXIT_DIFFERENCES)
