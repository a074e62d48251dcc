"""Files from other systems are taken whole, or refused whole with the rows that are wrong."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.fakes.recorded_call import events_of_call, identity, scribe, store_at, transfer, whole_call, written
from voicectl.core.errors import ConfigError
from voicectl.core.records import CallRow
from voicectl.core.sections.governance import Retention
from voicectl.governance.recording.fold import CORRECTED, RECORDED
from voicectl.governance.store.importcolumns import COLUMNS
from voicectl.governance.store.imports import ImportRefused, import_file
from voicectl.governance.store.recording import CallRecords
from voicectl.governance.store.retention import DAY_S, prune
from voicectl.governance.store.rows import call_of
from voicectl.governance.store.store import Store
from voicectl.governance.store.tables import calls, complaints, imports, scores, violations
from voicectl.service.recording.scribe import Began, Noted

NOW = 1_790_000_000.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with store_at(tmp_path) as fresh:
        CallRecords(fresh).append([event for n in (1, 2) for event in events_of_call(identity(f"sess_{n}"), turns=1)])
        yield fresh


COMPLAINT = '{{"complaint_id":"c","call_id":"sess_1","received_at":"{}"}}'


def review(**values: Any) -> str:
    row = {"call_id": "sess_1", "name": "x", "value": 1, "reviewer": "qa-1", "at": 1_788_000_000}
    return json.dumps(row | values)


def row_of(store: Store, call_id: str) -> CallRow:
    with store.read() as connection:
        call = call_of(connection, call_id)
    assert call is not None
    return call


def taken(store: Store, kind: Any, text: str, name: str = "file.csv") -> Any:
    path = Path(store.place).parent / name
    path.write_text(text)
    return import_file(store, kind, path, now=NOW, redacted=lambda words: words.replace("4111", "[card]"))


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
    # The end comes late, from what was spilled: it must not take away what the import knew better.
    CallRecords(store).append(events[-1:])
    after = row_of(store, "sess_3")
    assert (after.transfer_result, after.transfer_complete, after.dead_air_s) == ("succeeded", True, 2.0)
    assert after.end_reason == "transferred"
    assert after.transfer_payload_digest is not None


SAID = {"transfer_attempted": True, "escalated": True, "escalation_trigger": "caller asked", "abandoned": False}
SAYING = "call_id,transfer_attempted,escalated,escalation_trigger,abandoned\nsess_3,true,true,caller asked,false\n"


def test_an_import_for_an_open_call_outranks_its_end(store: Store) -> None:
    events = events_of_call(identity("sess_3"), turns=1)
    CallRecords(store).append(events[:2])
    taken(store, "outcomes", SAYING)
    CallRecords(store).append(events[2:])
    after = row_of(store, "sess_3")
    assert {name: getattr(after, name) for name in SAID} == SAID
    assert (after.num_turns, after.end_reason) == (1, "caller-hung-up")


def test_an_import_for_a_call_that_ended_outlives_its_return_and_late_events(store: Store) -> None:
    call = identity("sess_3")
    by = scribe()
    events = written(by, whole_call(call, turns=1))
    CallRecords(store).append([events[0], *events[2:]])
    taken(store, "outcomes", SAYING)
    back = identity("sess_3", started_at=call.started_at + 100, resumed=True)
    CallRecords(store).append([events[1], *written(by, [Noted(back, Began(), 0.0)])])
    after = row_of(store, "sess_3")
    assert {name: getattr(after, name) for name in SAID} == SAID
    assert after.ended_at is None


def test_a_second_import_corrects_the_first_and_nothing_that_it_does_not_name(store: Store) -> None:
    events = events_of_call(identity("sess_3"), turns=1)
    CallRecords(store).append(events[:2])
    taken(store, "outcomes", SAYING)
    taken(store, "outcomes", "call_id,escalated\nsess_3,false\n", "second.csv")
    CallRecords(store).append(events[2:])
    after = row_of(store, "sess_3")
    assert (after.escalated, after.transfer_attempted) == (False, True)


def test_columns_that_imports_and_events_decide_are_marked() -> None:
    assert set(CORRECTED) == set(RECORDED) & set(COLUMNS["outcomes"])


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


def test_whatever_people_wrote_beside_their_words_is_redacted_too(store: Store) -> None:
    row = review(reviewer="4111 qa", rubric_version="v4111", label="4111")
    taken(store, "reviews", row, "my 4111.jsonl")
    with store.read() as connection:
        (score,) = connection.execute(select(scores)).all()
        (receipt,) = connection.execute(select(imports)).all()
    assert (score.reviewer, score.rubric_version, score.label) == ("[card] qa", "v[card]", "[card]")
    assert receipt.source == "my [card].jsonl"


def test_a_file_whose_name_is_no_text_is_taken(store: Store) -> None:
    taken(store, "outcomes", "call_id,csat\nsess_1,7\n", "bad\udcff.csv")
    with store.read() as connection:
        assert [row.source for row in connection.execute(select(imports))] == ["bad?.csv"]


def test_a_later_review_by_the_same_person_takes_the_place_of_the_earlier(store: Store) -> None:
    taken(store, "reviews", review(value=1), "a.jsonl")
    taken(store, "reviews", f"{review(value=0)}\n{review(reviewer='qa-2')}", "b.jsonl")
    with store.read() as connection:
        found = connection.execute(select(scores.c.reviewer, scores.c.value).order_by(scores.c.reviewer)).all()
    assert [tuple(row) for row in found] == [("qa-1", 0.0), ("qa-2", 1.0)]


def test_an_explanation_of_words_that_went_is_not_kept(store: Store) -> None:
    assert prune(store, Retention(), 1_760_000_000 + 91 * DAY_S).num_texts == 2
    taken(store, "reviews", review(explanation="the agent said that"), "a.jsonl")
    with store.read() as connection:
        assert connection.execute(select(scores.c.value, scores.c.explanation)).all() == [(1.0, None)]


def test_a_review_decides_from_its_import_on(store: Store) -> None:
    judged = {"resolved": True, "resolved_by": "judge", "compliance_flagged": False, "sentiment": 0.5}
    with store.write() as connection:
        connection.execute(update(calls).values(**judged, score_state="scored", scored_at=1.79e9))
    names = {"resolved": 0, "compliance_flagged": 1, "escalation_appropriate": 0, "task_completed": 1}
    rows = [review(name=name, value=value) for name, value in names.items()]
    taken(store, "reviews", "\n".join([*rows, review(name="resolved", reviewer="older", at=1_770_000_000)]), "a.jsonl")
    with store.read() as connection:
        one, two = call_of(connection, "sess_1"), call_of(connection, "sess_2")
    assert one is not None
    assert two is not None
    assert (one.resolved, one.resolved_by, one.compliance_flagged) == (False, "human", True)
    assert (one.escalation_appropriate, one.sentiment, one.score_state) == (False, 0.5, "scored")
    assert (two.resolved, two.resolved_by, two.compliance_flagged) == (True, "judge", False)


def test_a_proof_that_comes_after_a_review_stands_below_it(store: Store) -> None:
    taken(store, "reviews", review(name="resolved", value=0), "a.jsonl")
    taken(store, "outcomes", "call_id,resolved,csat\nsess_1,true,4\n", "b.csv")
    with store.read() as connection:
        call = call_of(connection, "sess_1")
    assert call is not None
    assert (call.resolved, call.resolved_by, call.csat) == (False, "human", 4.0)


def test_a_call_that_is_lost_after_its_score_gets_an_end(store: Store) -> None:
    with store.write() as connection:
        connection.execute(update(calls).values(score_state="scored", scored_at=1.79e9, ended_at=None))
    assert CallRecords(store).close_lost(1.8e9, ["sess_2"]) == 1


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
        ("complaints", f"complaint_id,call_id,received_at\nc,sess_1,{NOW + 999}\n", "a.csv", (2, "in the future")),
        ("complaints", "complaint_id,call_id,received_at\nc,sess_1,1759000000\n", "a.csv", (2, "before the start")),
        ("complaints", "complaint_id,call_id,received_at\nc4111,sess_1,1788000000\n", "a.csv", (2, "like a card")),
        ("complaints", COMPLAINT.format("0001-01-01T00:00:00+23:59"), "a.jsonl", (1, "2000 and 2100")),
        ("complaints", COMPLAINT.format("9999-12-31T23:59:59-23:59"), "a.jsonl", (1, "2000 and 2100")),
        ("outcomes", '{"call_id":"sess_1","csat":1' + "0" * 400 + "}", "a.jsonl", (1, "between -100 and 100")),
        ("outcomes", "call_id,csat\nsess_1,1_0\n", "a.csv", (2, "is no number")),
        ("outcomes", "call_id,csat\nsess_1,\uff11\uff12\n", "a.csv", (2, "is no number")),
        ("outcomes", "call_id,resolved,abandoned\nsess_1,true,true\n", "a.csv", (2, "abandoned and resolved")),
        ("outcomes", "call_id,transfer_attempted,abandoned\nsess_1,1,1\n", "a.csv", (2, "abandoned and transfer")),
        ("outcomes", "call_id,escalated,escalation_trigger\nsess_1,0,x\n", "a.csv", (2, "escalated = false")),
        ("outcomes", "call_id,transfer_attempted,screen_pop_at\nsess_1,1,1759000000\n", "a.csv", (2, "before the")),
        ("reviews", review(at=NOW + 999), "a.jsonl", (1, "in the future")),
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


VIOLATIONS = "kind,at,call_id,use_case,detail\n"
REPORTED_AT = 1_788_000_000.0


def reported(store: Store, text: str, name: str = "file.csv") -> Any:
    path = Path(store.place).parent / name
    path.write_text(VIOLATIONS + text)
    return import_file(store, "violations", path, now=REPORTED_AT, redacted=lambda words: words.replace("4111", "*"))


def test_violations_are_of_their_call_of_a_use_case_or_of_all(store: Store) -> None:
    rows = "pan_in_log,1788000000,sess_1,,saw 4111\nmissing_baa,1787000000,,order_status,\naudit_break,1786000000,,,\n"
    imported = reported(store, rows)
    with store.read() as connection:
        found = [tuple(row)[1:] for row in connection.execute(select(violations))]
    assert found == [
        ("sess_1", "order_status", "pan_in_log", REPORTED_AT, "saw *"),
        (None, "order_status", "missing_baa", 1_787_000_000.0, None),
        (None, None, "audit_break", 1_786_000_000.0, None),
    ]
    assert [one["kind"] for one in imported.violations] == ["pan_in_log", "missing_baa", "audit_break"]
    again = reported(store, rows, "again.csv")
    assert (again.already, again.violations) == (True, ())


@pytest.mark.parametrize(
    ("rows", "row", "problem"),
    [
        ("gossip,1788000000,,,\n", 2, "is none of dnc_dial"),
        ("dnc_dial,,,,\n", 2, "at is missing"),
        ("dnc_dial,1788000000,sess_9,,\n", 2, "there is no call sess_9"),
        ("dnc_dial,1788000000,sess_1,faq,\n", 2, "the call sess_1 is of order_status, not of faq"),
        ("dnc_dial,1788000000,,order_statsu,\n", 2, "there is no call of order_statsu"),
        ("dnc_dial,1788003600,sess_1,,\n", 2, "at is in the future"),
        ("dnc_dial,1788000000,sess_1,,\ndnc_dial,1788000000,sess_1,order_status,\n", 3, "as in row 2"),
        ("audit_break,1788000000,,,a\naudit_break,1788000000,,,b\n", 3, "as in row 2"),
    ],
)
def test_violations_that_cannot_be_meant_are_refused(store: Store, rows: str, row: int, problem: str) -> None:
    with pytest.raises(ImportRefused) as refusal:
        reported(store, rows)
    assert [(one.row, problem in one.what) for one in refusal.value.problems] == [(row, True)]
    with store.read() as connection:
        assert connection.execute(select(violations)).all() == []


def test_a_violation_that_was_imported_with_another_file_is_a_duplicate(store: Store) -> None:
    reported(store, "dnc_dial,1787000000,sess_1,,\n")
    with pytest.raises(ImportRefused, match="row 3: this dnc_dial was imported before"):
        reported(store, "dnc_dial,1787000001,sess_1,,\ndnc_dial,1787000000,sess_1,order_status,told again\n", "b.csv")


def test_outcomes_say_whether_keys_were_muted_and_agreements_are_complete(store: Store) -> None:
    taken(store, "outcomes", "call_id,dtmf_paused,baa_complete\nsess_1,true,false\n")
    with store.read() as connection:
        call = call_of(connection, "sess_1")
    assert call is not None
    assert (call.dtmf_paused, call.baa_complete) == (True, False)
