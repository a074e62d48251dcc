"""Say whether run B is slower than run A, with an interval. Knows two records; trusts neither before judging it.

Where both runs held the same conversations (same workload and seed), their turns are compared in pairs and calls
are resampled together, so that what makes a turn slow in both runs cancels out.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy import stats

from voicectl.bench.run_record import RunRecord
from voicectl.bench.statistics import observed
from voicectl.bench.statistics.bootstrap import draw, percentiles
from voicectl.bench.statistics.correlation import Floats
from voicectl.bench.statistics.intervals import name_of, percentile_of, samples_wanted
from voicectl.bench.statistics.shift import Shift, shift_of
from voicectl.bench.statistics.sides import FEWEST_CALLS, Row, Side, count_of, side_of
from voicectl.bench.statistics.summarize import PRIMARY, after_warm_up, summarize, warm_up_of

Outcome = Literal["slower", "faster", "no difference shown", "not comparable"]

TOLERANCE: Final = 0.05
SHARES: Final = (0.5, 0.95)
_TAIL: Final = 0.025 / len(SHARES)
"""A system that is compared with itself must not be told apart by either percentile in more than 5 of 100 cases."""
_FEWEST_PAIRS: Final = 20


@dataclass(frozen=True, slots=True)
class Ratio:
    """B over A at one percentile; None with `reason` where one of them has none.

    The interval is simultaneous: all percentiles of a comparison lie in theirs in 95 of 100 cases (Bonferroni).
    """

    share: float
    before_s: float | None
    after_s: float | None
    ratio: float | None
    low: float | None
    high: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison found. `ratios` are of the metric's P50 and P95."""

    outcome: Outcome
    reason: str
    metric: str
    paired: bool
    num_before: int
    num_after: int
    ratios: tuple[Ratio, ...] = ()
    shift: Shift | None = None

    @property
    def regressed(self) -> bool:
        """Return whether B was shown to be slower by more than the tolerance."""
        return self.outcome == "slower"


def compare(
    before: RunRecord,
    after: RunRecord,
    *,
    metric: str = PRIMARY,
    tolerance: float = TOLERANCE,
    warm_up: float | None = None,
) -> Comparison:
    """Compare run `after` (B) with run `before` (A).

    B is slower when the interval of its P50's or P95's ratio to A's lies wholly above 1 + `tolerance`, faster when
    one lies wholly below 1 / (1 + `tolerance`) and none above. Neither INVALID runs nor other loads compare.
    """
    obstacle = _obstacle(before, after, warm_up)
    if obstacle is not None:
        return Comparison("not comparable", obstacle, metric, False, 0, 0)
    keyed_before, keyed_after = _keyed(before, metric, warm_up), _keyed(after, metric, warm_up)
    common = sorted(keyed_before.keys() & keyed_after.keys()) if before.plan.seed == after.plan.seed else []
    paired = len(common) >= max(_FEWEST_PAIRS, 0.8 * max(len(keyed_before), len(keyed_after)))
    if paired:
        a, b = side_of([keyed_before[key] for key in common]), side_of([keyed_after[key] for key in common])
    else:
        a, b = side_of(list(keyed_before.values())), side_of(list(keyed_after.values()))
    num_calls = {"A": np.unique(a.calls).size, "B": np.unique(b.calls).size}
    few = [f"{name} has {num} calls" for name, num in num_calls.items() if num < FEWEST_CALLS]
    if few:
        reason = f"too few calls for an interval: {', '.join(few)}, {FEWEST_CALLS} are wanted"
        return Comparison("not comparable", reason, metric, paired, a.values.size, b.values.size)
    ratios = _ratios(a, b, paired)
    shift = shift_of(a, b, paired)
    outcome, reason = _judge(ratios, tolerance)
    return Comparison(outcome, reason, metric, paired, a.values.size, b.values.size, ratios, shift)


def _obstacle(before: RunRecord, after: RunRecord, warm_up: float | None) -> str | None:
    """Return why the runs do not compare; None when they do."""
    if before.plan.workload_digest != after.plan.workload_digest:
        return f"other workloads: {before.plan.workload} and {after.plan.workload} (digests differ)"
    loads = [(p.arrivals, p.calls_per_minute, p.concurrency, p.burstiness) for p in (before.plan, after.plan)]
    if loads[0] != loads[1]:
        return "other loads: " + " and ".join(_load(*load) for load in loads)
    for name, record in (("A", before), ("B", after)):
        summary = summarize(record, warm_up=warm_up)
        if summary.verdict == "INVALID":
            return f"run {name} is INVALID: {'; '.join(summary.reasons)}"
    return None


def _load(arrivals: str, calls_per_minute: float | None, concurrency: int | None, burstiness: float | None) -> str:
    rate = f"{calls_per_minute:g} calls a minute" if calls_per_minute is not None else f"{concurrency} at once"
    return f"{arrivals}, {rate}" + (f", burstiness {burstiness:g}" if burstiness is not None else "")


_Key = tuple[int, int, str]


def _keyed(record: RunRecord, metric: str, warm_up: float | None) -> dict[_Key, Row]:
    """Return each turn's value, call and instant by what it is paired on; never answered is +inf."""
    turns = observed.turns_of(record)
    kept = after_warm_up(turns, warm_up_of(turns, warm_up))
    latencies = ((call, turn, at, observed.latency_of(turn, metric)) for call, turn, at in kept)
    return {
        (call.call, turn.turn, turn.name): (value, call.call, at)
        for call, turn, at, value in latencies
        if value is not None
    }


def _ratios(a: Side, b: Side, paired: bool) -> tuple[Ratio, ...]:
    """Return the ratio of each percentile, with the bootstrap's interval widened for few clusters as by Student's t."""
    drawn_a, drawn_b = _drawn(a, b, paired)
    found = []
    for column, share in enumerate(SHARES):
        ends = [percentile_of(np.sort(side.values), share) for side in (a, b)]
        wanted = samples_wanted(share)
        seconds = [value if math.isfinite(value) else None for value in ends]
        if min(a.values.size, b.values.size) < wanted:
            reason = f"{min(a.values.size, b.values.size)} samples, {name_of(share)} wants {wanted}"
            found.append(Ratio(share, None, None, None, None, None, reason))
        elif seconds[0] is None or seconds[1] is None or seconds[0] <= 0:
            reason = f"{name_of(share)} lies among turns that were never answered"
            found.append(Ratio(share, seconds[0], seconds[1], None, None, None, reason))
        else:
            ratio = ends[1] / ends[0]
            low, high = _widened(drawn_a[:, column], drawn_b[:, column], ratio, min(count_of(a), count_of(b)))
            found.append(Ratio(share, ends[0], ends[1], ratio, low, high))
    return tuple(found)


def _drawn(a: Side, b: Side, paired: bool) -> tuple[Floats, Floats]:
    if paired:
        # Turns are paired row by row: one drawing of clusters serves both.
        clusters = a.clusters if count_of(a) <= count_of(b) else b.clusters
        weights = draw(int(clusters.max()) + 1)
        return percentiles(a.values, clusters, weights, SHARES), percentiles(b.values, clusters, weights, SHARES)
    first, second = draw(count_of(a), seed=1), draw(count_of(b), seed=2)
    return percentiles(a.values, a.clusters, first, SHARES), percentiles(b.values, b.clusters, second, SHARES)


def _widened(before: Floats, after: Floats, ratio: float, num_clusters: int) -> tuple[float, float | None]:
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = np.log(after / before)
    drawn = drawn[~np.isnan(drawn)]
    if not drawn.size:
        return 0.0, None
    low, high = np.quantile(drawn, [_TAIL, 1 - _TAIL], method="inverted_cdf")
    widen = float(stats.t.ppf(1 - _TAIL, max(1, num_clusters - 1)) / stats.norm.ppf(1 - _TAIL))
    middle = math.log(ratio)
    low, high = (middle + widen * (min(low, middle) - middle), middle + widen * (max(high, middle) - middle))
    return float(np.exp(low)), float(np.exp(high)) if np.isfinite(high) else None


def _judge(ratios: tuple[Ratio, ...], tolerance: float) -> tuple[Outcome, str]:
    known = [each for each in ratios if each.ratio is not None]
    never = [each for each in ratios if each.ratio is None and each.before_s is not None and each.after_s is None]
    if never:
        return "slower", f"{name_of(never[0].share)} of B lies among turns that were never answered, that of A does not"
    if not known:
        return "not comparable", "; ".join(each.reason or "" for each in ratios)
    slower = [each for each in known if each.low is not None and each.low > 1 + tolerance]
    faster = [each for each in known if each.high is not None and each.high < 1 / (1 + tolerance)]
    told = "; ".join(_told(each) for each in known)
    if slower:
        return "slower", told
    return ("faster", told) if faster else ("no difference shown", f"{told}; tolerance {tolerance:.0%}")


def _told(ratio: Ratio) -> str:
    high = "unbounded" if ratio.high is None else f"{ratio.high:.3f}"
    return f"{name_of(ratio.share)} is {ratio.ratio:.3f} times A's, 95 % interval {ratio.low:.3f} to {high}"
