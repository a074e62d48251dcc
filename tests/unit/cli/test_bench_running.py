"""A run that was stopped never looks like a whole one; what cannot be loaded is known beforehand."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.bench_records import record
from voicectl.cli.bench_load import LoadOptions, load_plan
from voicectl.cli.bench_running import checked_starts, marked_stopped
from voicectl.core.errors import ConfigError, UsageError


def test_run_stopped_between_two_calls_has_one_that_never_began() -> None:
    run = record(4, 2)
    *calls, last = marked_stopped(run).calls
    assert tuple(calls) == run.calls
    assert (last.call, last.end, last.started_at) == (4, "unfinished", None)
    assert last.failure == "stopped: the run was stopped before its time"


def test_run_stopped_in_the_middle_of_a_call_says_so_already() -> None:
    run = record(4, 2)
    stopped = replace(run, calls=(*run.calls[:-1], replace(run.calls[-1], end="unfinished")))
    assert marked_stopped(stopped) is stopped


def test_run_stopped_before_its_first_call_has_one_that_never_began() -> None:
    assert [call.call for call in marked_stopped(replace(record(1, 1), calls=())).calls] == [0]


def test_trace_is_read_before_anything_starts(tmp_path: Path) -> None:
    trace = tmp_path / "calls.csv"
    trace.write_text("start\n3\n1\n90\n")
    assert checked_starts(load_plan(LoadOptions(trace=trace)), trace) == (1.0, 3.0)
    with pytest.raises(ConfigError, match="cannot be read"):
        checked_starts(load_plan(LoadOptions(trace=trace)), tmp_path / "none.csv")


@pytest.mark.parametrize(
    "options",
    [
        LoadOptions(concurrency=0),
        LoadOptions(duration="0s"),
        LoadOptions(calls_per_minute=-1.0),
        LoadOptions(duration="9h"),
    ],
)
def test_plan_that_cannot_be_is_refused(options: LoadOptions) -> None:
    with pytest.raises(UsageError):
        checked_starts(load_plan(options), None)


def test_plan_without_a_trace_has_no_starts() -> None:
    assert checked_starts(load_plan(LoadOptions()), None) is None
