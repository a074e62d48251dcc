"""Figures read the same everywhere: milliseconds, bounds where that is all that is known, counts beside rates."""

from dataclasses import replace

import pytest

from tests.fakes.bench_records import ENVIRONMENT, MET, PLAN, UNKNOWN, distribution, invalid, summary
from voicectl.bench.report import wording
from voicectl.bench.summary import Percentile, Proportion, WarmUp


@pytest.mark.parametrize(
    ("seconds", "shown"), [(None, "–"), (0.0012, "1.2"), (0.0994, "99"), (0.612, "612"), (12.5, "12,500"), (0.0, "0.0")]
)
def test_durations_are_milliseconds(seconds: float | None, shown: str) -> None:
    assert wording.milliseconds(seconds) == shown


def test_percentile_among_censored_samples_is_a_bound() -> None:
    found = Percentile(0.95, None, 0.9, None, "order-statistics", 10.0, "lies among unanswered turns")
    assert wording.percentile_value(found) == "≥ 10,000"
    assert wording.interval(found) == "lies among unanswered turns"


def test_interval_without_an_upper_end_is_unbounded() -> None:
    assert wording.interval(Percentile(0.95, 0.9, 0.8, None, "order-statistics")) == "800 – ∞"


def test_rate_with_too_few_events_is_a_count() -> None:
    assert wording.proportion(Proportion("cut-in", 1, 4, None, None, None)) == "1 of 4 (too few for a rate)"
    assert wording.proportion(Proportion("answered", 47, 48, 0.979, 0.891, 0.996)) == "97.9 % [89.1 – 99.6] (47 of 48)"


def test_no_threshold_is_met_by_an_invalid_run() -> None:
    assert wording.slo_word(MET, summary()) == "met"
    assert wording.slo_word(MET, invalid(summary())) == "unknown"
    assert wording.slo_word(UNKNOWN, summary()) == "unknown"


def test_load_names_how_calls_arrive() -> None:
    assert wording.load_text(PLAN) == "short-faq, 12 calls a minute, poisson, 1 min, seed 7"
    closed = replace(PLAN, arrivals="closed", calls_per_minute=None, concurrency=1)
    assert wording.load_text(closed) == "short-faq, one call at a time, 1 min, seed 7"
    gamma = replace(PLAN, arrivals="gamma", burstiness=0.5)
    assert "gamma (burstiness 0.5)" in wording.load_text(gamma)


def test_target_of_ones_own_is_named_by_its_profile() -> None:
    assert wording.target_text(ENVIRONMENT) == "private gateway, profile cpu"
    assert wording.target_text(replace(ENVIRONMENT, private=False)) == "ws://127.0.0.1:8080"


def test_warm_up_says_what_was_dropped() -> None:
    assert wording.warm_up_text(summary()) == "first 7.5 s dropped, 6 turns (mser-5)"
    restless = replace(summary(), warm_up=WarmUp("none", 0.0, 0, False))
    assert wording.warm_up_text(restless) == "nothing dropped (none); no steady state"


def test_stages_come_in_the_order_in_which_they_happen() -> None:
    shuffled = replace(
        summary(),
        distributions=(distribution("tts", 0.1, 0.2), distribution("vad", 0.1, 0.2), distribution("v2v", 1, 2)),
    )
    assert [found.metric for found in wording.stages(shuffled)] == ["vad", "tts"]
    assert [found.metric for found in wording.headlines(shuffled)] == ["v2v"]


@pytest.mark.parametrize(("seconds", "shown"), [(40, "40 s"), (60, "1 min"), (125, "2 min 5 s"), (4200, "1 h 10 min")])
def test_durations_for_people(seconds: float, shown: str) -> None:
    assert wording.duration(seconds) == shown
