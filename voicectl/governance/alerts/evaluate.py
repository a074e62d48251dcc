"""Tell which alerts of the policy stand, from the gate's evidence. Pure."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from voicectl.governance.gate.evidence import Evidence, Tally, UseCaseEvidence, added
from voicectl.governance.policy.schema import Alert, Metric, Policy

State = Literal["quiet", "firing", "too few", "no data"]
Z95: Final = 1.645
"""One-sided 95 % of the normal distribution."""
MIN_EVENTS: Final = 10
"""Events below which no rate is told, and so no alert on it."""
MIN_OWN_EVENTS: Final = 100
"""Events below which a use case is not judged apart from its tier: chance alone would break every bar on fewer."""


@dataclass(frozen=True, slots=True)
class AlertResult:
    """What an alert of the policy says now. `place` is its number there; `use_cases` are those that broke it."""

    place: int
    alert: Alert
    state: State
    value: float | None
    detail: str
    use_cases: tuple[str, ...] = ()

    @property
    def is_grave(self) -> bool:
        """Whether it shows a failure rather than something to look at."""
        return self.alert.severity == "page" or self.alert.verdict is not None


def evaluate_alerts(policy: Policy, evidence: Evidence) -> tuple[AlertResult, ...]:
    """Return the state of every alert, in the order of the policy."""
    return tuple(_evaluate(place, alert, evidence) for place, alert in enumerate(policy.alerts))


def to_demote(results: tuple[AlertResult, ...]) -> dict[str, str]:
    """Return the use cases that lose their traffic by themselves, with the reason: only where the policy says so."""
    return {
        use_case: f"alert on {result.alert.metric}: {result.detail}"
        for result in results
        if result.state == "firing" and result.alert.demote
        for use_case in result.use_cases
    }


def _evaluate(place: int, alert: Alert, evidence: Evidence) -> AlertResult:
    match alert.metric:
        case "v2v":
            return _latency(place, alert, evidence)
        case "wer":
            return _words(place, alert, evidence)
        case "containment_drop":
            return _by_use_case(place, alert, evidence, _drop)
        case "compliance_flag_rate":
            return _by_use_case(place, alert, evidence, lambda one, least: _bad_rate(one.flags_24h, least))
        case "warm_transfer_failure":
            return _by_use_case(place, alert, evidence, lambda one, least: _bad_rate(_warm(one), least))
        case "containment_rate":
            return _by_use_case(
                place, alert, evidence, lambda one, least: _contained(one, alert, evidence.as_of, least)
            )


def _latency(place: int, alert: Alert, evidence: Evidence) -> AlertResult:
    quality = evidence.quality
    value, bar = (quality.v2v_p90_s, alert.p90_gt) if alert.p90_gt is not None else (quality.v2v_p99_s, alert.p99_gt)
    name = "P90" if alert.p90_gt is not None else "P99"
    if value is None or bar is None:
        state: State = "too few" if quality.num_turns else "no data"
        return AlertResult(place, alert, state, None, f"{name} needs more turns than {quality.num_turns}")
    names = tuple(one.use_case for one in evidence.use_cases if one.num_calls)
    return _settled(place, alert, value, value > bar, f"{name} {value:.2f} s, threshold {bar:g} s", names)


def _words(place: int, alert: Alert, evidence: Evidence) -> AlertResult:
    quality, bar = evidence.quality, alert.gt or 0.0
    if not quality.wer_words:
        return AlertResult(place, alert, "no data", None, "no turns with a reference: run probes or import transcripts")
    value = quality.wer_errors / quality.wer_words
    names = tuple(one.use_case for one in evidence.use_cases if one.num_calls)
    return _settled(place, alert, value, value > bar, f"WER {value:.1%}, threshold {bar:.0%}", names)


def _by_use_case(
    place: int, alert: Alert, evidence: Evidence, measure: Callable[[UseCaseEvidence, int], float | None]
) -> AlertResult:
    """Judge the tier as a whole, and every use case that has enough events of its own."""
    downward = alert.lt is not None
    bar = alert.lt if alert.lt is not None else alert.gt or 0.0

    def breaks(value: float) -> bool:
        return value < bar if downward else value > bar

    values = {one.use_case: value for one in evidence.use_cases if (value := measure(one, MIN_OWN_EVENTS)) is not None}
    together = measure(_together(evidence), MIN_EVENTS)
    if together is None and not values:
        if alert.after is not None and not _old_enough(alert, evidence):
            return AlertResult(place, alert, "quiet", None, "judged only after the time that the policy gives")
        return AlertResult(place, alert, "too few", None, f"fewer than {MIN_EVENTS} events")
    broken = tuple(name for name, value in values.items() if breaks(value))
    firing = bool(broken) or (together is not None and breaks(together))
    value = together if together is not None else next(iter(values.values()))
    worst = (min if downward else max)([*values.values(), value])
    named = f" ({', '.join(broken)})" if broken else ""
    names = broken or tuple(one.use_case for one in evidence.use_cases if one.num_calls)
    return _settled(place, alert, worst, firing, f"{worst:.1%}, threshold {bar:.0%}{named}", names)


def _settled(place: int, alert: Alert, value: float, firing: bool, detail: str, names: tuple[str, ...]) -> AlertResult:
    return AlertResult(place, alert, "firing" if firing else "quiet", value, detail, names if firing else ())


def _together(evidence: Evidence) -> UseCaseEvidence:
    """Return the use cases of the tier as if they were one."""
    ones = evidence.use_cases
    return UseCaseEvidence(
        use_case="",
        since=min((one.since for one in ones if one.num_calls), default=evidence.as_of),
        window={metric: evidence.window_of(metric) for metric in _metrics(ones)},
        containment_24h=added(one.containment_24h for one in ones),
        containment_before=added(one.containment_before for one in ones),
        flags_24h=added(one.flags_24h for one in ones),
    )


def _metrics(ones: tuple[UseCaseEvidence, ...]) -> Iterator[Metric]:
    return iter({metric for one in ones for metric in one.window})


def _warm(one: UseCaseEvidence) -> Tally:
    return one.window.get("warm_transfer_success", Tally())


def _bad_rate(tally: Tally, least: int) -> float | None:
    return (tally.bad + tally.unknown) / tally.total if tally.total >= least else None


def _drop(one: UseCaseEvidence, least: int) -> float | None:
    now, before = one.containment_24h, one.containment_before
    if now.total < least or before.total < least or not before.worst or now.worst is None:
        return None
    # Two days of few calls differ: a fall that is not beyond chance is none. The level itself has its criterion.
    both = (now.good + before.good) / (now.total + before.total)
    spread = math.sqrt(both * (1 - both) * (1 / now.total + 1 / before.total))
    return 1 - now.worst / before.worst if before.worst - now.worst > Z95 * spread else 0.0


def _contained(one: UseCaseEvidence, alert: Alert, as_of: float, least: int) -> float | None:
    tally = one.window.get("containment_rate", Tally())
    if tally.total < least or (alert.after is not None and as_of - one.since < alert.after):
        return None
    return tally.worst


def _old_enough(alert: Alert, evidence: Evidence) -> bool:
    return any(evidence.as_of - one.since >= (alert.after or 0.0) for one in evidence.use_cases if one.num_calls)
