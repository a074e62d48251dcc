import numpy as np
import pytest

from voicectl.bench.statistics.correlation import correlate, effective


def of_calls(icc: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    calls = np.repeat(np.arange(300), 8)
    at = calls + np.tile(np.arange(8) * 0.5, 300)
    scores = np.sqrt(icc) * rng.standard_normal(300)[calls] + np.sqrt(1 - icc) * rng.standard_normal(calls.size)
    return np.exp(scores), calls, at


def test_independent_samples_are_worth_their_number() -> None:
    worth = effective(correlate(*of_calls(0.0, np.random.default_rng(1))), 0.5)
    assert worth.num == pytest.approx(2400, rel=0.15)


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_clustered_samples_are_worth_what_the_variance_of_many_runs_says(share: float) -> None:
    rng = np.random.default_rng(2)
    truth = np.quantile(of_calls(0.4, rng)[0], share)
    below = [float((of_calls(0.4, rng)[0] <= truth).mean()) for _ in range(400)]
    worth = np.mean([effective(correlate(*of_calls(0.4, rng)), share).num for _ in range(8)])
    assert worth == pytest.approx(share * (1 - share) / np.var(below), rel=0.25)


def test_drift_over_time_is_found_across_calls() -> None:
    rng = np.random.default_rng(3)
    at = np.arange(1500.0)
    drift = np.repeat(rng.standard_normal(50), 30)
    correlation = correlate(drift + rng.standard_normal(1500), np.arange(1500), at)
    assert correlation.drifts
    assert effective(correlation, 0.5).num < 300


def test_equal_samples_do_not_divide_by_zero() -> None:
    worth = effective(correlate(np.ones(50), np.repeat(np.arange(10), 5), np.zeros(50)), 0.95)
    assert np.isfinite(worth.num_effective)
