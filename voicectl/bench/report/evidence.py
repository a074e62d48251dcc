"""What plots and lists show of a run, picked from its raw record. Pure; knows no picture.

Turns that began in the dropped warm-up are left out, except in the timeline, which shades them.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voicectl.bench.run_record import CallSample, RunRecord, TurnSample
from voicectl.bench.turns import STAGES

WANTED: Final = frozenset({"speech", "barge-in"})
_GRID: Final = 240
_RESAMPLES: Final = 400
_SEED: Final = 5
_MIN_CALLS: Final = 5
"""With fewer calls than this, drawing calls anew says nothing."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WantedTurn:
    """A turn that wanted an answer. `latency_s` is its v2v, or what it is at least when `censored`."""

    call: int
    turn: TurnSample
    at: float
    latency_s: float
    censored: bool


@dataclass(frozen=True, slots=True)
class Curve:
    """Share of turns answered within `at_s`, with a pointwise 95 % band; all arrays of shape (n,)."""

    at_s: Floats
    share: Floats
    low: Floats
    high: Floats
    num: int


@dataclass(frozen=True, slots=True)
class Bar:
    """One stage of one turn: from when to when, seconds after the caller's last voiced sample."""

    stage: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that went wrong, for the list. `turn` is None when it is the whole call."""

    call: int
    turn: int | None
    at: float | None
    what: str
    words: str


def wanted_turns(record: RunRecord, since_s: float = 0.0) -> list[WantedTurn]:
    """Return the turns that wanted an answer and were to end at `since_s` or later."""
    found = []
    for call in record.calls:
        for turn in call.turns:
            latency_s = turn.v2v_s if turn.v2v_s is not None else turn.censored_s
            if turn.kind in WANTED and turn.intended_at is not None and latency_s is not None:
                found.append(WantedTurn(call.call, turn, turn.intended_at, latency_s, turn.v2v_s is None))
    return [one for one in found if one.at >= since_s]


def latency_curve(turns: Sequence[WantedTurn]) -> Curve | None:
    """Return the distribution of latencies, None without a single answer.

    The middle is Kaplan and Meier's estimate, which is the plain share where nothing is censored. The band is the
    wider of Greenwood's (log-log) and a bootstrap over whole calls, whose turns are no independent evidence.
    """
    from scipy.stats import CensoredData, ecdf

    answered = [turn.latency_s for turn in turns if not turn.censored]
    if not answered:
        return None
    latency = np.array([turn.latency_s for turn in turns])
    censored = np.array([turn.censored for turn in turns])
    at_s = np.unique(np.array(answered))
    if at_s.size > _GRID:
        at_s = np.quantile(at_s, np.linspace(0, 1, _GRID))
    with np.errstate(all="ignore"):
        estimate = ecdf(CensoredData.right_censored(latency, censored)).cdf
        share = np.asarray(estimate.evaluate(at_s), dtype=np.float64)
        low, high = _greenwood(estimate, at_s)
    clustered = _clustered_band(turns, at_s)
    if clustered is not None:
        low, high = np.minimum(low, clustered[0]), np.maximum(high, clustered[1])
    return Curve(at_s, share, np.maximum.accumulate(low), np.maximum.accumulate(high), len(turns))


def median_turn(turns: Sequence[WantedTurn]) -> WantedTurn | None:
    """Return the answered turn in the middle, the faster one of two."""
    answered = sorted((turn for turn in turns if not turn.censored), key=lambda turn: turn.latency_s)
    return answered[(len(answered) - 1) // 2] if answered else None


def worst_turn(turns: Sequence[WantedTurn]) -> WantedTurn | None:
    """Return the slowest turn that was answered."""
    return max((turn for turn in turns if not turn.censored), key=lambda turn: turn.latency_s, default=None)


def waterfall(turn: TurnSample) -> list[Bar]:
    """Return the stages of a turn one behind the other, and what they do not explain as the last bar."""
    bars = []
    start_s = 0.0
    for stage in STAGES:
        length_s = turn.stages_s.get(stage)
        if length_s is not None:
            bars.append(Bar(stage, start_s, start_s + length_s))
            start_s += length_s
    if turn.v2v_s is not None and bars:
        bars.append(Bar("unexplained", start_s, turn.v2v_s))
    return bars


def calls_in_progress(record: RunRecord) -> tuple[Floats, NDArray[np.int64]]:
    """Return instants and the number of calls in progress from each on, both of shape (n,)."""
    changes = [(0.0, 0)]
    for call in record.calls:
        if call.connected_at is not None:
            changes += [(call.connected_at, 1), (max(call.connected_at, _end_of(call, record.wall_s)), -1)]
    changes.sort()
    at_s = np.array([at for at, _ in changes])
    return at_s, np.cumsum(np.array([change for _, change in changes], dtype=np.int64))


def problems(record: RunRecord) -> Iterator[Problem]:
    """Yield every call that did not complete and every turn that did not go as wanted, as they happened."""
    for call in record.calls:
        if call.end != "completed":
            yield Problem(call.call, None, call.scheduled_at, f"call {call.end}", call.failure or "")
        for turn in call.turns:
            words = _turn_words(turn)
            if words is not None:
                yield Problem(call.call, turn.turn, turn.intended_at, turn.end, f"{turn.name}: {words}")


def _turn_words(turn: TurnSample) -> str | None:
    match turn.end:
        case "timed-out":
            return f"no answer within {turn.censored_s:.1f} s" if turn.censored_s is not None else "no answer"
        case "call-lost":
            return "the call ended before the answer"
        case "cut-in":
            return "answered before the caller had finished"
        case "answered-unasked":
            return f"answered, though it was {turn.kind}"
        case _:
            return None


def _end_of(call: CallSample, wall_s: float) -> float:
    return call.ended_at if call.ended_at is not None else wall_s


def _greenwood(estimate: "object", at_s: Floats) -> tuple[Floats, Floats]:
    # Where nobody is left to be slower the variance is 0/0: scipy says so by a warning and by nan.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        interval = estimate.confidence_interval(0.95, method="log-log")  # type: ignore[attr-defined]
    low, high = (np.asarray(bound.evaluate(at_s)) for bound in (interval.low, interval.high))
    return np.where(np.isfinite(low), low, 0.0), np.where(np.isfinite(high), high, 1.0)


def _clustered_band(turns: Sequence[WantedTurn], at_s: Floats) -> tuple[Floats, Floats] | None:
    calls = sorted({turn.call for turn in turns})
    if len(calls) < _MIN_CALLS:
        return None
    row = {call: number for number, call in enumerate(calls)}
    within = np.zeros((len(calls), at_s.size))
    sizes = np.zeros(len(calls))
    for turn in turns:
        sizes[row[turn.call]] += 1
        if not turn.censored:
            within[row[turn.call]] += at_s >= turn.latency_s
    drawn = np.random.default_rng(_SEED).multinomial(len(calls), np.full(len(calls), 1 / len(calls)), _RESAMPLES)
    shares = (drawn @ within) / (drawn @ sizes)[:, None]
    low, high = np.quantile(shares, [0.025, 0.975], axis=0)
    return low, high
