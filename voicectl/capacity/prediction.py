"""Predict voice-to-voice times of a load, with an interval, and the highest load that keeps a promise."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voicectl.capacity.conversation import Conversation, Tuning
from voicectl.capacity.simulation import Load, simulate
from voicectl.capacity.speeds import Speeds
from voicectl.core.errors import UsageError

TURNS: Final = 320
"""Turns simulated for one figure; a P95 of so many is within some 5 % of its own limit."""
LEAST_TURNS_A_CALL: Final = 4
"""The first of them does not count."""
REPLICATES: Final = 6
STAGES: Final = ("stt", "turn", "prefill", "decode", "tts")
Z95: Final = 1.96
MODEL_ERROR: Final = 0.3
"""Standard deviation of ln(measured P95 / predicted P95): what the model leaves out, and the drift of a shared
machine between calibration and load. Seen so far: 0.40 to 0.52 at four loads of one configuration, some 0.2 with the
built-in workload; `scripts/validate_plan.py` holds more."""
ESTIMATE_ERROR: Final = 0.45
"""The same where a data sheet was computed with and nothing was measured: a factor of 2.4 either way. A judgement,
not a measurement."""
SPEED_ERROR: Final = 0.15
"""Standard error of a stage's mean time from one calibration to the next, beside that of its fit: two of one idle
guest of a shared host, a quarter of an hour apart, differed by 5 to 40 % in the stages' main terms."""

_SLO: Final = re.compile(
    r"\s*v2v_p(?P<share>\d{1,2}(?:\.\d+)?)\s*(?:<=?)\s*(?P<limit>\d+(?:\.\d+)?)\s*(?P<unit>ms|s)\s*"
)


@dataclass(frozen=True, slots=True)
class Slo:
    """A promise: this percentile of voice-to-voice times stays below `limit_s`."""

    percentile: float
    limit_s: float

    @classmethod
    def parse(cls, text: str) -> "Slo":
        """Return the promise in `v2v_p95<800ms`. Raises UsageError."""
        match = _SLO.fullmatch(text)
        if match is None or not 0 < float(match["share"]) < 100:
            raise UsageError(f"{text!r} is no promise", hint="write it as v2v_p95<800ms, between v2v_p1 and v2v_p99.9")
        return cls(float(match["share"]), float(match["limit"]) / (1000 if match["unit"] == "ms" else 1))

    def __str__(self) -> str:
        return f"v2v_p{self.percentile:g}<{self.limit_s * 1000:g}ms"


@dataclass(frozen=True, slots=True)
class Band:
    """A predicted figure and the interval in which 95 of 100 measured ones should lie."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a load of `num_calls` is predicted to give. Times are seconds; `busy` is the part of each pool at work."""

    num_calls: int
    p50: Band
    p95: Band
    p99: Band
    busy: dict[str, float]
    over_slo: float | None = None
    """Part of the turns beyond the limit of the promise."""


@dataclass(frozen=True, slots=True)
class Host:
    """All that a prediction is made from. `model_error` is the standard deviation of ln(measured / predicted)."""

    speeds: Speeds
    conversation: Conversation
    tuning: Tuning
    model_error: float = MODEL_ERROR
    others_cores: float = 0.0

    def v2v_s(self, num_calls: int, *, seed: int = 1, speeds: Speeds | None = None) -> NDArray[np.float64]:
        """Return at least `TURNS` simulated voice-to-voice times, shape (n,)."""
        return self._run(num_calls, seed, speeds)[0]

    def _run(
        self, num_calls: int, seed: int, speeds: Speeds | None = None
    ) -> tuple[NDArray[np.float64], dict[str, float]]:
        load = Load(
            num_calls,
            turns_a_call=max(LEAST_TURNS_A_CALL, 1 + math.ceil(TURNS / num_calls)),
            others_cores=self.others_cores,
        )
        outcome = simulate(speeds or self.speeds, self.conversation, self.tuning, load, seed)
        return outcome.v2v_s(), outcome.busy

    def predict(self, num_calls: int, *, measured_turns: int | None = None, slo: Slo | None = None) -> Prediction:
        """Return the prediction of a load.

        Its interval holds three things: the speeds are known to `SPEED_ERROR` and what the calibration tells, the
        model is wrong by `model_error`, and a measurement of `measured_turns` (default: as many as were simulated)
        has a percentile of its own.
        """
        v2v, busy = self._run(num_calls, 1)
        rng = np.random.default_rng(11)
        sigmas = [math.hypot(SPEED_ERROR, self.speeds.errors.get(stage, 0.0)) for stage in STAGES]
        replicas = []
        for replicate in range(REPLICATES):
            factors = dict(zip(STAGES, np.exp(rng.normal(0, sigmas)).tolist(), strict=True))
            replicas.append(self.v2v_s(num_calls, seed=100 + replicate, speeds=self.speeds.scaled(factors)))
        bands = []
        for percentile in (50.0, 95.0, 99.0):
            between = float(np.std([np.log(np.percentile(one, percentile)) for one in replicas], ddof=1))
            sampling = sampling_error(np.concatenate(replicas), percentile, measured_turns or TURNS)
            half = math.hypot(between, sampling, self.model_error) * Z95
            centre = float(np.percentile(v2v, percentile))
            bands.append(Band(centre, centre * math.exp(-half), centre * math.exp(half)))
        over = None if slo is None else float(np.mean(v2v > slo.limit_s))
        return Prediction(num_calls, bands[0], bands[1], bands[2], busy, over)


def sampling_error(times_s: NDArray[np.float64], percentile: float, num_turns: int) -> float:
    """Return the standard error of the logarithm of a percentile of `num_turns` turns out of such times, shape (n,).

    The asymptotic one of an order statistic, sqrt(p (1 - p) / n) times the slope of the quantile function, read over
    a stretch of it that stays inside the sample. Resampling a simulation cannot see beyond its longest turn, which is
    where the P95 of few turns may lie.
    """
    part = percentile / 100
    stretch = min(0.05, 0.5 * min(part, 1 - part))
    low, high = np.quantile(np.log(times_s), [part - stretch, part + stretch])
    return float((high - low) / (2 * stretch)) * math.sqrt(part * (1 - part) / num_turns)


@dataclass(frozen=True, slots=True)
class Knee:
    """The highest load that keeps a promise: calls at once, with the interval of the prediction.

    `calls` is 0 where even one call breaks it; `best_s` is then the best that can be had. `at_cap` tells that the
    bound of the search was reached first.
    """

    calls: int
    low: int
    high: int
    best_s: float
    at_cap: bool
    curve: tuple[tuple[int, float, float, float], ...] = ()
    """Loads that were simulated: calls, the percentile, and the bounds of its interval, seconds."""


def knee(host: Host, slo: Slo, *, most: int) -> Knee:
    """Return the highest load, of at most `most` calls, whose percentile stays below the limit of the promise.

    The percentile as a function of the load is simulated with common random numbers, made monotone, and searched
    three times: as it is, and with the error of the model for and against.
    """
    curve = _Curve(host, slo.percentile)
    error = math.exp(Z95 * math.hypot(host.model_error, SPEED_ERROR))
    calls = highest(lambda num: curve.at(num) <= slo.limit_s, most)
    low = highest(lambda num: curve.at(num) * error <= slo.limit_s, calls)
    high = highest(lambda num: curve.at(num) / error <= slo.limit_s, most) if calls < most else most
    return Knee(calls, low, max(high, calls), curve.at(1), calls >= most, curve.points(error))


def highest(keeps: Callable[[int], bool], most: int) -> int:
    """Return the largest number up to `most` that keeps a promise which, once broken, stays broken; 0 for none."""
    if most < 1 or not keeps(1):
        return 0
    good, step = 1, 1
    while good < most and keeps(min(most, good + step)):
        good = min(most, good + step)
        step *= 2
    bad = min(most, good + step) if good < most else most + 1
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if keeps(middle) else (good, middle)
    return good


class _Curve:
    """A percentile by the number of calls, simulated once each and never falling."""

    def __init__(self, host: Host, percentile: float) -> None:
        self._host = host
        self._percentile = percentile
        self._found: dict[int, float] = {}

    def points(self, error: float) -> tuple[tuple[int, float, float, float], ...]:
        """Return all that was simulated, by the number of calls, with bounds a factor `error` away."""
        return tuple((num, self.at(num), self.at(num) / error, self.at(num) * error) for num in sorted(self._found))

    def at(self, num_calls: int) -> float:
        """Return the percentile, at least that of every smaller load that was looked at."""
        if num_calls not in self._found:
            self._found[num_calls] = float(np.percentile(self._host.v2v_s(num_calls), self._percentile))
        return max(value for num, value in self._found.items() if num <= num_calls)
