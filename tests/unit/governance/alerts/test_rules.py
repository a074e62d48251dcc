"""Rules are made only of alerts that Prometheus can tell, and say what the policy says."""

from pathlib import Path

import pytest

from voicectl.governance.alerts.rules import checked, rule_file, rules_of
from voicectl.governance.policy.document import Document
from voicectl.governance.policy.errors import PolicyInvalid
from voicectl.governance.policy.load import PACKAGED, load_policy, parse_policy
from voicectl.governance.policy.schema import Policy

PATH = Path("policy.yaml")


def packaged_but(before: str, after: str) -> Document[Policy]:
    text = PACKAGED.read_text()
    assert before in text
    return parse_policy(PATH, text.replace(before, after).encode()).document


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(PACKAGED.read_text().splitlines(), 1) if text in line)


@pytest.mark.parametrize("bar", ["10s", "15s"])
def test_a_latency_that_the_histogram_cannot_tell_is_refused_with_its_line(bar: str) -> None:
    document = packaged_but("p99_gt: 5s", f"p99_gt: {bar}")
    with pytest.raises(PolicyInvalid, match=rf"policy.yaml:{line_of('p99_gt')}: alerts.1.p99_gt: 1\d s cannot be told"):
        checked(document)


def test_a_latency_below_the_histogram_is_refused() -> None:
    with pytest.raises(PolicyInvalid, match=r"0\.09 s cannot be told"):
        checked(packaged_but("p90_gt: 3.5s", "p90_gt: 0.09s"))


def test_a_latency_below_the_last_edge_is_taken() -> None:
    assert checked(packaged_but("p99_gt: 5s", "p99_gt: 9.9s")).alerts[1].p99_gt == 9.9


@pytest.mark.parametrize(("metric", "over_s"), [("compliance_flag_rate", 0.5), ("containment_drop", 600.0)])
def test_a_time_too_short_to_be_looked_at_is_refused_with_its_line(metric: str, over_s: float) -> None:
    document = load_policy().document
    alerts = tuple(
        alert.model_copy(update={"over": over_s}) if alert.metric == metric else alert
        for alert in document.content.alerts
    )
    policy = document.content.model_copy(update={"alerts": alerts})
    short = Document(PATH, policy, document.sha256, document.lines)
    with pytest.raises(
        PolicyInvalid, match=rf"policy.yaml:{line_of(metric + ',')}: alerts.\d.over: an alert on {metric}"
    ):
        checked(short)


@pytest.mark.parametrize(("bar", "told"), [("0.02", "2%"), ("0.005", "0.5%"), ("0.0001", "0.01%")])
def test_a_small_bar_is_told_as_it_is(bar: str, told: str) -> None:
    policy = packaged_but("compliance_flag_rate, gt: 0.02", f"compliance_flag_rate, gt: {bar}").content
    assert f"compliance flag rate is above {told}." in {rule.summary for rule in rules_of(policy)}


def test_no_rule_needs_more_history_than_prometheus_keeps_by_itself() -> None:
    policy = load_policy().policy
    assert any(alert.after for alert in policy.alerts)
    assert "offset 5184000s" not in rule_file(policy)
    assert all(rule.window_s * (2 if rule.is_fall else 1) <= 15 * 86_400 for rule in rules_of(policy))
