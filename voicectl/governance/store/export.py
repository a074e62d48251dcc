"""Writes calls or their turns into a file for other programs: CSV, JSON lines or Parquet, a batch at a time."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Literal, TextIO

from sqlalchemy import Connection

from voicectl.core.disk import replacing
from voicectl.core.errors import ConfigError
from voicectl.core.records import CallRow
from voicectl.governance.store.rows import CALL_FIELDS, TURN_FIELDS, CallFilter, call_document, each_call, turns_of_all
from voicectl.governance.store.store import Store
from voicectl.governance.store.tables import calls, turns

Format = Literal["csv", "jsonl", "parquet"]
What = Literal["calls", "turns"]
_OF_CALL: Final = ("use_case", "tier", "probe")
"""What a row of a turn says of its call."""
COLUMNS: Final[Mapping[What, Mapping[str, type]]] = {
    "calls": {**{name: calls.c[name].type.python_type for name in CALL_FIELDS}, "contained": bool},
    "turns": {
        **{name: calls.c[name].type.python_type for name in ("call_id", *_OF_CALL)},
        **{name: turns.c[name].type.python_type for name in TURN_FIELDS},
    },
}
"""The columns of a file, and the types of their values."""
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""Beginnings of a cell that spreadsheets take for a formula."""

Rows = Iterable[list[dict[str, Any]]]
_Columns = Mapping[str, type]


def export_rows(
    store: Store,
    what: What,
    wanted: CallFilter,
    path: Path,
    file_format: Format,
    *,
    on_batch: Callable[[int], None] | None = None,
) -> int:
    """Write the calls of a kind, or the turns of these calls, into `path` and return how many rows there were.

    The file is there whole or not at all, for its owner only. `on_batch` hears of each batch's calls.
    Raises ConfigError for a path that cannot be written, StoreUnavailable.
    """
    writer = {"csv": _write_csv, "jsonl": _write_jsonl, "parquet": _write_parquet}[file_format]
    documents = {"calls": _calls, "turns": _turns}[what]
    num_rows = 0

    def counted(connection: Connection) -> Iterator[list[dict[str, Any]]]:
        nonlocal num_rows
        for batch in each_call(connection, wanted):
            rows = documents(connection, batch)
            num_rows += len(rows)
            yield rows
            if on_batch is not None:
                on_batch(len(batch))

    try:
        with replacing(path) as fresh, store.read() as connection:
            writer(fresh, COLUMNS[what], counted(connection))
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be written: {error.strerror}", hint="check the folder, its owner and its free space"
        ) from error
    return num_rows


def _calls(_connection: Connection, batch: list[CallRow]) -> list[dict[str, Any]]:
    return [call_document(call) for call in batch]


def _turns(connection: Connection, batch: list[CallRow]) -> list[dict[str, Any]]:
    of_call = {call.call_id: {name: getattr(call, name) for name in _OF_CALL} for call in batch}
    return [{**of_call[turn.call_id], **asdict(turn)} for turn in turns_of_all(connection, list(of_call))]


def guarded(value: Any) -> Any:
    """Return a cell that no spreadsheet runs: text that begins like a formula gets an apostrophe in front."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


def _write_csv(path: Path, columns: _Columns, batches: Rows) -> None:
    with _opened(path) as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for batch in batches:
            writer.writerows([guarded(_csv_value(row[name])) for name in columns] for row in batch)


def _write_jsonl(path: Path, columns: _Columns, batches: Rows) -> None:
    with _opened(path) as file:
        for batch in batches:
            file.writelines(
                json.dumps({name: row[name] for name in columns}, ensure_ascii=False, separators=(",", ":")) + "\n"
                for row in batch
            )


def _write_parquet(path: Path, columns: _Columns, batches: Rows) -> None:
    # Takes longer to import than all else together, and only this needs it.
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
    schema = pa.schema([pa.field(name, kinds[kind]) for name, kind in columns.items()])
    with path.open("wb") as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))


def _csv_value(value: Any) -> Any:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else value


def _opened(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", newline="")
