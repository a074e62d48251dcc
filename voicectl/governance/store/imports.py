"""Takes outcomes, complaints, reviews and violations from a file: all of its rows or none. Knows no command line."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select, update

from voicectl.core.errors import ConfigError
from voicectl.governance.score.shelf import apply_reviews
from voicectl.governance.store.filerows import FileRow, Problem, read_rows
from voicectl.governance.store.importchecks import (
    contradictions,
    duplicates,
    placed,
    reports_that_cannot_be,
    strangers,
    unkeepable,
)
from voicectl.governance.store.importcolumns import COLUMNS, KEYS, REQUIRED, ImportKind
from voicectl.governance.store.rows import imported_mark, known_calls
from voicectl.governance.store.store import Store
from voicectl.governance.store.tables import calls, complaints, imports, scores, violations

SHOWN_PROBLEMS: Final = 20
_TEXTS: Final = ("explanation", "detail")
"""Texts that people wrote; without a redactor they are not kept."""
_LABELS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("label", "category", "escalation_trigger", "reviewer"), 64),
    "rubric_version": 32,
}
"""Short texts that people chose, and their lengths; they pass the redactor where there is one."""


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
    """What came of a file. One that was taken before changes nothing. `violations` are those that it reported."""

    kind: ImportKind
    sha256: str
    num_rows: int
    already: bool
    violations: tuple[Mapping[str, Any], ...] = ()


def import_file(
    store: Store, kind: ImportKind, path: Path, *, now: float, redacted: Callable[[str], str] | None = None
) -> Imported:
    """Take a CSV or JSON lines file, all of it or nothing. Raises ImportRefused, StoreUnavailable.

    `redacted` is what is made of what people wrote before it is kept; without it explanations and details are not.
    """
    content, rows, problems = read_rows(path, COLUMNS[kind], REQUIRED[kind])
    sha256 = hashlib.sha256(content).hexdigest()
    if kind == "outcomes":
        problems += contradictions(rows)
    if redacted is not None:
        problems += unkeepable(rows, redacted)
    with store.write() as connection:
        if connection.execute(select(imports.c.import_id).where(imports.c.sha256 == sha256)).first() is not None:
            return Imported(kind, sha256, len(rows), already=True)
        known = known_calls(connection, [row.values["call_id"] for row in rows if row.values.get("call_id")])
        if kind == "violations":
            rows = [placed(row, known) for row in rows]
        problems += duplicates(rows, KEYS[kind])
        problems += strangers(connection, kind, rows, known, now)
        if kind == "violations":
            problems += reports_that_cannot_be(connection, rows, known)
        if problems:
            raise ImportRefused(path, sorted(problems, key=lambda problem: (problem.row, problem.what)))
        kept = [_kept(row, redacted) for row in rows]
        _WRITERS[kind](connection, kept)
        receipt = {"kind": kind, "sha256": sha256, "source": _source(path, redacted), "num_rows": len(rows), "at": now}
        connection.execute(insert(imports).values(receipt))
    reported = tuple(kept) if kind == "violations" else ()
    return Imported(kind, sha256, len(rows), already=False, violations=reported)


# --- writing --------------------------------------------------------------------------------

_Values = Mapping[str, Any]


def _kept(row: FileRow, redacted: Callable[[str], str] | None) -> _Values:
    """Return the values of a row as they may be kept."""
    values = dict(row.values)
    for name in _TEXTS:
        if values.get(name):
            values[name] = None if redacted is None else redacted(values[name])
    for name, limit in _LABELS.items():
        if redacted is not None and values.get(name):
            values[name] = redacted(values[name])[:limit]
    return values


def _source(path: Path, redacted: Callable[[str], str] | None) -> str:
    """Return the name of a file as it may be kept; one that is no text is no text for a database either."""
    name = path.name.encode("utf-8", "replace").decode()
    return (name if redacted is None else redacted(name))[:256]


def _write_outcomes(connection: Connection, rows: Sequence[_Values]) -> None:
    for row in rows:
        values = {name: value for name, value in row.items() if value is not None and name != "call_id"}
        if "resolved" in values:
            values.setdefault("resolved_by", "proof")
        marked = calls.c.imported.bitwise_or(imported_mark(values))
        connection.execute(update(calls).where(calls.c.call_id == row["call_id"]).values(**values, imported=marked))
        # A proof that comes after a review stands below it, as one that came before does.
        apply_reviews(connection, row["call_id"])


def _write_complaints(connection: Connection, rows: Sequence[_Values]) -> None:
    names = COLUMNS["complaints"]
    if rows:
        connection.execute(insert(complaints), [{name: row.get(name) for name in names} for row in rows])


def _write_reviews(connection: Connection, rows: Sequence[_Values]) -> None:
    for row in rows:
        values = {name: row.get(name) for name in COLUMNS["reviews"]} | {"source": "human"}
        pruned_at = select(calls.c.texts_pruned_at).where(calls.c.call_id == row["call_id"])
        if connection.execute(pruned_at).scalar_one() is not None:
            # The words of the call went already, and retention will not come by again for these.
            values["explanation"] = None
        # A later review by the same person corrects the earlier one, as a later outcome does.
        same = [scores.c[name] == values[name] for name in ("call_id", "name", "reviewer", "source")]
        connection.execute(delete(scores).where(*same))
        connection.execute(insert(scores).values(values))
    for call_id in dict.fromkeys(row["call_id"] for row in rows):
        apply_reviews(connection, call_id)


def _write_violations(connection: Connection, rows: Sequence[_Values]) -> None:
    if rows:
        connection.execute(insert(violations), rows)


_WRITERS: Final[Mapping[str, Callable[[Connection, Sequence[_Values]], None]]] = {
    "outcomes": _write_outcomes,
    "complaints": _write_complaints,
    "reviews": _write_reviews,
    "violations": _write_violations,
}
