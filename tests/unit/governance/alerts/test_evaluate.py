"""An alert fires beyond its bar, not by chance, and demotes only where the policy says so."""

import dataclasses

import pytest

from tests.fakes.gate_case import GateCase
from voicectl.governance.alerts.evaluate import AlertResult, evaluate_alerts, to_demote
from voicectl.governance.gate.evidence import Evidence, Quality, Tally, UseCaseEvidence
from voicectl.governance.policy.load import load_policy
from voicectl.governance.policy.schema import Policy

POLICY = load_policy().policy
DAY = 86_400.0
QUIET = Quality(num_turns=400, v2v_p90_s=0.6, v2v_p99_s=0.8, wer_errors=3, wer_words=100)
GOOD = {
    "containment_rate": Tally(good=800, bad=200),
    "warm_transfer_success": Tally(good=196, bad=4),
    "compliance_flag_rate": Tally(good=1000),
}


def evidence(quality: Quality = QUIET, **changes: object) -> Evidence:
    facts: dict[str, object] = {
        "num_calls": 1000,
        "window": GOOD,
        "total": GOOD,
        "containment_24h": Tally(good=160, bad=40),
        "containment_before": Tally(good=160, bad=40),
        "flags_24h": Tally(good=200),
        **changes,
    }
    one = UseCaseEvidence("faq", 0.0, **facts)  # type: ignore[arg-type]
    return Evidence("low", 100 * DAY, 7 * DAY, (one,), quality=quality)


def by_metric(found: Evidence, policy: Policy = POLICY) -> dict[str, AlertResult]:
    results = evaluate_alerts(policy, found)
    return {f"{result.alert.metric}{'' if result.alert.p90_gt is None else '_p90'}": result for result in results}


def test_good_calls_are_quiet() -> None:
    assert {result.state for result in by_metric(evidence()).values()} == {"quiet"}


@pytest.mark.parametrize(
    ("metric", "found"),
    [
        ("v2v_p90", evidence(dataclasses.replace(QUIET, v2v_p90_s=3.6))),
        ("v2v", evidence(dataclasses.replace(QUIET, v2v_p99_s=5.1))),
        ("wer", evidence(dataclasses.replace(QUIET, wer_errors=9))),
        ("containment_drop", evidence(containment_24h=Tally(good=120, bad=80))),
        ("compliance_flag_rate", evidence(flags_24h=Tally(good=195, bad=4, unknown=1))),
        ("warm_transfer_failure", evidence(window={**GOOD, "warm_transfer_success": Tally(good=180, bad=20)})),
        ("containment_rate", evidence(window={**GOOD, "containment_rate": Tally(good=390, bad=610)})),
    ],
)
def test_each_fires_beyond_its_bar_alone(metric: str, found: Evidence) -> None:
    assert [name for name, result in by_metric(found).items() if result.state == "firing"] == [metric]


def test_a_fall_within_chance_is_none() -> None:
    found = evidence(containment_24h=Tally(good=16, bad=6), containment_before=Tally(good=18, bad=4))
    assert by_metric(found)["containment_drop"].state == "quiet"


def test_silence_is_no_good_news() -> None:
    results = by_metric(evidence(Quality(), flags_24h=Tally(), containment_before=Tally()))
    assert (results["v2v"].state, results["wer"].state) == ("no data", "no data")
    assert {results[name].state for name in ("compliance_flag_rate", "containment_drop")} == {"too few"}


def test_a_young_use_case_has_no_design_problem_yet() -> None:
    found = GateCase(days=10, contained=0.2).evidence(policy=POLICY)
    assert by_metric(found)["containment_rate"].state == "quiet"


def test_only_an_alert_that_says_so_demotes() -> None:
    found = evidence(flags_24h=Tally(good=150, bad=50))
    assert to_demote(evaluate_alerts(POLICY, found)) == {}
    alerts = tuple(
        alert.model_copy(update={"demote": alert.metric == "compliance_flag_rate"}) for alert in POLICY.alerts
    )
    demoting = POLICY.model_copy(update={"alerts": alerts})
    assert list(to_demote(evaluate_alerts(demoting, found))) == ["faq"]
