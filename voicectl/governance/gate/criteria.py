"""Judge one criterion by its counts: met, failed, or not decided yet. Pure."""

import math
from dataclasses import dataclass
from typing import Final, Literal

from voicectl.governance.gate.evidence import Evidence, Tally
from voicectl.governance.gate.judge import JudgeError, apparent_bar, corrected
from voicectl.governance.gate.statistics import forecast, log_e_value, wilson_lower
from voicectl.governance.policy.schema import Criterion, Metric

State = Literal["met", "hold", "unfit", "failed"]

QUESTIONS: Final[dict[Metric, tuple[str, bool]]] = {
    "containment_rate": ("resolved", True),
    "compliance_flag_rate": ("compliance_flagged", False),
}
"""For a metric that a judge decides: the question that it answers, and whether its yes is a good event."""


@dataclass(frozen=True, slots=True)
class CriterionResult:
    """What became of a criterion. Rates are those of the metric, as the policy states its bar.

    `more_events` is how many more events of this kind a decision is likely to take if they go on as in the window.
    """

    metric: Metric
    operator: str
    bar: float
    min_n: int
    state: State
    reasons: tuple[str, ...]
    window: Tally
    total: Tally
    estimate: float | None
    corrected: bool
    wilson: float | None
    e_value: float
    e_needed: float
    more_events: int | None
    days: float | None


def judge_criterion(
    metric: Metric, criterion: Criterion, evidence: Evidence, alpha: float, *, early_until: float | None
) -> CriterionResult:
    """Return the result of a criterion. Before `early_until` a rate short of the bar is no failure."""
    window, total = evidence.window_of(metric), evidence.total_of(metric)
    upward = criterion.operator in ("gte", "gt")
    good_bar = criterion.bar if upward else 1 - criterion.bar
    errors, doubt = _errors(metric, evidence, total, alpha)
    test_bar = good_bar if errors is None else _apparent(metric, good_bar, errors, alpha, total)
    good_rate = window.worst if errors is None else _corrected(metric, window, errors)
    decided = float(log_e_value(total.good, total.total, min(test_bar, 1 - 1e-12)))
    needed = -math.log(alpha)
    more = _more(window, total, test_bar, alpha, criterion.min_n)
    lower = wilson_lower(window.good, window.total, alpha)
    state, reasons = _state(
        metric,
        criterion,
        window,
        total,
        good_rate=good_rate,
        good_bar=good_bar,
        decided=decided,
        needed=needed,
        doubt=doubt,
    )
    if state == "hold" and _is_worse(window, total, test_bar, alpha, criterion, good_rate=good_rate, good_bar=good_bar):
        state = "hold" if early_until is not None and evidence.as_of < early_until else "failed"
    return CriterionResult(
        metric=metric,
        operator=criterion.operator,
        bar=criterion.bar,
        min_n=criterion.min_n,
        state=state,
        reasons=reasons,
        window=window,
        total=total,
        estimate=_of_metric(good_rate, upward),
        corrected=errors is not None,
        wilson=_of_metric(lower, upward),
        e_value=math.exp(min(decided, 700.0)),
        e_needed=1 / alpha,
        more_events=None if state == "met" else more,
        days=None if state == "met" or more is None else _days(more, window, evidence.window_s),
    )


def holds(rate: float, operator: str, bar: float) -> bool:
    """Tell whether a rate meets a bar."""
    match operator:
        case "gte":
            return rate >= bar
        case "gt":
            return rate > bar
        case "lte":
            return rate <= bar
        case _:
            return rate < bar


def _errors(metric: Metric, evidence: Evidence, total: Tally, alpha: float) -> tuple[JudgeError | None, str | None]:
    """Return the errors to correct by, None if no judge was asked; and why the judge's word is no evidence."""
    if metric not in QUESTIONS or not total.judged:
        return None, None
    errors = evidence.judge.get(QUESTIONS[metric][0])
    if errors is None:
        return None, "the calls were judged by several judges: score them again with `voicectl calls score --all`"
    doubt = errors.doubt(alpha)
    return (None, doubt) if doubt else (errors, None)


def _apparent(metric: Metric, bar: float, errors: JudgeError, alpha: float, total: Tally) -> float:
    good_is_yes = QUESTIONS[metric][1]
    return apparent_bar(bar, errors, alpha, good_is_yes=good_is_yes, some_proven=total.judged_good < total.good)


def _corrected(metric: Metric, window: Tally, errors: JudgeError) -> float | None:
    """Return the rate of good events: the proven ones as they are, the judged ones corrected, the unknown ones bad."""
    if not window.total:
        return None
    good_is_yes = QUESTIONS[metric][1]
    judged = corrected(window.judged_good, window.judged, window.unknown, errors, good_is_yes=good_is_yes)
    return (window.good - window.judged_good + judged) / window.total


def _state(
    metric: Metric,
    criterion: Criterion,
    window: Tally,
    total: Tally,
    *,
    good_rate: float | None,
    good_bar: float,
    decided: float,
    needed: float,
    doubt: str | None,
) -> tuple[State, tuple[str, ...]]:
    if total.total == 0:
        return "unfit", (_nothing(metric),)
    if doubt is not None:
        return "unfit", (doubt,)
    reasons = []
    if window.total < criterion.min_n:
        reasons.append(f"{window.total} of at least {criterion.min_n} events in the window")
    upward = "gte" if criterion.operator in ("gte", "lte") else "gt"
    if good_rate is None or not holds(good_rate, upward, good_bar):
        reasons.append("the rate of the window does not meet the bar")
    if decided < needed:
        reasons.append("the evidence since entry may still be chance")
    return ("hold", tuple(reasons)) if reasons else ("met", ())


def _nothing(metric: Metric) -> str:
    if metric == "escalation_to_complaint":
        return "no matured escalations: complaints must have been imported after they matured"
    return "no events at all"


def _is_worse(
    window: Tally,
    total: Tally,
    bar: float,
    alpha: float,
    criterion: Criterion,
    *,
    good_rate: float | None,
    good_bar: float,
) -> bool:
    """Tell whether the evidence shows the rate to be short of the bar, at the same level of proof."""
    if window.total < criterion.min_n or good_rate is None or good_rate >= good_bar or not 0 < bar < 1:
        return False
    return float(log_e_value(total.total - total.good, total.total, 1 - bar)) >= -math.log(alpha)


def _more(window: Tally, total: Tally, bar: float, alpha: float, min_n: int) -> int | None:
    if window.worst is None or not 0 < bar < 1:
        return None
    more = forecast(total.good, total.total, window.worst, bar, alpha)
    return None if more is None else max(more, min_n - window.total)


def _days(more: int, window: Tally, window_s: float) -> float | None:
    """Return the days that so many more events take at the pace of the window."""
    return more * window_s / 86_400 / window.total if window.total else None


def _of_metric(good_rate: float | None, upward: bool) -> float | None:
    if good_rate is None:
        return None
    return good_rate if upward else 1 - good_rate
