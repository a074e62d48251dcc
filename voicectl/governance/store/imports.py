"""Takes outcomes, complaints and human reviews from a file: all of its rows or none. Knows no command line."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from sqlalchemy import Connection, insert, select, update

from voicectl.core.errors import ConfigError
from voicectl.governance.score.shelf import apply_reviews
from voicectl.governance.store import cells
from voicectl.governance.store.filerows import FileRow, Problem, read_rows
from voicectl.governance.store.rows import known_calls
from voicectl.governance.store.store import Store
from voicectl.governance.store.tables import calls, complaints, imports, scores

ImportKind = Literal["outcomes", "complaints", "reviews"]
KINDS: Final[tuple[str, ...]] = get_args(ImportKind)
SHOWN_PROBLEMS: Final = 20

_ID: Final = cells.text(64, pattern=re.compile(r"[A-Za-z0-9_.:-]+"))
_OUTCOMES: Final[Mapping[str, cells.Reader]] = {
    "resolved": cells.yes_or_no,
    "resolved_by": cells.choice("proof", "human"),
    "escalated": cells.yes_or_no,
    "escalation_trigger": cells.text(64),
    "escalation_appropriate": cells.yes_or_no,
    "abandoned": cells.yes_or_no,
    "transfer_attempted": cells.yes_or_no,
    "transfer_payload_digest": cells.text(64, pattern=re.compile(r"[0-9a-f]{64}")),
    "transfer_complete": cells.yes_or_no,
    "transfer_result": cells.choice("succeeded", "failed", "abandoned"),
    "screen_pop_at": cells.instant,
    "human_answer_at": cells.instant,
    "dead_air_s": cells.number(0.0, 86_400.0),
    "opted_out": cells.yes_or_no,
    "csat": cells.number(-100.0, 100.0),
    "cost": cells.number(0.0, 1e9),
    "deflected": cells.yes_or_no,
}
"""Columns of a call that a file of outcomes may set; what it leaves empty stays as it is."""
COLUMNS: Final[Mapping[ImportKind, Mapping[str, cells.Reader]]] = {
    "outcomes": {"call_id": _ID, **_OUTCOMES},
    "complaints": {
        "complaint_id": _ID,
        "call_id": _ID,
        "received_at": cells.instant,
        "category": cells.text(64),
    },
    "reviews": {
        "call_id": _ID,
        "name": cells.text(64, pattern=re.compile(r"[a-z][a-z0-9_]*")),
        "value": cells.number(0.0, 1.0),
        "label": cells.text(64),
        "explanation": cells.text(4000),
        "reviewer": cells.text(64),
        "rubric_version": cells.text(32),
        "at": cells.instant,
    },
}
REQUIRED: Final[Mapping[ImportKind, Sequence[str]]] = {
    "outcomes": ("call_id",),
    "complaints": ("complaint_id", "call_id", "received_at"),
    "reviews": ("call_id", "name", "value", "reviewer", "at"),
}
_KEYS: Final[Mapping[ImportKind, Sequence[str]]] = {
    "outcomes": ("call_id",),
    "complaints": ("complaint_id",),
    "reviews": ("call_id", "name", "reviewer"),
}
"""What may stand in a file once."""
MAX_LABEL: Final = 64
_LABELS: Final = ("label", "category", "escalation_trigger")
"""Short texts that people chose; they pass the redactor where there is one."""


class ImportRefused(ConfigError):
    """A file was not taken, and nothing of it; names the rows and what is wrong with them."""

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        shown = [f"row {problem.row}: {problem.what}" for problem in problems[:SHOWN_PROBLEMS]]
        if len(problems) > SHOWN_PROBLEMS:
            shown.append(f"and {len(problems) - SHOWN_PROBLEMS} more")
        super().__init__(
            "\n       ".join([f"{path}: nothing was imported, {len(problems)} problems:", *shown]),
            hint="put these rows right and import the file again",
        )
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of a file. One that was taken before changes nothing."""

    kind: ImportKind
    sha256: str
    num_rows: int
    already: bool


def import_file(
    store: Store, kind: ImportKind, path: Path, *, now: float, redacted: Callable[[str], str] | None = None
) -> Imported:
    """Take a CSV or JSON lines file, all of it or nothing. Raises ImportRefused, StoreUnavailable.

    `redacted` is what is made of what people wrote before it is kept; without it explanations are not kept.
    """
    content, rows, problems = read_rows(path, COLUMNS[kind], REQUIRED[kind])
    sha256 = hashlib.sha256(content).hexdigest()
    problems += _duplicates(rows, _KEYS[kind])
    if kind == "outcomes":
        problems += _contradictions(rows)
    with store.write() as connection:
        if connection.execute(select(imports.c.import_id).where(imports.c.sha256 == sha256)).first() is not None:
            return Imported(kind, sha256, len(rows), already=True)
        problems += _strangers(connection, kind, rows)
        if problems:
            raise ImportRefused(path, sorted(problems, key=lambda problem: (problem.row, problem.what)))
        _WRITERS[kind](connection, [_kept(row, redacted) for row in rows])
        receipt = {"kind": kind, "sha256": sha256, "source": path.name[:256], "num_rows": len(rows), "at": now}
        connection.execute(insert(imports).values(receipt))
    return Imported(kind, sha256, len(rows), already=False)


# --- what is wrong with rows ----------------------------------------------------------------


def _duplicates(rows: Sequence[FileRow], key: Sequence[str]) -> list[Problem]:
    first: dict[tuple[Any, ...], int] = {}
    found = []
    for row in rows:
        values = tuple(row.values.get(name) for name in key)
        if values in first:
            found.append(Problem(row.number, f"{', '.join(key)} as in row {first[values]}"))
        else:
            first[values] = row.number
    return found


def _contradictions(rows: Sequence[FileRow]) -> list[Problem]:
    found = []
    for row in rows:
        values = {name: value for name, value in row.values.items() if value is not None}
        if set(values) <= {"call_id"}:
            found.append(Problem(row.number, "says nothing about its call"))
        if "resolved_by" in values and "resolved" not in values:
            found.append(Problem(row.number, "resolved_by without resolved"))
        told = [name for name in ("transfer_result", "transfer_complete", "human_answer_at") if name in values]
        if told and values.get("transfer_attempted") is not True:
            found.append(Problem(row.number, f"{told[0]} without transfer_attempted = true"))
    return found


def _strangers(connection: Connection, kind: ImportKind, rows: Sequence[FileRow]) -> list[Problem]:
    """Return the rows about calls that do not exist, and complaints that exist already."""
    ids = {row.number: row.values["call_id"] for row in rows if row.values.get("call_id") is not None}
    known = known_calls(connection, ids.values())
    found = [Problem(number, f"there is no call {call_id}") for number, call_id in ids.items() if call_id not in known]
    if kind == "complaints":
        taken = set(connection.execute(select(complaints.c.complaint_id)).scalars())
        found += [
            Problem(row.number, f"complaint {row.values['complaint_id']} was imported before")
            for row in rows
            if row.values.get("complaint_id") in taken
        ]
    return found


# --- writing --------------------------------------------------------------------------------

_Values = Mapping[str, Any]


def _kept(row: FileRow, redacted: Callable[[str], str] | None) -> _Values:
    """Return the values of a row as they may be kept."""
    values = dict(row.values)
    if values.get("explanation"):
        values["explanation"] = None if redacted is None else redacted(values["explanation"])
    for name in _LABELS:
        if redacted is not None and values.get(name):
            values[name] = redacted(values[name])[:MAX_LABEL]
    return values


def _write_outcomes(connection: Connection, rows: Sequence[_Values]) -> None:
    for row in rows:
        values = {name: value for name, value in row.items() if value is not None and name != "call_id"}
        if "resolved" in values:
            values.setdefault("resolved_by", "proof")
        connection.execute(update(calls).where(calls.c.call_id == row["call_id"]).values(values))


def _write_complaints(connection: Connection, rows: Sequence[_Values]) -> None:
    names = COLUMNS["complaints"]
    if rows:
        connection.execute(insert(complaints), [{name: row.get(name) for name in names} for row in rows])


def _write_reviews(connection: Connection, rows: Sequence[_Values]) -> None:
    names = COLUMNS["reviews"]
    if rows:
        values = [{name: row.get(name) for name in names} | {"source": "human"} for row in rows]
        connection.execute(insert(scores), values)
    for call_id in dict.fromkeys(row["call_id"] for row in rows):
        apply_reviews(connection, call_id)


_WRITERS: Final[Mapping[str, Callable[[Connection, Sequence[_Values]], None]]] = {
    "outcomes": _write_outcomes,
    "complaints": _write_complaints,
    "reviews": _write_reviews,
}
