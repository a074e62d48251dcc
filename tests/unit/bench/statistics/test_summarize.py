from dataclasses import replace

import pytest

from tests.fakes.run_records import call, record, steady, turn
from voicectl.bench.run_record import RunRecord
from voicectl.bench.statistics.summarize import summarize
from voicectl.bench.statistics.thresholds import parse
from voicectl.bench.summary import Distribution, Proportion, RunSummary


def metric(summary: RunSummary, name: str) -> Distribution:
    return next(each for each in summary.distributions if each.metric == name)


def rate(summary: RunSummary, name: str) -> Proportion:
    return next(each for each in summary.proportions if each.name == name)


def test_a_steady_run_is_valid_and_has_its_percentiles() -> None:
    summary = summarize(steady(), slos=[parse("v2v_p95<2s"), parse("setup_p50<100ms")])
    assert summary.verdict == "VALID", summary.reasons
    p50, _, p95, p99 = metric(summary, "v2v").percentiles
    assert p50.value == pytest.approx(0.5, rel=0.1)
    assert p95.high is not None
    assert p99.value is not None
    assert [slo.met for slo in summary.slos] == [True, True]
    assert metric(summary, "setup").percentiles[0].value == pytest.approx(0.05)
    assert summary.offered_calls_per_minute == pytest.approx(6.0)
    assert summary.achieved_calls_per_minute == pytest.approx(6.0, rel=0.05)
    assert summary.peak_concurrency == 1


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (lambda run: replace(run, health=replace(run.health, lag_s=(0.001,) * 90 + (0.05,) * 10)), "late"),
        (lambda run: replace(run, health=replace(run.health, lag_s=())), "no schedule lag"),
        (lambda run: replace(run, health=replace(run.health, cpu_share=0.71)), "too busy"),
        (lambda run: replace(run, health=replace(run.health, cpu_share=float("nan"))), "too busy"),
        (lambda run: replace(run, calls=(replace(run.calls[0], end="unfinished"), *run.calls[1:])), "1 of 60"),
        (
            lambda run: replace(run, calls=tuple(replace(each, end="refused", turns=()) for each in run.calls)),
            "60 refused",
        ),
        (lambda run: replace(run, calls=()), "no call was made"),
        (lambda run: replace(run, calls=tuple(replace(each, turns=()) for each in run.calls)), "nothing was measured"),
    ],
)
def test_a_run_that_cannot_be_believed_is_invalid_and_says_why(changed: object, told: str) -> None:
    summary = summarize(changed(steady()))  # type: ignore[operator]
    assert summary.verdict == "INVALID"
    assert told in "; ".join(summary.reasons)


def test_a_growing_backlog_is_saturated() -> None:
    calls = [call(n, 2.0 * n, [turn(0, 2.0 * n + 1, 0.5)], held_s=10 + 1.5 * n) for n in range(300)]
    summary = summarize(record(calls, duration_s=600.0))
    assert "saturated" in "; ".join(summary.reasons)


def test_rising_latency_has_no_steady_state() -> None:
    calls = [call(n, 10.0 * n, [turn(k, 10.0 * n + k, 0.3 + n / 60) for k in range(4)]) for n in range(60)]
    assert "no steady state" in "; ".join(summarize(record(calls)).reasons)


def test_few_samples_hide_percentiles_and_leave_the_run_valid() -> None:
    summary = summarize(steady(num_calls=8, turns=1))
    assert summary.verdict == "VALID", summary.reasons
    assert metric(summary, "v2v").percentiles[2].value is None


def test_turns_that_must_not_be_answered_are_counted_apart() -> None:
    quiet = [
        turn(1, 5.0, None, kind="noise", end="answered-unasked"),
        turn(2, 6.0, None, kind="dtmf", end="not-wanted"),
    ]
    calls = [call(n, 10.0 * n, [turn(0, 10.0 * n, 0.4), *quiet]) for n in range(20)]
    summary = summarize(record(calls), warm_up=0)
    assert (rate(summary, "unasked").num, rate(summary, "unasked").of) == (20, 40)
    assert rate(summary, "answered").of == 20
    assert metric(summary, "v2v").num == 20


def test_unanswered_turns_count_as_infinitely_late() -> None:
    calls = [call(n, 10.0 * n, [turn(0, 10.0 * n, None if n % 4 == 0 else 0.4, censored_s=10.0)]) for n in range(40)]
    found = metric(summarize(record(calls), warm_up=0), "v2v")
    assert found.num_censored == 10
    assert found.percentiles[1].value is None
    assert found.percentiles[1].at_least == 10.0


def test_goodput_counts_turns_that_met_every_bound() -> None:
    calls = [call(n, 10.0 * n, [turn(0, 10.0 * n, 0.4), turn(1, 10.0 * n + 1, 2.0)]) for n in range(60)]
    run = replace(record(calls), wall_s=600.0)
    assert summarize(run, slos=[parse("v2v_p95<1s")], warm_up=0).goodput_per_minute == pytest.approx(6.0)
    assert summarize(run, warm_up=0).goodput_per_minute == pytest.approx(12.0)


def test_a_given_warm_up_drops_its_turns() -> None:
    warm_up = summarize(steady(), warm_up=100.0).warm_up
    assert (warm_up.method, warm_up.dropped_s, warm_up.dropped_turns) == ("given", 100.0, 50)


def test_a_slow_start_is_found_and_dropped() -> None:
    calls = [call(n, 10.0 * n, [turn(k, 10.0 * n + k, 0.4 + 0.01 * k + (n < 10)) for k in range(4)]) for n in range(60)]
    warm_up = summarize(record(calls)).warm_up
    assert warm_up.method == "mser-5"
    assert 90 <= warm_up.dropped_s <= 130
    assert warm_up.steady


def test_words_are_compared_after_normalising() -> None:
    texts = {"reference": "I'm here at 5 o'clock.", "transcript": "i am here at five oclock"}
    calls = [call(n, 10.0 * n, [turn(0, 10.0 * n, 0.4, **texts), turn(1, 10.0 * n, 0.4)]) for n in range(3)]
    wer = summarize(record(calls)).wer
    assert wer is not None
    assert wer < 0.35
    assert summarize(steady(num_calls=3)).wer is None


def test_summaries_repeat() -> None:
    run: RunRecord = steady()
    assert summarize(run) == summarize(run)
