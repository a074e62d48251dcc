"""Read thresholds such as `v2v_p95<800ms` and decide them. Knows metrics by name, not how they came about."""

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from voicectl.bench.statistics.intervals import Samples, interval, name_of, percentile_of, samples_wanted
from voicectl.bench.statistics.proportions import FEWEST_EVENTS
from voicectl.bench.summary import Proportion, SloOutcome
from voicectl.core.errors import UsageError

DURATIONS: Final = ("v2v", "eou_to_first_audio", "barge_in_stop", "setup")
RATES: Final = ("answered", "cut_ins", "missed", "unasked", "refused", "lost", "wer")
STAGE_PREFIX: Final = "stage_"
_EXPRESSION: Final = re.compile(r"\s*([a-z][a-z0-9_]*(?:\.\d+)?)\s*(<=|>=|<|>)\s*(\d+(?:\.\d+)?)\s*(ms|s|%)?\s*")
_PERCENTILE: Final = re.compile(r"(.+)_p(\d{1,3}(?:\.\d+)?)")
_EXAMPLE: Final = "write for example v2v_p95<800ms, wer<5% or answered>=99%"


class SloError(UsageError):
    """A threshold cannot be read; names the piece and what is known."""


@dataclass(frozen=True, slots=True)
class Slo:
    """One threshold. `share` is the percentile's, None for rates; `bound` is in seconds, or a share of 1."""

    text: str
    metric: str
    share: float | None
    operator: str
    bound: float

    def keeps(self, value: float) -> bool:
        """Return whether a value is on the good side."""
        match self.operator:
            case "<":
                return value < self.bound
            case "<=":
                return value <= self.bound
            case ">":
                return value > self.bound
            case _:
                return value >= self.bound


def parse(text: str) -> Slo:
    """Read one threshold. Raises SloError, which says what is known."""
    found = _EXPRESSION.fullmatch(text)
    if found is None:
        raise SloError(f"threshold {text!r} is not of the form metric<value", hint=_EXAMPLE)
    name, operator, number, unit = found.groups()
    metric, share = _named(text, name)
    if share is None:
        return Slo(text.strip(), metric, None, operator, _rate(text, number, unit))
    if operator in (">", ">="):
        raise SloError(
            f"threshold {text!r}: a latency is bounded from above", hint=f"write {name}<{number}{unit or 'ms'}"
        )
    if unit not in ("ms", "s"):
        raise SloError(f"threshold {text!r}: {name} wants a unit, ms or s", hint=f"write {name}{operator}{number}ms")
    bound = float(number) / (1000 if unit == "ms" else 1)
    if bound <= 0:
        raise SloError(f"threshold {text!r}: no latency is below 0", hint=_EXAMPLE)
    return Slo(text.strip(), metric, share, operator, bound)


def parse_all(texts: Sequence[str]) -> tuple[Slo, ...]:
    """Read several thresholds, each an option of its own or separated by commas. Raises SloError."""
    return tuple(parse(piece) for text in texts for piece in text.split(","))


def decide(
    slo: Slo, samples: Mapping[str, Samples], proportions: Mapping[str, Proportion], wer: float | None
) -> SloOutcome:
    """Judge one threshold on what was observed; without evidence `met` is None, which counts as breached."""
    if slo.share is not None:
        return _decide_percentile(slo, slo.share, samples.get(slo.metric))
    if slo.metric == "wer":
        if wer is None:
            return SloOutcome(slo.text, None, None, "no turn has both a reference and a transcript")
        return SloOutcome(slo.text, wer, slo.keeps(wer), f"word error rate {wer:.2%}")
    rate = proportions.get(slo.metric)
    if rate is None or rate.rate is None or rate.low is None or rate.high is None:
        of = 0 if rate is None else rate.of
        return SloOutcome(slo.text, None, None, f"{of} events, a rate wants {FEWEST_EVENTS}")
    surely = slo.keeps(rate.high if slo.operator.startswith("<") else rate.low)
    reason = f"{rate.num} of {rate.of} = {rate.rate:.2%}, interval {rate.low:.2%} to {rate.high:.2%}"
    met = slo.keeps(rate.rate)
    return SloOutcome(slo.text, rate.rate, met, reason + _certainty(met, surely))


def _decide_percentile(slo: Slo, share: float, samples: Samples | None) -> SloOutcome:
    """Decide as a proportion: P95 < 800 ms means that at most 5 % of the samples are not below 800 ms."""
    name = name_of(share)
    num = 0 if samples is None else samples.values.size
    if samples is None or num < samples_wanted(share):
        return SloOutcome(slo.text, None, None, f"{num} samples of {slo.metric}, {name} wants {samples_wanted(share)}")
    above = int(np.sum(samples.values >= slo.bound if slo.operator == "<" else samples.values > slo.bound))
    met = above <= (1 - share) * num + 1e-9
    value = percentile_of(np.sort(samples.values), share)
    high = interval(samples, share)[1]
    allowed = f"{round((1 - share) * 100, 6):g} %"
    reason = f"{above} of {num} turns ({above / num:.1%}) miss {_shown(slo.bound)}, {allowed} may"
    surely = high is not None and slo.keeps(high)
    return SloOutcome(slo.text, value if math.isfinite(value) else None, met, reason + _certainty(met, surely))


def turn_bounds(slos: Sequence[Slo]) -> tuple[Slo, ...]:
    """Return the thresholds that bound single turns: those of latencies of turns."""
    return tuple(slo for slo in slos if slo.share is not None and slo.metric != "setup")


def _certainty(met: bool, surely: bool) -> str:
    if not met:
        return ""
    return "; the interval's bound keeps it too" if surely else "; the interval's bound does not: more calls would tell"


def _named(text: str, name: str) -> tuple[str, float | None]:
    percentile = _PERCENTILE.fullmatch(name)
    base = name if percentile is None else percentile.group(1)
    stage = base.startswith(STAGE_PREFIX) and len(base) > len(STAGE_PREFIX)
    if base in DURATIONS or stage:
        if percentile is None:
            raise SloError(
                f"threshold {text!r}: which percentile of {base}?", hint=f"write for example {base}_p95<800ms"
            )
        share = float(percentile.group(2)) / 100
        if not 0.5 <= share < 1:
            raise SloError(
                f"threshold {text!r}: a percentile lies between p50 and p99.9", hint=f"for example {base}_p95"
            )
        return base, share
    if base in RATES and percentile is None:
        return base, None
    if base in RATES:
        raise SloError(f"threshold {text!r}: {base} is a rate and has no percentiles", hint=f"write {base}<5%")
    known = [*(f"{each}_p95" for each in DURATIONS), *RATES]
    near = difflib.get_close_matches(name, known, n=1) or difflib.get_close_matches(base, [*DURATIONS, *RATES], n=1)
    guess = f"did you mean {near[0]}? " if near else ""
    latencies = ", ".join(f"{each}_pNN" for each in (*DURATIONS, f"{STAGE_PREFIX}<stage>"))
    raise SloError(
        f"threshold {text!r}: unknown metric {name!r}", hint=f"{guess}known: {latencies}; {', '.join(RATES)}"
    )


def _rate(text: str, number: str, unit: str | None) -> float:
    if unit != "%":
        raise SloError(f"threshold {text!r}: a rate is given in %", hint=_EXAMPLE)
    share = float(number) / 100
    if share > 1 and not text.strip().startswith("wer"):
        raise SloError(f"threshold {text!r}: no rate is above 100 %", hint=_EXAMPLE)
    return share


def _shown(seconds: float) -> str:
    return f"{seconds * 1000:g} ms" if seconds < 1 else f"{seconds:g} s"
