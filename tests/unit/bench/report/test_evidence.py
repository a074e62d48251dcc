"""What plots show is what was observed: censored turns stay slower than all, warm-up is left out."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from tests.fakes.bench_records import answered, call, record, timed_out, with_failures
from voicectl.bench.report.evidence import (
    calls_in_progress,
    latency_curve,
    median_turn,
    problems,
    wanted_turns,
    waterfall,
    worst_turn,
)
from voicectl.bench.run_record import RunRecord, TurnSample


def run_of(*turns: TurnSample) -> RunRecord:
    return replace(record(1, 1), calls=(call(0, 0.0, turns),))


def test_curve_is_the_plain_share_without_censoring() -> None:
    turns = wanted_turns(run_of(*(answered(n, 5.0 * n, v2v_s) for n, v2v_s in enumerate((0.4, 0.2, 0.3, 0.2)))))
    curve = latency_curve(turns)
    assert curve is not None
    assert curve.at_s.tolist() == [0.2, 0.3, 0.4]
    assert curve.share.tolist() == pytest.approx([0.5, 0.75, 1.0])


def test_unanswered_turns_keep_the_curve_below_one() -> None:
    curve = latency_curve(wanted_turns(run_of(answered(0, 1.0, 0.2), answered(1, 2.0, 0.4), timed_out(2, 3.0))))
    assert curve is not None
    assert curve.share.tolist() == pytest.approx([1 / 3, 2 / 3])
    assert curve.num == 3


def test_band_holds_the_curve_and_never_falls() -> None:
    curve = latency_curve(wanted_turns(with_failures(record(16, 5))))
    assert curve is not None
    assert np.all(curve.low <= curve.share + 1e-12)
    assert np.all(curve.high >= curve.share - 1e-12)
    assert np.all(np.diff(curve.low) >= 0)
    assert np.all(np.diff(curve.high) >= 0)
    assert np.all((curve.low >= 0) & (curve.high <= 1))


def test_band_is_wider_when_calls_differ_more_than_their_turns() -> None:
    calls = [call(n, 0.0, tuple(answered(t, 5.0 * t, 0.2 + 0.1 * n) for t in range(10))) for n in range(8)]
    clustered = replace(record(1, 1), calls=tuple(calls))
    alone = replace(record(1, 1), calls=tuple(replace(one, call=0) for one in calls))
    together, apart = (latency_curve(wanted_turns(run)) for run in (alone, clustered))
    assert together is not None
    assert apart is not None
    middle = len(apart.at_s) // 2
    assert apart.high[middle] - apart.low[middle] > 1.5 * (together.high[middle] - together.low[middle])


def test_run_without_an_answer_has_no_curve() -> None:
    turns = wanted_turns(run_of(timed_out(0, 1.0)))
    assert (latency_curve(turns), median_turn(turns), worst_turn(turns)) == (None, None, None)
    assert latency_curve([]) is None


def test_single_turn_has_a_curve_without_certainty() -> None:
    curve = latency_curve(wanted_turns(run_of(answered(0, 1.0, 0.3))))
    assert curve is not None
    assert (curve.share.tolist(), curve.low.tolist(), curve.high.tolist()) == ([1.0], [0.0], [1.0])


def test_warm_up_and_unwanted_turns_are_left_out() -> None:
    noise = TurnSample(turn=2, name="noise", kind="noise", end="not-wanted", intended_at=9.0)
    run = run_of(answered(0, 1.0, 0.3), answered(1, 8.0, 0.4), noise)
    assert [one.turn.turn for one in wanted_turns(run, 5.0)] == [1]
    assert [one.turn.turn for one in wanted_turns(run)] == [0, 1]


def test_median_and_worst_are_turns_that_were_answered() -> None:
    turns = wanted_turns(run_of(*(answered(n, n, v) for n, v in enumerate((0.5, 0.1, 0.3, 0.9))), timed_out(4, 5.0)))
    median, worst = median_turn(turns), worst_turn(turns)
    assert median is not None
    assert worst is not None
    assert (median.latency_s, worst.latency_s) == (0.3, 0.9)


def test_stages_lie_one_behind_the_other_and_add_up() -> None:
    bars = waterfall(answered(0, 1.0, 1.0))
    assert [bar.stage for bar in bars][:3] == ["vad", "endpointing", "stt"]
    assert bars[-1].stage == "unexplained"
    assert all(left.end_s == right.start_s for left, right in itertools.pairwise(bars))
    assert bars[-1].end_s == 1.0


def test_turn_of_a_server_that_tells_no_stages_has_no_waterfall() -> None:
    assert waterfall(TurnSample(0, "q", "speech", "answered", 1.0, v2v_s=0.4)) == []


def test_calls_in_progress_start_and_end_at_none() -> None:
    at_s, calls = calls_in_progress(record())
    assert (calls[0], calls[-1]) == (0, 0)
    assert calls.min() == 0
    assert np.all(np.diff(at_s) >= 0)


def test_each_failure_is_listed_with_its_place() -> None:
    found = list(problems(with_failures(record())))
    assert [(one.call, one.turn, one.what) for one in found] == [
        (0, 3, "timed-out"),
        (1, None, "call refused"),
        (2, None, "call lost"),
    ]
    assert found[0].words == "question-3: no answer within 10.0 s"
