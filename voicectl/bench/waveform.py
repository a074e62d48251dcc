"""Where sound begins and ends in a recording, read from its samples alone. Knows no clock and no call.

A sample is loud when |x| exceeds the threshold

    clamp(NOISE_FACTOR × noise floor, AUDIBLE, max(AUDIBLE, LOUD_SHARE × loud level))

where the floor is the median peak of the quietest tenth of all 20 ms windows, and the loud level is
the 95th percentile of the window peaks. The lower bound is what a quiet line hides (300 of 32768);
the upper one keeps a steady sound, which is its own floor, audible. Sound is a cluster of loud
samples that lasts: an isolated click is none.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voicectl.core.audio import Samples

AUDIBLE: Final = 300 / 32768
"""Quietest level, relative to full scale, that counts as sound."""
NOISE_FACTOR: Final = 2.0
LOUD_SHARE: Final = 0.5
WINDOW_S: Final = 0.020
CLUSTER_S: Final = 0.020
"""Loud samples closer than this belong together."""
MIN_CLUSTER_S: Final = 0.003
"""A shorter cluster is a click."""
MIN_LOUD: Final = 4
"""A cluster of fewer loud samples is a click."""


@dataclass(frozen=True, slots=True)
class Span:
    """From the first to the last loud sample, seconds from the first sample of the recording."""

    first_s: float
    last_s: float


def audible_span(samples: Samples, rate: int) -> Span | None:
    """Return where sound begins and ends in mono `samples`, shape (n,); None when there is none."""
    loud = np.flatnonzero(np.abs(samples) > threshold(samples, rate))
    if loud.size == 0:
        return None
    lasting = _lasting(loud, rate)
    if lasting.size == 0:
        return None
    return Span(first_s=float(lasting[0]) / rate, last_s=float(lasting[-1]) / rate)


def threshold(samples: Samples, rate: int) -> float:
    """Return the level above which a sample is loud, relative to full scale; the module says how."""
    peaks = window_peaks(samples, rate)
    if peaks.size == 0:
        return AUDIBLE
    quietest = np.sort(peaks)[: max(1, peaks.size // 10)]
    floor = float(np.median(quietest))
    ceiling = max(AUDIBLE, LOUD_SHARE * float(np.percentile(peaks, 95)))
    return min(max(AUDIBLE, NOISE_FACTOR * floor), ceiling)


def window_peaks(samples: Samples, rate: int) -> Samples:
    """Return the peak of every whole 20 ms window, shape (windows,)."""
    width = max(1, round(WINDOW_S * rate))
    whole = samples.size // width * width
    return np.abs(samples[:whole]).reshape(-1, width).max(axis=1) if whole else np.abs(samples)


def _lasting(loud: NDArray[np.intp], rate: int) -> NDArray[np.intp]:
    """Keep the loud samples of clusters that last."""
    breaks = np.flatnonzero(np.diff(loud) > CLUSTER_S * rate) + 1
    starts = np.concatenate(([0], breaks))
    ends = np.concatenate((breaks, [loud.size]))
    lengths = loud[ends - 1] - loud[starts]
    kept = (lengths >= MIN_CLUSTER_S * rate) & (ends - starts >= MIN_LOUD)
    lasting: NDArray[np.intp] = loud[np.repeat(kept, ends - starts)]
    return lasting
