"""Overloads are found, steady loads are not taken for one; how often, over many runs: `scripts/check_decisions.py`."""

import numpy as np
import pytest

from tests.fakes.run_records import call, record
from voicectl.bench.statistics.validity import throughput

DURATION_S = 1800.0
HELD_S = 60.0


def saturated(erlangs: float, lines: int | None, seed: int) -> bool:
    """Say whether calls of a minute that come over half an hour, and wait for a free line, are found to saturate."""
    rng = np.random.default_rng(seed)
    starts = np.sort(rng.uniform(0, DURATION_S, rng.poisson(erlangs * DURATION_S / HELD_S)))
    free_at = np.zeros(lines or 1)
    calls = []
    for number, start in enumerate(starts.tolist()):
        length, begun = HELD_S * float(rng.lognormal(-0.125, 0.5)), start
        if lines is not None:
            line = int(np.argmin(free_at))
            begun = max(start, float(free_at[line]))
            free_at[line] = begun + length
        calls.append(call(number, start, (), held_s=begun + length - start))
    return throughput(record(calls, duration_s=DURATION_S)).saturated


@pytest.mark.parametrize("erlangs", [2.0, 20.0])
def test_steady_load_is_not_saturated(erlangs: float) -> None:
    assert not any(saturated(erlangs, None, seed) for seed in range(15))


def test_overload_is_found() -> None:
    assert sum(saturated(14.0, 10, seed) for seed in range(10)) >= 9


def test_calls_too_long_to_have_ended_say_nothing() -> None:
    long = [call(number, 10.0 * number, (), held_s=400.0) for number in range(60)]
    assert not throughput(record(long, duration_s=600.0)).saturated
