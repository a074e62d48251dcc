"""The database counts what the pure functions say, and unknown stays unknown."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert

from tests.fakes.records import DAY_S, NOW, MemoryRecords, a_call, said
from voicectl.core.records import CallRow, TurnRow, contained
from voicectl.governance.kpi.counts import Counts, Group
from voicectl.governance.kpi.kpis import kpis
from voicectl.governance.kpi.query import (
    Span,
    complaints_imported_at,
    count_calls,
    count_words,
    latency_quantiles,
    rank_of,
    turns_within,
)
from voicectl.governance.kpi.rate import Rate
from voicectl.governance.store.tables import complaints, imports

WEEK = Span(NOW - 7 * DAY_S, NOW, NOW)


@pytest.fixture
def records() -> Iterator[MemoryRecords]:
    found = MemoryRecords()
    yield found
    found.close()


def counted(records: MemoryRecords, span: Span = WEEK) -> Counts:
    with records.read() as connection:
        return count_calls(connection, span).get(Group(), Counts())


def test_containment_in_sql_is_that_of_the_record(records: MemoryRecords) -> None:
    rows = [
        a_call(f"c{number}", answered_at=answered, resolved=resolved, transfer_attempted=transferred, abandoned=left)
        for number, (answered, resolved, transferred, left) in enumerate(
            itertools.product((None, NOW - DAY_S), (None, False, True), (None, False, True), (None, False, True))
        )
    ]
    for row in rows:
        records.add(row)
    told = [contained(row) for row in rows]
    counts = counted(records)
    assert (counts.calls, counts.num_contained, counts.of_contained) == (
        len(rows),
        told.count(True),
        len(rows) - told.count(None),
    )


def test_a_call_that_went_on_after_its_score_waits_for_another(records: MemoryRecords) -> None:
    ended_at = NOW - DAY_S
    for number, (state, scored_at) in enumerate(
        (("pending", None), ("scored", ended_at), ("scored", ended_at - 1), ("failed", ended_at), ("failed", 1.0))
    ):
        records.add(a_call(f"c{number}", ended_at=ended_at, score_state=state, scored_at=scored_at))
    counts = counted(records)
    assert (counts.calls, counts.pending, counts.failed) == (5, 3, 1)


def test_without_calls_there_are_no_groups(records: MemoryRecords) -> None:
    with records.read() as connection:
        assert count_calls(connection, WEEK) == {}
        assert count_words(connection, WEEK) == {}
        assert latency_quantiles(connection, WEEK) == {}


def test_probes_and_calls_that_go_on_do_not_count(records: MemoryRecords) -> None:
    records.add(a_call("probe", probe=True))
    records.add(a_call("live", ended_at=None))
    records.add(a_call("tomorrow", started_at=NOW + 5))
    records.add(a_call("ends-later", ended_at=NOW + 5))
    records.add(a_call("counts"))
    assert counted(records).calls == 1


def recontacts(records: MemoryRecords, again_after_s: float, **known: Any) -> tuple[Rate, Rate]:
    first: dict[str, Any] = {
        "resolved": True,
        "caller_key": "k",
        "started_at": NOW - 20 * DAY_S,
        "answered_at": NOW - 20 * DAY_S,
        "ended_at": NOW - 20 * DAY_S,
    }
    records.add(a_call("first", **{**first, **known}))
    records.add(a_call("again", caller_key="k", started_at=NOW - 20 * DAY_S + again_after_s, use_case="order_status"))
    span = Span(NOW - 21 * DAY_S, NOW - 20 * DAY_S + 1, NOW)
    found = kpis(counted(records, span))
    return found.containment_24h, found.containment_7d


def test_a_caller_who_calls_again_was_not_contained_even_behind_the_span(records: MemoryRecords) -> None:
    assert recontacts(records, 2 * DAY_S) == (Rate(1, 1), Rate(0, 1))


def test_a_call_after_seven_days_is_another_matter(records: MemoryRecords) -> None:
    assert recontacts(records, 7 * DAY_S + 1) == (Rate(1, 1), Rate(1, 1))


def test_whether_an_unknown_caller_called_again_is_unknown(records: MemoryRecords) -> None:
    assert recontacts(records, 100, caller_key=None) == (Rate(0, 0, 1), Rate(0, 0, 1))


def test_a_call_is_not_held_for_contained_before_its_caller_had_the_time(records: MemoryRecords) -> None:
    records.add(a_call(resolved=True, caller_key="k", ended_at=NOW - 2 * DAY_S))
    found = kpis(counted(records))
    assert (found.containment, found.containment_24h, found.containment_7d) == (Rate(1, 1), Rate(1, 1), Rate(0, 0, 1))


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"transfer_result": "succeeded", "transfer_complete": True, "transfer_payload_digest": "d"}, Rate(1, 1)),
        ({"transfer_result": "succeeded", "transfer_complete": False, "transfer_payload_digest": "d"}, Rate(0, 1)),
        ({"transfer_result": "succeeded", "transfer_complete": True}, Rate(0, 1)),
        ({"transfer_result": "failed"}, Rate(0, 1)),
        ({"transfer_result": "abandoned"}, Rate(0, 1)),
        ({}, Rate(0, 0, 1)),
        ({"transfer_result": "succeeded", "transfer_payload_digest": "d"}, Rate(0, 0, 1)),
        (
            {
                "transfer_result": "succeeded",
                "transfer_complete": True,
                "transfer_payload_digest": "d",
                "screen_pop_at": 11.0,
                "human_answer_at": 10.0,
            },
            Rate(0, 1),
        ),
    ],
)
def test_a_transfer_is_warm_when_a_human_had_the_context_in_time(
    records: MemoryRecords, known: dict[str, Any], expected: Rate
) -> None:
    records.add(a_call(transfer_attempted=True, **known))
    records.add(a_call("other"))
    assert kpis(counted(records)).warm_transfer == expected


def escalations(records: MemoryRecords, *ages: float, tier: str = "low") -> None:
    for number, age in enumerate(ages):
        at = NOW - age * DAY_S
        known: dict[str, Any] = {"started_at": at - 60, "answered_at": at - 59, "ended_at": at, "tier": tier}
        records.add(a_call(f"{tier}{number}", escalated=True, **known))


def test_young_escalations_do_not_dilute_complaints(records: MemoryRecords) -> None:
    span = Span(NOW - 30 * DAY_S, NOW, NOW, complaints_at=NOW)
    escalations(records, 1, 6.9, 7.1, 20)
    with records.write() as connection:
        for number, call_id in enumerate(("low0", "low3")):
            row = {"complaint_id": f"x{number}", "call_id": call_id, "received_at": NOW - DAY_S}
            connection.execute(insert(complaints).values(**row))
        later = {"complaint_id": "later", "call_id": "low2", "received_at": NOW + 1}
        connection.execute(insert(complaints).values(**later))
    assert kpis(counted(records, span)).escalation_to_complaint == Rate(1, 2, 2)


def test_without_an_import_of_complaints_nothing_is_known_of_them(records: MemoryRecords) -> None:
    escalations(records, 8, 20)
    span = Span(NOW - 30 * DAY_S, NOW, NOW)
    assert kpis(counted(records, span)).escalation_to_complaint == Rate(0, 0, 2)
    imported = replace(span, complaints_at=NOW - 10 * DAY_S)
    assert kpis(counted(records, imported)).escalation_to_complaint == Rate(0, 1, 1)


def test_complaints_take_as_long_as_the_policy_says_of_the_tier(records: MemoryRecords) -> None:
    escalations(records, 8, 29, 31)
    escalations(records, 8, tier="medium")
    span = Span(NOW - 40 * DAY_S, NOW, NOW, complaints_at=NOW, maturities={"low": 30 * DAY_S})
    assert kpis(counted(records, span)).escalation_to_complaint == Rate(0, 2, 2)


def test_the_last_import_of_complaints_is_found(records: MemoryRecords) -> None:
    for kind, at in (("complaints", NOW - 9), ("complaints", NOW - 5), ("complaints", NOW + 5), ("reviews", NOW - 1)):
        row = {"kind": kind, "sha256": f"{at}", "source": "x", "num_rows": 0, "at": at}
        with records.read() as connection:
            assert complaints_imported_at(connection, NOW) in (None, NOW - 9, NOW - 5)
        with records.write() as connection:
            connection.execute(imports.insert(), [row])
    with records.read() as connection:
        assert complaints_imported_at(connection, NOW) == NOW - 5


def test_groups_add_up_to_the_whole(records: MemoryRecords) -> None:
    for number in range(12):
        at = NOW - (number % 3 + 1) * DAY_S
        case, tier = (("faq", "low"), ("billing", "medium"))[number % 2]
        records.add(
            a_call(
                f"c{number}", use_case=case, tier=tier, started_at=at, ended_at=at + 60, resolved=number % 4 > 0,
                cost=1.5, csat=4.0, handle_s=60.0,
            )
        )  # fmt: skip
    with records.read() as connection:
        for by in (("use_case",), ("tier", "day"), ("use_case", "tier", "day")):
            parts = count_calls(connection, WEEK, by)  # type: ignore[arg-type]
            assert sum(parts.values(), Counts()) == counted(records)
        assert len(parts) == 6
        only = count_calls(connection, Span(WEEK.since, WEEK.until, NOW, use_case="faq"))
    assert only[Group()].calls == 6


def test_days_begin_at_midnight_utc(records: MemoryRecords) -> None:
    for number, at in enumerate((NOW - DAY_S, NOW - DAY_S - 0.001)):
        records.add(a_call(f"c{number}", started_at=at))
    with records.read() as connection:
        assert {group.day for group in count_calls(connection, WEEK, ("day",))} == {20_699, 20_698}


def test_cost_counts_only_calls_whose_outcome_is_known(records: MemoryRecords) -> None:
    for number, resolved in enumerate((True, False, None)):
        records.add(a_call(f"c{number}", resolved=resolved, cost=1.0))
    records.add(a_call("free", resolved=True))
    found = kpis(counted(records))
    assert (found.cost_per_resolved, found.num_cost) == (2.0, 2)


def test_word_errors_count_probes_and_only_turns_with_a_reference(records: MemoryRecords) -> None:
    wrong: dict[str, Any] = {"wer_substitutions": 1, "wer_deletions": 1, "wer_insertions": 0, "wer_words": 10}
    records.add(a_call("p", probe=True), TurnRow("p", 0, transcript="a", **wrong), TurnRow("p", 1, transcript="b"))
    with records.read() as connection:
        words = count_words(connection, WEEK)[Group()]
    assert (words.turns, words.errors, words.words) == (1, 2, 10)
    assert kpis(Counts(), words).wer == 0.2


def test_quantiles_are_order_statistics(records: MemoryRecords) -> None:
    values = [number / 100 for number in range(1, 301)]
    spoken = [TurnRow("c1", number, v2v_s=value) for number, value in enumerate(reversed(values))]
    records.add(a_call(), *spoken, TurnRow("c1", 999))
    records.add(a_call("probe", probe=True), *said("probe", ("a", "b"), v2v_s=99.0))
    with records.read() as connection:
        found = latency_quantiles(connection, WEEK)[Group()]
        by_case = latency_quantiles(connection, WEEK, ("use_case", "day"))
    assert (found.n, found.p50_s, found.p90_s, found.p95_s, found.p99_s) == (300, 1.5, 2.7, 2.85, 2.97)
    assert list(by_case.values()) == [found]


def test_ranks_are_the_ceiling() -> None:
    for n in range(1, 400):
        for share, hundredths in ((0.5, 50), (0.9, 90), (0.95, 95), (0.99, 99)):
            assert rank_of(n, share) == math.ceil(n * hundredths / 100) == (n * hundredths + 99) // 100


def test_one_value_is_every_quantile(records: MemoryRecords) -> None:
    records.add(CallRow("c1", "faq", "low", NOW - DAY_S, ended_at=NOW - 10), *said("c1", ("a", "b"), v2v_s=0.7))
    with records.read() as connection:
        found = latency_quantiles(connection, WEEK)[Group()]
    assert (found.p50_s, found.p99_s) == (0.7, 0.7)


def test_turns_within_a_limit_are_those_of_callers(records: MemoryRecords) -> None:
    records.add(a_call(), *(TurnRow("c1", number, v2v_s=value) for number, value in enumerate((1.0, 3.5, 3.6, None))))
    records.add(a_call("probe", probe=True), *said("probe", ("a", "b"), v2v_s=1.0))
    with records.read() as connection:
        assert turns_within(connection, WEEK, 3.5) == Rate(2, 3)
        assert turns_within(connection, replace(WEEK, use_case="other"), 3.5) == Rate(0, 0)


def test_cost_a_call_counts_every_call_that_has_one(records: MemoryRecords) -> None:
    for number, resolved in enumerate((True, False, None)):
        records.add(a_call(f"c{number}", resolved=resolved, cost=1.0 + number))
    records.add(a_call("free", resolved=True))
    found = kpis(counted(records))
    assert (found.cost_per_call, found.num_spent) == (2.0, 3)


def test_what_rests_on_the_judge_is_neither_proved_nor_transferred(records: MemoryRecords) -> None:
    for number, known in enumerate(
        (
            {"resolved": True, "resolved_by": "judge"},
            {"resolved": False, "resolved_by": "judge"},
            {"resolved": False, "resolved_by": "judge", "transfer_attempted": True},
            {"resolved": True, "resolved_by": "judge", "abandoned": True},
            {"resolved": True, "resolved_by": "judge", "answered_at": None},
            {"resolved": True, "resolved_by": "human"},
        )
    ):
        records.add(a_call(f"c{number}", **known))  # type: ignore[arg-type]
    found = kpis(counted(records))
    assert (found.containment_by_judge, found.resolved_by_judge.of) == (Rate(1, 2), 5)
    assert found.flags_by_judge == Rate(0, 0)
