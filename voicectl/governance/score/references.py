"""Read a file of reference transcripts and store the word errors of the turns they belong to: all of it or nothing."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast, get_args

from sqlalchemy import Connection, select, update

from voicectl.core.errors import ConfigError
from voicectl.core.records import ReferenceKind, TurnRow
from voicectl.governance.score.wer import MAX_REFERENCE, wer_columns
from voicectl.governance.store.tables import turns

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
MAX_TURN: Final = 2**31 - 1
MAX_ID: Final = 64
"""What the columns of a turn hold."""
SHOWN_PROBLEMS: Final = 10
_KEYS: Final = {"call_id", "turn", "text", "kind"}


class ReferencesRefused(ConfigError):
    """A file of references is not taken; names the rows and what is wrong with them."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What was really said in a turn, by a probe's script or by a human who listened; `row` is its line."""

    call_id: str
    turn: int
    text: str
    kind: ReferenceKind
    row: int


def read_references(path: Path) -> list[Reference]:
    """Return the references of a JSONL file. Raises ReferencesRefused with the numbers of the wrong rows."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ReferencesRefused(f"{path}: larger than {MAX_FILE_BYTES} bytes", hint="split the file")
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise ReferencesRefused(f"{path}: {error.strerror}") from error
    found: list[Reference] = []
    problems: list[str] = []
    seen: dict[tuple[str, int], int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            reference = _reference(line, number)
            first = seen.setdefault((reference.call_id, reference.turn), number)
            if first != number:
                raise ValueError(f"the same turn as row {first}")
            found.append(reference)
        except ValueError as error:
            problems.append(f"row {number}: {error}")
    _refuse(path, problems)
    return found


def store_references(connection: Connection, path: Path, references: list[Reference]) -> int:
    """Store the word errors of all turns and return how many. Raises ReferencesRefused, and then stores none."""
    problems: list[str] = []
    changes: list[tuple[Reference, dict[str, object]]] = []
    for reference in references:
        place = (turns.c.call_id == reference.call_id) & (turns.c.turn == reference.turn)
        row = connection.execute(select(turns.c.transcript).where(place)).one_or_none()
        if row is None:
            problems.append(f"row {reference.row}: there is no turn {reference.turn} of call {reference.call_id}")
            continue
        turn = TurnRow(reference.call_id, reference.turn, transcript=row.transcript)
        try:
            changes.append((reference, wer_columns(turn, reference.text, reference.kind)))
        except ValueError as error:
            problems.append(f"row {reference.row}: {error}")
    _refuse(path, problems)
    for reference, columns in changes:
        place = (turns.c.call_id == reference.call_id) & (turns.c.turn == reference.turn)
        connection.execute(update(turns).where(place).values(**columns))
    return len(changes)


def _reference(line: bytes, number: int) -> Reference:
    try:
        row: Any = json.loads(line)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"no JSON: {error}") from error
    if not isinstance(row, dict) or set(row) != _KEYS:
        raise ValueError(f"needs exactly the keys {', '.join(sorted(_KEYS))}")
    turn, text, kind, call_id = row["turn"], row["text"], row["kind"], row["call_id"]
    if not isinstance(turn, int) or isinstance(turn, bool) or not 0 <= turn <= MAX_TURN:
        raise ValueError(f"turn is {str(turn)[:40]}, not a whole number from 0 to {MAX_TURN}")
    if not isinstance(call_id, str) or not isinstance(text, str):
        raise ValueError("call_id and text must be texts")
    if len(call_id) > MAX_ID or not call_id.isprintable():
        raise ValueError(f"call_id is {call_id[:MAX_ID]!a}, not the id of a call")
    if len(text) > MAX_REFERENCE:
        raise ValueError(f"the text has {len(text)} characters, at most {MAX_REFERENCE}")
    if kind not in get_args(ReferenceKind):
        raise ValueError(f"kind is {str(kind)[:40]!r}, it must be probe or human")
    return Reference(call_id, turn, text, cast(ReferenceKind, kind), number)


def _refuse(path: Path, problems: list[str]) -> None:
    if not problems:
        return
    shown = "\n       ".join(problems[:SHOWN_PROBLEMS])
    more = f"\n       and {len(problems) - SHOWN_PROBLEMS} more" if len(problems) > SHOWN_PROBLEMS else ""
    raise ReferencesRefused(
        f"{path}: nothing was stored:\n       {shown}{more}",
        hint='each line is {"call_id": "…", "turn": 1, "text": "what was said", "kind": "human"}',
    )
