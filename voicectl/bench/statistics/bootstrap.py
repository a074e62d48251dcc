"""Resample whole calls and read percentiles of what was drawn. Knows clusters and weights; seeded and bounded."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voicectl.bench.statistics.correlation import Floats, Ints

RESAMPLES: Final = 1000
_SEED: Final = 20_260_101
_AT_ONCE: Final = 2_000_000
"""Cells of a matrix of weights held at once: 16 MB."""


def draw(num_clusters: int, resamples: int = RESAMPLES, seed: int = _SEED) -> NDArray[np.int64]:
    """Return how often each cluster is drawn in each resample, shape (resamples, num_clusters)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(num_clusters, np.full(num_clusters, 1 / num_clusters), size=resamples)


def percentiles(values: Floats, clusters: Ints, weights: NDArray[np.int64], shares: Sequence[float]) -> Floats:
    """Return percentiles of each resample, shape (resamples, shares); nan where nothing was drawn.

    `clusters` (n,) number the columns of `weights`. The percentile is the lowest value with at least that share
    of the drawn weight up to it.
    """
    order = np.argsort(values, kind="stable")
    ascending, columns = values[order], clusters[order]
    found = np.full((weights.shape[0], len(shares)), np.nan)
    step = max(1, _AT_ONCE // max(1, values.size))
    for start in range(0, weights.shape[0], step):
        running = np.cumsum(weights[start : start + step, columns], axis=1)
        total = running[:, -1]
        for column, share in enumerate(shares):
            place = np.sum(running < share * total[:, None], axis=1)
            chosen = ascending[np.minimum(place, values.size - 1)]
            found[start : start + step, column] = np.where(total > 0, chosen, np.nan)
    return found


def clustered_interval(values: Floats, clusters: Ints, share: float, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a percentile, whole clusters resampled.

    Kept to be measured against: it covers less than it promises (see docs/measuring.md).
    """
    _, columns = np.unique(clusters, return_inverse=True)
    drawn = percentiles(values, columns, draw(int(columns.max()) + 1), (share,))[:, 0]
    low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    return float(low), float(high)
