"""Find the start of a run that is not like the rest, and say whether the rest is steady. Knows one metric in time."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats

from voicectl.bench.statistics.correlation import Floats, Ints, correlate, effective

BATCH: Final = 5
"""MSER-5 (White 1997) looks at means of five."""
FEWEST: Final = 40
"""Below eight batches nothing can be told from noise: nothing is dropped, and steadiness is not judged."""
_TREND_SIGNIFICANT: Final = 0.001
_TREND_MATTERS: Final = 0.3
"""A rank correlation with time weaker than this moves percentiles less than their intervals are wide."""


@dataclass(frozen=True, slots=True)
class Series:
    """One metric in order of time; +inf where the answer never came."""

    values: Floats
    calls: Ints
    at: Floats


def dropped_by_mser(values: Floats) -> int:
    """Return how many of the first values MSER-5 drops: at most half, always whole batches.

    It keeps the remainder whose mean is known best: the least variance of the batch means kept, divided by
    their number. Ranks stand for values, so that one stall late in a run does not decide.
    """
    if values.size < FEWEST:
        return 0
    ranks = stats.rankdata(values)
    num_batches = values.size // BATCH
    means = ranks[: num_batches * BATCH].reshape(num_batches, BATCH).mean(axis=1)
    kept = num_batches - np.arange(num_batches)
    tail_sums = np.cumsum(means[::-1])[::-1]
    tail_squares = np.cumsum(means[::-1] ** 2)[::-1]
    error = (tail_squares - tail_sums**2 / kept) / kept.astype(np.float64) ** 2
    return int(np.argmin(error[: num_batches // 2 + 1])) * BATCH


def is_steady(series: Series) -> bool:
    """Return whether there is no trend: Spearman's correlation with time, judged at the effective sample size.

    A trend must be both significant and large. Fewer than 40 values are taken as steady: nothing is shown.
    """
    if series.values.size < FEWEST or np.ptp(stats.rankdata(series.values)) == 0 or np.ptp(series.at) == 0:
        return True
    trend = float(stats.spearmanr(series.at, series.values).statistic)
    without_trend = _detrended(series)
    worth = effective(correlate(without_trend, series.calls, series.at), 0.5).num_effective
    worth = max(4.0, min(worth, float(series.values.size)))
    z = np.arctanh(min(abs(trend), 0.999999)) * np.sqrt(worth - 3)
    return abs(trend) < _TREND_MATTERS or 2 * float(stats.norm.sf(z)) > _TREND_SIGNIFICANT


def _detrended(series: Series) -> Floats:
    """Return ranks less their straight line: with the trend inside, correlation would excuse the trend."""
    ranks = stats.rankdata(series.values)
    slope, start = np.polyfit(series.at, ranks, 1)
    detrended: Floats = ranks - (start + slope * series.at)
    return detrended
