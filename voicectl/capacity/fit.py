"""From timed work to the parameters of a host, by least squares that never go below zero. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from voicectl.capacity.observations import DRIVERS, Observation, Work
from voicectl.core.errors import ConfigError

Matrix = NDArray[np.float64]
CONTEXT_S: Final = 62 * 256 / 22_050
"""Sound around a chunk that the voice's decoder computes along with it: 34 frames before and 28 behind."""
SPREAD_CAP: Final = 0.6
"""Noise of one piece of work beyond this is a disturbed measurement, not the work."""


@dataclass(frozen=True, slots=True)
class Residual:
    """How well a kind of work is described: relative error, root mean square and worst, over `num` observations.

    `low` and `high` are the range of each driver that was seen.
    """

    work: str
    num: int
    rms: float
    worst: float
    ranges: dict[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Fitted:
    """Parameters by the names of `Speeds`, residuals by kind of work, noise and error of the mean by stage."""

    parameters: dict[str, float]
    residuals: tuple[Residual, ...]
    spread: dict[str, float]
    errors: dict[str, float]


def fit_speeds(observations: Sequence[Observation]) -> Fitted:
    """Return the parameters that describe the observations best, each weighted by its own size.

    Raises ConfigError when a kind of work was not observed often enough to be described.
    """
    by_work = {work: [one for one in observations if one.work == work] for work in DRIVERS}
    few = [f"{work} ({len(seen)})" for work, seen in by_work.items() if len(seen) < 2]
    if few:
        raise ConfigError(
            f"too little was observed of {', '.join(few)}",
            hint="calibrate anew with `voicectl plan calibrate` on a host that is idle",
        )
    parameters: dict[str, float] = {}
    predicted: dict[Work, Matrix] = {}
    for names, works in _GROUPS:
        seen = [one for work in works for one in by_work[work]]
        rows = np.array([_row(one) for one in seen])
        found, estimates = _least_squares(rows, np.array([one.seconds for one in seen]))
        parameters |= dict(zip(names, found.tolist(), strict=True))
        at = 0
        for work in works:
            predicted[work] = estimates[at : at + len(by_work[work])]
            at += len(by_work[work])
    parameters["chunk_s"] = CONTEXT_S * parameters["chunk_audio_s"]
    residuals = tuple(_residual(work, by_work[work], predicted[work]) for work in DRIVERS)
    return Fitted(parameters, residuals, _spread(residuals), _errors(residuals))


_GROUPS: Final[tuple[tuple[tuple[str, ...], tuple[Work, ...]], ...]] = (
    (("stt_s", "stt_window_s", "stt_speech_s"), ("stt",)),
    (("turn_s",), ("turn",)),
    (("prefill_s", "prefill_token_s", "prefill_context_s"), ("prefill",)),
    (("decode_s", "decode_reply_s", "decode_context_s"), ("decode",)),
    (("front_s", "front_audio_s", "chunk_audio_s"), ("tts_first", "tts_chunk")),
)
"""Parameters that are found together, and the work that shows them."""


def _row(one: Observation) -> list[float]:
    match one.work:
        case "stt":
            return [1.0, one.drivers[0] / 1000, one.drivers[1]]
        case "turn":
            return [1.0]
        case "prefill":
            return [one.drivers[0], one.drivers[1], one.drivers[1] * one.drivers[2] / 1000]
        case "decode":
            return [1.0, one.drivers[0], one.drivers[1] / 1000]
        case "tts_first":
            return [1.0, one.drivers[0], one.drivers[1] + CONTEXT_S]
        case "tts_chunk":
            return [0.0, 0.0, one.drivers[0] + CONTEXT_S]


def _least_squares(rows: Matrix, seconds: Matrix) -> tuple[Matrix, Matrix]:
    """Return parameters and estimates; relative errors count, and large ones for less (two Huber-like rounds)."""
    weights = 1 / np.maximum(seconds, 1e-6)
    found = np.zeros(rows.shape[1])
    for _ in range(3):
        found, _ = nnls(rows * weights[:, None], seconds * weights)
        error = np.abs(rows @ found - seconds) / np.maximum(seconds, 1e-6)
        scale = 1.5 * max(float(np.median(error)), 1e-3)
        weights = np.minimum(1.0, np.sqrt(scale / np.maximum(error, 1e-9))) / np.maximum(seconds, 1e-6)
    return found, rows @ found


def _residual(work: Work, seen: Sequence[Observation], predicted: Matrix) -> Residual:
    seconds = np.array([one.seconds for one in seen])
    error = (predicted - seconds) / np.maximum(seconds, 1e-9)
    columns = np.array([one.drivers for one in seen]).reshape(len(seen), -1)
    ranges = {
        name: (float(columns[:, index].min()), float(columns[:, index].max()))
        for index, name in enumerate(DRIVERS[work])
    }
    return Residual(work, len(seen), float(np.sqrt(np.mean(error**2))), float(np.abs(error).max()), ranges)


def _spread(residuals: Sequence[Residual]) -> dict[str, float]:
    rms: Mapping[str, float] = {one.work: min(one.rms, SPREAD_CAP) for one in residuals}
    return {
        "stt": rms["stt"],
        "turn": rms["turn"],
        "prefill": rms["prefill"],
        "decode": rms["decode"],
        "tts": max(rms["tts_first"], rms["tts_chunk"]),
    }


def _errors(residuals: Sequence[Residual]) -> dict[str, float]:
    """Return the standard error of each stage's mean time: the noise of a piece over the root of the pieces."""
    errors = {one.work: min(one.rms, SPREAD_CAP) / max(1, one.num) ** 0.5 for one in residuals}
    tts = max(errors.pop("tts_first"), errors.pop("tts_chunk"))
    return {**{str(work): error for work, error in errors.items()}, "tts": tts}
