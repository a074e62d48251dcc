"""Writes calls into a file for other programs: CSV, JSON lines or Parquet, a batch at a time."""

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, TextIO

from voicectl.core.errors import ConfigError
from voicectl.governance.store.rows import CALL_FIELDS, CallFilter, call_document, each_call
from voicectl.governance.store.store import Store
from voicectl.governance.store.tables import calls

Format = Literal["csv", "jsonl", "parquet"]
COLUMNS: Final = (*CALL_FIELDS, "contained")
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""Beginnings of a cell that spreadsheets take for a formula."""

Rows = Iterable[list[dict[str, Any]]]


def export_calls(
    store: Store, wanted: CallFilter, path: Path, file_format: Format, *, on_batch: Callable[[int], None] | None = None
) -> int:
    """Write the calls of a kind into `path` and return how many there were.

    The file is there whole or not at all, for its owner only. `on_batch` hears of each batch's calls.
    Raises ConfigError for a path that cannot be written, StoreUnavailable.
    """
    writer = {"csv": _write_csv, "jsonl": _write_jsonl, "parquet": _write_parquet}[file_format]
    num_rows = 0

    def counted(batches: Iterator[list[Any]]) -> Iterator[list[dict[str, Any]]]:
        nonlocal num_rows
        for batch in batches:
            num_rows += len(batch)
            yield [call_document(call) for call in batch]
            if on_batch is not None:
                on_batch(len(batch))

    with _replaced(path) as fresh, store.read() as connection:
        writer(fresh, counted(each_call(connection, wanted)))
    return num_rows


def guarded(value: Any) -> Any:
    """Return a cell that no spreadsheet runs: text that begins like a formula gets an apostrophe in front."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


def _write_csv(path: Path, batches: Rows) -> None:
    with _opened(path) as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for batch in batches:
            writer.writerows([guarded(_csv_value(row[name])) for name in COLUMNS] for row in batch)


def _write_jsonl(path: Path, batches: Rows) -> None:
    with _opened(path) as file:
        for batch in batches:
            file.writelines(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in batch)


def _write_parquet(path: Path, batches: Rows) -> None:
    # Takes longer to import than all else together, and only this needs it.
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
    fields = [pa.field(name, kinds[calls.c[name].type.python_type]) for name in CALL_FIELDS]
    schema = pa.schema([*fields, pa.field("contained", pa.bool_())])
    with path.open("wb") as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))


def _csv_value(value: Any) -> Any:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else value


def _opened(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", newline="")


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    """Give a fresh private file that takes the place of `path` in the end."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        yield fresh
        fresh.replace(path)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be written: {error.strerror}", hint="check the folder, its owner and its free space"
        ) from error
    finally:
        fresh.unlink(missing_ok=True)
