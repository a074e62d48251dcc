"""Measure how often bench's decisions are wrong, over synthetic runs whose truth is known.

    python scripts/check_decisions.py [--runs 400] [--processes 2]

Comparisons of a system with itself must show no difference; steady runs must not be INVALID; loads beyond what a
server can hold must be. Exits with 1 when a bar is missed.
"""

import argparse
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from check_intervals import SCENARIOS, SIGMA, Scenario, normals, synthesise

from voicectl.bench.run_record import (
    FORMAT,
    CallSample,
    Environment,
    GeneratorHealth,
    LoadPlan,
    RunRecord,
    TurnSample,
)
from voicectl.bench.statistics.compare import compare
from voicectl.bench.statistics.correlation import Floats, Ints
from voicectl.bench.statistics.summarize import summarize
from voicectl.bench.statistics.validity import throughput

FALSE_ALARM_BAR = 0.05
FALSE_INVALID_BAR = 0.01
DETECTION_BAR = 0.95
_ENVIRONMENT = Environment("0", "synthetic", "none", 2, 1, "none", True)
_HEALTH = GeneratorHealth((0.001,) * 10, 0.1, 2)
_STEADY = [one for one in SCENARIOS if not one.stalls and not one.queue and one.turns * one.calls >= 300]


@dataclass(frozen=True, slots=True)
class Case:
    """Something decided over and over: `decide` says whether it was told, of run number and generator.

    `bar` is the most that may be told where `told` is wrong, the least where it is right; None shows, and judges not.
    """

    question: str
    name: str
    decide: Callable[[np.random.Generator, int], bool | None]
    bar: float | None
    wrong: bool


def record_of(values: Floats, calls: Ints, at: Floats, *, seed: int) -> RunRecord:
    """Return a run whose turns, sorted by call, took `values` (n,), unanswered where infinite, at instants `at`."""
    rows: dict[int, list[TurnSample]] = {}
    for call, instant, value in zip(calls.tolist(), at.tolist(), values.tolist(), strict=True):
        turns = rows.setdefault(call, [])
        answered = np.isfinite(value)
        turns.append(
            TurnSample(
                len(turns),
                f"turn-{len(turns)}",
                "speech",
                "answered" if answered else "timed-out",
                instant,
                value if answered else None,
                None if answered else 10.0,
            )
        )
    samples = [
        CallSample(call, "w", *[turns[0].intended_at or 0.0] * 3, (turns[-1].intended_at or 0.0) + 1, "completed")
        for call, turns in rows.items()
    ]
    whole = tuple(
        CallSample(
            one.call, "w", one.scheduled_at, one.started_at, one.connected_at, one.ended_at, "completed", None, turns
        )
        for one, turns in zip(samples, map(tuple, rows.values()), strict=True)
    )
    return run_of(whole, float(at.max()) + 1, arrivals="closed", seed=seed)


def run_of(calls: tuple[CallSample, ...], duration_s: float, *, arrivals: str, seed: int = 1) -> RunRecord:
    """Return a run of calls."""
    closed = arrivals == "closed"
    plan = LoadPlan("w", "d", seed, arrivals, None if closed else 60.0, 4 if closed else None, None, duration_s, 10.0)
    return RunRecord(FORMAT, "2026-01-01T00:00:00Z", duration_s + 10, plan, _ENVIRONMENT, _HEALTH, calls)


def unpaired(scenario: Scenario, rng: np.random.Generator, index: int) -> bool | None:
    """Say whether two runs of one system, of other conversations, are told apart; None where they do not compare."""
    first, second = synthesise(scenario, rng), synthesise(scenario, rng)
    before = record_of(first.values, first.calls, first.at, seed=2 * index)
    return _told(before, record_of(second.values, second.calls, second.at, seed=2 * index + 1))


def paired(scenario: Scenario, rng: np.random.Generator, index: int) -> bool | None:
    """Say whether two runs of the same conversations are told apart: half of their variance is the conversations'."""
    common, calls, at = normals(scenario, np.random.default_rng(int(rng.integers(1 << 60))))
    layout_seed = int(rng.integers(1 << 60))
    runs = []
    for _ in range(2):
        own = _own_like(scenario, calls, at, rng)
        scores = (common + own) / np.sqrt(2)
        runs.append(record_of(0.5 * np.exp(SIGMA * scores), calls, at, seed=layout_seed))
    return _told(*runs)


def _own_like(scenario: Scenario, calls: Ints, at: Floats, rng: np.random.Generator) -> Floats:
    """Return noise of a run's own on a given layout: of calls and of time, as in the scenario."""
    own = rng.standard_normal(calls.size) * np.sqrt(1 - scenario.call - scenario.drift)
    own += np.sqrt(scenario.call) * rng.standard_normal(int(calls.max()) + 1)[calls]
    if scenario.drift:
        cells = np.minimum((at / at.max() * 1024).astype(int), 1023)
        rho = float(np.exp(-1 / (scenario.tau * 1024)))
        steps, level = rng.standard_normal(1024) * np.sqrt(1 - rho**2), float(rng.standard_normal())
        walk = np.empty(1024)
        for cell, step in enumerate(steps):
            level = rho * level + step
            walk[cell] = level
        own += np.sqrt(scenario.drift) * walk[cells]
    return own


def _told(before: RunRecord, after: RunRecord) -> bool | None:
    outcome = compare(before, after, tolerance=0.0).outcome
    return None if outcome == "not comparable" else outcome != "no difference shown"


def invalid(scenario: Scenario, trend: float, rng: np.random.Generator, index: int) -> bool:
    """Say whether a run is INVALID whose log latency rises by `trend` of its standard deviations over its length."""
    samples = synthesise(scenario, rng)
    values = samples.values * np.exp(SIGMA * trend * samples.at / samples.at.max())
    return summarize(record_of(values, samples.calls, samples.at, seed=index)).verdict == "INVALID"


def saturated(offered: float, servers: float, rng: np.random.Generator, index: int) -> bool:
    """Say whether a load is found to saturate: `offered` erlangs of calls on a host that holds `servers` at once.

    Calls of 60 s on average begin over 30 minutes and wait for a free line in the order in which they came.
    """
    duration_s, held_s = 1800.0, 60.0
    num = int(rng.poisson(offered * duration_s / held_s))
    starts = np.sort(rng.uniform(0, duration_s, num))
    lengths = held_s * rng.lognormal(-0.125, 0.5, num)
    free_at = np.zeros(int(servers)) if np.isfinite(servers) else None
    calls = []
    for call, (start, length) in enumerate(zip(starts.tolist(), lengths.tolist(), strict=True)):
        begun = start
        if free_at is not None:
            line = int(np.argmin(free_at))
            begun = max(start, float(free_at[line]))
            free_at[line] = begun + length
        calls.append(CallSample(call, "w", start, start, begun, begun + length, "completed"))
    return throughput(run_of(tuple(calls), duration_s, arrivals="poisson", seed=index)).saturated


def cases() -> list[Case]:
    """Return all that is asked."""
    found = []
    for one in _STEADY:
        name = f"{one.name}, {one.calls} × {one.turns}"
        found.append(Case("A/A told apart, other conversations", name, partial(unpaired, one), FALSE_ALARM_BAR, True))
        if not one.within and not one.lost:
            found.append(Case("A/A told apart, same conversations", name, partial(paired, one), FALSE_ALARM_BAR, True))
        found.append(Case("steady run INVALID", name, partial(invalid, one, 0.0), FALSE_INVALID_BAR, True))
    typical = next(one for one in _STEADY if one.name == "calls differ (ICC 0.3)" and one.calls == 100)
    for trend, bar in ((1.0, None), (1.5, None), (2.0, DETECTION_BAR), (3.0, DETECTION_BAR)):
        decide = partial(invalid, typical, trend)
        found.append(Case("rising latency INVALID", f"by {trend:g} standard deviations", decide, bar, False))
    for erlangs in (2.0, 5.0, 10.0, 30.0, 100.0):
        decide = partial(saturated, erlangs, np.inf)
        found.append(Case("steady load saturated", f"{erlangs:g} erlangs", decide, FALSE_INVALID_BAR, True))
    for erlangs, lines, bar in (
        (9.0, 10, None),
        (11.0, 10, None),
        (13.0, 10, DETECTION_BAR),
        (15.0, 10, DETECTION_BAR),
    ):
        decide = partial(saturated, erlangs, lines)
        found.append(Case("overload saturated", f"{erlangs:g} erlangs on {lines} lines", decide, bar, False))
    return found


def part(index: int, runs: int) -> tuple[int, int]:
    """Return how often something was told, and of how many runs."""
    case, rng = cases()[index], np.random.default_rng(500 + index)
    told = [case.decide(rng, number) for number in range(runs)]
    known = [one for one in told if one is not None]
    return sum(known), len(known)


def missed(case: Case, share: float, num: int) -> bool:
    """Return whether a share lies on the wrong side of its bar by more than two standard errors."""
    if case.bar is None:
        return False
    error = 2 * (case.bar * (1 - case.bar) / max(1, num)) ** 0.5
    return share > case.bar + error if case.wrong else share < case.bar - error


def main() -> int:
    """Run the campaign and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=400, help="synthetic runs, or pairs of them, a row")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", default="", help="rows whose question and kind hold this")
    given = parser.parse_args()
    say = sys.stdout.write
    say("| told | of | runs | share | bar |\n|---|---|---|---|---|\n")
    asked = [(index, case) for index, case in enumerate(cases()) if given.only in f"{case.question}, {case.name}"]
    failed = 0
    with ProcessPoolExecutor(given.processes) as pool:
        for (_, case), (told, num) in zip(
            asked, pool.map(partial(part, runs=given.runs), [index for index, _ in asked]), strict=True
        ):
            share = told / max(1, num)
            bad = missed(case, share, num)
            failed += bad
            bar = "" if case.bar is None else f"{'≤' if case.wrong else '≥'} {case.bar:.0%}"
            say(f"| {case.question} | {case.name} | {num} | {share:.1%} | {bar}{' **missed**' if bad else ''} |\n")
            sys.stdout.flush()
    say(f"\n{failed} bars missed.\n")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
