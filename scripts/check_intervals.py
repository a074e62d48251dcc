"""Measure how often the intervals of percentiles hold the true one, over synthetic runs whose truth is known.

Latencies are skewed (lognormal) and hang together as those of calls do: within a call, in time, in stalls and in
queues. Beside voicectl's interval: the plain ones it replaces. Exits with 1 when any coverage misses the bar.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import signal, stats

from voicectl.bench.statistics.bootstrap import draw, percentiles
from voicectl.bench.statistics.correlation import Floats, correlate
from voicectl.bench.statistics.intervals import Samples, interval, ranks, samples_wanted

SHARES = (0.5, 0.9, 0.95, 0.99)
BAR = (0.93, 0.97)
SIGMA = 0.5
GRID = 4096
RESAMPLES = 300


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of run. Shares of the variance of log latency: `call` of the call, `drift` of the time.

    `within` is the correlation of neighbouring turns of a call (AR 1); `tau` the correlation time as a share of
    the run; `span` how many mean times between calls a call lasts; `stalls` how many stalls a run has on average,
    `queue` the load of an M/M/1 queue; `lost` the share of turns that are never answered. A scenario that does not
    count shows where the method ends.
    """

    name: str
    calls: int
    turns: int
    call: float = 0.0
    within: float = 0.0
    drift: float = 0.0
    tau: float = 0.01
    span: float = 5.0
    varied: bool = True
    stalls: float = 0.0
    queue: float = 0.0
    lost: float = 0.0
    counts: bool = True


SCENARIOS = (
    Scenario("independent, one turn a call", 60, 1, varied=False),
    Scenario("independent, one turn a call", 100, 1, varied=False),
    Scenario("independent", 20, 15, varied=False),
    Scenario("independent", 40, 10),
    Scenario("independent", 150, 8),
    Scenario("independent, 3 % unanswered", 100, 6, lost=0.03),
    Scenario("calls differ (ICC 0.3)", 20, 20, call=0.3),
    Scenario("calls differ (ICC 0.3)", 40, 10, call=0.3),
    Scenario("calls differ (ICC 0.3)", 100, 6, call=0.3),
    Scenario("calls differ (ICC 0.5)", 200, 8, call=0.5),
    Scenario("AR(1) within a call, 0.7", 60, 15, within=0.7),
    Scenario("AR(1) within a call, 0.9", 40, 25, within=0.9),
    Scenario("one series, AR(1) 0.7", 60, 10, drift=1.0, tau=2.8 / 600, span=0.9, varied=False),
    Scenario("one series, AR(1) 0.9", 100, 10, drift=1.0, tau=9.5 / 1000, span=0.9, varied=False),
    Scenario("drift, 1 % of the run", 150, 8, drift=0.3, tau=0.01),
    Scenario("drift, 2 % of the run", 150, 8, drift=0.3, tau=0.02),
    Scenario("drift, 2 %, calls as long as the run", 20, 40, drift=0.3, tau=0.02, span=40),
    Scenario("drift, 2 %, and calls differ", 200, 8, call=0.2, drift=0.2, tau=0.02),
    Scenario("stalls, 20 a run", 150, 8, stalls=20),
    Scenario("queue M/M/1, load 0.6", 200, 8, queue=0.6, counts=False),
)


def layout(scenario: Scenario, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, Floats]:
    """Return each turn's call, its place in the call and its instant."""
    count = scenario.calls
    lengths = np.full(count, scenario.turns) if not scenario.varied else 1 + rng.poisson(scenario.turns - 1, count)
    start = np.cumsum(rng.exponential(1.0, count)) if scenario.span > 1 else np.arange(count, dtype=float)
    calls = np.repeat(np.arange(count), lengths)
    place = np.arange(calls.size) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    pause = rng.random(calls.size) * 0.3 if scenario.span > 1 else 0.0
    return calls, place, start[calls] + (place + pause) * scenario.span / scenario.turns


def series(rho: float, num: int, rng: np.random.Generator) -> Floats:
    """Return a stationary AR(1) series of standard normal variables."""
    noise = rng.standard_normal(num) * np.sqrt(1 - rho**2)
    noise[0] /= np.sqrt(1 - rho**2)
    return signal.lfilter([1.0], [1.0, -rho], noise)


def normals(scenario: Scenario, rng: np.random.Generator) -> tuple[Floats, np.ndarray, Floats]:
    """Return standard normal variables that hang together as the scenario says, calls, and instants."""
    calls, place, at = layout(scenario, rng)
    if scenario.within:
        table = np.array([series(scenario.within, place.max() + 1, rng) for _ in range(scenario.calls)])
        own = table[calls, place]
    else:
        own = rng.standard_normal(calls.size)
    found = np.sqrt(1 - scenario.call - scenario.drift) * own
    found += np.sqrt(scenario.call) * rng.standard_normal(scenario.calls)[calls]
    if scenario.drift:
        cells = np.minimum((at / at.max() * GRID).astype(int), GRID - 1)
        found += np.sqrt(scenario.drift) * series(np.exp(-1 / (scenario.tau * GRID)), GRID, rng)[cells]
    return found, calls, at


def synthesise(scenario: Scenario, rng: np.random.Generator) -> Samples:
    """Return one run."""
    scores, calls, at = normals(scenario, rng)
    latency = 0.5 * np.exp(SIGMA * scores)
    if scenario.queue:
        latency = queue(scenario.queue, calls.size, rng)
        order = np.argsort(at, kind="stable")
        latency[order] = latency.copy()
    if scenario.stalls:
        for begun in rng.random(rng.poisson(scenario.stalls)) * at.max():
            latency[(at >= begun) & (at < begun + 0.003 * at.max())] += 1.0 + rng.random()
    if scenario.lost:
        latency = np.where(rng.random(latency.size) < scenario.lost, np.inf, latency)
    return Samples(latency, np.minimum(latency, 10.0), calls, at)


def queue(load: float, num: int, rng: np.random.Generator) -> Floats:
    """Return sojourn times of a stationary M/M/1 queue with mean service 1 (Lindley's recursion)."""
    steps = rng.exponential(1.0, num) - rng.exponential(1 / load, num)
    walk = np.cumsum(steps)
    first = rng.exponential(1 / (1 - load)) if rng.random() < load else 0.0
    lowest = np.minimum.accumulate(np.minimum(walk, 0.0))
    wait = np.maximum(walk - lowest, first + walk)
    return np.concatenate([[first], wait[:-1]]) + rng.exponential(1.0, num)


def truth(scenario: Scenario, seed: int) -> dict[float, float]:
    """Return the true percentiles, by formula where there is one, else from a thousand times the runs' turns."""
    if scenario.queue:
        return {share: float(stats.expon.ppf(share) / (1 - scenario.queue)) for share in SHARES}
    if scenario.stalls:
        rng = np.random.default_rng(seed)
        pooled = np.concatenate([synthesise(scenario, rng).values for _ in range(3000)])
        return {share: float(np.quantile(pooled, share)) for share in SHARES}
    kept = 1 - scenario.lost
    return {
        share: float(0.5 * np.exp(SIGMA * stats.norm.ppf(share / kept))) if share < kept else np.inf for share in SHARES
    }


def holds(bounds: tuple[float | None, float | None], true: float) -> bool:
    """Return whether an interval, a side of it perhaps open, holds the truth."""
    low, high = bounds
    return (low is None or low <= true) and (high is None or true <= high)


def plain(samples: Samples) -> dict[tuple[str, float], tuple[float | None, float | None]]:
    """Return what this replaces: order statistics of n, percentile bootstrap of calls, the wider of both."""
    ascending = np.sort(samples.values)
    num = ascending.size
    shares = [share for share in SHARES if num >= samples_wanted(share)]
    drawn = percentiles(samples.values, samples.calls, draw(int(samples.calls.max()) + 1, RESAMPLES), shares)
    found: dict[tuple[str, float], tuple[float | None, float | None]] = {}
    for column, share in enumerate(shares):
        low, high = ranks(num, share)
        exact = (
            None if low is None else float(ascending[max(int(low) - 1, 0)]),
            None if high is None else float(ascending[min(int(np.ceil(high)) - 1, num - 1)]),
        )
        ends = np.quantile(drawn[:, column], [0.025, 0.975], method="inverted_cdf")
        boot = (float(ends[0]), float(ends[1]))
        found["order", share] = exact
        found["bootstrap", share] = boot
        found["wider", share] = (
            None if exact[0] is None else min(exact[0], boot[0]),
            None if exact[1] is None else max(exact[1], boot[1]),
        )
    return found


def runs(scenario: Scenario, num: int, num_plain: int, true: dict[float, float], seed: int) -> dict[str, float]:
    """Return counts over `num` synthetic runs."""
    rng = np.random.default_rng(seed)
    counts: dict[str, float] = {}

    def count(key: str, by: float = 1.0) -> None:
        counts[key] = counts.get(key, 0.0) + by

    for index in range(num):
        samples = synthesise(scenario, rng)
        correlation = correlate(samples.values, samples.calls, samples.at)
        replaced = plain(samples) if index < num_plain else {}
        for share in SHARES:
            if samples.values.size < samples_wanted(share) or np.isinf(true[share]):
                continue
            bounds = interval(samples, share, correlation)
            count(f"{share} runs")
            count(f"{share} held", holds(bounds, true[share]))
            count(f"{share} open", bounds[1] is None or bounds[0] is None)
            for (name, other), old in replaced.items():
                if other == share:
                    count(f"{share} {name} runs")
                    count(f"{share} {name}", holds(old, true[share]))
    return counts


def part(job: tuple[int, int], num: int, num_plain: int) -> tuple[int, dict[str, float]]:
    """Run a part of a scenario in a process of its own."""
    scenario, piece = job
    chosen = SCENARIOS[scenario]
    return scenario, runs(chosen, num, num_plain, truth(chosen, 7), 1000 * scenario + piece)


def say(line: str) -> None:
    """Write a line at once: a campaign takes minutes."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run the campaign and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000, help="synthetic runs a scenario")
    parser.add_argument("--plain-runs", type=int, default=400, help="of these, also judged by the plain intervals")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", default="", help="scenarios whose name holds this")
    given = parser.parse_args()
    pieces = 4
    chosen = [index for index, scenario in enumerate(SCENARIOS) if given.only in scenario.name]
    jobs = [(index, piece) for index in chosen for piece in range(pieces)]
    totals: dict[int, dict[str, float]] = {index: {} for index in chosen}
    missed = 0
    say("| scenario | calls × turns | | covers | open | order statistics | call bootstrap | wider of both |")
    say("|---|---|---|---|---|---|---|---|")
    with ProcessPoolExecutor(given.processes) as pool:
        work = partial(part, num=given.runs // pieces, num_plain=given.plain_runs // pieces)
        for position, (index, counts) in enumerate(pool.map(work, jobs)):
            for key, value in counts.items():
                totals[index][key] = totals[index].get(key, 0.0) + value
            if position % pieces == pieces - 1:
                missed += show(SCENARIOS[index], totals[index], given.runs)
    say(f"\n{missed} coverages outside {BAR[0]:.0%} to {BAR[1]:.0%}.")
    return int(missed > 0)


def show(scenario: Scenario, counts: dict[str, float], num: int) -> int:
    """Print a scenario's rows; return how many of them miss the bar."""
    missed = 0
    for share in SHARES:
        if counts.get(f"{share} runs", 0) < num / 2:
            continue
        covers = counts[f"{share} held"] / counts[f"{share} runs"]
        missed += scenario.counts and not BAR[0] <= covers <= BAR[1]
        old = [
            f"{counts[f'{share} {name}'] / counts[f'{share} {name} runs']:.1%}" if f"{share} {name}" in counts else ""
            for name in ("order", "bootstrap", "wider")
        ]
        opened = counts[f"{share} open"] / counts[f"{share} runs"]
        shape = f"{scenario.calls} × {scenario.turns}"
        cells = [scenario.name, shape, f"P{share * 100:g}", f"{covers:.1%}", f"{opened:.0%}", *old]
        say("| " + " | ".join(cells) + " |")
    return missed


if __name__ == "__main__":
    sys.exit(main())
