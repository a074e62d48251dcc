"""A service that enforces nothing says so everywhere; a gateway of one command need not."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.fakes.conversation import scripted_profile
from tests.fakes.rollout import GateFiles, Trail
from voicectl.core.profile import Profile
from voicectl.core.rollout import Admitted
from voicectl.core.sections.governance import Governance
from voicectl.governance.audit.kinds import checked_body
from voicectl.service.governing.door import door_of
from voicectl.service.operations.metrics import Metrics


def profile(*, enforce: bool) -> Profile:
    return scripted_profile().model_copy(update={"governance": Governance(enforce=enforce)})


def page(metrics: Metrics) -> str:
    return metrics.render()[0].decode()


def test_a_service_that_enforces_nothing_says_so_in_log_audit_log_and_metrics() -> None:
    trail, metrics = Trail(), Metrics(scripted_profile())
    with capture_logs() as logs:
        door = door_of(profile(enforce=False), trail)
    assert door.rollout.admit("anything") == Admitted("low")
    assert [(line["event"], line["log_level"]) for line in logs] == [("enforcement_off", "warning")]
    (told,) = trail.of("enforcement_changed")
    assert (told["open"], told["enforced"]) == (["*"], False)
    assert checked_body("enforcement_changed", told) == told
    door.open(metrics, lambda work: work.close())
    assert "voicectl_enforcement_on 0.0" in page(metrics)


def test_a_private_gateway_is_open_without_a_word() -> None:
    trail = Trail()
    with capture_logs() as logs:
        door_of(profile(enforce=False), trail, private=True)
    assert (logs, trail.entries) == ([], [])


def test_a_service_that_enforces_tells_that_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICECTL_HOME", str(tmp_path / "home"))
    GateFiles(tmp_path / "home")
    trail, metrics = Trail(), Metrics(scripted_profile())
    door_of(profile(enforce=True), trail).open(metrics, lambda work: work.close())
    assert "enforced" not in trail.of("enforcement_changed")[0]
    assert "voicectl_enforcement_on 1.0" in page(metrics)
