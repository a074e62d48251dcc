"""The test that decides: an e-value that may be looked at every day, and the Wilson bound shown beside it.

The e-value is the likelihood ratio of "better than the bar" to "exactly at the bar", averaged over a prior on the
better side. Under any rate at or below the bar its expectation is at most 1 at every look, so the chance that it
ever reaches 1/alpha is at most alpha, whenever and how often one looks (Ville's inequality).
"""

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincc, betaincinv, betaln, ndtri

PRIOR: Final = 0.5
"""Both parameters of the beta prior (Jeffreys'), cut to the side of the bar that is better."""
MAX_FORECAST: Final = 1_000_000


def log_e_value(good: ArrayLike, total: ArrayLike, bar: float) -> NDArray[np.float64]:
    """Return the logarithm of the e-value against "the chance of a good event is `bar` or less".

    Takes counts or arrays of counts. Minus infinity where the evidence for a better rate is too small to be told.
    """
    k, n = np.asarray(good, dtype=float), np.asarray(total, dtype=float)
    with np.errstate(divide="ignore"):
        mixture = betaln(PRIOR + k, PRIOR + n - k) + np.log(betaincc(PRIOR + k, PRIOR + n - k, bar))
    prior = betaln(PRIOR, PRIOR) + math.log(betaincc(PRIOR, PRIOR, bar))
    result: NDArray[np.float64] = mixture - prior - k * math.log(bar) - (n - k) * math.log1p(-bar)
    return result


def wilson_lower(good: int, total: int, alpha: float) -> float | None:
    """Return the one-sided lower Wilson bound of a rate; None without events."""
    if total == 0:
        return None
    z = -float(ndtri(alpha))
    rate, spread = good / total, z * z / total
    half = z * math.sqrt(rate * (1 - rate) / total + spread / (4 * total))
    return (rate + spread / 2 - half) / (1 + spread)


def forecast(good: int, total: int, rate: float, bar: float, alpha: float) -> int | None:
    """Return how many more events it takes until the e-value reaches 1/alpha, if the rate stays `rate`.

    0 if it has; None if it is not to be expected, or not within a million events.
    """
    threshold = -math.log(alpha)

    def reached(more: int) -> bool:
        return float(log_e_value(good + rate * more, total + more, bar)) >= threshold

    if reached(0):
        return 0
    if rate <= bar:
        return None
    high = 1
    while not reached(high):
        high *= 2
        if high > MAX_FORECAST:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def bound_of(successes: int, trials: int, alpha: float, *, upper: bool) -> float:
    """Return a one-sided exact (Clopper-Pearson) bound of a rate; the worst one without trials."""
    if trials == 0:
        return 1.0 if upper else 0.0
    if upper:
        return 1.0 if successes == trials else float(betaincinv(successes + 1, trials - successes, 1 - alpha))
    return 0.0 if successes == 0 else float(betaincinv(successes, trials - successes + 1, alpha))
