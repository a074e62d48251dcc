"""Records of runs that never happened, for tests."""

from collections.abc import Callable, Sequence

import numpy as np

from voicectl.bench.run_record import (
    FORMAT,
    CallEnd,
    CallSample,
    Environment,
    GeneratorHealth,
    LoadPlan,
    RunRecord,
    TurnSample,
)

ENVIRONMENT = Environment("0", "machine", "processor", 2, 1, "target", True)


def turn(number: int, at: float, v2v_s: float | None, **other: object) -> TurnSample:
    """Return a turn of speech: answered, or timed out where `v2v_s` is None."""
    given: dict[str, object] = {"kind": "speech", "end": "answered" if v2v_s is not None else "timed-out"}
    return TurnSample(number, f"turn-{number}", intended_at=at, v2v_s=v2v_s, **{**given, **other})  # type: ignore[arg-type]


def call(
    number: int, at: float, turns: Sequence[TurnSample], held_s: float = 10.0, end: CallEnd = "completed"
) -> CallSample:
    """Return a call that stood 50 ms after it was due."""
    return CallSample(number, "w", at, at + 0.001, at + 0.05, at + held_s, end, None, tuple(turns))


def record(
    calls: Sequence[CallSample],
    *,
    duration_s: float = 600.0,
    lag_s: Sequence[float] = (0.001,) * 10,
    cpu_share: float = 0.1,
    seed: int = 1,
    digest: str = "d",
    calls_per_minute: float | None = 10.0,
) -> RunRecord:
    """Return a run."""
    plan = LoadPlan("w", digest, seed, "poisson", calls_per_minute, None, None, duration_s, 10.0)
    health = GeneratorHealth(tuple(lag_s), cpu_share, 2)
    return RunRecord(FORMAT, "2026-01-01T00:00:00Z", duration_s + 10, plan, ENVIRONMENT, health, tuple(calls))


def steady(
    latency: Callable[[np.random.Generator], float] | None = None,
    *,
    num_calls: int = 60,
    turns: int = 5,
    seed: int = 0,
    **other: object,
) -> RunRecord:
    """Return a run of lognormal latencies, a call every ten seconds."""
    rng = np.random.default_rng(seed)
    read = latency or (lambda drawn: 0.5 * float(np.exp(0.3 * drawn.standard_normal())))
    calls = [
        call(number, 10.0 * number, [turn(index, 10.0 * number + 2 * index + 1, read(rng)) for index in range(turns)])
        for number in range(num_calls)
    ]
    return record(calls, duration_s=10.0 * num_calls, **other)  # type: ignore[arg-type]
