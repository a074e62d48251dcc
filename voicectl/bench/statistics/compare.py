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
from voicectl.bench.statistics.correlation import Floats, Ints, correlate, effective
from voicectl.bench.statistics.intervals import name_of, percentile_of, samples_wanted
from voicectl.bench.statistics.summarize import PRIMARY, after_warm_up, summarize, warm_up_of

Outcome = Literal["slower", "faster", "no difference shown", "not comparable"]

TOLERANCE: Final = 0.05
SHARES: Final = (0.5, 0.95)
_TAIL: Final = 0.025 / len(SHARES)
"""A system that is compared with itself must not be told apart by either percentile in more than 5 of 100 cases."""
_FEWEST_CALLS: Final = 6
_FEWEST_PAIRS: Final = 20
_MOST_DIFFERENCES: Final = 1000
_CORRELATION_TIMES: Final = 4


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


@dataclass(frozen=True, slots=True)
class _Side:
    """The samples of one run in the comparison: `clusters` number what is resampled."""

    values: Floats
    calls: Ints
    at: Floats
    clusters: Ints


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
        a, b = _side([keyed_before[key] for key in common]), _side([keyed_after[key] for key in common])
    else:
        a, b = _side(list(keyed_before.values())), _side(list(keyed_after.values()))
    num_calls = {"A": np.unique(a.calls).size, "B": np.unique(b.calls).size}
    few = [f"{name} has {num} calls" for name, num in num_calls.items() if num < _FEWEST_CALLS]
    if few:
        reason = f"too few calls for an interval: {', '.join(few)}, {_FEWEST_CALLS} are wanted"
        return Comparison("not comparable", reason, metric, paired, a.values.size, b.values.size)
    ratios = _ratios(a, b, paired)
    shift = _shift(a, b, paired)
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
_Row = tuple[float, int, float]


def _keyed(record: RunRecord, metric: str, warm_up: float | None) -> dict[_Key, _Row]:
    """Return each turn's value, call and instant by what it is paired on; never answered is +inf."""
    turns = observed.turns_of(record)
    kept = after_warm_up(turns, warm_up_of(turns, warm_up))
    latencies = ((call, turn, at, observed.latency_of(turn, metric)) for call, turn, at in kept)
    return {
        (call.call, turn.turn, turn.name): (value, call.call, at)
        for call, turn, at, value in latencies
        if value is not None
    }


def _side(rows: list[_Row]) -> _Side:
    values = np.array([row[0] for row in rows], dtype=np.float64)
    calls = np.array([row[1] for row in rows], dtype=np.intp)
    at = np.array([row[2] for row in rows], dtype=np.float64)
    return _Side(values, calls, at, _blocks(values, calls, at))


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
    num_blocks = min(names.size, max(_FEWEST_CALLS, num_blocks))
    block = np.empty(names.size, dtype=np.intp)
    block[np.argsort(begun, kind="stable")] = np.arange(names.size) * num_blocks // names.size
    return block[by_call]


def _ratios(a: _Side, b: _Side, paired: bool) -> tuple[Ratio, ...]:
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
            low, high = _widened(drawn_a[:, column], drawn_b[:, column], ratio, min(_count(a), _count(b)))
            found.append(Ratio(share, ends[0], ends[1], ratio, low, high))
    return tuple(found)


def _drawn(a: _Side, b: _Side, paired: bool) -> tuple[Floats, Floats]:
    if paired:
        # Turns are paired row by row: one drawing of clusters serves both.
        clusters = a.clusters if _count(a) <= _count(b) else b.clusters
        weights = draw(int(clusters.max()) + 1)
        return percentiles(a.values, clusters, weights, SHARES), percentiles(b.values, clusters, weights, SHARES)
    first, second = draw(_count(a), seed=1), draw(_count(b), seed=2)
    return percentiles(a.values, a.clusters, first, SHARES), percentiles(b.values, b.clusters, second, SHARES)


def _count(side: _Side) -> int:
    return int(side.clusters.max()) + 1


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


def _shift(a: _Side, b: _Side, paired: bool) -> Shift:
    superiority, z = _mann_whitney(a, b)
    if paired:
        shift, low, high = _median_with_interval(b.values, a.values, a)
    else:
        shift, low, high = _hodges_lehmann(a, b)
    return Shift(superiority, 2 * superiority - 1, 2 * float(stats.norm.sf(abs(z))), shift, low, high)


def _mann_whitney(a: _Side, b: _Side) -> tuple[float, float]:
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


def _worth(side: _Side) -> float:
    return max(
        2.0, min(float(side.values.size), effective(correlate(side.values, side.calls, side.at), 0.5).num_effective)
    )


def _median_with_interval(
    after: Floats, before: Floats, side: _Side
) -> tuple[float | None, float | None, float | None]:
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


def _hodges_lehmann(a: _Side, b: _Side) -> tuple[float | None, float | None, float | None]:
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
