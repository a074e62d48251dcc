"""The samples of one run as a comparison wants them: with what is to be resampled whole. Compares nothing."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from voicectl.bench.statistics.correlation import Floats, Ints, correlate

FEWEST_CALLS: Final = 6
_CORRELATION_TIMES: Final = 4

Row = tuple[float, int, float]
"""A turn's latency, the number of its call, and its instant."""


@dataclass(frozen=True, slots=True)
class Side:
    """The samples of one run in the comparison: `clusters` number what is resampled."""

    values: Floats
    calls: Ints
    at: Floats
    clusters: Ints


def side_of(rows: list[Row]) -> Side:
    """Return one side of a comparison."""
    values = np.array([row[0] for row in rows], dtype=np.float64)
    calls = np.array([row[1] for row in rows], dtype=np.intp)
    at = np.array([row[2] for row in rows], dtype=np.float64)
    return Side(values, calls, at, _blocks(values, calls, at))


def _blocks(values: Floats, calls: Ints, at: Floats) -> Ints:
    """Return what is to be resampled whole: calls, or neighbouring calls where latency drifts in time."""
    if values.size < 2:
        return np.zeros(values.size, dtype=np.intp)
    names, by_call = np.unique(calls, return_inverse=True)
    drift_s = correlate(values, calls, at).drift_s
    if drift_s is None:
        return by_call
    begun = np.full(names.size, np.inf)
    np.minimum.at(begun, by_call, at)
    num_blocks = int(np.ptp(begun) / max(_CORRELATION_TIMES * drift_s, 1e-9))
    num_blocks = min(names.size, max(FEWEST_CALLS, num_blocks))
    block = np.empty(names.size, dtype=np.intp)
    block[np.argsort(begun, kind="stable")] = np.arange(names.size) * num_blocks // names.size
    return block[by_call]


def count_of(side: Side) -> int:
    """Return how many clusters are resampled."""
    return int(side.clusters.max()) + 1
