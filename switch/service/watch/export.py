"""Evidence as files: flags, the payments that speak for them, the rules in words, and a hash of each file."""

import csv
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from sqlalchemy import Engine, and_

from switch.service.admin import NotFoundError, RefusedError
from switch.service.watch.review import FLAGS_MAX, EvidenceView, FlagView, State, evidence_of, flags_where
from switch.store.schema import programme
from switch.store.schema_watch import flag

FLAG_COLUMNS = (
    *("flag_no", "detector", "about", "subject", "first_at", "last_at", "state", "noted_at"),
    *("stopped_until", "payments", "judged_by", "judged_at", "note", "figures", "rule", "rule_sha256"),
)
PAYMENT_COLUMNS = ("flag_no", *EvidenceView.__struct_fields__)
HASHES = "SHA256SUMS"


def export_evidence(
    engine: Engine, programme_id: str, out: Path, *, flags: Sequence[int] = (), state: State | None = None
) -> list[Path]:
    """Write flags.csv, payments.csv, rules.txt and SHA256SUMS into a new or empty folder; returns the files.

    All flags of the programme, or those named, or those of a state; cards are masked. Raises NotFoundError,
    RefusedError.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RefusedError(f"{out} is there already and not an empty folder: name a new one")
    wanted = [programme.c.programme_id == programme_id]
    if flags:
        wanted.append(flag.c.flag_no.in_(flags))
    if state is not None:
        wanted.append(flag.c.state == state)
    with (
        engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection,
        connection.begin(),
    ):
        found = flags_where(connection, and_(*wanted), FLAGS_MAX + 1)
        if len(found) > FLAGS_MAX:
            raise RefusedError(f"more than {FLAGS_MAX:,} flags: name one --state, or flags by their numbers")
        missing = sorted(set(flags) - {one.flag_no for one in found})
        if missing and state is None:
            raise NotFoundError(f"programme {programme_id} has no flag {missing[0]}: `watch list` shows them")
        out.mkdir(parents=True, exist_ok=True)
        files = [
            _write(out / "flags.csv", FLAG_COLUMNS, (_flag_row(one) for one in found)),
            _write(
                out / "payments.csv",
                PAYMENT_COLUMNS,
                (
                    (one.flag_no, *msgspec.structs.astuple(payment))
                    for one in found
                    for payment in evidence_of(connection, programme_id, one.flag_no)
                ),
            ),
        ]
    rules = out / "rules.txt"
    told = {one.rule_sha256: one for one in found}
    rules.write_text(
        "".join(f"{one.detector}: {one.rule}\n  rule {digest}\n" for digest, one in sorted(told.items())),
        encoding="utf-8",
    )
    files.append(rules)
    sums = out / HASHES
    sums.write_text(
        "".join(f"{hashlib.sha256(one.read_bytes()).hexdigest()}  {one.name}\n" for one in files),
        encoding="utf-8",
    )
    return [*files, sums]


def _flag_row(one: FlagView) -> tuple[object, ...]:
    plain = msgspec.structs.asdict(one)
    plain["figures"] = "; ".join(f"{name} {value}" for name, value in one.figures.items())
    return tuple(plain[name] for name in FLAG_COLUMNS)


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
    return path
