"""Tests of generated alert rules for promtool, and the files of both. Knows no alert, only the series of its rule.

Each rule fires, stays quiet, and is missed; one that waits for a use case to be old enough waits.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from voicectl.governance.alerts.rules import (
    Rule,
    Series,
    absent_name,
    absent_summary,
    checked,
    rule_file,
    rules_of,
    to_yaml,
)
from voicectl.governance.policy.document import Document
from voicectl.governance.policy.schema import Policy

RULES: Final = "voicectl-gate.rules.yaml"
TESTS: Final = "voicectl-gate.tests.yaml"
LONG_TESTS: Final = "voicectl-gate.long-tests.yaml"
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400
_IN_A_WINDOW: Final = 12
"""Samples within the time that a rule looks back."""
_LEAST_STEP_S: Final = 5
_ABSENT_STEP_S: Final = 300


def written_files(document: Document[Policy]) -> Sequence[tuple[str, str]]:
    """Return the names and contents of the files: the rules, and their tests. Raises PolicyInvalid."""
    policy = checked(document)
    return [(RULES, rule_file(policy)), *test_files(policy, RULES)]


def test_files(policy: Policy, rules_name: str) -> Sequence[tuple[str, str]]:
    """Return the names and contents of the tests of the file of rules, for `promtool test rules`.

    Rules that look back more than a day have a file of their own: promtool evaluates every rule at every step.
    """
    found = rules_of(policy)
    quick = [rule for rule in found if rule.window_s <= _DAY_S]
    slow = [rule for rule in found if rule.window_s > _DAY_S]
    # A fall is to be seen for twice the time that it is looked for in, and has to be there at two evaluations.
    every_s = min([_HOUR_S, *(rule.window_s // 4 for rule in quick if rule.is_fall)])
    absent = [_absent_test(metric) for metric in dict.fromkeys(rule.metric for rule in found)]
    files = [(TESTS, every_s, [*(test for rule in quick for test in _tests(rule, every_s)), *absent])]
    if slow:
        every_s = min(rule.window_s for rule in slow) // _IN_A_WINDOW
        files.append((LONG_TESTS, every_s, [test for rule in slow for test in _tests(rule, every_s)]))
    comment = "Generated from the gate policy by `voicectl gate rules`: each alert fires, stays quiet, and is missed."
    return [
        (name, to_yaml({"rule_files": [rules_name], "evaluation_interval": f"{every_s}s", "tests": tests}, comment))
        for name, every_s, tests in files
    ]


def _tests(rule: Rule, every_s: int) -> list[dict[str, Any]]:
    step_s = max(_LEAST_STEP_S, rule.window_s // _IN_A_WINDOW)
    num_first = rule.window_s // step_s + 2
    # Two evaluations after the last healthy sample has left what the rule looks back on: the first begins the wait.
    at_s = num_first * step_s + rule.window_s + 2 * every_s
    num_then = at_s // step_s + 2 - num_first

    def test(claim: str, series: Sequence[Series], *, broken: bool, fires: bool) -> dict[str, Any]:
        expected = {"exp_labels": {**rule.labels, **rule.firing_labels}, "exp_annotations": {"summary": rule.summary}}
        sampled = [{"series": one.name, "values": _values(one, num_first, num_then, broken)} for one in series]
        asked = {"eval_time": f"{at_s}s", "alertname": rule.name, "exp_alerts": [expected] if fires else []}
        name = f"{rule.name} {claim}"
        return {"name": name, "interval": f"{step_s}s", "input_series": sampled, "alert_rule_test": [asked]}

    tests = [
        test("fires", rule.series, broken=True, fires=True),
        test("stays quiet", rule.series, broken=False, fires=False),
    ]
    if rule.after_s is not None:
        young = [replace(one, at=at_s - rule.after_s // 2) if one.at else one for one in rule.series]
        tests.append(test("waits", young, broken=True, fires=False))
    return tests


def _values(series: Series, num_first: int, num_then: int, broken: bool) -> str:
    slope = series.broken if broken else series.healthy
    then = series.at + series.first * (num_first - 1) + slope
    first = f"{_number(series.at)}+{_number(series.first)}x{num_first - 1}"
    return f"{first} {_number(then)}+{_number(slope)}x{num_then - 1}"


def _number(value: float) -> str:
    """Return a number as promtool reads it, without an exponent."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _absent_test(metric: str) -> dict[str, Any]:
    labels = {"severity": "warning", "role": "platform_engineer"}
    expected = {"exp_labels": labels, "exp_annotations": {"summary": absent_summary(metric)}}
    at_s = 2 * _HOUR_S
    return {
        "name": f"{metric} is missed",
        "interval": f"{_ABSENT_STEP_S}s",
        "input_series": [{"series": "up", "values": f"1x{at_s // _ABSENT_STEP_S}"}],
        "alert_rule_test": [{"eval_time": f"{at_s}s", "alertname": absent_name(metric), "exp_alerts": [expected]}],
    }
