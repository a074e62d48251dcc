"""Sort what a run recorded into samples, one metric each. Knows which turns count for what; judges none.

A turn that wanted an answer and got none counts as infinitely late, in v2v and in eou_to_first_audio where anybody
read it, and so does in barge_in_stop a reply that never stopped: a metric must not improve because turns failed.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import numpy as np

from voicectl.bench.run_record import CallSample, RunRecord, TurnSample
from voicectl.bench.statistics.intervals import Samples
from voicectl.bench.statistics.proportions import proportion
from voicectl.bench.summary import Proportion

ANSWERABLE: Final = ("speech", "barge-in")
NEVER: Final = ("timed-out", "call-lost")
OF_ANSWERS: Final = ("v2v", "eou_to_first_audio")
BARGE_IN: Final = "barge_in_stop"
STAGE_PREFIX: Final = "stage_"

Placed = tuple[CallSample, TurnSample, float]
"""A turn, its call, and the instant it is sorted by."""


def turns_of(record: RunRecord) -> list[Placed]:
    """Return all turns in order of time."""
    placed = [(call, turn, _instant(call, turn)) for call in record.calls for turn in call.turns]
    return sorted(placed, key=lambda each: each[2])


def turn_samples(turns: Iterable[Placed]) -> dict[str, Samples]:
    """Return the samples of each metric of turns, in order of time; metrics without any are left out."""
    placed = list(turns)
    stages = sorted({stage for _, turn, _ in placed for stage in turn.stages_s})
    found = {
        "v2v": _gather(placed, "v2v"),
        "eou_to_first_audio": _gather(placed, "eou_to_first_audio"),
        BARGE_IN: _gather(placed, BARGE_IN),
        **{STAGE_PREFIX + stage: _gather(placed, STAGE_PREFIX + stage) for stage in stages},
    }
    return {metric: samples for metric, samples in found.items() if _is_observed(metric, samples)}


def _is_observed(metric: str, samples: Samples) -> bool:
    """Return whether there is something to say: of another metric than v2v, that somebody has read it at all."""
    return samples.values.size > 0 and (metric == "v2v" or samples.num_censored < samples.values.size)


def setup_samples(calls: Iterable[CallSample]) -> Samples:
    """Return how long calls took from their scheduled start to standing; one that never stood counts as never."""
    rows = [
        (call.call, call.scheduled_at, math.inf if call.connected_at is None else call.connected_at - call.scheduled_at)
        for call in calls
        if call.started_at is not None and call.end != "unfinished"
    ]
    values = np.array([row[2] for row in rows], dtype=np.float64)
    return Samples(
        values=values,
        at_least=np.where(np.isinf(values), 0.0, values),
        calls=np.array([row[0] for row in rows], dtype=np.intp),
        at=np.array([row[1] for row in rows], dtype=np.float64),
    )


def rates(turns: Iterable[Placed], calls: Iterable[CallSample]) -> dict[str, Proportion]:
    """Return the rates of what went right and wrong."""
    placed, ended = [turn for _, turn, _ in turns], [call for call in calls if call.end != "unfinished"]
    wanted = [turn for turn in placed if turn.kind in ANSWERABLE]
    unwanted = [turn for turn in placed if turn.kind not in ANSWERABLE]

    def of_turns(name: str, *ends: str) -> Proportion:
        return proportion(name, sum(turn.end in ends for turn in wanted), len(wanted))

    def of_calls(name: str, end: str) -> Proportion:
        return proportion(name, sum(call.end == end for call in ended), len(ended))

    unasked = sum(turn.end == "answered-unasked" for turn in unwanted)
    return {
        "answered": of_turns("answered", "answered"),
        "cut_ins": of_turns("cut_ins", "cut-in"),
        "missed": of_turns("missed", "timed-out"),
        "unasked": proportion("unasked", unasked, len(unwanted)),
        "refused": of_calls("refused", "refused"),
        "lost": of_calls("lost", "lost"),
    }


def good_turns(turns: Iterable[Placed], bounds: Mapping[str, Callable[[float], bool]]) -> int:
    """Return how many turns were answered and met every bound of theirs. A latency not observed met none.

    The stop of a barge-in bounds only turns that have one.
    """
    return sum(_is_good(turn, bounds) for _, turn, _ in turns)


def _is_good(turn: TurnSample, bounds: Mapping[str, Callable[[float], bool]]) -> bool:
    if turn.kind not in ANSWERABLE or turn.end != "answered":
        return False
    for metric, keeps in bounds.items():
        value = latency_of(turn, metric)
        if value is None and metric == BARGE_IN:
            continue
        if value is None or not keeps(value):
            return False
    return True


def latency_of(turn: TurnSample, metric: str) -> float | None:
    """Return what a turn counts as in a metric: +inf where an answer was wanted and never came, None for nothing."""
    if metric == BARGE_IN:
        return turn.barge_in_stop_s if turn.barge_in_censored_s is None else math.inf
    if turn.kind in ANSWERABLE and turn.end in NEVER:
        return math.inf if metric in OF_ANSWERS else None
    return value_of(turn, metric)


def value_of(turn: TurnSample, metric: str) -> float | None:
    """Return one latency of a turn by the name of its metric; None where it was not observed."""
    match metric:
        case "v2v":
            return turn.v2v_s
        case "eou_to_first_audio":
            return turn.eou_to_first_audio_s
        case "barge_in_stop":
            return turn.barge_in_stop_s
        case _:
            return turn.stages_s.get(metric.removeprefix(STAGE_PREFIX))


def _gather(placed: list[Placed], metric: str) -> Samples:
    rows: list[tuple[float, float, int, float]] = []
    for call, turn, at in placed:
        value = latency_of(turn, metric)
        if value is not None and math.isfinite(value):
            rows.append((value, value, call.call, at))
        elif value is not None:
            known_s = turn.barge_in_censored_s if metric == BARGE_IN else turn.censored_s
            rows.append((math.inf, known_s or 0.0, call.call, at))
    return Samples(
        values=np.array([row[0] for row in rows], dtype=np.float64),
        at_least=np.array([row[1] for row in rows], dtype=np.float64),
        calls=np.array([row[2] for row in rows], dtype=np.intp),
        at=np.array([row[3] for row in rows], dtype=np.float64),
    )


def _instant(call: CallSample, turn: TurnSample) -> float:
    if turn.intended_at is not None:
        return turn.intended_at
    return call.scheduled_at if call.connected_at is None else call.connected_at
