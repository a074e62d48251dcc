"""What the gate's files open follows them, and whatever they no longer prove is closed."""

from pathlib import Path

import pytest

from tests.fakes.conversation import scripted_profile
from tests.fakes.rollout import GateFiles, Trail
from voicectl.core.errors import ConfigError
from voicectl.core.rollout import Admitted, Refused
from voicectl.governance.audit.kinds import checked_body
from voicectl.governance.policy.errors import PolicyInvalid
from voicectl.governance.policy.load import PACKAGED
from voicectl.service.governing.rollout import LiveRollout, refuse_unlisted

LOW = ("password_reset", "order_status", "faq", "business_hours")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GateFiles:
    monkeypatch.setenv("VOICECTL_HOME", str(tmp_path / "home"))
    return GateFiles(tmp_path / "home")


def code(rollout: LiveRollout, use_case: str) -> str:
    found = rollout.admit(use_case)
    return found.code if isinstance(found, Refused) else found.tier


def codes(rollout: LiveRollout) -> set[str]:
    return {code(rollout, name) for name in LOW}


def test_a_fresh_host_serves_the_lowest_tier(files: GateFiles) -> None:
    rollout = LiveRollout(1.0)
    assert codes(rollout) == {"low"}
    assert code(rollout, "account_changes") == "use_case_not_promoted"
    assert code(rollout, "chitchat") == "use_case_unknown"


def test_a_promotion_and_a_demotion_are_felt_and_audited_once(files: GateFiles) -> None:
    trail = Trail()
    rollout = LiveRollout(1.0, audit=trail)
    files.promote("account_changes")
    assert rollout.look()
    assert rollout.admit("account_changes") == Admitted("medium")
    files.demote("faq", reason="wrong hours told")
    assert rollout.look()
    assert rollout.admit("faq") == Refused("use_case_demoted", "demoted: wrong hours told")
    assert not rollout.look()
    told = trail.of("enforcement_changed")
    assert [len(body["open"]) for body in told] == [4, 5, 4]
    assert [checked_body("enforcement_changed", body) for body in told] == told


def test_an_unsigned_promotion_closes_everything_until_it_is_gone(files: GateFiles) -> None:
    rollout = LiveRollout(1.0)
    files.promote("account_changes")
    files.reviewers.unlink()
    assert rollout.look()
    assert codes(rollout) == {"rollout_unproven"}
    files.reviewers.write_bytes(files.people.reviewers.path.read_bytes())
    assert rollout.look()
    assert code(rollout, "account_changes") == "medium"


def test_an_invalid_policy_is_refused_at_the_start_and_closes_everything_later(files: GateFiles) -> None:
    files.policy.write_text("tiers: {}\n")
    with pytest.raises(PolicyInvalid) as refused:
        LiveRollout(1.0)
    assert refused.value.exit_code == 24
    files.policy.write_bytes(PACKAGED.read_bytes())
    trail = Trail()
    rollout = LiveRollout(1.0, audit=trail)
    files.policy.write_bytes(PACKAGED.read_bytes()[:-40])
    assert rollout.look()
    assert codes(rollout) == {"rollout_unproven"}
    assert (rollout.num_loaded, rollout.num_failed) == (1, 1)
    assert "gate-policy.yaml" in str(trail.of("enforcement_changed")[-1]["problem"])
    rollout.look()
    assert len(trail.of("enforcement_changed")) == 2, "the same problem is told once"
    files.policy.write_bytes(PACKAGED.read_bytes())
    assert rollout.look()
    assert codes(rollout) == {"low"}


def test_a_file_that_vanishes_reopens_nothing_while_the_service_runs(files: GateFiles) -> None:
    files.demote("faq")
    kept = files.state.read_bytes()
    rollout = LiveRollout(1.0)
    files.state.unlink()
    assert rollout.look()
    assert codes(rollout) == {"rollout_unproven"}
    files.state.write_bytes(kept)
    rollout.look()
    assert code(rollout, "faq") == "use_case_demoted"
    assert code(rollout, "order_status") == "low"


def test_a_file_that_may_be_read_again_is_noticed_although_it_did_not_change(files: GateFiles) -> None:
    failures = [ConfigError("permission denied")]

    def load() -> object:
        if files.state.exists() and failures:
            raise failures.pop()
        return LiveRollout(1.0).enforcement

    rollout = LiveRollout(1.0, load=load)  # type: ignore[arg-type]
    files.demote("faq")
    assert rollout.look()
    assert codes(rollout) == {"rollout_unproven"}
    assert not rollout.look()
    assert code(rollout, "order_status") == "low"


def test_an_own_policy_that_cannot_be_looked_at_is_not_replaced_by_the_packaged_one(files: GateFiles) -> None:
    files.policy.symlink_to(files.policy.with_name("gone.yaml"))
    with pytest.raises(PolicyInvalid, match="cannot be read"):
        LiveRollout(1.0)


def test_a_default_use_case_that_the_policy_does_not_list_is_refused() -> None:
    profile = scripted_profile()
    enforced = LiveRollout(1.0).enforcement
    refuse_unlisted(profile, enforced)
    other = profile.model_copy(update={"governance": profile.governance.model_copy(update={"use_case": "general"})})
    with pytest.raises(ConfigError, match="'general'") as refused:
        refuse_unlisted(other, enforced)
    assert "faq" in str(refused.value.hint)
