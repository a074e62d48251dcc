"""Reads the rows of an imported file, CSV or JSON lines, and says of each what is wrong with it."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from voicectl.core.errors import ConfigError
from voicectl.governance.store.cells import Reader

MAX_FILE_BYTES: Final = 200_000_000
MAX_ROWS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class FileRow:
    """One row. `number` counts as an editor does: the first line of a CSV file, its header, is 1."""

    number: int
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a row."""

    row: int
    what: str


def read_rows(
    path: Path, columns: Mapping[str, Reader], required: Sequence[str]
) -> tuple[bytes, list[FileRow], list[Problem]]:
    """Return the file's bytes, its rows with the values of known columns, and all that is wrong. Raises ConfigError.

    Empty cells and null are None. A name that ends in .jsonl or .ndjson is JSON lines, .csv is CSV.
    """
    content = _content(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is no UTF-8 text (byte {error.start})", hint="save it as UTF-8") from error
    match path.suffix.lower():
        case ".csv":
            raw = _csv_rows(text, columns)
        case ".jsonl" | ".ndjson":
            raw = _json_rows(text)
        case suffix:
            raise ConfigError(
                f"{path}: {suffix or 'no suffix'} is no kind of file that is read here",
                hint="give a .csv or .jsonl file",
            )
    rows: list[FileRow] = []
    problems: list[Problem] = []
    for number, cells in raw:
        if isinstance(cells, str):
            problems.append(Problem(number, cells))
            continue
        values, wrong = _values(cells, columns, required)
        rows.append(FileRow(number, values))
        problems += [Problem(number, what) for what in wrong]
        if len(rows) > MAX_ROWS:
            raise ConfigError(f"{path}: more than {MAX_ROWS} rows", hint="split the file")
    if not rows and not problems:
        raise ConfigError(f"{path}: holds no rows")
    return content, rows, problems


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint="give the path of a .csv or .jsonl file") from error
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_FILE_BYTES} bytes", hint="split the file")
    return content


def _csv_rows(text: str, columns: Mapping[str, Reader]) -> Iterator[tuple[int, dict[str, Any] | str]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, None)
        if header is None:
            return
        names = [name.strip() for name in header]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            yield 1, f"column {twice[0]} is there twice"
            return
        unknown = [name for name in names if name not in columns]
        if unknown:
            yield 1, f"unknown column {unknown[0][:80]!r}; there are {', '.join(columns)}"
            return
        start = reader.line_num + 1
        for cells in reader:
            if not cells:
                start = reader.line_num + 1
                continue
            if len(cells) != len(names):
                yield start, f"has {len(cells)} cells, the header has {len(names)}"
            else:
                yield start, {name: cell if cell.strip() else None for name, cell in zip(names, cells, strict=True)}
            start = reader.line_num + 1
    except csv.Error as error:
        yield reader.line_num, f"is no CSV: {error}"


def _json_rows(text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_without_doubles, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            yield number, f"is no JSON: {error}"
            continue
        yield number, row if isinstance(row, dict) else "is no JSON object"


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _values(
    cells: Mapping[str, Any], columns: Mapping[str, Reader], required: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    values: dict[str, Any] = {}
    wrong = [f"unknown column {name[:80]!r}" for name in cells if name not in columns]
    for name, read in columns.items():
        cell = cells.get(name)
        if cell is None or cell == "":
            values[name] = None
            if name in required:
                wrong.append(f"{name} is missing")
            continue
        try:
            values[name] = read(cell)
        except ValueError as error:
            values[name] = None
            wrong.append(f"{name} {str(cell)[:80]!r} {error}")
    return values, wrong
