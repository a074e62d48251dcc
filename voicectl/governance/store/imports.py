"""Takes outcomes, complaints, reviews and violations from a file: all of its rows or none. Knows no command line."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from sqlalchemy import Connection, delete, insert, select, update

from voicectl.core.errors import ConfigError
from voicectl.core.sections.governance import USE_CASE_PATTERN
from voicectl.governance.policy.schema import Violation
from voicectl.governance.score.shelf import apply_reviews
from voicectl.governance.store import cells
from voicectl.governance.store.filerows import FileRow, Problem, read_rows
from voicectl.governance.store.rows import KnownCall, imported_mark, known_calls
from voicectl.governance.store.store import Store
from voicectl.governance.store.tables import calls, complaints, imports, scores, violations

ImportKind = Literal["outcomes", "complaints", "reviews", "violations"]
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
    "dtmf_paused": cells.yes_or_no,
    "baa_complete": cells.yes_or_no,
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
    "violations": {
        "kind": cells.choice(*get_args(Violation)),
        "at": cells.instant,
        "call_id": _ID,
        "use_case": cells.text(64, pattern=re.compile(USE_CASE_PATTERN)),
        "detail": cells.text(4000),
    },
}
REQUIRED: Final[Mapping[ImportKind, Sequence[str]]] = {
    "outcomes": ("call_id",),
    "complaints": ("complaint_id", "call_id", "received_at"),
    "reviews": ("call_id", "name", "value", "reviewer", "at"),
    "violations": ("kind", "at"),
}
_KEYS: Final[Mapping[ImportKind, Sequence[str]]] = {
    "outcomes": ("call_id",),
    "complaints": ("complaint_id",),
    "reviews": ("call_id", "name", "reviewer"),
    "violations": ("kind", "at", "call_id", "use_case"),
}
"""What may stand in a file once."""
_TEXTS: Final = ("explanation", "detail")
"""Texts that people wrote; without a redactor they are not kept."""
_LABELS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("label", "category", "escalation_trigger", "reviewer"), 64),
    "rubric_version": 32,
}
"""Short texts that people chose, and their lengths; they pass the redactor where there is one."""
FUTURE_S: Final = 300.0
"""How far apart clocks may be before an instant counts as one before its call, or as one to come."""


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
        problems += _contradictions(rows)
    if redacted is not None:
        problems += _unkeepable(rows, redacted)
    with store.write() as connection:
        if connection.execute(select(imports.c.import_id).where(imports.c.sha256 == sha256)).first() is not None:
            return Imported(kind, sha256, len(rows), already=True)
        known = known_calls(connection, [row.values["call_id"] for row in rows if row.values.get("call_id")])
        if kind == "violations":
            rows = [_placed(row, known) for row in rows]
        problems += _duplicates(rows, _KEYS[kind])
        problems += _strangers(connection, kind, rows, known, now)
        if kind == "violations":
            problems += _reports_that_cannot_be(connection, rows, known)
        if problems:
            raise ImportRefused(path, sorted(problems, key=lambda problem: (problem.row, problem.what)))
        kept = [_kept(row, redacted) for row in rows]
        _WRITERS[kind](connection, kept)
        receipt = {"kind": kind, "sha256": sha256, "source": _source(path, redacted), "num_rows": len(rows), "at": now}
        connection.execute(insert(imports).values(receipt))
    reported = tuple(kept) if kind == "violations" else ()
    return Imported(kind, sha256, len(rows), already=False, violations=reported)


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
        if values.get("abandoned"):
            # Who left before the first word was neither helped nor handed on.
            more = [name for name in ("resolved", "transfer_attempted") if values.get(name)]
            found += [Problem(row.number, f"abandoned and {name} at once") for name in more]
        if values.get("escalated") is False:
            more = [name for name in ("escalation_trigger", "escalation_appropriate") if name in values]
            found += [Problem(row.number, f"{name} with escalated = false") for name in more]
        if "resolved_by" in values and "resolved" not in values:
            found.append(Problem(row.number, "resolved_by without resolved"))
        told = [name for name in ("transfer_result", "transfer_complete", "human_answer_at") if name in values]
        if told and values.get("transfer_attempted") is not True:
            found.append(Problem(row.number, f"{told[0]} without transfer_attempted = true"))
    return found


def _unkeepable(rows: Sequence[FileRow], redacted: Callable[[str], str]) -> list[Problem]:
    """Return the rows whose key may not be kept: masked, it would be no key any more."""
    ids = [(row.number, row.values.get("complaint_id")) for row in rows]
    what = "complaint_id looks like a card number, or what else is redacted"
    return [Problem(number, what) for number, name in ids if name and redacted(name) != name]


def _strangers(
    connection: Connection, kind: ImportKind, rows: Sequence[FileRow], known: Mapping[str, KnownCall], now: float
) -> list[Problem]:
    """Return the rows about calls that do not exist, or about another time, and complaints that exist already."""
    found = []
    for row in rows:
        call_id = row.values.get("call_id")
        call = known.get(call_id) if call_id is not None else None
        if call_id is not None and call is None:
            found.append(Problem(row.number, f"there is no call {call_id}"))
        else:
            found += _untimely(kind, row, call, now)
    if kind == "complaints":
        taken = set(connection.execute(select(complaints.c.complaint_id)).scalars())
        found += [
            Problem(row.number, f"complaint {row.values['complaint_id']} was imported before")
            for row in rows
            if row.values.get("complaint_id") in taken
        ]
    return found


def _placed(row: FileRow, known: Mapping[str, KnownCall]) -> FileRow:
    """Return a violation with the use case of its call, where it names none itself."""
    call = known.get(row.values["call_id"])
    use_case = row.values["use_case"] or (None if call is None else call.use_case)
    return FileRow(row.number, {**row.values, "use_case": use_case})


def _reports_that_cannot_be(
    connection: Connection, rows: Sequence[FileRow], known: Mapping[str, KnownCall]
) -> list[Problem]:
    """Return the violations of a use case that is not their call's or nobody's, or reported before."""
    use_cases = set(connection.execute(select(calls.c.use_case).distinct()).scalars())
    names = ("kind", "at", "call_id", "use_case")
    reported = {tuple(row) for row in connection.execute(select(*(violations.c[name] for name in names)))}
    found = []
    for row in rows:
        kind, at, call_id, use_case = (row.values[name] for name in names)
        call = known.get(call_id)
        if use_case is not None and call is not None and use_case != call.use_case:
            found.append(Problem(row.number, f"the call {call_id} is of {call.use_case}, not of {use_case}"))
        elif use_case is not None and use_case not in use_cases:
            found.append(Problem(row.number, f"there is no call of {use_case}; leave use_case empty if it is of none"))
        if (kind, at, call_id, use_case) in reported:
            found.append(Problem(row.number, f"this {kind} was imported before"))
    return found


def _untimely(kind: ImportKind, row: FileRow, call: KnownCall | None, now: float) -> list[Problem]:
    found = []
    for name in (name for name, read in COLUMNS[kind].items() if read is cells.instant):
        instant = row.values.get(name)
        if instant is not None and instant > now + FUTURE_S:
            found.append(Problem(row.number, f"{name} is in the future"))
        if instant is not None and call is not None and instant < call.started_at - FUTURE_S:
            found.append(Problem(row.number, f"{name} is before the start of its call"))
    return found


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
