"""A search says what it found with an interval, or the best there is; a run that tells nothing counts for nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.bench_records import record
from voicectl.bench.run_record import CallSample, RunRecord
from voicectl.bench.statistics.search import HighestLoad, Try, conclude
from voicectl.cli import bench_searching as searching
from voicectl.cli.bench_judging import Judgement
from voicectl.cli.bench_load import LoadOptions, load_plan
from voicectl.cli.bench_outputs import Outputs
from voicectl.core.errors import UsageError

CLOSED = load_plan(LoadOptions(concurrency=2))
NO_FILES = Outputs(None, None, None)


def search_for(slo: str = "v2v_p50<800ms") -> searching.Search:
    return searching.new_search(CLOSED, Judgement.of([], "0s"), slo, NO_FILES)


def level(search: searching.Search, load: float, run: RunRecord) -> searching.Level:
    found = searching.judged_level(search, load, run, NO_FILES)
    search.levels.append(found)
    return found


def saturated(run: RunRecord) -> RunRecord:
    """Return a run whose calls pile up: none that came ends before the load does."""
    plan = replace(run.plan, duration_s=60.0, arrivals="poisson")
    done = tuple(CallSample(n, "w", 1.0 * n, 1.0 * n, 1.0 * n, n + 2.0, "completed") for n in range(30))
    piled = tuple(CallSample(n, "w", 1.0 * n, 1.0 * n, 1.0 * n, 200.0, "completed") for n in range(30, 60))
    return replace(run, plan=plan, calls=done + piled)


def test_run_that_keeps_the_threshold_is_met_and_one_that_does_not_is_missed() -> None:
    search = search_for()
    assert level(search, 2.0, record(12, 6)).tried.outcome == "met"
    slow = level(search, 4.0, record(12, 6, slower=2.0)).tried
    assert (slow.outcome, slow.load) == ("missed", 4.0)
    assert slow.value == pytest.approx(1.15, abs=0.15)


def test_run_whose_generator_was_late_tells_nothing_of_the_server() -> None:
    run = record(12, 6, slower=2.0)
    late = replace(run, health=replace(run.health, lag_s=(0.05,) * 100))
    found = level(search_for(), 4.0, late)
    assert found.tried.outcome == "invalid"
    assert "schedule lag" in found.reason


def test_saturated_server_has_missed_unless_the_generator_was_late_too() -> None:
    run = saturated(record())
    found = level(search_for(), 4.0, run)
    assert found.tried.outcome == "missed"
    assert "saturated" in found.reason
    late = replace(run, health=replace(run.health, lag_s=(0.05,) * 100))
    assert level(search_for(), 4.0, late).tried.outcome == "invalid"


def test_run_with_too_few_turns_is_not_judged_and_says_how_many_are_wanted() -> None:
    search = search_for("v2v_p95<800ms")
    found = level(search, 1.0, record(2, 2))
    assert (found.tried.outcome, found.tried.value) == ("invalid", None)
    assert "P95 wants 59" in found.reason
    lines = searching.headline(CLOSED, search, conclude(search.tries, search.plan))
    assert lines[-1] == "a longer --duration gives more turns to judge by"


def test_answer_names_the_load_with_its_interval() -> None:
    found = HighestLoad(8.0, 8.0, 9.0, 7, "8 kept the threshold and 9 did not")
    assert searching.headline(CLOSED, search_for(), found) == [
        "highest load that keeps v2v_p50<800ms: 8 calls at a time [8 – 9]",
        "8 kept the threshold and 9 did not",
    ]


def test_impossible_threshold_is_answered_with_the_best_there_is() -> None:
    search = search_for("v2v_p50<1ms")
    for _ in range(2):
        level(search, 1.0, record(12, 6))
    found = conclude(search.tries, search.plan)
    told, best = searching.headline(CLOSED, search, found)
    assert told == "no load keeps v2v_p50<1ms: even 1 misses the threshold"
    assert best.startswith("the best seen is ")
    assert best.endswith(" ms at 1 call at a time")
    assert searching.search_exit_code(search, found) == 99


def test_exit_code_is_that_of_what_is_known() -> None:
    search = search_for()
    nothing = HighestLoad(None, None, None, 1, "no run was VALID: nothing is known")
    assert searching.search_exit_code(search, nothing) == 30
    assert searching.search_exit_code(search, HighestLoad(8.0, 8.0, None, 3, "")) == 0
    search.interrupted = True
    assert searching.search_exit_code(search, HighestLoad(8.0, 8.0, None, 3, "")) == 130


def test_report_is_that_of_the_last_run_that_kept_the_threshold_at_the_highest_load() -> None:
    search = search_for()
    kept, again = level(search, 2.0, record(12, 6)), level(search, 2.0, record(12, 6, seed=8))
    missed = level(search, 4.0, record(12, 6, slower=2.0))
    assert kept.tried.outcome == again.tried.outcome == "met"
    assert searching.shown_level(search.levels, HighestLoad(2.0, 2.0, 4.0, 3, "")) is again
    assert searching.shown_level(search.levels, HighestLoad(None, None, 4.0, 3, "")) is missed
    assert searching.shown_level([], HighestLoad(None, None, None, 0, "")) is None


def test_document_has_every_run_and_the_report_of_one() -> None:
    search = search_for()
    level(search, 2.0, record(12, 6))
    found = conclude(search.tries, search.plan)
    document = searching.search_document(search, found, search.levels[0])
    assert document["search"]["unit"] == "calls at a time"
    assert [one["outcome"] for one in document["search"]["levels"]] == ["met"]
    assert document["run"]["verdict"] == "VALID"


@pytest.mark.parametrize(
    ("options", "slo", "told"),
    [
        (LoadOptions(trace=Path("calls.csv")), "v2v_p95<800ms", "--trace has its own"),
        (LoadOptions(), "v2v_p95<800ms,v2v_p50<1s", "are 2 thresholds"),
        (LoadOptions(), "v2v<1s", "which percentile"),
    ],
)
def test_what_cannot_be_searched_is_refused(options: LoadOptions, slo: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        searching.new_search(load_plan(options), Judgement.of([], None), slo, NO_FILES)


def test_search_of_an_open_loop_goes_in_calls_a_minute() -> None:
    plan = searching.search_plan(load_plan(LoadOptions(calls_per_minute=12.0)))
    assert (plan.start, plan.least, plan.whole) == (12.0, 0.5, False)
    assert plan.most >= 2_000
    assert searching.search_plan(CLOSED).whole


def test_tries_are_what_decisions_need() -> None:
    search = search_for()
    level(search, 2.0, record(12, 6))
    [tried] = search.tries
    assert isinstance(tried, Try)
    assert tried.num == 72
