"""Turn a run's record into its summary. Knows the order of judging; each judgement is a module of its own."""

from collections.abc import Callable, Sequence
from typing import Final

from voicectl.bench.run_record import RunRecord
from voicectl.bench.statistics import observed, thresholds, validity
from voicectl.bench.statistics.intervals import Samples, distribution
from voicectl.bench.statistics.thresholds import Slo
from voicectl.bench.statistics.warm_up import Series, dropped_by_mser, is_steady
from voicectl.bench.statistics.word_errors import word_error_rate
from voicectl.bench.summary import RunSummary, WarmUp

SHARES: Final = (0.5, 0.9, 0.95, 0.99)
PRIMARY: Final = "v2v"
LONGEST_WARM_UP: Final = 1 / 4


def summarize(
    record: RunRecord,
    *,
    slos: Sequence[Slo] = (),
    warm_up: float | None = None,
    shares: tuple[float, ...] = SHARES,
) -> RunSummary:
    """Return all that can be said of a run.

    `warm_up` seconds are dropped from the start; None detects them (MSER-5), 0 drops nothing. Rates of calls and
    the time to set them up are of the whole run: a refusal at the start is one.
    """
    turns = observed.turns_of(record)
    dropped = warm_up_of(turns, warm_up)
    kept = after_warm_up(turns, dropped)
    samples = observed.turn_samples(kept)
    setup = observed.setup_samples(record.calls)
    if setup.values.size:
        samples["setup"] = setup
    rates = observed.rates(kept, record.calls)
    load = validity.throughput(record)
    num_measured = samples[PRIMARY].values.size - samples[PRIMARY].num_censored if PRIMARY in samples else 0
    reasons = validity.reasons_against(record, load, num_measured=num_measured, steady=dropped.steady)
    wer = word_error_rate(turn for _, turn, _ in turns)
    minutes = (record.wall_s - dropped.dropped_s) / 60
    return RunSummary(
        verdict="INVALID" if reasons else "VALID",
        reasons=reasons,
        distributions=tuple(distribution(metric, each, shares) for metric, each in samples.items()),
        proportions=tuple(rates.values()),
        wer=wer,
        goodput_per_minute=observed.good_turns(kept, _bounds(slos)) / minutes if minutes > 0 else None,
        offered_calls_per_minute=load.offered_per_minute,
        achieved_calls_per_minute=load.achieved_per_minute,
        peak_concurrency=load.peak_concurrency,
        warm_up=dropped,
        lag_p99_s=validity.lag_p99(record),
        cpu_share=record.health.cpu_share,
        slos=tuple(thresholds.decide(slo, samples, rates, wer) for slo in slos),
    )


def after_warm_up(turns: list[observed.Placed], dropped: WarmUp) -> list[observed.Placed]:
    """Return the turns that count."""
    return [each for each in turns if each[2] >= dropped.dropped_s] if dropped.dropped_turns else turns


def warm_up_of(turns: list[observed.Placed], given: float | None) -> WarmUp:
    """Return what is dropped from the start: `given` seconds, or what MSER-5 finds in v2v."""
    primary = observed.turn_samples(turns).get(PRIMARY)
    if given is not None:
        dropped_s, method = given, "given"
    else:
        num = 0 if primary is None else dropped_by_mser(primary.values)
        dropped_s = float(primary.at[num]) if primary is not None and num else 0.0
        method = "mser-5" if num else "none"
    dropped_turns = sum(at < dropped_s for _, _, at in turns)
    return WarmUp(
        method, dropped_s if dropped_turns or given else 0.0, dropped_turns, _steady_after(primary, dropped_s)
    )


def _steady_after(primary: Samples | None, dropped_s: float) -> bool:
    """Return whether what is left is steady and, where more than a quarter was dropped, the whole: a rise that goes on
    looks like a long warm-up."""
    if primary is None:
        return True
    whole = Series(primary.values, primary.calls, primary.at)
    kept = primary.at >= dropped_s
    rest = Series(primary.values[kept], primary.calls[kept], primary.at[kept])
    return is_steady(rest) and (float(kept.mean()) >= 1 - LONGEST_WARM_UP or is_steady(whole))


def _bounds(slos: Sequence[Slo]) -> dict[str, Callable[[float], bool]]:
    """Return what a good turn must meet; of several thresholds on one metric, all."""
    by_metric: dict[str, list[Slo]] = {}
    for slo in thresholds.turn_bounds(slos):
        by_metric.setdefault(slo.metric, []).append(slo)
    return {metric: _all_of(each) for metric, each in by_metric.items()}


def _all_of(slos: list[Slo]) -> Callable[[float], bool]:
    return lambda value: all(slo.keeps(value) for slo in slos)
