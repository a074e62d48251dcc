"""Percentiles with intervals that keep their promise: order statistics at the effective sample size.

Knows samples, calls and instants; an unanswered turn is a sample of +inf.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import optimize, special

from voicectl.bench.statistics.correlation import Correlation, Floats, Ints, clumped, correlate, effective
from voicectl.bench.summary import Distribution, Percentile

LEVEL: Final = 0.95
FEWEST: Final = 6
"""A median wants six samples: with fewer, not even all of them bound it with 95 % confidence."""
METHOD: Final = "order-statistics"


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of one metric: what was read (+inf where the answer never came), whose call, when.

    `at_least` (n,) is what is known of each: the value itself, or how long was waited in vain.
    """

    values: Floats
    at_least: Floats
    calls: Ints
    at: Floats

    @property
    def num_censored(self) -> int:
        """Return how many never came."""
        return int(np.isinf(self.values).sum())


def samples_wanted(share: float, level: float = LEVEL) -> int:
    """Return how many samples a percentile wants: the fewest whose worst lies above it with confidence `level`.

    Zero misses among n then show at least `share` with that confidence: shareⁿ ≤ 1 - level (P99: 299).
    """
    if share <= 0.5:
        return FEWEST
    return max(FEWEST, math.ceil(math.log(1 - level) / math.log(share)))


def distribution(metric: str, samples: Samples, shares: tuple[float, ...]) -> Distribution:
    """Return the percentiles of one metric, with what cannot be said left out and why."""
    num = samples.values.size
    finite = samples.values[np.isfinite(samples.values)]
    correlation = correlate(samples.values, samples.calls, samples.at) if num > 1 else None
    return Distribution(
        metric=metric,
        num=num,
        num_censored=samples.num_censored,
        num_effective=None if correlation is None else min(float(num), effective(correlation, 0.5).num),
        mean=float(finite.mean()) if finite.size and finite.size == num else None,
        worst=float(samples.values.max()) if num and not samples.num_censored else None,
        percentiles=tuple(_percentile(samples, correlation, share) for share in shares),
    )


def percentile_of(sorted_values: Floats, share: float) -> float:
    """Return the percentile of ascending values, median-unbiased (type 8 of Hyndman and Fan 1996)."""
    return _at(sorted_values, share * (sorted_values.size + 1 / 3) + 1 / 3)


def interval(
    samples: Samples, share: float, correlation: Correlation | None = None
) -> tuple[float | None, float | None]:
    """Return the 95 % interval of a percentile; None is a side that the samples leave open.

    With one side open, the other is a one-sided bound of the same confidence.
    """
    found = correlation or correlate(samples.values, samples.calls, samples.at)
    ascending = np.sort(samples.values)
    below = (samples.values <= percentile_of(ascending, share)).astype(np.float64)
    worth = clumped(below, samples.calls, samples.at, share, effective(found, share)).num_effective
    low, high = (_bound(ascending, worth, rank) for rank in ranks(worth, share))
    return low, high


def ranks(num: float, share: float, level: float = LEVEL) -> tuple[float | None, float | None]:
    """Return the fractional ranks, 1 to `num`, of the order statistics that bound a percentile.

    U₍ₖ₎ of k out of n uniform variables is Beta(k, n+1-k); k need not be whole (Hutson 1999), nor n.
    """
    tail = (1 - level) / 2
    low, high = _rank(num, share, 1 - tail), _rank(num, share, tail)
    if high is None:
        low = _rank(num, share, level)
    elif low is None:
        high = _rank(num, share, 1 - level)
    return low, high


def _rank(num: float, share: float, confidence: float) -> float | None:
    """Return the rank whose order statistic lies below the percentile with `confidence`."""

    def below(rank: float) -> float:
        return float(special.betainc(rank, num + 1 - rank, share)) - confidence

    if num <= 1 or below(1.0) < 0 or below(num) > 0:
        return None
    return float(optimize.brentq(below, 1.0, num, xtol=1e-4))


def _bound(ascending: Floats, num: float, rank: float | None) -> float | None:
    if rank is None:
        return None
    value = _at(ascending, rank / (num + 1) * (ascending.size + 1))
    return value if math.isfinite(value) else None


def _at(ascending: Floats, rank: float) -> float:
    """Return the order statistic of a fractional rank, 1 the lowest, interpolated; +inf from the first +inf on."""
    place = min(max(rank - 1, 0.0), ascending.size - 1.0)
    under = int(place)
    part = place - under
    if part < 1e-9:
        return float(ascending[under])
    return (
        float(ascending[under] + part * (ascending[under + 1] - ascending[under]))
        if np.isfinite(ascending[under])
        else math.inf
    )


def _percentile(samples: Samples, correlation: Correlation | None, share: float) -> Percentile:
    num, wanted = samples.values.size, samples_wanted(share)
    if num < wanted or correlation is None:
        return Percentile(share, None, None, None, reason=f"{num} samples, {name_of(share)} wants {wanted}")
    low, high = interval(samples, share, correlation)
    value = percentile_of(np.sort(samples.values), share)
    if not math.isfinite(value):
        known = percentile_of(np.sort(samples.at_least), share)
        reason = f"{samples.num_censored} of {num} never came: {name_of(share)} lies among them"
        return Percentile(share, None, low, None, METHOD, known if known > 0 else None, reason)
    open_side = "too few independent samples, or too many that never came, for an upper bound"
    reason_open = None if high is not None else open_side
    return Percentile(share, value, low, high, METHOD, reason=reason_open)


def name_of(share: float) -> str:
    """Return "P95" for 0.95, "P99.9" for 0.999."""
    return f"P{round(share * 100, 6):g}"
