"""References are stored as a whole or not at all, and what is wrong is told by row."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.fakes.records import MemoryRecords, a_call, said
from voicectl.governance.score.references import ReferencesRefused, read_references, store_references
from voicectl.governance.store.tables import turns

GOOD: dict[str, Any] = {"call_id": "c1", "turn": 0, "text": "hello there", "kind": "human"}


@pytest.fixture
def records() -> Iterator[MemoryRecords]:
    found = MemoryRecords()
    found.add(a_call(), *said("c1", ("hello their", "Hello."), (None, "Bye.")))
    yield found
    found.close()


def written(folder: Path, *rows: object) -> Path:
    path = folder / "references.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


def test_word_errors_are_stored(tmp_path: Path, records: MemoryRecords) -> None:
    path = written(tmp_path, GOOD, "")
    with records.write() as connection:
        assert store_references(connection, path, read_references(path)) == 1
        row = connection.execute(select(turns).where(turns.c.turn == 0)).one()
    assert (row.wer_substitutions, row.wer_words, row.reference_kind) == (1, 2, "human")


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ("{", "row 2: no JSON"),
        ("[" * 5000, "row 2: "),
        ([], "row 2: needs exactly the keys"),
        ({**GOOD, "more": 1}, "row 2: needs exactly the keys"),
        ({**GOOD, "turn": -1}, "row 2: turn is -1"),
        ({**GOOD, "turn": True}, "row 2: turn is True"),
        ({**GOOD, "turn": 99999999999999999999}, "row 2: turn is 99999999999999999999, not a whole number"),
        ({**GOOD, "turn": 2**31}, "row 2: turn is 2147483648"),
        ({**GOOD, "call_id": "p1\ud800"}, "row 2: call_id is 'p1\\ud800', not the id of a call"),
        ({**GOOD, "call_id": "p1\0"}, "row 2: call_id is 'p1\\x00'"),
        ({**GOOD, "call_id": "p" * 65}, "row 2: call_id is"),
        ({**GOOD, "kind": "guess"}, "row 2: kind is 'guess'"),
        ({**GOOD, "text": 5}, "row 2: call_id and text"),
        ({**GOOD, "text": "x" * 10_001}, "row 2: the text has 10001"),
        (GOOD, "row 2: the same turn as row 1"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, row: object, named: str) -> None:
    with pytest.raises(ReferencesRefused, match="nothing was stored") as caught:
        read_references(written(tmp_path, GOOD, row))
    assert named in caught.value.message


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ({**GOOD, "turn": 9}, "row 4: there is no turn 9 of call c1"),
        ({**GOOD, "turn": 2**31 - 1}, "row 4: there is no turn 2147483647 of call c1"),
        ({**GOOD, "call_id": "x"}, "row 4: there is no turn 0 of call x"),
        ({**GOOD, "turn": 1}, "row 4: turn 1 of call c1 has no transcript"),
    ],
)
def test_one_unknown_turn_refuses_all(tmp_path: Path, records: MemoryRecords, row: object, named: str) -> None:
    path = written(tmp_path, "", GOOD, " ", row)
    references = read_references(path)
    with pytest.raises(ReferencesRefused, match=named), records.write() as connection:
        store_references(connection, path, references)
    with records.read() as connection:
        assert connection.execute(select(turns.c.wer_words)).scalars().all() == [None, None]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReferencesRefused, match="No such file"):
        read_references(tmp_path / "none.jsonl")
