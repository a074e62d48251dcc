"""Tests of predictions: intervals, promises, and the search for the highest load."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.fakes.capacity_shapes import CONVERSATION, SPEEDS, TUNING
from voicectl.capacity import prediction
from voicectl.capacity.prediction import Host, Slo, highest, knee, sampling_error
from voicectl.core.errors import UsageError

HOST = Host(SPEEDS, CONVERSATION, TUNING, model_error=0.1)


@pytest.fixture(autouse=True)
def _few_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction, "TURNS", 30)
    monkeypatch.setattr(prediction, "LEAST_TURNS_A_CALL", 2)
    monkeypatch.setattr(prediction, "REPLICATES", 2)


def test_a_promise_is_read() -> None:
    assert Slo.parse("v2v_p95<800ms") == Slo(95, 0.8)
    assert Slo.parse(" v2v_p99.5 <= 1.2s ") == Slo(99.5, 1.2)
    assert str(Slo(95, 0.8)) == "v2v_p95<800ms"


@pytest.mark.parametrize("text", ["p95<800ms", "v2v_p95>800ms", "v2v_p0<1s", "v2v_p95<fast", "v2v_p100<1s"])
def test_what_is_no_promise_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Slo.parse(text)


def test_the_interval_holds_the_model_error_and_grows_with_it() -> None:
    narrow, wide = (replace(HOST, model_error=error).predict(4).p95 for error in (0.05, 0.3))
    assert narrow.low < narrow.value < narrow.high
    assert wide.high / wide.low > narrow.high / narrow.low
    assert math.log(wide.high / wide.value) >= 1.96 * 0.3


def test_few_measured_turns_widen_the_interval() -> None:
    few, many = (replace(HOST, model_error=0.0).predict(20, measured_turns=num).p95 for num in (8, 200))
    assert few.high / few.low > many.high / many.low


def test_a_percentile_of_few_turns_is_known_as_well_as_order_statistics_tell() -> None:
    rng = np.random.default_rng(2)
    times = np.exp(rng.normal(0, 0.3, (4000, 60)))
    for percentile in (50, 95):
        seen = float(np.std(np.log(np.percentile(times, percentile, axis=1))))
        assert sampling_error(times.ravel(), percentile, 60) == pytest.approx(seen, rel=0.2)


def test_a_stage_whose_speed_is_poorly_known_widens_the_interval() -> None:
    vague = replace(HOST, speeds=replace(SPEEDS, errors={"stt": 0.3, "tts": 0.3}), model_error=0.0)
    known, unknown = replace(HOST, model_error=0.0).predict(4).p50, vague.predict(4).p50
    assert unknown.high / unknown.low > known.high / known.low


def test_the_highest_load_keeps_the_promise_and_the_next_does_not() -> None:
    for bound in (1, 5, 17, 31):
        assert highest(lambda num, bound=bound: num <= bound, 40) == bound  # type: ignore[misc] # bound now
    assert highest(lambda num: num <= 17, 10) == 10
    assert highest(lambda num: False, 10) == 0


def test_the_knee_is_inside_its_interval_and_rises_with_the_limit() -> None:
    tight, loose = (knee(HOST, Slo(95, limit), most=24) for limit in (0.85, 1.5))
    assert 0 < tight.low <= tight.calls <= tight.high
    assert tight.calls < loose.calls


def test_a_promise_that_one_call_breaks_tells_the_best() -> None:
    found = knee(HOST, Slo(95, 0.2), most=24)
    assert found.calls == 0
    assert 0.4 < found.best_s < 0.8


def test_a_search_that_ends_at_its_bound_says_so() -> None:
    found = knee(HOST, Slo(95, 5.0), most=3)
    assert (found.calls, found.at_cap) == (3, True)
