"""Prometheus rules of a policy's alerts, with the series that show each of them quiet and firing. Knows no files.

Every alert has a second rule that fires while what it reads is absent: silence is no good news.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

import yaml

from voicectl.governance.alerts import metrics
from voicectl.governance.policy.document import Document, Problem, refusal
from voicectl.governance.policy.errors import PolicyInvalid
from voicectl.governance.policy.schema import Alert, Policy

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400
_RATE_S: Final = 900
"""How far back percentiles look."""
EVALUATION_S: Final = _MINUTE
"""How often Prometheus evaluates rules unless it is told otherwise."""
LEAST_DROP_S: Final = _HOUR
"""A fall within less is hardly longer to be seen than it has to stand."""
HOLD: Final = "10m"
"""How long something has to stand before somebody is told."""


@dataclass(frozen=True, slots=True)
class Series:
    """What is sampled in a test: how much it rises at each sample at first, and then when all is well or not.

    `at` is where it begins.
    """

    name: str
    first: float
    healthy: float
    broken: float
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Rule:
    """An alert as Prometheus sees it.

    It looks back `window_s`, twice as far if it `is_fall`, and fires only `after_s` after the first call.
    """

    name: str
    expression: str
    metric: str
    labels: dict[str, str]
    summary: str
    series: tuple[Series, ...]
    firing_labels: dict[str, str]
    window_s: int
    after_s: int | None = None
    is_fall: bool = False


def checked(document: Document[Policy]) -> Policy:
    """Return the policy of a document. Raises PolicyInvalid where a rule could never fire, or never rest."""
    problems = list(_untellable(document.content))
    if problems:
        start = "the gate itself can tell it: rules are only made of what Prometheus can"
        raise refusal(document.path, problems, document.lines, PolicyInvalid, start=start)
    return document.content


def _untellable(policy: Policy) -> Iterator[Problem]:
    first, last = metrics.LATENCY_EDGES_S[0], metrics.LATENCY_EDGES_S[-1]
    for number, alert in enumerate(policy.alerts):
        for name in ("p90_gt", "p99_gt"):
            bar = getattr(alert, name)
            if bar is not None and not first <= bar < last:
                what = f"{bar:g} s cannot be told by {metrics.LATENCY}, which tells {first:g} s to below {last:g} s"
                yield Problem(("alerts", number, name), what)
        least = LEAST_DROP_S if alert.metric == "containment_drop" else EVALUATION_S
        if _window_s(alert, policy) < least:
            yield Problem(("alerts", number, "over"), f"an alert on {alert.metric} cannot look at less than {least} s")


def rules_of(policy: Policy) -> tuple[Rule, ...]:
    """Return the rules, in the order of the policy."""
    rules = [_rule(alert, policy) for alert in policy.alerts]
    names: dict[str, int] = {}
    for place, rule in enumerate(rules):
        names[rule.name] = names.get(rule.name, 0) + 1
        if names[rule.name] > 1:
            rules[place] = replace(rule, name=f"{rule.name}{names[rule.name]}")
    return tuple(rules)


def rule_file(policy: Policy) -> str:
    """Return the file of rules."""
    found = rules_of(policy)
    alerts = [
        {
            "alert": rule.name,
            "expr": rule.expression,
            "for": HOLD,
            "labels": rule.labels,
            "annotations": {"summary": rule.summary},
        }
        for rule in found
    ]
    absent = [
        {
            "alert": absent_name(metric),
            "expr": f"absent({metric})",
            "for": HOLD,
            "labels": {"severity": "warning", "role": "platform_engineer"},
            "annotations": {"summary": absent_summary(metric)},
        }
        for metric in dict.fromkeys(rule.metric for rule in found)
    ]
    groups = [{"name": "voicectl-gate", "rules": alerts}, {"name": "voicectl-gate-absent", "rules": absent}]
    return to_yaml({"groups": groups}, "Generated from the gate policy by `voicectl gate rules`.")


def absent_name(metric: str) -> str:
    """Return the name of the alert that fires while a metric is absent."""
    return "VoicectlAbsent" + "".join(part.capitalize() for part in metric.split("_")[1:])


def absent_summary(metric: str) -> str:
    """Return what is said while a metric is absent."""
    return f"Nothing is told about {metric}: its alerts are blind."


def to_yaml(document: dict[str, Any], comment: str) -> str:
    """Return a file with a comment at its head."""
    return f"# {comment}\n" + yaml.safe_dump(document, sort_keys=False, width=1000, allow_unicode=True)


# --- the rules -------------------------------------------------------------------------------


def _window_s(alert: Alert, policy: Policy) -> int:
    """Return how far back an alert looks."""
    match alert.metric:
        case "v2v":
            return _RATE_S
        case "containment_drop" | "compliance_flag_rate":
            return int(alert.over or _DAY)
        case "containment_rate":
            return int(policy.defaults.window)
        case "warm_transfer_failure" | "wer":
            return int(alert.over or policy.defaults.window)


def _rule(alert: Alert, policy: Policy) -> Rule:
    labels = {"severity": alert.severity or "info", "role": alert.to or "voice_ai_owner"}
    if alert.demote:
        labels["demote"] = "yes"
    window_s = _window_s(alert, policy)
    match alert.metric:
        case "v2v":
            return _latency(alert, labels)
        case "containment_drop":
            return _drop(alert, labels, window_s)
        case "containment_rate":
            return _containment(alert, labels, window_s)
        case "compliance_flag_rate":
            return _share(alert, labels, metrics.COMPLIANCE, ('flagged="yes"', 'flagged="no"'), window_s)
        case "warm_transfer_failure":
            return _share(alert, labels, metrics.TRANSFERS, ('warm="no"', 'warm="yes"'), window_s)
        case "wer":
            return _words(alert, labels, window_s)


def _latency(alert: Alert, labels: dict[str, str]) -> Rule:
    bar, share = (alert.p90_gt, 0.9) if alert.p90_gt is not None else (alert.p99_gt, 0.99)
    assert bar is not None
    percentile = f"P{round(share * 100)}"
    buckets = f"{metrics.LATENCY}_bucket"
    edges = (*metrics.LATENCY_EDGES_S, float("inf"))
    # All turns in the bucket that ends below the threshold, or all in the first that begins at or above it.
    slow_from = next(upper for lower, upper in pairwise(edges) if lower >= bar)
    fast_from = max(edge for edge in edges if edge <= bar)
    return Rule(
        f"VoicectlLatency{percentile}",
        f"histogram_quantile({share}, sum by (le) (rate({buckets}[{_RATE_S // _MINUTE}m]))) > {bar:g}",
        f"{metrics.LATENCY}_count",
        labels,
        f"{percentile} of v2v is above {bar:g} s.",
        (
            *(
                _steady(f'{buckets}{{le="{str(edge).replace("inf", "+Inf")}"}}', edge >= fast_from, edge >= slow_from)
                for edge in edges
            ),
            _steady(f"{metrics.LATENCY}_count", 1, 1),
        ),
        {},
        _RATE_S,
    )


def _steady(name: str, healthy: float, broken: float) -> Series:
    """Return a counter of shares of a thousand events at each sample, which begins healthy."""
    return Series(name, 1000 * healthy, 1000 * healthy, 1000 * broken)


def _share(alert: Alert, labels: dict[str, str], metric: str, values: tuple[str, str], over: int) -> Rule:
    """Return the rule of a share of events that are not good; `values` are the labels of a bad and of a good one."""
    bar, window, bad = alert.gt, f"[{over}s]", values[1].replace("=", "!=")
    assert bar is not None
    below, above = _around(bar)
    expression = (
        f"sum by (use_case) (increase({metric}{{{bad}}}{window}))"
        f" / (sum by (use_case) (increase({metric}{window})) > 0) > {bar:g}"
    )
    return Rule(
        "Voicectl" + "".join(part.capitalize() for part in alert.metric.split("_")),
        expression,
        metric,
        labels,
        f"{alert.metric.replace('_', ' ')} is above {_percent(bar)}.",
        (
            _steady(f'{metric}{{use_case="faq",tier="low",{values[0]}}}', below, above),
            _steady(f'{metric}{{use_case="faq",tier="low",{values[1]}}}', 1 - below, 1 - above),
        ),
        {"use_case": "faq"},
        over,
    )


def _around(bar: float) -> tuple[float, float]:
    """Return a share below a bar and one above it, each half-way to the end."""
    return bar / 2, (1 + bar) / 2


def _contained(over: int, offset: str = "") -> str:
    metric, window = metrics.CONTAINMENT, f"[{over}s]{offset}"
    return (
        f'sum by (use_case) (increase({metric}{{contained="yes"}}{window}))'
        f" / (sum by (use_case) (increase({metric}{window})) > 0)"
    )


def _calls(first: float, healthy: float, broken: float) -> tuple[Series, ...]:
    """Return the counters of calls of which such shares are contained."""
    name = f'{metrics.CONTAINMENT}{{use_case="faq",tier="low",contained='
    shares = (first, healthy, broken)
    return (
        Series(f'{name}"yes"}}', *(1000 * share for share in shares)),
        Series(f'{name}"no"}}', *(1000 * (1 - share) for share in shares)),
    )


def _drop(alert: Alert, labels: dict[str, str], over: int) -> Rule:
    bar = alert.gt
    assert bar is not None
    return Rule(
        "VoicectlContainmentDrop",
        f"1 - ({_contained(over)}) / ({_contained(over, f' offset {over}s')}) > {bar:g}",
        metrics.CONTAINMENT,
        labels,
        f"Containment fell by more than {_percent(bar)} of what it was, within {_duration(over)}.",
        # Whatever the threshold, nothing is a deeper fall than to nothing, for as long as something was before.
        _calls(0.8, 0.8 * (1 - bar / 2), 0.0),
        {"use_case": "faq"},
        over,
        is_fall=True,
    )


def _containment(alert: Alert, labels: dict[str, str], over: int) -> Rule:
    bar, after_s = alert.lt, None if alert.after is None else int(alert.after)
    assert bar is not None
    below, above = _around(bar)
    series, old = _calls(above, above, below), ""
    if after_s is not None:
        # Only what has been served for as long as the policy gives it is judged. Since when is a metric of its own,
        # so that Prometheus need not keep what was so long ago.
        since = f"min by (use_case) (last_over_time({metrics.SERVED_SINCE}[{over}s]))"
        old = f" and on (use_case) (time() - {since} > {after_s})"
        served = f'{metrics.SERVED_SINCE}{{use_case="faq",tier="low"}}'
        series = (*series, Series(served, 0.0, 0.0, 0.0, at=-after_s))
    return Rule(
        "VoicectlContainmentRate",
        f"({_contained(over)}) < {bar:g}{old}",
        metrics.CONTAINMENT,
        labels,
        f"Containment is below {_percent(bar)}: a design problem, not one of time.",
        series,
        {"use_case": "faq"},
        over,
        after_s,
    )


def _words(alert: Alert, labels: dict[str, str], over: int) -> Rule:
    bar, window = alert.gt, f"[{over}s]"
    assert bar is not None
    labelled = '{use_case="faq",tier="low"}'
    return Rule(
        "VoicectlWer",
        f"sum(increase({metrics.WORD_ERRORS}{window})) / (sum(increase({metrics.WORDS}{window})) > 0) > {bar:g}",
        metrics.WORDS,
        labels,
        f"The word error rate is above {_percent(bar)}.",
        (_steady(f"{metrics.WORDS}{labelled}", 1, 1), _steady(f"{metrics.WORD_ERRORS}{labelled}", *_around(bar))),
        {},
        over,
    )


def _percent(bar: float) -> str:
    return f"{bar * 100:g}%"


def _duration(seconds: int) -> str:
    units = ((_HOUR, "h"), (_MINUTE, "min"), (1, "s"))
    return next(f"{seconds // size} {unit}" for size, unit in units if seconds % size == 0)
