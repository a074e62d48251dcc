import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from voicectl.bench.statistics.correlation import correlate
from voicectl.bench.statistics.intervals import Samples, distribution, interval, percentile_of, ranks, samples_wanted

SHARES = (0.5, 0.9, 0.95, 0.99)


def samples(values: np.ndarray, turns: int = 1) -> Samples:
    at = np.arange(values.size, dtype=np.float64)
    at_least = np.where(np.isinf(values), 10.0, values)
    return Samples(values.astype(np.float64), at_least, np.arange(values.size) // turns, at)


@pytest.mark.parametrize(("share", "wanted"), [(0.5, 6), (0.9, 29), (0.95, 59), (0.99, 299)])
def test_a_percentile_wants_as_many_samples_as_show_it_with_zero_misses(share: float, wanted: int) -> None:
    assert samples_wanted(share) == wanted


@pytest.mark.parametrize("share", SHARES)
def test_a_percentile_is_refused_one_sample_below_what_it_wants(share: float) -> None:
    values = np.random.default_rng(1).lognormal(size=samples_wanted(share))
    assert distribution("v2v", samples(values), (share,)).percentiles[0].value is not None
    refused = distribution("v2v", samples(values[1:]), (share,)).percentiles[0]
    assert refused.value is None
    assert f"wants {samples_wanted(share)}" in (refused.reason or "")


def test_intervals_cover_the_truth_of_clustered_runs_as_often_as_promised() -> None:
    rng = np.random.default_rng(7)
    held = dict.fromkeys((0.5, 0.95), 0)
    for _ in range(200):
        scores = 0.6 * np.repeat(rng.standard_normal(50), 6) + 0.8 * rng.standard_normal(300)
        drawn = samples(np.exp(scores), turns=6)
        correlation = correlate(drawn.values, drawn.calls, drawn.at)
        for share in held:
            low, high = interval(drawn, share, correlation)
            truth = math.exp(stats.norm.ppf(share))
            held[share] += (low is None or low <= truth) and (high is None or truth <= high)
    # 95 % of 200 has a standard deviation of 3; intervals that ignore the calls hold some 158 (P50).
    assert all(181 <= count <= 198 for count in held.values()), held


def test_ranks_are_those_of_the_binomial_distribution() -> None:
    low, high = ranks(1000, 0.95)
    assert low is not None
    assert high is not None
    assert stats.binom.cdf(math.floor(low) - 1, 1000, 0.95) <= 0.025 <= stats.binom.cdf(math.ceil(low), 1000, 0.95)
    assert stats.binom.sf(math.ceil(high) - 1, 1000, 0.95) <= 0.025 <= stats.binom.sf(math.floor(high) - 2, 1000, 0.95)


def test_too_few_samples_for_an_upper_bound_leave_it_open_and_say_so() -> None:
    found = distribution("v2v", samples(np.random.default_rng(2).lognormal(size=300)), (0.99,)).percentiles[0]
    assert found.high is None
    assert found.low is not None
    assert "upper bound" in (found.reason or "")


def test_a_percentile_among_unanswered_turns_has_a_bound_and_no_value() -> None:
    values = np.random.default_rng(3).lognormal(size=200)
    values[::10] = np.inf
    found = distribution("v2v", samples(values), (0.5, 0.95))
    assert found.num_censored == 20
    assert found.percentiles[0].value is not None
    assert found.percentiles[1].value is None
    assert found.percentiles[1].at_least == 10.0
    assert found.mean is None


def test_clumps_of_a_stall_widen_the_interval_of_the_tail() -> None:
    rng = np.random.default_rng(4)
    values = rng.lognormal(sigma=0.2, size=1000)
    spread = values.copy()
    where = rng.choice(1000, 60, replace=False)
    spread[where] += 5.0
    for begun in (100, 400, 800):
        values[begun : begun + 20] += 5.0
    clumps, even = (interval(samples(each), 0.95) for each in (values, spread))
    assert clumps[1] is None or (even[1] is not None and clumps[1] > even[1]) or (clumps[0] or 0) < (even[0] or 0)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.001, 100) | st.just(math.inf), min_size=6, max_size=120), st.integers(1, 5))
def test_percentiles_are_ordered_and_lie_within_their_intervals(values: list[float], turns: int) -> None:
    found = distribution("v2v", samples(np.array(values), turns), SHARES).percentiles
    for each in found:
        if each.value is not None:
            assert each.low is None or each.low <= each.value
            assert each.high is None or each.value <= each.high
    known = [each.value for each in found if each.value is not None]
    assert all(first <= second for first, second in pairwise(known))


def test_a_percentile_lies_between_the_ranks_around_it() -> None:
    assert percentile_of(np.arange(1.0, 100.0), 0.5) == pytest.approx(50.0)
