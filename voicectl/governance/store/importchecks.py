"""What is wrong with the rows of a file that is to be imported: by themselves, by each other, by what is known."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, select

from voicectl.governance.store import cells
from voicectl.governance.store.filerows import FileRow, Problem
from voicectl.governance.store.importcolumns import COLUMNS, ImportKind
from voicectl.governance.store.rows import KnownCall
from voicectl.governance.store.tables import calls, complaints, violations

FUTURE_S: Final = 300.0
"""How far apart clocks may be before an instant counts as one before its call, or as one to come."""


def duplicates(rows: Sequence[FileRow], key: Sequence[str]) -> list[Problem]:
    """Return the rows whose key stands in the file before."""
    first: dict[tuple[Any, ...], int] = {}
    found = []
    for row in rows:
        values = tuple(row.values.get(name) for name in key)
        if values in first:
            found.append(Problem(row.number, f"{', '.join(key)} as in row {first[values]}"))
        else:
            first[values] = row.number
    return found


def contradictions(rows: Sequence[FileRow]) -> list[Problem]:
    """Return the outcomes that say nothing, or things that exclude each other."""
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


def unkeepable(rows: Sequence[FileRow], redacted: Callable[[str], str]) -> list[Problem]:
    """Return the rows whose key may not be kept: masked, it would be no key any more."""
    ids = [(row.number, row.values.get("complaint_id")) for row in rows]
    what = "complaint_id looks like a card number, or what else is redacted"
    return [Problem(number, what) for number, name in ids if name and redacted(name) != name]


def strangers(
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


def placed(row: FileRow, known: Mapping[str, KnownCall]) -> FileRow:
    """Return a violation with the use case of its call, where it names none itself."""
    call = known.get(row.values["call_id"])
    use_case = row.values["use_case"] or (None if call is None else call.use_case)
    return FileRow(row.number, {**row.values, "use_case": use_case})


def reports_that_cannot_be(
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
