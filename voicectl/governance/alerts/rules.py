"""Prometheus rules of a policy's alerts, and tests of them for promtool. Knows no files.

Every alert has a second rule that fires while what it reads is absent: silence is no good news.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from voicectl.governance.alerts import metrics
from voicectl.governance.policy.schema import Alert, Policy

_MINUTES, _HOURS, _HALF_DAYS = 300, 3600, 43_200
"""Times between samples in the tests: of what changes within an hour, within days, within weeks."""
_HOUR: Final = 3600
_DAY: Final = 86_400
RULES: Final = "voicectl-gate.rules.yaml"
TESTS: Final = "voicectl-gate.tests.yaml"
LONG_TESTS: Final = "voicectl-gate.long-tests.yaml"
HOLD: Final = "10m"
"""How long something has to stand before somebody is told."""


@dataclass(frozen=True, slots=True)
class Series:
    """A counter in a test, and how much it rises at each sample before and after the last day."""

    name: str
    healthy: float
    broken: float


@dataclass(frozen=True, slots=True)
class Rule:
    """An alert as Prometheus sees it, with the series that show it quiet and firing."""

    name: str
    expression: str
    metric: str
    labels: dict[str, str]
    summary: str
    series: tuple[Series, ...]
    firing_labels: dict[str, str]
    last_s: int

    @property
    def takes_weeks(self) -> bool:
        """Whether it looks back further than its tests can follow by the hour."""
        return self.last_s > 8 * _DAY


def rules_of(policy: Policy) -> tuple[Rule, ...]:
    """Return the rules, in the order of the policy."""
    rules = [_rule(alert, policy) for alert in policy.alerts]
    names: dict[str, int] = {}
    for place, rule in enumerate(rules):
        names[rule.name] = names.get(rule.name, 0) + 1
        if names[rule.name] > 1:
            rules[place] = Rule(
                f"{rule.name}{names[rule.name]}",
                *(getattr(rule, field) for field in Rule.__slots__[1:]),
            )
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
            "annotations": {"summary": f"Nothing is told about {metric}: its alerts are blind."},
        }
        for metric in dict.fromkeys(rule.metric for rule in found)
    ]
    groups = [{"name": "voicectl-gate", "rules": alerts}, {"name": "voicectl-gate-absent", "rules": absent}]
    return _yaml({"groups": groups}, "Generated from the gate policy by `voicectl gate rules`.")


def test_files(policy: Policy, rules_name: str) -> Sequence[tuple[str, str]]:
    """Return the names and contents of the tests of the file of rules, for `promtool test rules`.

    What takes weeks is in a file of its own, evaluated twice a day: promtool evaluates every rule at every step.
    """
    found = rules_of(policy)
    quick = [test for rule in found if not rule.takes_weeks for test in (_test(rule, True), _test(rule, False))]
    quick += [_absent_test(metric) for metric in dict.fromkeys(rule.metric for rule in found)]
    slow = [test for rule in found if rule.takes_weeks for test in (_test(rule, True), _test(rule, False))]
    files = ((TESTS, _HOURS, quick), (LONG_TESTS, _HALF_DAYS, slow))
    comment = "Generated from the gate policy by `voicectl gate rules`: each alert fires, stays quiet, and is missed."
    return [
        (name, _yaml({"rule_files": [rules_name], "evaluation_interval": f"{every_s}s", "tests": tests}, comment))
        for name, every_s, tests in files
        if tests
    ]


def absent_name(metric: str) -> str:
    """Return the name of the alert that fires while a metric is absent."""
    return "VoicectlAbsent" + "".join(part.capitalize() for part in metric.split("_")[1:])


# --- the rules -------------------------------------------------------------------------------


def _rule(alert: Alert, policy: Policy) -> Rule:
    labels = {"severity": alert.severity or "info", "role": alert.to or "voice_ai_owner"}
    if alert.demote:
        labels["demote"] = "yes"
    over = int(alert.over or _DAY)
    window = int(alert.over or policy.defaults.window)
    match alert.metric:
        case "v2v":
            return _latency(alert, labels)
        case "containment_drop":
            return _drop(alert, labels, over)
        case "containment_rate":
            return _containment(alert, labels, int(policy.defaults.window))
        case "compliance_flag_rate":
            return _share(alert, labels, metrics.COMPLIANCE, ('flagged="yes"', 'flagged="no"'), over)
        case "warm_transfer_failure":
            return _share(alert, labels, metrics.TRANSFERS, ('warm="no"', 'warm="yes"'), window)
        case "wer":
            return _words(alert, labels, window)


def _latency(alert: Alert, labels: dict[str, str]) -> Rule:
    bar, share = (alert.p90_gt, 0.9) if alert.p90_gt is not None else (alert.p99_gt, 0.99)
    assert bar is not None
    percentile = f"P{round(share * 100)}"
    buckets = f"{metrics.LATENCY}_bucket"
    return Rule(
        f"VoicectlLatency{percentile}",
        f"histogram_quantile({share}, sum by (le) (rate({buckets}[15m]))) > {bar:g}",
        f"{metrics.LATENCY}_count",
        labels,
        f"{percentile} of v2v is above {bar:g} s.",
        (
            Series(f'{buckets}{{le="0.5"}}', 100, 0),
            Series(f'{buckets}{{le="{bar:g}"}}', 100, 0),
            Series(f'{buckets}{{le="{bar * 2:g}"}}', 100, 100),
            Series(f'{buckets}{{le="+Inf"}}', 100, 100),
            Series(f"{metrics.LATENCY}_count", 100, 100),
        ),
        {},
        _HOUR,
    )


def _share(alert: Alert, labels: dict[str, str], metric: str, values: tuple[str, str], over: int) -> Rule:
    """Return the rule of a share of events that are not good; `values` are the labels of a bad and of a good one."""
    bar, window, bad = alert.gt, f"[{over}s]", values[1].replace("=", "!=")
    expression = (
        f"sum by (use_case) (increase({metric}{{{bad}}}{window}))"
        f" / (sum by (use_case) (increase({metric}{window})) > 0) > {bar:g}"
    )
    return Rule(
        "Voicectl" + "".join(part.capitalize() for part in alert.metric.split("_")),
        expression,
        metric,
        labels,
        f"{alert.metric.replace('_', ' ')} is above {bar:.0%}.",
        (
            Series(f'{metric}{{use_case="faq",tier="low",{values[0]}}}', 0, 50),
            Series(f'{metric}{{use_case="faq",tier="low",{values[1]}}}', 100, 50),
        ),
        {"use_case": "faq"},
        over,
    )


def _contained(over: int, offset: str = "") -> str:
    metric, window = metrics.CONTAINMENT, f"[{over}s]{offset}"
    return (
        f'sum by (use_case) (increase({metric}{{contained="yes"}}{window}))'
        f" / (sum by (use_case) (increase({metric}{window})) > 0)"
    )


def _calls(contained: float, others: float, last_contained: float, last_others: float) -> tuple[Series, ...]:
    name = f'{metrics.CONTAINMENT}{{use_case="faq",tier="low",contained='
    return (Series(f'{name}"yes"}}', contained, last_contained), Series(f'{name}"no"}}', others, last_others))


def _drop(alert: Alert, labels: dict[str, str], over: int) -> Rule:
    bar = alert.gt
    return Rule(
        "VoicectlContainmentDrop",
        f"1 - ({_contained(over)}) / ({_contained(over, f' offset {over}s')}) > {bar:g}",
        metrics.CONTAINMENT,
        labels,
        f"Containment fell by more than {bar:.0%} of what it was, within {over // _HOUR} h.",
        _calls(80, 20, 40, 60),
        {"use_case": "faq"},
        over,
    )


def _containment(alert: Alert, labels: dict[str, str], over: int) -> Rule:
    bar = alert.lt
    # Only what has been served for as long as the policy gives it is judged.
    old = "" if alert.after is None else (
        f" and on (use_case) (sum by (use_case) ({metrics.CONTAINMENT} offset {int(alert.after)}s) > 0)"
    )  # fmt: skip
    return Rule(
        "VoicectlContainmentRate",
        f"({_contained(over)}) < {bar:g}{old}",
        metrics.CONTAINMENT,
        labels,
        f"Containment is below {bar:.0%}: a design problem, not one of time.",
        _calls(80, 20, 20, 80),
        {"use_case": "faq"},
        max(over, int(alert.after or 0) + _DAY),
    )


def _words(alert: Alert, labels: dict[str, str], over: int) -> Rule:
    bar, window = alert.gt, f"[{over}s]"
    labelled = '{use_case="faq",tier="low"}'
    return Rule(
        "VoicectlWer",
        f"sum(increase({metrics.WORD_ERRORS}{window})) / (sum(increase({metrics.WORDS}{window})) > 0) > {bar:g}",
        metrics.WORDS,
        labels,
        f"The word error rate is above {bar:.0%}.",
        (Series(f"{metrics.WORDS}{labelled}", 100, 100), Series(f"{metrics.WORD_ERRORS}{labelled}", 3, 30)),
        {},
        over,
    )


# --- their tests -----------------------------------------------------------------------------


def _test(rule: Rule, fires: bool) -> dict[str, Any]:
    every_s = _HALF_DAYS if rule.takes_weeks else _HOURS
    step_s = _MINUTES if rule.last_s <= _HOUR else every_s
    samples = rule.last_s // step_s + 30
    # Two evaluations after the last healthy sample has left what the rule looks back on: the first begins the wait.
    at_s = samples * step_s + rule.last_s + 2 * every_s
    expected = {"exp_labels": {**rule.labels, **rule.firing_labels}, "exp_annotations": {"summary": rule.summary}}
    return {
        "name": f"{rule.name} {'fires' if fires else 'stays quiet'}",
        "interval": f"{step_s}s",
        "input_series": [
            {"series": one.name, "values": _values(one, samples, fires)} for one in rule.series
        ],
        "alert_rule_test": [
            {"eval_time": f"{at_s}s", "alertname": rule.name, "exp_alerts": [expected] if fires else []}
        ],
    }  # fmt: skip


def _values(series: Series, samples: int, fires: bool) -> str:
    first = f"0+{series.healthy:g}x{samples - 1}"
    reached = series.healthy * (samples - 1)
    slope = series.broken if fires else series.healthy
    return f"{first} {reached + slope:g}+{slope:g}x{samples - 1}"


def _absent_test(metric: str) -> dict[str, Any]:
    labels = {"severity": "warning", "role": "platform_engineer"}
    summary = f"Nothing is told about {metric}: its alerts are blind."
    return {
        "name": f"{metric} is missed",
        "interval": f"{_MINUTES}s",
        "input_series": [{"series": "up", "values": "1x20"}],
        "alert_rule_test": [
            {
                "eval_time": f"{20 * _MINUTES}s",
                "alertname": absent_name(metric),
                "exp_alerts": [{"exp_labels": labels, "exp_annotations": {"summary": summary}}],
            }
        ],
    }


def _yaml(document: dict[str, Any], comment: str) -> str:
    return f"# {comment}\n" + yaml.safe_dump(document, sort_keys=False, width=1000, allow_unicode=True)


def written_files(policy: Policy) -> Sequence[tuple[str, str]]:
    """Return the names and contents of the files: the rules, and their tests."""
    return [(RULES, rule_file(policy)), *test_files(policy, RULES)]
