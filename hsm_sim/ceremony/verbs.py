"""The ceremony's command line: `lmk`, `key` and `audit`.

Whatever is secret is asked for without an echo; when stdin is no terminal it is read from there, a line each
in the order of the questions. Results go to stdout as JSON, questions and advice to stderr.
"""

import getpass
import json
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer

from hsm_sim.ceremony import audit, component, forming
from hsm_sim.ceremony.component import CeremonyError, Component
from hsm_sim.crypto.lmk import TEST_LMK
from hsm_sim.settings import ConfigError, Settings, load

EXIT_REFUSED: Final = 2
EXIT_AUDIT: Final = 4
EXIT_BAD_CONFIG: Final = 78
_LINE_BYTES: Final = 16
_BETTER: Final = 3

lmk_verbs = typer.Typer(no_args_is_help=True, help="The local master key, from custodians' components.")
key_verbs = typer.Typer(no_args_is_help=True, help="Keys under the LMK, from custodians' components.")
audit_verbs = typer.Typer(no_args_is_help=True, help="The record of what was done.")

Config = Annotated[Path | None, typer.Option("--config", help="The simulator's TOML file.")]
Custodian = Annotated[str, typer.Option("--custodian", help="Your name, as it goes into the record.")]
Out = Annotated[Path, typer.Option("--out", help="The new file; it gets mode 0600.")]
Parts = Annotated[list[Path], typer.Option("--component", help="A component's file; give two or more.")]
Enter = Annotated[bool, typer.Option("--enter", help="Type the component in instead of making one.")]
Check = Annotated[
    str, typer.Option("--check", help="The check value on your paper; the act is refused if it differs.")
]

_Verb = TypeVar("_Verb", bound=Callable[..., None])


def _told(verb: _Verb) -> _Verb:
    """Turns what a ceremony refuses into one line and an exit code."""

    @wraps(verb)
    def telling(*arguments: Any, **options: Any) -> None:
        try:
            verb(*arguments, **options)
        except (CeremonyError, forming.FormingError) as error:
            _fail(str(error), EXIT_REFUSED)
        except audit.AuditError as error:
            _fail(str(error), EXIT_AUDIT)
        except ConfigError as error:
            _fail(str(error), EXIT_BAD_CONFIG)

    return telling  # type: ignore[return-value]  # typer reads the wrapped verb's signature


@lmk_verbs.command("component")
@_told
def lmk_component(
    custodian: Custodian, out: Out, enter: Enter = False, check: Check = "", config: Config = None
) -> None:
    """Make your component of an LMK, or type it in: 20 lines of 32 hex digits.

    Do it alone, then keep the file and its passphrase to yourself. Exit codes: 2 refused, 4 the audit file.
    """
    _component(forming.LMK, forming.KINDS[forming.LMK][0], custodian, out, enter, check, load(config))


@lmk_verbs.command("form")
@_told
def lmk_form(components: Parts, out: Out, config: Config = None) -> None:
    """Form the LMK from two or more components; each custodian types the passphrase in turn.

    Name the file as lmk_file in the configuration. Nobody sees the LMK, only its check value.
    """
    settings = load(config)
    parts = _open(components, (forming.LMK,))
    pairs = forming.lmk_pairs(forming.combine(forming.LMK, [(p.custodian, p.secret) for p in parts]))
    text = json.dumps([pair.hex().upper() for pair in pairs]) + "\n"
    component.write_new(out, text)
    check_value = settings.model_copy(update={"lmk_file": out}).lmk().check_value
    _record(settings, "lmk formed", parts, str(out), check_value, undo=out)
    _tell({"lmk_file": str(out), "check_value": check_value, "custodians": [p.custodian for p in parts]})
    _say("name it in the configuration as lmk_file")


@lmk_verbs.command("check")
@_told
def lmk_check(config: Config = None) -> None:
    """Print the check value of the LMK in the configuration."""
    settings = load(config)
    shown = str(settings.lmk_file) if settings.lmk_file else "the published test LMK"
    _tell({"lmk_file": shown, "check_value": settings.lmk().check_value})


@key_verbs.command("component")
@_told
def key_component(
    custodian: Custodian,
    out: Out,
    algorithm: Annotated[str, typer.Option("--algorithm", help="tdes or aes.")] = "tdes",
    length: Annotated[int, typer.Option("--length", help="Bytes: 16, or 32 for AES.")] = 16,
    enter: Enter = False,
    check: Check = "",
    config: Config = None,
) -> None:
    """Make your component of a key, or type it in: 32 (64) hex digits.

    Exit codes: 2 refused, 4 the audit file.
    """
    if algorithm not in (forming.TDES, forming.AES) or length not in forming.KINDS[algorithm]:
        raise CeremonyError("a key is tdes with 16 bytes, or aes with 16 or 32")
    _component(algorithm, length, custodian, out, enter, check, load(config))


@key_verbs.command("form")
@_told
def key_form(
    components: Parts,
    key_type: Annotated[str, typer.Option("--type", help="000 ZMK, 002 TMK or PVK, 009 BDK, 402 CVK …")],
    scheme: Annotated[str, typer.Option("--scheme", help="U, or S for a key block (AES needs it).")] = "U",
    usage: Annotated[str, typer.Option("--usage", help="Of the key block, e.g. K0; else the usual.")] = "",
    config: Config = None,
) -> None:
    """Form a key from two or more components and print it under the LMK, with its check value."""
    settings = load(config)
    parts = _open(components, (forming.TDES, forming.AES))
    kind = parts[0].kind
    total = forming.combine(kind, [(part.custodian, part.secret) for part in parts])
    lmk = settings.lmk()
    if lmk is TEST_LMK:
        _say("under the published test LMK: this key is no secret; name your own by --config")
    formed = forming.key_under_lmk(lmk, total, kind=kind, key_type=key_type, scheme=scheme, usage=usage)
    _record(settings, "key formed", parts, f"type {key_type}, scheme {scheme}", formed.check_value)
    custodians = [part.custodian for part in parts]
    _tell({"key": formed.key, "check_value": formed.check_value, "custodians": custodians})


@audit_verbs.command("verify")
@_told
def audit_verify(config: Config = None) -> None:
    """Check that no line of the audit file was changed, removed or added; exit 4 if one was."""
    settings = load(config)
    acts, last = audit.verify(settings.audit_file)
    _tell({"audit_file": str(settings.audit_file), "acts": acts, "last": last})


def _component(
    kind: str, length: int, custodian: str, out: Path, enter: bool, check: str, settings: Settings
) -> None:
    if enter:
        per_line = min(length, _LINE_BYTES) if kind == forming.LMK else length
        lines = [
            _secret(f"component, line {n + 1} of {length // per_line}") for n in range(length // per_line)
        ]
        made = component.entered(kind, custodian, lines)
        if len(made.secret) != length:
            raise CeremonyError(f"{len(made.secret)} bytes were typed in, {length} are needed: do it again")
    else:
        made = component.made(kind, custodian, length)
    if check and check.upper() != made.check_value:
        raise CeremonyError(f"the check value is {made.check_value}, not {check}: type the component again")
    if enter and not check:
        _say(f"check value {made.check_value}: compare it with your paper")
    passphrase = _secret(f"{made.custodian}, a passphrase for {out}")
    if _secret("the same again") != passphrase:
        raise CeremonyError("the two passphrases differ: nothing was written, do it again")
    component.save(made, out, passphrase)
    _record(
        settings,
        f"{kind} component {'entered' if enter else 'made'}",
        [made],
        str(out),
        made.check_value,
        out,
    )
    _tell({"component": str(out), "custodian": made.custodian, "check_value": made.check_value})


def _open(paths: list[Path], kinds: tuple[str, ...]) -> list[Component]:
    """The components, each opened by its custodian; all of one of the kinds."""
    heads = [component.read_head(path) for path in paths]
    found = {head["kind"] for head in heads}
    if len(found) != 1 or not found <= set(kinds):
        raise CeremonyError(
            f"the components are of {', '.join(sorted(found))}: all must be {' or '.join(kinds)}"
        )
    if len(paths) < forming.COMPONENTS_MIN:
        raise CeremonyError("one component: give --component twice or more, each of another custodian")
    if len({head["custodian"].casefold() for head in heads}) != len(heads):
        raise CeremonyError("two components of one custodian: each comes from another person")
    if len(paths) < _BETTER:
        _say("two custodians; three are better")
    return [
        component.load(path, _secret(f"{head['custodian']}, the passphrase of {path}"))
        for path, head in zip(paths, heads, strict=True)
    ]


def _record(
    settings: Settings,
    act: str,
    parts: list[Component],
    subject: str,
    check_value: str,
    undo: Path | None = None,
) -> None:
    """Writes the act down; what cannot be written down did not happen."""
    try:
        audit.append(
            settings.audit_file,
            act,
            who=[part.custodian for part in parts],
            subject=subject,
            check_value=check_value,
        )
    except audit.AuditError:
        if undo is not None:
            undo.unlink(missing_ok=True)
        raise


def _secret(question: str) -> str:
    if sys.stdin.isatty():
        return getpass.getpass(f"{question}: ", stream=sys.stderr)
    line = sys.stdin.readline()
    if not line:
        raise CeremonyError(f"stdin ended before: {question}")
    return line.rstrip("\r\n")


def _tell(result: dict[str, object]) -> None:
    typer.echo(json.dumps(result, ensure_ascii=False))


def _say(text: str) -> None:
    typer.echo(f"dure-hsm-sim: {text}", err=True)


def _fail(text: str, code: int) -> None:
    _say(text)
    raise typer.Exit(code)
