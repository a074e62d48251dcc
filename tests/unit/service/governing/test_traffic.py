"""Calls that are turned away are counted by use case and code, and told to the audit log once."""

from pathlib import Path

import pytest

from tests.fakes.conversation import scripted_profile
from tests.fakes.rollout import GateFiles, Trail
from voicectl.core.rollout import Admitted, Refused
from voicectl.governance.audit.kinds import checked_body
from voicectl.service.governing.rollout import LiveRollout
from voicectl.service.governing.traffic import Traffic, tell_traffic
from voicectl.service.operations.metrics import Metrics


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GateFiles:
    monkeypatch.setenv("VOICECTL_HOME", str(tmp_path / "home"))
    return GateFiles(tmp_path / "home")


def test_refusals_are_counted_each_and_audited_once_until_the_enforcement_changes(files: GateFiles) -> None:
    trail, live = Trail(), LiveRollout(1.0)
    traffic = Traffic(live, audit=trail)
    for name in ("account_changes", "account_changes", "made_up", "also_made_up"):
        assert isinstance(traffic.admit(name), Refused)
    assert traffic.admit("faq") == Admitted("low")
    assert traffic.refused() == {
        ("account_changes", "use_case_not_promoted"): 2.0,
        ("other", "use_case_unknown"): 2.0,
    }
    told = trail.of("traffic_refused")
    assert [(body["use_case"], body["code"]) for body in told] == [
        ("account_changes", "use_case_not_promoted"),
        ("made_up", "use_case_unknown"),
    ]
    assert [checked_body("traffic_refused", body) for body in told] == told
    files.demote("order_status")
    live.look()
    traffic.admit("account_changes")
    assert len(trail.of("traffic_refused")) == 3


def test_what_is_overdue_is_refused_although_it_is_open(files: GateFiles) -> None:
    overdue = Refused("alerts_overdue", "nobody looked")
    traffic = Traffic(LiveRollout(1.0), overdue=lambda name: overdue if name == "faq" else None)
    assert traffic.admit("faq") == overdue
    assert traffic.admit("order_status") == Admitted("low")
    assert (traffic.opened()["faq", "low"], traffic.opened()["order_status", "low"]) == (0.0, 1.0)


def test_metrics_tell_what_is_open_and_who_was_refused(files: GateFiles) -> None:
    metrics, live = Metrics(scripted_profile()), LiveRollout(1.0)
    traffic = Traffic(live)
    tell_traffic(metrics, live, traffic)
    traffic.admit("loan_status")
    page = metrics.render()[0].decode()
    for line in (
        'voicectl_use_case_open{tier="low",use_case="faq"} 1.0',
        'voicectl_use_case_open{tier="high",use_case="loan_status"} 0.0',
        "voicectl_rollout_proven 1.0",
        'voicectl_rollout_loads_total{outcome="believed"} 1.0',
        'voicectl_traffic_refused_total{code="use_case_not_promoted",use_case="loan_status"} 1.0',
    ):
        assert line in page, line
