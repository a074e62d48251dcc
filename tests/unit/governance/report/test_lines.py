"""The lines of a report are those of the policy, and of nothing else."""

from typing import Any

from voicectl.governance.policy.load import load_policy
from voicectl.governance.policy.schema import Criterion
from voicectl.governance.report.lines import Lines, TierLines, lines_of

POLICY = load_policy().policy


def changed(**alerts: Any) -> Lines:
    """Return the lines of the packaged policy with other thresholds at its alerts on v2v and words."""
    kept = tuple(
        alert.model_copy(update={name: bar for name, bar in alerts.items() if getattr(alert, name) is not None})
        for alert in POLICY.alerts
        if alert.metric in ("v2v", "wer")
    )
    return lines_of(POLICY.model_copy(update={"alerts": kept}))


def test_lines_are_those_of_the_packaged_policy() -> None:
    found = lines_of(POLICY)
    assert found.tiers["low"] == TierLines(containment=0.7, compliance_flags=0.02, warm_transfer=0.95)
    assert found.tiers["medium"].escalation_to_complaint == 0.05
    assert found.tiers["high"] == TierLines()
    assert (found.v2v_p90_s, found.v2v_p99_s, found.wer_target, found.wer_alert) == (3.5, 5.0, 0.05, 0.08)


def test_another_policy_draws_other_lines() -> None:
    found = changed(p90_gt=2.5, p99_gt=4.0, target_lt=0.04, gt=0.07)
    assert (found.v2v_p90_s, found.v2v_p99_s, found.wer_target, found.wer_alert) == (2.5, 4.0, 0.04, 0.07)
    low = POLICY.tiers["low"].model_copy(update={"criteria": {"containment_rate": Criterion(gte=0.8, min_n=200)}})
    other = POLICY.model_copy(update={"tiers": {**POLICY.tiers, "low": low}})
    assert lines_of(other).tiers["low"] == TierLines(containment=0.8)


def test_a_policy_without_alerts_draws_none_of_their_lines() -> None:
    found = lines_of(POLICY.model_copy(update={"alerts": ()}))
    assert (found.v2v_p90_s, found.v2v_p99_s, found.wer_target, found.wer_alert) == (None, None, None, None)


def test_of_several_alerts_the_strictest_counts() -> None:
    late = next(alert for alert in POLICY.alerts if alert.p90_gt is not None)
    found = lines_of(POLICY.model_copy(update={"alerts": (*POLICY.alerts, late.model_copy(update={"p90_gt": 3.0}))}))
    assert found.v2v_p90_s == 3.0


def test_a_line_holds_for_several_tiers_only_if_they_share_it() -> None:
    lines = lines_of(POLICY)
    assert lines.of_tiers({"low"}).containment == 0.7
    assert lines.of_tiers({"low", "medium"}) == TierLines(compliance_flags=0.02, warm_transfer=0.95)
    assert lines.of_tiers({"low", "unheard-of"}) == TierLines()
    assert lines.of_tiers(set()) == TierLines()


def test_how_long_complaints_take_is_the_criterions_or_the_window() -> None:
    criterion = Criterion(lt=0.05, min_n=52, maturity="30d")
    medium = POLICY.tiers["medium"].model_copy(update={"criteria": {"escalation_to_complaint": criterion}})
    found = lines_of(POLICY.model_copy(update={"tiers": {**POLICY.tiers, "medium": medium}}))
    window = POLICY.defaults.window
    assert found.maturities == {"low": window, "medium": 30 * 86_400.0, "high": window}


def test_what_is_not_tolerated_is_what_the_policy_lists() -> None:
    assert lines_of(POLICY).zero_tolerance == set(POLICY.zero_tolerance)
