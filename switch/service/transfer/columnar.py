"""Parquet: each file by batches from its CSV, and back to the CSV that COPY reads.

pyarrow is large and only this needs it, so it is optional: `pip install "dure[parquet]"`. Won are int64, days
date32, bytes binary; instants and lists stay the text that PostgreSQL writes, which loses nothing.
"""

import gzip
import hashlib
import importlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from switch.service.admin import RefusedError
from switch.service.transfer.manifest import Storage

BLOCK_BYTES: Final = 4 << 20
BATCH_ROWS: Final = 65_536
_TYPES: Final = {
    "smallint": "int16",
    "integer": "int32",
    "bigint": "int64",
    "date": "date32",
    "boolean": "bool_",
}


def check(storage: Storage) -> None:
    """Raises RefusedError where the format needs what is not installed."""
    if storage == "parquet":
        _arrow()


def to_parquet(source: Path, target: Path, columns: Sequence[tuple[str, str]]) -> tuple[int, str]:
    """Turn a gzip CSV of COPY into Parquet and remove it. Returns (bytes, SHA-256). Raises OSError."""
    arrow, arrow_csv, parquet = _arrow(), _module("pyarrow.csv"), _module("pyarrow.parquet")
    binary = [name for name, kind in columns if kind == "bytea"]
    kinds = {name: getattr(arrow, _TYPES.get(kind, "string"))() for name, kind in columns}
    schema = arrow.schema([(name, arrow.binary() if name in binary else kinds[name]) for name, _ in columns])
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with gzip.open(source, "rb") as text, os.fdopen(handle, "wb") as file:
        batches = arrow_csv.open_csv(
            text,
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                column_types=kinds,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,  # "" is a text without letters, nothing at all is NULL
                true_values=["t"],
                false_values=["f"],
            ),
        )
        with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(_as_bytes(arrow, batch, binary, schema))
        file.flush()
        os.fsync(file.fileno())
    source.unlink()
    with target.open("rb") as written:
        digest = hashlib.file_digest(written, "sha256")
    return target.stat().st_size, digest.hexdigest()


def from_parquet(path: Path) -> Iterator[bytes]:
    """The rows of a Parquet file as the CSV with a header that COPY reads, in blocks."""
    arrow, arrow_csv, parquet = _arrow(), _module("pyarrow.csv"), _module("pyarrow.parquet")
    options = arrow_csv.WriteOptions(quoting_style="all_valid", include_header=False)
    with parquet.ParquetFile(path) as file:
        yield (",".join(f'"{name}"' for name in file.schema_arrow.names) + "\n").encode()
        for batch in file.iter_batches(BATCH_ROWS):
            out = arrow.BufferOutputStream()
            arrow_csv.write_csv(_as_hex(arrow, batch), out, options)
            yield out.getvalue().to_pybytes()


def _as_bytes(arrow: Any, batch: Any, binary: Sequence[str], schema: Any) -> Any:
    if not binary:
        return batch
    held = []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if field.name in binary:  # as PostgreSQL writes it: \x and hex digits
            held.append(
                arrow.array(
                    [None if one is None else bytes.fromhex(one[2:]) for one in column.to_pylist()],
                    arrow.binary(),
                )
            )
        else:
            held.append(column)
    return arrow.record_batch(held, schema=schema)


def _as_hex(arrow: Any, batch: Any) -> Any:
    held = []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if arrow.types.is_binary(field.type):
            hexed = [None if one is None else "\\x" + one.hex() for one in column.to_pylist()]
            held.append(arrow.array(hexed, arrow.string()))
        else:
            held.append(column)
    return arrow.record_batch(held, names=batch.schema.names)


def _module(name: str) -> Any:
    return importlib.import_module(name)


def _arrow() -> Any:
    try:
        return _module("pyarrow")
    except ImportError:
        raise RefusedError(
            'Parquet needs pyarrow, which is not installed: `pip install "dure[parquet]"`, or use CSV'
        ) from None
