"""Search the highest load that keeps a threshold: which load to try next, and what the tries show. Makes no call.

Runs are noisy: the same load may keep the threshold once and miss it once. Outcomes are pooled by load, the loads
on either side of the boundary are tried again, and where outcomes contradict that more load is worse, the interval
spans the contradiction and the estimate comes from a monotone fit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy import optimize

TryOutcome = Literal["met", "missed", "invalid"]

_INVALID_AGAIN: Final = 2
"""A load that could not be measured twice is not tried a third time."""


@dataclass(frozen=True, slots=True)
class Try:
    """One run at one load. `invalid`: it says nothing of the server (a saturated server has *missed*, though).

    `value` is what was observed for the threshold, None where it could not be told.
    """

    load: float
    outcome: TryOutcome
    num: int = 0
    value: float | None = None


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """What to search: from `start`, between `least` and `most`, to within `precision` (0.1: ten per cent).

    `whole` loads are counts (concurrency). Both sides of the boundary are to be seen `repeats` times, and there
    are at most `most_tries` runs in all.
    """

    start: float
    least: float
    most: float
    precision: float = 0.10
    whole: bool = False
    repeats: int = 2
    most_tries: int = 14


@dataclass(frozen=True, slots=True)
class NextTry:
    """The load to try next, or None when the search is over; why either way."""

    load: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class HighestLoad:
    """The highest load that keeps the threshold, with what bounds it: None where nothing does.

    `load` is None when even the lowest load missed; `best_value` is then the best that was seen, at `best_load`.
    """

    load: float | None
    low: float | None
    high: float | None
    num_tries: int
    reason: str
    best_load: float | None = None
    best_value: float | None = None


@dataclass(frozen=True, slots=True)
class _Level:
    load: float
    met: int
    missed: int
    invalid: int

    @property
    def judged(self) -> int:
        return self.met + self.missed

    @property
    def keeps(self) -> bool:
        """Return whether it was kept more often than not; a draw is not enough."""
        return self.met > self.missed

    @property
    def unmeasurable(self) -> bool:
        return not self.judged and self.invalid >= _INVALID_AGAIN


def next_try(tries: Sequence[Try], plan: SearchPlan) -> NextTry:
    """Return the next load to try: double or halve to enclose the boundary, bisect, then see both sides again."""
    if len(tries) >= plan.most_tries:
        return NextTry(None, f"{plan.most_tries} tries were made")
    levels = _levels(tries)
    open_again = [level for level in levels if not level.judged and not level.unmeasurable]
    if open_again:
        return NextTry(open_again[0].load, "the last run at this load was INVALID")
    judged = [level for level in levels if level.judged]
    ceiling = min((level.load for level in levels if level.unmeasurable), default=math.inf)
    if not judged:
        return _first(plan, ceiling)
    low, high = _boundary(judged)
    if low is None or high is None:
        return _enclose(judged, plan, ceiling, low, high)
    between = _between(low.load, high.load, plan)
    if between is not None:
        return NextTry(between, f"between {low.load:g}, which kept the threshold, and {high.load:g}, which did not")
    return _again((low, high), plan)


def conclude(tries: Sequence[Try], plan: SearchPlan) -> HighestLoad:
    """Return what the tries show, however many they are."""
    judged = [level for level in _levels(tries) if level.judged]
    seen = [each for each in tries if each.value is not None and each.outcome != "invalid"]
    best = min(seen, key=lambda each: each.value if each.value is not None else math.inf, default=None)
    at, value = (None, None) if best is None else (best.load, best.value)
    if not judged:
        return HighestLoad(None, None, None, len(tries), "no run was VALID: nothing is known")
    missed = [level.load for level in judged if level.missed]
    met = [level.load for level in judged if level.met]
    low = max((load for load in met if not missed or load < min(missed)), default=None)
    high = min((load for load in missed if not met or load > max(met)), default=None)
    fitted = _fitted(judged)
    if fitted is None:
        lowest = judged[0].load
        reason = f"even {lowest:g} misses the threshold"
        if lowest > plan.least:
            reason += f"; loads below it, down to {plan.least:g}, were not tried"
        return HighestLoad(None, low, high, len(tries), reason, at, value)
    contradicted = bool(missed) and max(met) > min(missed)
    reason = _told(judged, plan, fitted, high, contradicted)
    return HighestLoad(fitted, low, high, len(tries), reason, at, value)


def _levels(tries: Sequence[Try]) -> list[_Level]:
    loads = sorted({each.load for each in tries})
    outcomes = {load: [each.outcome for each in tries if each.load == load] for load in loads}
    return [_Level(at, seen.count("met"), seen.count("missed"), seen.count("invalid")) for at, seen in outcomes.items()]


def _first(plan: SearchPlan, ceiling: float) -> NextTry:
    if ceiling == math.inf:
        return NextTry(min(max(plan.start, plan.least), plan.most), "the first load")
    lower = _rounded(ceiling / 2, plan)
    if lower < plan.least or lower >= ceiling:
        return NextTry(None, f"not even {ceiling:g} could be measured")
    return NextTry(lower, f"{ceiling:g} could not be measured")


def _boundary(judged: Sequence[_Level]) -> tuple[_Level | None, _Level | None]:
    """Return the neighbours between which the monotone fit crosses one half."""
    fitted = _monotone(judged)
    kept = [level for level, share in zip(judged, fitted, strict=True) if share > 0.5]
    lost = [level for level, share in zip(judged, fitted, strict=True) if share <= 0.5]
    return (kept[-1] if kept else None), (lost[0] if lost else None)


def _enclose(
    judged: Sequence[_Level], plan: SearchPlan, ceiling: float, low: _Level | None, high: _Level | None
) -> NextTry:
    if low is None:
        lowest = judged[0]
        if lowest.load <= plan.least:
            return _again((lowest,), plan)
        return NextTry(max(plan.least, _rounded(lowest.load / 2, plan)), f"{lowest.load:g} missed the threshold")
    if low.load >= plan.most:
        return _again((low,), plan)
    higher = min(plan.most, _rounded(low.load * 2, plan))
    if higher >= ceiling:
        between = _between(low.load, ceiling, plan)
        return _again((low,), plan) if between is None else NextTry(between, f"{ceiling:g} could not be measured")
    return NextTry(higher, f"{low.load:g} kept the threshold")


def _again(sides: Sequence[_Level], plan: SearchPlan) -> NextTry:
    """Try a side of the boundary again until it was seen often enough, and once more where it is a draw."""
    for level in sorted(sides, key=lambda each: each.judged):
        drawn = level.met == level.missed and level.judged < 2 * plan.repeats
        if level.judged < plan.repeats or drawn:
            return NextTry(level.load, f"{level.load:g} was seen {level.judged} times, {plan.repeats} are wanted")
    return NextTry(None, "the boundary was seen from both sides" if len(sides) > 1 else "the range ends here")


def _between(low: float, high: float, plan: SearchPlan) -> float | None:
    """Return the geometric mean, None when the loads are close enough."""
    if high / low <= 1 + plan.precision or (plan.whole and high - low <= 1):
        return None
    middle = _rounded(math.sqrt(low * high), plan)
    return middle if low < middle < high else (low + 1 if plan.whole else None)


def _rounded(load: float, plan: SearchPlan) -> float:
    return float(max(1, round(load))) if plan.whole else float(f"{load:.4g}")


def _monotone(judged: Sequence[_Level]) -> list[float]:
    """Return the share of tries that kept the threshold, made to fall with load (isotonic regression)."""
    shares = np.array([level.met / level.judged for level in judged])
    weights = np.array([level.judged for level in judged], dtype=np.float64)
    return [float(each) for each in optimize.isotonic_regression(shares, weights=weights, increasing=False).x]


def _fitted(judged: Sequence[_Level]) -> float | None:
    low, _ = _boundary(judged)
    return None if low is None else low.load


def _told(judged: Sequence[_Level], plan: SearchPlan, load: float, high: float | None, contradicted: bool) -> str:
    if contradicted:
        return (
            "outcomes contradict each other near the boundary: the interval spans them, the estimate is a monotone fit"
        )
    if high is None and load >= plan.most:
        return f"the highest load allowed, {plan.most:g}, keeps the threshold"
    if high is None:
        return f"no load above {load:g} could be measured"
    seen = min(level.judged for level in judged if level.load in (load, high))
    return f"{load:g} kept the threshold and {high:g} did not, each seen {seen} times or more"
