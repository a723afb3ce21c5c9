"""Coverage-guided fuzzing of everything that reads bytes from outside.

    python -m tests.fuzz framing --runs 100000 --seconds 60

Each target takes any bytes and must return; whatever it raises is a find, and the input that did it is kept.
"""

import argparse
import sys
from pathlib import Path

import atheris

TARGETS = ("framing", "message", "icc", "hsm", "outbox")


def main() -> None:
    """Read the command line and fuzz one target; exits 0 when nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--runs", type=int, default=100_000, help="inputs to try")
    parser.add_argument("--seconds", type=int, default=600, help="stop after as many")
    parser.add_argument("--seed", type=int, default=1, help="of the mutations")
    parser.add_argument("--keep", type=Path, default=Path("var/fuzz"), help="folder for finds and corpus")
    chosen = parser.parse_args()
    folder = chosen.keep / chosen.target
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    with atheris.instrument_imports(include=["switch.wire", "switch.hsm", "hsm_sim"]):
        target = _target(chosen.target)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number:03d}").write_bytes(seed)
    arguments = [
        sys.argv[0],
        f"-runs={chosen.runs}",
        f"-max_total_time={chosen.seconds}",
        f"-seed={chosen.seed}",
        "-max_len=4096",
        "-timeout=10",
        f"-artifact_prefix={folder}/",
        str(corpus),
    ]
    atheris.Setup(arguments, target.fuzz_one)
    atheris.Fuzz()


def _target(name: str):  # type: ignore[no-untyped-def]
    """The module of a target; imported here, so that what it imports is instrumented."""
    if name == "framing":
        from tests.fuzz import framing as target
    elif name == "message":
        from tests.fuzz import message as target
    elif name == "icc":
        from tests.fuzz import icc as target
    elif name == "outbox":
        from tests.fuzz import outbox as target
    else:
        from tests.fuzz import hsm as target
    return target


if __name__ == "__main__":
    main()
