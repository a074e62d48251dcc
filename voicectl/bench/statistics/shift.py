"""How far one run lies from another as a whole: superiority, and the median difference. Decides nothing."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats

from voicectl.bench.statistics.bootstrap import draw, percentiles
from voicectl.bench.statistics.correlation import Floats, correlate, effective
from voicectl.bench.statistics.intervals import percentile_of
from voicectl.bench.statistics.sides import Side

_MOST_DIFFERENCES: Final = 1000


@dataclass(frozen=True, slots=True)
class Shift:
    """How far B lies from A as a whole.

    `superiority` is the probability that a turn of B is slower than one of A (ties half), `cliffs_delta` 2·that - 1,
    `p_value` that of Mann and Whitney's U with the variance that correlated samples have. The Hodges-Lehmann shift
    in seconds is the median difference: of pairs where turns are paired, else of every turn of B to every one of A.
    """

    superiority: float
    cliffs_delta: float
    p_value: float
    shift_s: float | None
    low_s: float | None
    high_s: float | None


def shift_of(a: Side, b: Side, paired: bool) -> Shift:
    """Return how far B lies from A; of pairs, rows of both sides are the same turns."""
    superiority, z = _mann_whitney(a, b)
    if paired:
        shift, low, high = _median_with_interval(b.values, a.values, a)
    else:
        shift, low, high = _hodges_lehmann(a, b)
    return Shift(superiority, 2 * superiority - 1, 2 * float(stats.norm.sf(abs(z))), shift, low, high)


def _mann_whitney(a: Side, b: Side) -> tuple[float, float]:
    """Return the probability that a turn of B is slower and its z value, by placements at effective sample sizes."""
    num_a, num_b = a.values.size, b.values.size
    together = stats.rankdata(np.concatenate([a.values, b.values]))
    placed_a = (together[:num_a] - stats.rankdata(a.values)) / num_b
    placed_b = (together[num_a:] - stats.rankdata(b.values)) / num_a
    superiority = float(placed_b.mean())
    variance = float(placed_a.var()) / _worth(a) + float(placed_b.var()) / _worth(b)
    if variance <= 0:
        return superiority, 0.0 if superiority == 0.5 else math.copysign(math.inf, superiority - 0.5)
    return superiority, (superiority - 0.5) / math.sqrt(variance)


def _worth(side: Side) -> float:
    return max(
        2.0, min(float(side.values.size), effective(correlate(side.values, side.calls, side.at), 0.5).num_effective)
    )


def _median_with_interval(after: Floats, before: Floats, side: Side) -> tuple[float | None, float | None, float | None]:
    with np.errstate(invalid="ignore"):
        differences = after - before
    known = ~np.isnan(differences)
    if not known.any():
        return None, None, None
    # Two that never came differ by an unknown amount: left out of the shift, not of the ratios.
    differences, clusters = differences[known], np.unique(side.clusters[known], return_inverse=True)[1]
    drawn = percentiles(differences, clusters, draw(int(clusters.max()) + 1), (0.5,))[:, 0]
    low, high = np.nanquantile(drawn, [0.025, 0.975], method="inverted_cdf")
    return _finite(percentile_of(np.sort(differences), 0.5)), _finite(low), _finite(high)


def _hodges_lehmann(a: Side, b: Side) -> tuple[float | None, float | None, float | None]:
    """Return the median of all differences and, after Moses, the interval that Mann-Whitney's test leaves."""
    first, second = (_thinned(side.values) for side in (a, b))
    with np.errstate(invalid="ignore"):
        differences = (second[:, None] - first[None, :]).ravel()
    differences = np.sort(differences[~np.isnan(differences)])
    if not differences.size:
        return None, None, None
    worth_a, worth_b = _worth(a), _worth(b)
    half = float(stats.norm.ppf(0.975)) * math.sqrt((worth_a + worth_b + 1) / (12 * worth_a * worth_b))
    ends = [
        differences[min(differences.size - 1, int(max(0.0, 0.5 + side * half) * differences.size))] for side in (-1, 1)
    ]
    return _finite(float(np.median(differences))), _finite(ends[0]), _finite(ends[1])


def _thinned(values: Floats) -> Floats:
    """Return at most a thousand values, evenly spread over the ranks: a million differences are enough."""
    ascending = np.sort(values)
    if ascending.size <= _MOST_DIFFERENCES:
        return ascending
    return ascending[(np.arange(_MOST_DIFFERENCES) + 0.5).astype(np.intp) * ascending.size // _MOST_DIFFERENCES]


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
