"""Files from other systems are taken whole, or refused whole with the rows that are wrong."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.fakes.recorded_call import events_of_call, identity, scribe, store_at, transfer, whole_call, written
from voicectl.core.errors import ConfigError
from voicectl.governance.store.imports import ImportRefused, import_file
from voicectl.governance.store.recording import CallRecords
from voicectl.governance.store.rows import call_of
from voicectl.governance.store.store import Store
from voicectl.governance.store.tables import calls, complaints, imports, scores


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with store_at(tmp_path) as fresh:
        CallRecords(fresh).append([event for n in (1, 2) for event in events_of_call(identity(f"sess_{n}"), turns=1)])
        yield fresh


def review(**values: Any) -> str:
    row = {"call_id": "sess_1", "name": "x", "value": 1, "reviewer": "qa-1", "at": 1_788_000_000}
    return json.dumps(row | values)


def taken(store: Store, kind: Any, text: str, name: str = "file.csv") -> Any:
    path = Path(store.place).parent / name
    path.write_text(text)
    return import_file(store, kind, path, now=5.0, redacted=lambda words: words.replace("4111", "[card]"))


def refused(store: Store, kind: Any, text: str, name: str = "file.csv") -> list[tuple[int, str]]:
    with pytest.raises(ImportRefused) as refusal:
        taken(store, kind, text, name)
    with store.read() as connection:
        assert connection.execute(select(imports)).all() == []
        assert connection.execute(select(complaints)).all() == []
    assert refusal.value.exit_code == 3
    return [(problem.row, problem.what) for problem in refusal.value.problems]


def test_outcomes_set_what_they_say_and_leave_the_rest(store: Store) -> None:
    taken(store, "outcomes", "call_id,resolved,csat,transfer_attempted\nsess_1,true,4.5,\nsess_2,no,,false\n")
    with store.read() as connection:
        one, two = call_of(connection, "sess_1"), call_of(connection, "sess_2")
    assert one is not None
    assert two is not None
    assert (one.resolved, one.resolved_by, one.csat, one.transfer_attempted) == (True, "proof", 4.5, False)
    assert (two.resolved, two.csat, two.num_turns) == (False, None, 1)


def test_what_a_call_does_not_tell_of_its_transfer_an_import_may(store: Store) -> None:
    call = identity("sess_3")
    whole = whole_call(call, turns=1)
    events = written(scribe(), [*whole[:-1], *transfer(call, '{"transfer_result": "failed"}'), whole[-1]])
    CallRecords(store).append(events[:-1])
    header = "call_id,transfer_attempted,transfer_result,transfer_complete"
    taken(store, "outcomes", f"{header},dead_air_s\nsess_3,true,succeeded,true,2\n")
    with store.read() as connection:
        corrected = call_of(connection, "sess_3")
    # The end comes late, from what was spilled: it must not take away what only the import knew.
    CallRecords(store).append(events[-1:])
    with store.read() as connection:
        after = call_of(connection, "sess_3")
    assert corrected is not None
    assert after is not None
    assert (corrected.transfer_result, corrected.transfer_complete, corrected.dead_air_s) == ("succeeded", True, 2.0)
    assert (after.transfer_complete, after.dead_air_s, after.end_reason) == (True, 2.0, "transferred")
    assert after.transfer_payload_digest is not None


def test_the_same_bytes_are_taken_once(store: Store) -> None:
    text = "complaint_id,call_id,received_at,category\nc1,sess_1,2026-09-04T12:00:00Z,rude\n"
    assert not taken(store, "complaints", text).already
    assert taken(store, "complaints", text, "copy.csv").already
    with store.read() as connection:
        assert len(connection.execute(select(complaints)).all()) == 1


def test_reviews_become_scores_of_humans_with_redacted_words(store: Store) -> None:
    row = review(name="task_completed", explanation="pan 4111")
    taken(store, "reviews", row + "\n", "reviews.jsonl")
    with store.read() as connection:
        (score,) = connection.execute(select(scores)).all()
    assert (score.source, score.value, score.reviewer, score.explanation) == ("human", 1.0, "qa-1", "pan [card]")


def test_a_review_decides_from_its_import_on(store: Store) -> None:
    judged = {"resolved": True, "resolved_by": "judge", "compliance_flagged": False, "sentiment": 0.5}
    with store.write() as connection:
        connection.execute(update(calls).values(**judged, score_state="scored", scored_at=1.79e9))
    names = {"resolved": 0, "compliance_flagged": 1, "escalation_appropriate": 0, "task_completed": 1}
    rows = [review(name=name, value=value) for name, value in names.items()]
    taken(store, "reviews", "\n".join([*rows, review(name="resolved", reviewer="older", at=1_700_000_000)]), "a.jsonl")
    with store.read() as connection:
        one, two = call_of(connection, "sess_1"), call_of(connection, "sess_2")
    assert one is not None
    assert two is not None
    assert (one.resolved, one.resolved_by, one.compliance_flagged) == (False, "human", True)
    assert (one.escalation_appropriate, one.sentiment, one.score_state) == (False, 0.5, "scored")
    assert (two.resolved, two.resolved_by, two.compliance_flagged) == (True, "judge", False)


def test_reviews_of_all_that_must_be_known_score_a_call_that_could_not_be(store: Store) -> None:
    with store.write() as connection:
        connection.execute(update(calls).values(score_state="failed", scored_at=1.79e9))
    taken(store, "reviews", "\n".join(review(name=name) for name in ("resolved", "compliance_flagged")), "a.jsonl")
    with store.read() as connection:
        states = [call.score_state for call in (call_of(connection, "sess_1"), call_of(connection, "sess_2")) if call]
    assert states == ["scored", "failed"]


def test_every_wrong_row_is_told_with_its_number_and_nothing_is_taken(store: Store) -> None:
    text = "call_id,resolved,csat\nsess_1,maybe,3\nsess_9,true,high\nsess_2,true,4\nsess_2,false,1\nsess_1\n"
    problems = refused(store, "outcomes", text)
    assert [row for row, _ in problems] == [2, 3, 3, 5, 6]
    assert "neither true nor false" in problems[0][1]
    assert {"there is no call sess_9"} < {what for _, what in problems[1:3]}
    assert "as in row 4" in problems[3][1]
    assert "has 1 cells, the header has 3" in problems[4][1]


@pytest.mark.parametrize(
    ("kind", "text", "name", "problem"),
    [
        ("outcomes", "call_id,colour\nsess_1,red\n", "a.csv", (1, "unknown column 'colour'")),
        ("outcomes", "call_id,call_id\nsess_1,sess_1\n", "a.csv", (1, "column call_id is there twice")),
        ("outcomes", "call_id,resolved\nsess_1,\n", "a.csv", (2, "says nothing about its call")),
        ("outcomes", "call_id,resolved_by\nsess_1,proof\n", "a.csv", (2, "resolved_by without resolved")),
        ("outcomes", "call_id,transfer_result\nsess_1,failed\n", "a.csv", (2, "without transfer_attempted")),
        ("outcomes", '{"call_id":"sess_1","csat":NaN}', "a.jsonl", (1, "NaN is no number")),
        ("outcomes", '\n{"call_id":"sess_1","call_id":"x"}', "a.jsonl", (2, "a key is given twice")),
        ("outcomes", '{"call_id":"sess_1","csat":true}', "a.jsonl", (1, "is no number")),
        ("outcomes", "[1]", "a.jsonl", (1, "is no JSON object")),
        ("outcomes", "[" * 100_000, "a.jsonl", (1, "is no JSON")),
        ("outcomes", 'call_id,resolved\n"sess_1,true\n', "a.csv", (2, "is no CSV")),
        ("complaints", "complaint_id,call_id,received_at\nc,sess_1,2026-09-04\n", "a.csv", (2, "offset from UTC")),
        ("complaints", "complaint_id,call_id,received_at\nc,sess_1,1788000000000\n", "a.csv", (2, "2000 and 2100")),
        ("complaints", "complaint_id,call_id,received_at\n,sess_1,1788000000\n", "a.csv", (2, "_id is missing")),
        ("reviews", review(value=7), "a.jsonl", (1, "between 0 and 1")),
        ("reviews", review(name="X Y"), "a.jsonl", (1, "form")),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_meant_are_refused(
    store: Store, kind: str, text: str, name: str, problem: tuple[int, str]
) -> None:
    (row, what) = next(each for each in refused(store, kind, text, name) if problem[1] in each[1])
    assert row == problem[0]
    assert problem[1] in what


def test_a_complaint_that_was_imported_with_another_file_is_a_duplicate(store: Store) -> None:
    header = "complaint_id,call_id,received_at\n"
    taken(store, "complaints", header + "c1,sess_1,1788000000\n")
    with pytest.raises(ImportRefused, match="row 3: complaint c1 was imported before"):
        taken(store, "complaints", header + "c2,sess_1,1788000000\nc1,sess_2,1788000000\n", "b.csv")
    with store.read() as connection:
        assert len(connection.execute(select(complaints)).all()) == 1


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.xlsx", b"x", "no kind of file"),
        ("a.csv", b"", "holds no rows"),
        ("a.csv", b"call_id,resolved\n", "holds no rows"),
        ("a.csv", b"call_id\n\xff\xfe", "no UTF-8"),
    ],
)
def test_files_that_are_none_are_refused(store: Store, tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=problem):
        import_file(store, "outcomes", path, now=1.0)
    with pytest.raises(ConfigError, match="No such file"):
        import_file(store, "outcomes", tmp_path / "none.csv", now=1.0)
