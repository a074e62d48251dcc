"""What a run says once judged: percentiles with intervals, verdict, thresholds. The shape alone; knows no method."""

from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["VALID", "INVALID"]


@dataclass(frozen=True, slots=True)
class Percentile:
    """One percentile of one metric, seconds.

    `value` is None where there are too few samples for it, or where it lies among censored samples;
    `at_least` is then the bound that is known, `reason` says why. `low` and `high` bound the interval
    (`high` None: unbounded); `method` is "order-statistics".
    """

    share: float
    value: float | None
    low: float | None
    high: float | None
    method: str | None = None
    at_least: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Distribution:
    """One metric: how many samples, how many of them censored, the effective sample size, percentiles."""

    metric: str
    num: int
    num_censored: int
    num_effective: float | None
    mean: float | None
    worst: float | None
    percentiles: tuple[Percentile, ...]


@dataclass(frozen=True, slots=True)
class Proportion:
    """A rate with its interval (Wilson). `rate` is None with fewer than ten events of the denominator."""

    name: str
    num: int
    of: int
    rate: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What was dropped from the start of the run. `method` is "mser-5", "given" or "none"."""

    method: str
    dropped_s: float
    dropped_turns: int
    steady: bool


@dataclass(frozen=True, slots=True)
class SloOutcome:
    """One threshold. `met` is None when there is not enough evidence, which counts as breached."""

    text: str
    value: float | None
    met: bool | None
    reason: str


@dataclass(frozen=True, slots=True)
class RunSummary:
    """All that is shown of a run. `reasons` says why it is INVALID; every distribution is in seconds."""

    verdict: Verdict
    reasons: tuple[str, ...]
    distributions: tuple[Distribution, ...]
    proportions: tuple[Proportion, ...]
    wer: float | None
    goodput_per_minute: float | None
    offered_calls_per_minute: float
    achieved_calls_per_minute: float
    peak_concurrency: int
    warm_up: WarmUp
    lag_p99_s: float | None
    cpu_share: float
    slos: tuple[SloOutcome, ...] = field(default=())
