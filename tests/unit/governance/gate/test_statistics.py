"""The e-value is small while the bar may be missed, however often one looks, and the bounds are the textbook's."""

import math

import numpy as np
import pytest

from voicectl.governance.gate.statistics import bound_of, forecast, log_e_value, wilson_lower


def test_daily_looks_at_a_rate_on_the_bar_rarely_reach_twenty() -> None:
    counts = np.random.default_rng(1).binomial(60, 0.7, (2000, 60)).cumsum(axis=1)
    looks = log_e_value(counts, np.arange(60, 3601, 60), 0.7) >= math.log(20)
    assert looks.any(axis=1).mean() < 0.03


def test_five_points_above_the_bar_are_found() -> None:
    counts = np.random.default_rng(1).binomial(60, 0.75, (500, 60)).cumsum(axis=1)
    looks = log_e_value(counts, np.arange(60, 3601, 60), 0.7) >= math.log(20)
    assert looks.any(axis=1).mean() > 0.99


@pytest.mark.parametrize("bar", [0.6, 0.7, 0.95, 0.98])
def test_its_expectation_on_the_bar_is_one(bar: float) -> None:
    from scipy.stats import binom

    n = 50
    k = np.arange(n + 1)
    mean = float(np.sum(binom.pmf(k, n, bar) * np.exp(log_e_value(k, n, bar))))
    assert mean == pytest.approx(1.0, rel=1e-9)
    worse = float(np.sum(binom.pmf(k, n, bar - 0.05) * np.exp(log_e_value(k, n, bar))))
    assert worse < 1


def test_no_events_are_no_evidence() -> None:
    assert float(log_e_value(0, 0, 0.7)) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("bar", "misses", "n"), [(0.95, 0, 52), (0.95, 1, 87), (0.95, 5, 202), (0.98, 0, 133), (0.98, 5, 511)]
)
def test_wilson_needs_the_known_least_numbers(bar: float, misses: int, n: int) -> None:
    assert (wilson_lower(n - misses, n, 0.05) or 0) >= bar
    assert (wilson_lower(n - 1 - misses, n - 1, 0.05) or 0) < bar


def test_exact_bounds_are_the_textbooks() -> None:
    assert bound_of(30, 30, 0.05, upper=False) == pytest.approx(0.05 ** (1 / 30))
    assert bound_of(0, 30, 0.05, upper=True) == pytest.approx(1 - 0.05 ** (1 / 30))
    assert (bound_of(0, 0, 0.05, upper=True), bound_of(0, 0, 0.05, upper=False)) == (1.0, 0.0)


def test_a_forecast_is_the_first_number_that_decides() -> None:
    more = forecast(60, 80, 0.8, 0.7, 0.05)
    assert more is not None
    assert float(log_e_value(60 + 0.8 * more, 80 + more, 0.7)) >= math.log(20)
    assert float(log_e_value(60 + 0.8 * (more - 1), 80 + more - 1, 0.7)) < math.log(20)
    assert forecast(60, 80, 0.69, 0.7, 0.05) is None
