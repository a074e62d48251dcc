"""Rates with the interval of Wilson (1927). Knows counts alone."""

from typing import Final

from scipy import stats

from voicectl.bench.summary import Proportion

FEWEST_EVENTS: Final = 10
"""A rate of fewer than ten is not printed: its interval stays, and says how little is known."""


def proportion(name: str, num: int, of: int, level: float = 0.95) -> Proportion:
    """Return `num` of `of` with its interval; nothing at all is known of none."""
    if of == 0:
        return Proportion(name, 0, 0, None, None, None)
    low, high = wilson(num, of, level)
    return Proportion(name, num, of, num / of if of >= FEWEST_EVENTS else None, low, high)


def wilson(num: float, of: float, level: float = 0.95) -> tuple[float, float]:
    """Return the score interval of a proportion; `num` and `of` need not be whole (effective sizes)."""
    z = float(stats.norm.ppf((1 + level) / 2))
    share = num / of
    centre = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * ((share * (1 - share) + z * z / (4 * of)) / of) ** 0.5
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))
