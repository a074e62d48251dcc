"""Scoring takes what is due, writes a verdict once however often it runs, and leaves what humans said."""

from collections.abc import Iterator

import pytest

from tests.fakes.records import NOW, MemoryRecords, a_call, said
from voicectl.governance.score.shelf import (
    RECENT_S,
    RETRY_S,
    Backlog,
    Stored,
    Which,
    backlog,
    calls_to_score,
    human_scores,
    judge_qualities,
    load_conversation,
    num_calls_to_score,
    store_verdict,
)
from voicectl.governance.score.verdict import Score, Verdict

JUDGE = "j" * 64
VERDICT = Verdict(
    (Score("resolved", "judge", 1.0, "completed", "ok\0\ud800"),), {"resolved": True, "score_state": "scored"}
)


@pytest.fixture
def records() -> Iterator[MemoryRecords]:
    found = MemoryRecords()
    yield found
    found.close()


FAILED = Verdict((Score("scoring", "judge", None, "failed", "no model"),), {"resolved": None, "score_state": "failed"})


def store(
    records: MemoryRecords, call_id: str, verdict: Verdict = VERDICT, judge: str = JUDGE, at: float = NOW
) -> Stored:
    with records.write() as connection:
        return store_verdict(connection, call_id, verdict, judge_digest=judge, rubric_version="1", at=at)


def due(records: MemoryRecords, which: Which = "due", limit: int = 100) -> list[str]:
    with records.read() as connection:
        found = calls_to_score(connection, which=which, judge_digest=JUDGE, now=NOW, limit=limit, after=None)
        assert num_calls_to_score(connection, which=which, judge_digest=JUDGE, now=NOW) >= len(found)
    return [call_id for _, call_id in found]


def test_only_finished_calls_are_due_the_oldest_first(records: MemoryRecords) -> None:
    records.add(a_call("late", ended_at=NOW - 10))
    records.add(a_call("early", ended_at=NOW - 20))
    records.add(a_call("live", ended_at=None))
    assert due(records) == ["early", "late"]
    assert due(records, limit=1) == ["early"]
    with records.read() as connection:
        assert backlog(connection) == Backlog(2, 0, NOW - 20)


def test_a_page_begins_behind_the_one_before(records: MemoryRecords) -> None:
    for number in range(5):
        records.add(a_call(f"c{number}", ended_at=NOW - 100))
    seen: list[str] = []
    after = None
    with records.read() as connection:
        while page := calls_to_score(connection, which="due", judge_digest=JUDGE, now=NOW, limit=2, after=after):
            seen += [call_id for _, call_id in page]
            after = page[-1]
    assert seen == [f"c{number}" for number in range(5)]


def test_a_failed_call_is_tried_again_after_an_hour_for_a_day(records: MemoryRecords) -> None:
    failed = {"score_state": "failed"}
    records.add(a_call("recent", ended_at=NOW - 9000, scored_at=NOW - RETRY_S + 1, **failed))
    records.add(a_call("waited", ended_at=NOW - 9000, scored_at=NOW - RETRY_S - 1, **failed))
    records.add(a_call("old", ended_at=NOW - 90_000, scored_at=NOW - RETRY_S - 1, **failed))
    assert due(records) == ["waited"]
    assert due(records, "failed") == ["old", "recent", "waited"]


def test_all_takes_what_another_judge_scored_while_its_words_are_there(records: MemoryRecords) -> None:
    for name, judge, pruned in (("same", JUDGE, None), ("other", "x" * 64, None), ("pruned", "x" * 64, NOW)):
        records.add(a_call(name, score_state="scored", judge_digest=judge, texts_pruned_at=pruned))
    assert due(records, "all") == ["other"]
    assert due(records, "failed") == []


def test_a_call_that_went_on_after_its_score_waits_again(records: MemoryRecords) -> None:
    records.add(a_call("over", ended_at=NOW - 100, scored_at=NOW - 100, score_state="scored", judge_digest=JUDGE))
    records.add(a_call("went-on", ended_at=NOW - 100, scored_at=NOW - 101, score_state="scored", judge_digest=JUDGE))
    records.add(a_call("failed", ended_at=NOW - 90, scored_at=NOW - 101, score_state="failed"))
    records.add(a_call("back", ended_at=None, scored_at=NOW - 101, score_state="scored"))
    choices: tuple[Which, ...] = ("recent", "due", "failed", "all")
    for which in choices:
        assert due(records, which) == ["went-on", "failed"]
    with records.read() as connection:
        assert backlog(connection) == Backlog(2, 0, NOW - 100)
    store(records, "went-on")
    store(records, "failed", FAILED)
    with records.read() as connection:
        assert backlog(connection) == Backlog(0, 1, None)
    assert due(records) == []


def test_a_gateway_looks_for_calls_that_went_on_among_those_of_the_last_days_alone(records: MemoryRecords) -> None:
    for name, days in (("old", 4), ("new", 2)):
        ended_at = NOW - days * 86_400
        records.add(a_call(name, ended_at=ended_at, scored_at=ended_at - 1, score_state="scored"))
    records.add(a_call("waits", ended_at=NOW - 9 * 86_400))
    assert due(records, "recent") == ["waits", "new"]
    assert due(records, "due") == ["waits", "old", "new"]
    with records.read() as connection:
        assert backlog(connection, since=NOW - RECENT_S).pending == 2


def test_storing_twice_is_storing_once_and_humans_stay(records: MemoryRecords) -> None:
    records.add(a_call())
    records.review("c1", "resolved", 0.0)
    assert store(records, "c1") == "scored"
    assert store(records, "c1") == "scored"
    rows = records.scores("c1")
    assert [(row.source, row.value) for row in rows] == [("human", 0.0), ("judge", 1.0)]
    call = records.call("c1")
    assert (call.score_state, call.judge_digest, call.scored_at) == ("scored", JUDGE, NOW)
    assert (call.resolved, call.resolved_by) == (False, "human"), "a human stands above the judge"


def test_a_failure_takes_the_place_of_a_score_only_if_the_call_went_on(records: MemoryRecords) -> None:
    records.add(a_call("over", ended_at=NOW - 5))
    records.add(a_call("went-on", ended_at=NOW - 5))
    store(records, "over", at=NOW - 4)
    store(records, "went-on", at=NOW - 6)
    assert (store(records, "over", FAILED), store(records, "went-on", FAILED)) == ("kept", "failed")
    assert (records.call("over").score_state, len(records.scores("over"))) == ("scored", 1)
    assert (records.call("went-on").score_state, records.call("went-on").resolved) == ("failed", None)


def test_humans_who_said_all_score_a_call_that_no_judge_can(records: MemoryRecords) -> None:
    for call_id in ("one-label", "both-labels"):
        records.add(a_call(call_id))
        records.review(call_id, "resolved", 1.0)
    records.review("both-labels", "compliance_flagged", 0.0)
    assert (store(records, "one-label", FAILED), store(records, "both-labels", FAILED)) == ("failed", "scored")
    call = records.call("both-labels")
    assert (call.resolved, call.resolved_by, call.compliance_flagged) == (True, "human", False)


def test_what_a_database_cannot_hold_is_taken_out_of_words(records: MemoryRecords) -> None:
    records.add(a_call())
    store(records, "c1")
    assert records.scores("c1")[0].explanation == "ok?"


def test_a_call_that_is_gone_is_told(records: MemoryRecords) -> None:
    assert store(records, "none") == store(records, "none", FAILED) == "gone"
    with records.read() as connection:
        assert load_conversation(connection, "none") is None


def test_a_call_comes_with_its_turns_in_order(records: MemoryRecords) -> None:
    lines = said("c1", ("a", "b"), ("c", "d"))
    records.add(a_call(), *reversed(lines))
    with records.read() as connection:
        found = load_conversation(connection, "c1")
    assert found is not None
    assert (found.call, found.turns) == (a_call(), lines)


def test_the_latest_review_counts(records: MemoryRecords) -> None:
    records.add(a_call())
    records.review("c1", "resolved", 1.0, at=NOW)
    records.review("c1", "resolved", 0.0, at=NOW - 5)
    with records.read() as connection:
        assert human_scores(connection, "c1") == {"resolved": 1.0}


def test_quality_pairs_the_latest_review_with_the_judge_it_is_asked_about(records: MemoryRecords) -> None:
    for number, human in enumerate((1.0, 0.0, 1.0)):
        records.add(a_call(f"c{number}"))
        records.review(f"c{number}", "resolved", 1.0 - human, at=NOW - 5)
        records.review(f"c{number}", "resolved", human)
    store(records, "c0")
    store(records, "c1")
    store(records, "c2", judge="x" * 64)
    with records.read() as connection:
        all_of_them = judge_qualities(connection)["resolved"]
        one = judge_qualities(connection, judge_digest=JUDGE)["resolved"]
        other_case = judge_qualities(connection, use_case="billing")["resolved"]
    assert (all_of_them.true_yes, all_of_them.false_yes) == (2, 1)
    assert (one.true_yes, one.false_yes, one.num_labels) == (1, 1, 2)
    assert other_case.num_labels == 0
