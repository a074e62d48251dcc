"""Say whether a run may be believed, and why not. Knows the load and how it was generated, not latencies."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from voicectl.bench.run_record import CallSample, RunRecord

MOST_LAG_P99_S: Final = 0.010
MOST_CPU_SHARE: Final = 0.70
_LEAST_GROWTH: Final = 3.0
_BACKLOG: Final = 0.1
_LONGEST_CALL: Final = 1 / 5
_STRETCHES: Final = ((1 / 4, 3 / 8), (7 / 8, 1.0))
_TWO_STRETCHES: Final = 1.5
"""Variance of the difference of two such averages, against that of the number in progress at one instant."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """Calls a minute that were to come and that were completed, and how many went on at once at most."""

    offered_per_minute: float
    achieved_per_minute: float
    peak_concurrency: int
    saturated: bool


def throughput(record: RunRecord) -> Throughput:
    """Return what load came and went. A closed loop offers what it achieves and is never saturated."""
    plan, calls = record.plan, record.calls
    achieved = _achieved_per_minute(record)
    if plan.arrivals == "closed" or plan.duration_s <= 0:
        return Throughput(achieved, achieved, peak_concurrency(calls), saturated=False)
    offered = len(calls) * 60 / plan.duration_s
    return Throughput(offered, achieved, peak_concurrency(calls), _is_saturated(record))


def lag_p99(record: RunRecord) -> float | None:
    """Return how late the generator was at its 99th percentile; None where it noted nothing."""
    lag = np.array(record.health.lag_s, dtype=np.float64)
    return float(np.quantile(lag, 0.99, method="higher")) if lag.size else None


def reasons_against(record: RunRecord, load: Throughput, *, num_measured: int, steady: bool) -> tuple[str, ...]:
    """Return why the run is INVALID; nothing when it is VALID."""
    ends = [call.end for call in record.calls]
    unfinished, lag = ends.count("unfinished"), lag_p99(record)
    found: list[str] = []
    if not ends.count("completed"):
        found.append(f"no call was completed: {_counted(ends)}{_commonest(record.calls)}")
    if unfinished:
        found.append(f"{unfinished} of {len(ends)} calls were unfinished when the run ended")
    if not num_measured:
        found.append("nothing was measured: no turn was answered")
    if lag is not None and not lag <= MOST_LAG_P99_S:
        found.append(
            f"the generator was late: schedule lag P99 {lag * 1000:.1f} ms, {MOST_LAG_P99_S * 1000:g} ms may be"
        )
    if lag is None and record.calls:
        found.append("the generator noted no schedule lag: whether the load came on time is unknown")
    if not record.health.cpu_share <= MOST_CPU_SHARE:
        used = f"{record.health.cpu_share:.0%} of a core"
        found.append(f"the generator was too busy: a process of it used {used}, {MOST_CPU_SHARE:.0%} may be")
    if load.saturated:
        rates = f"{load.offered_per_minute:.2f} calls a minute offered, {load.achieved_per_minute:.2f} achieved"
        found.append(f"saturated: the backlog grew over the run ({rates})")
    if not steady:
        found.append("no steady state: latency goes on rising or falling with time after the warm-up")
    return tuple(found)


def peak_concurrency(calls: Sequence[CallSample]) -> int:
    """Return the most calls that stood at one instant."""
    steps = sorted(step for start, end in _spans(calls) for step in ((start, 1), (end, -1)))
    standing = peak = 0
    for _, step in steps:
        standing += step
        peak = max(peak, standing)
    return peak


def _spans(calls: Sequence[CallSample]) -> list[tuple[float, float]]:
    return [
        (call.connected_at, math.inf if call.ended_at is None else call.ended_at)
        for call in calls
        if call.connected_at is not None
    ]


def _achieved_per_minute(record: RunRecord) -> float:
    """Return completed calls a minute, from when the first could have been completed to the end of the load."""
    completed = [call for call in record.calls if call.end == "completed" and call.ended_at is not None]
    if not completed:
        return 0.0
    ends = np.array([call.ended_at for call in completed], dtype=np.float64)
    held = ends - np.array([call.scheduled_at for call in completed], dtype=np.float64)
    first, last = float(np.median(held)), record.plan.duration_s
    if record.plan.arrivals == "closed" or last <= 2 * first:
        return len(completed) * 60 / record.wall_s if record.wall_s > 0 else 0.0
    return int(np.sum((ends >= first) & (ends < last))) * 60 / (last - first)


def _is_saturated(record: RunRecord) -> bool:
    """Return whether more calls came than went, once the first could have gone.

    The number in progress varies like a Poisson variable when nothing is short (M/G/∞), so that its root has a
    standard deviation of 1/2 whatever the load. Compared are the averages of a stretch after the ramp and of the last
    one: growth beyond three standard deviations, and a tenth of what came in between, is backlog. Calls so long that
    the ramp is not over by then say nothing. How often this is wrong: `scripts/check_decisions.py`.
    """
    last = record.plan.duration_s
    starts = np.array([call.scheduled_at for call in record.calls], dtype=np.float64)
    ends = np.array([math.inf if call.ended_at is None else call.ended_at for call in record.calls])
    if not starts.size:
        return False
    # The first calls: those of an overload wait longer and longer.
    early = starts <= max(last / 8, float(starts.min()))
    if float(np.median(ends[early] - starts[early])) > last * _LONGEST_CALL:
        return not np.isfinite(ends).any()

    def in_progress(begin: float, end: float) -> float:
        return float(np.clip(np.minimum(ends, end) - np.maximum(starts, begin), 0, None).sum() / (end - begin))

    (ramped, begun), (ending, over) = _STRETCHES
    before, after = in_progress(ramped * last, begun * last), in_progress(ending * last, over * last)
    came = np.sum((starts >= (ramped + begun) / 2 * last) & (starts < (ending + over) / 2 * last))
    deviation = 0.5 * math.sqrt(_TWO_STRETCHES)
    roots = math.sqrt(after + 3 / 8) - math.sqrt(before + 3 / 8)
    return after - before >= _LEAST_GROWTH and roots > 3 * deviation and after - before > _BACKLOG * float(came)


def _commonest(calls: Sequence[CallSample]) -> str:
    """Return the words that most calls ended with; nothing where none has any."""
    words = Counter(call.failure for call in calls if call.failure)
    return f"; most often {words.most_common(1)[0][0]}" if words else ""


def _counted(ends: Sequence[str]) -> str:
    kinds = [f"{ends.count(kind)} {kind}" for kind in ("refused", "lost", "unfinished") if kind in ends]
    return ", ".join(kinds) or "no call was made"
