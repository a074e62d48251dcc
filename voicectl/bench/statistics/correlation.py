"""Estimate how many independent samples a run's samples are worth. Knows ranks, calls and instants, no latencies.

Turns of one call resemble each other, and turns that happen at the same time do, whichever call they belong to.
Both are estimated from normal scores of the ranks (Gaussian copula), because a tail of ten samples says next to
nothing about correlation, while all samples together do; what they mean for the variance of the share of samples
below a percentile follows from the bivariate normal distribution. Dependence of the tail alone (stalls) is no
matter of ranks: it is found by its clumps, and believed when it is significant.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_CELLS: Final = 1024
"""Cells the run's time is divided into: the resolution at which drift is seen."""
_LONGEST_CELLS: Final = 1 / 6
"""Longest correlation time that is tried, as a share of the run; beyond, a run has no steady state."""
_FARTHEST: Final = 256
"""Turns of one call farther apart than this count as turns of different calls."""
_NUM_TAUS: Final = 18
_DRIFT_SIGNIFICANT: Final = 6.0
"""Squared z value above which drift is believed: the best of eighteen correlated tries exceeds it 3 times in 100."""
_CLUMPS_SIGNIFICANT: Final = 0.03
_PASSES: Final = 3
"""Covariances around the run's own mean are too low by the variance of that mean: estimated again so often."""
_DRIFT_PENALTY: Final = 4.0
"""A run of length T holds about T / (4 τ) independent estimates of a drift with correlation time τ."""
_LEAST_DEFF: Final = 0.3
_MOST_CORRELATED: Final = 0.98


@dataclass(frozen=True, slots=True)
class Correlation:
    """What resembles what, on the scale of normal scores.

    `lag_rho[b]` is the correlation of `lag_pairs[b]` pairs of turns of one call, drift included. Turns of
    different calls that are h cells of time apart (`time_pairs[h]` pairs) correlate by
    `drift_rho` · exp(-h / `drift_cells`).
    """

    num: int
    num_clusters: int
    lag_rho: Floats
    lag_pairs: Floats
    time_pairs: Floats
    drift_rho: float
    drift_cells: float
    cell_s: float
    mean_deff: float

    @property
    def drifts(self) -> bool:
        """Return whether turns of different calls were found to correlate in time."""
        return self.drift_rho > 0

    @property
    def drift_s(self) -> float | None:
        """Return the correlation time of the drift; None where there is none."""
        return self.drift_cells * self.cell_s if self.drifts else None


@dataclass(frozen=True, slots=True)
class Effective:
    """The design effect on a percentile, the degrees of freedom it was estimated with, and `num` / `deff`.

    `num_effective` is the sample size for an interval: reduced once more for the doubt about the design effect.
    """

    deff: float
    dof: float
    num: float
    num_effective: float


def correlate(values: Floats, calls: Ints, at: Floats) -> Correlation:
    """Estimate how `values` (n,), of calls numbered `calls` (n,) at instants `at` (n,), hang together.

    Infinite values are allowed. One call alone is taken as a series in time: nothing is said of other calls.
    """
    num = values.size
    _, clusters = np.unique(calls, return_inverse=True)
    if clusters.max(initial=0) == 0:
        clusters = np.arange(num)
    scores = _normal_scores(values)
    lag_pairs, lag_sums, time_pairs, time_sums = _pairs(scores, clusters, _cells(at))
    rho, tau, variance = 0.0, 1.0, 1 / num
    cells = np.arange(_CELLS)
    for _ in range(_PASSES):
        lag_rho = np.where(lag_pairs > 0, lag_sums / np.maximum(lag_pairs, 1), 0.0) + variance
        cluster_deff = max(0.5, 1 + 2 * float(lag_pairs @ lag_rho) / num)
        rho, tau = _drift(time_pairs, time_sums + variance * time_pairs, cluster_deff)
        drifted = rho * float(time_pairs @ np.exp(-cells / tau)) if rho else 0.0
        variance = min(max((1 + 2 * (float(lag_pairs @ lag_rho) + drifted) / num) / num, 0.2 / num), 0.5)
    return Correlation(
        num=num,
        num_clusters=int(clusters.max(initial=0)) + 1,
        lag_rho=np.clip(lag_rho, -_MOST_CORRELATED, _MOST_CORRELATED),
        lag_pairs=lag_pairs,
        time_pairs=time_pairs,
        drift_rho=rho,
        drift_cells=tau,
        cell_s=float(np.ptp(at)) / _CELLS,
        mean_deff=variance * num,
    )


def effective(correlation: Correlation, share: float) -> Effective:
    """Return what the samples are worth for the percentile `share`.

    The variance of the share of samples below it, against that of as many independent ones, is the design effect
    (Kish 1965); its degrees of freedom follow Satterthwaite; the sample size is reduced by (z / t)² as Korn and
    Graubard (1998) do for proportions of surveys.
    """
    num = correlation.num
    excess = float(correlation.lag_pairs @ _indicator_rho(share, correlation.lag_rho))
    dof = max(1.0, correlation.num_clusters - 1.0)
    if correlation.drifts:
        rho = correlation.drift_rho * np.exp(-np.arange(_CELLS) / correlation.drift_cells)
        excess += float(correlation.time_pairs @ _indicator_rho(share, rho))
        dof = 1 / (1 / dof + _DRIFT_PENALTY * correlation.drift_cells / _CELLS)
    deff = max(_LEAST_DEFF, 1 + 2 * excess / num)
    mean_excess = correlation.mean_deff - 1
    passed_on = (deff - 1) / mean_excess if abs(mean_excess) > 0.2 else _passed_on(share)
    passed_on = min(max(passed_on, 0.02), 1.5)
    return effective_of(num, deff, max(2.0, dof * (deff / (passed_on * correlation.mean_deff)) ** 2))


def effective_of(num: int, deff: float, dof: float) -> Effective:
    """Return the effective sizes for a known design effect."""
    shrink = float(stats.norm.ppf(0.975) / stats.t.ppf(0.975, dof)) ** 2
    return Effective(deff, dof, num / deff, max(2.0, num / deff * shrink))


def clumped(below: Floats, calls: Ints, at: Floats, share: float, known: Effective) -> Effective:
    """Return `known`, or what the samples are worth if exceedances clump significantly beyond it.

    `below` (n,) is 1 for samples up to the percentile, else 0. Calls, and stretches of time, are the clumps.
    """
    worst = known
    residuals = below - below.mean()
    for clusters in _clusterings(calls, at):
        sums = np.bincount(clusters, residuals)
        num_clusters = sums.size
        if num_clusters < 4:
            continue
        deff = float(sums @ sums) * num_clusters / (num_clusters - 1) / (below.size * share * (1 - share))
        excess = deff / known.deff
        if excess > 1 and stats.chi2.sf(excess * (num_clusters - 1), num_clusters - 1) < _CLUMPS_SIGNIFICANT:
            found = effective_of(below.size, deff, num_clusters - 1)
            worst = min(worst, found, key=lambda each: each.num_effective)
    return worst


def _clusterings(calls: Ints, at: Floats) -> list[Ints]:
    _, by_call = np.unique(calls, return_inverse=True)
    order = np.argsort(at, kind="stable")
    found = [by_call]
    for num_stretches in (64, 24):
        if at.size >= 2 * num_stretches:
            stretch = np.empty(at.size, dtype=np.intp)
            stretch[order] = np.arange(at.size) * num_stretches // at.size
            found.append(stretch)
    return found


def _normal_scores(values: Floats) -> Floats:
    scores: Floats = stats.norm.ppf((stats.rankdata(values) - 0.5) / values.size)
    spread = float(np.sqrt(np.mean(scores**2)))
    return scores / spread if spread > 0 else scores


def _cells(at: Floats) -> Ints:
    width = float(np.ptp(at)) / _CELLS
    if width <= 0:
        return np.zeros(at.size, dtype=np.intp)
    cells: Ints = np.minimum(((at - at.min()) / width).astype(np.intp), _CELLS - 1)
    return cells


def _pairs(scores: Floats, clusters: Ints, cells: Ints) -> tuple[Floats, Floats, Floats, Floats]:
    """Return counts and sums of products: of pairs in one cluster by lag class, of all others by cells apart."""
    time_sums = _by_distance(np.bincount(cells, scores, _CELLS))
    time_pairs = _by_distance(np.bincount(cells, minlength=_CELLS))
    time_sums[0] = (time_sums[0] - scores @ scores) / 2
    time_pairs[0] = (time_pairs[0] - scores.size) / 2
    order = np.lexsort((cells, clusters))
    scores, clusters, cells = scores[order], clusters[order], cells[order]
    farthest = min(int(np.bincount(clusters).max()) - 1, _FARTHEST)
    lag_pairs, lag_sums = np.zeros(_lag_class(_FARTHEST) + 1), np.zeros(_lag_class(_FARTHEST) + 1)
    for lag in range(1, farthest + 1):
        same = clusters[lag:] == clusters[:-lag]
        products = (scores[lag:] * scores[:-lag])[same]
        apart = np.abs(cells[lag:] - cells[:-lag])[same]
        lag_pairs[_lag_class(lag)] += products.size
        lag_sums[_lag_class(lag)] += products.sum()
        time_sums -= np.bincount(apart, products, _CELLS)
        time_pairs -= np.bincount(apart, minlength=_CELLS)
    return lag_pairs, lag_sums, np.round(time_pairs), time_sums


def _lag_class(lag: int) -> int:
    """Return the class of a lag: 1 to 8 are their own, then four to the octave."""
    return lag - 1 if lag <= 8 else 8 + int(4 * np.log2((lag - 1) / 8))


def _by_distance(in_cells: Floats | Ints) -> Floats:
    """Return, for each distance between cells, the sum of products of what the cells hold."""
    spectrum = np.fft.rfft(in_cells, 2 * _CELLS)
    products: Floats = np.fft.irfft(spectrum * spectrum.conj())[:_CELLS]
    return products


def _drift(pairs: Floats, sums: Floats, cluster_deff: float) -> tuple[float, float]:
    """Fit ρ·exp(-h/τ) to the mean products by distance; ρ is 0 where it is not significant.

    Least squares weighted by pairs. Under no drift ρ̂'s z value has variance `cluster_deff`²: calls, not turns,
    are what is independent then.
    """
    near = pairs > 0.5
    near[_CELLS // 2 :] = False
    distance, pairs, sums = np.flatnonzero(near), pairs[near], sums[near]
    if not distance.size:
        return 0.0, 1.0
    taus = np.geomspace(1.0, _CELLS * _LONGEST_CELLS, _NUM_TAUS)
    shape = np.exp(-distance / taus[:, None])
    fitted, weight = shape @ sums, np.maximum((shape**2) @ pairs, 1e-12)
    z_squared = np.where(fitted > 0, fitted**2 / weight, 0.0) / cluster_deff**2
    best = int(np.argmax(z_squared))
    if z_squared[best] < _DRIFT_SIGNIFICANT:
        return 0.0, 1.0
    return min(float(fitted[best] / weight[best]), 0.95), float(taus[best])


@cache
def _orthant(share: float) -> tuple[Floats, Floats]:
    """Return the correlation of "below the percentile" for correlations of normal variables, as a table.

    ∂Φ₂(q, q; ρ)/∂ρ is the bivariate density at (q, q) (Plackett 1954).
    """
    q = float(stats.norm.ppf(share))
    rho = np.linspace(-0.99, 0.99, 1981)
    density = np.exp(-q * q / (1 + rho)) / (2 * np.pi * np.sqrt(1 - rho**2))
    steps = (density[1:] + density[:-1]) / 2 * np.diff(rho)
    covariance = np.concatenate([[0.0], np.cumsum(steps)])
    return rho, (covariance - covariance[rho.size // 2]) / (share * (1 - share))


def _indicator_rho(share: float, rho: Floats) -> Floats:
    table_rho, table = _orthant(share)
    found: Floats = np.interp(rho, table_rho, table)
    return found


def _passed_on(share: float) -> float:
    """Return which part of a small correlation of scores the indicator of the percentile has."""
    return float(stats.norm.pdf(stats.norm.ppf(share)) ** 2 / (share * (1 - share)))
