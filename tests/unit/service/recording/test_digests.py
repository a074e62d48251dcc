"""Rows and the audit log name configuration, models and policy by the same digests."""

from pathlib import Path

from voicectl.core.config import load_profile
from voicectl.core.lockfile import read_lock
from voicectl.governance.policy.load import PACKAGED, load_policy
from voicectl.service.governing.changes import changes
from voicectl.service.recording.digests import PolicyInForce, config_digest, model_digest


def test_the_audit_log_names_what_rows_name(tmp_path: Path) -> None:
    profile, lock = load_profile("cpu"), read_lock()
    configuration, models = changes(tmp_path, profile, lock)
    assert configuration[1]["digest"] == config_digest(profile)
    assert models[1]["digest"] == model_digest(profile, lock)


def test_a_setting_that_no_caller_hears_changes_the_profile_alone(tmp_path: Path) -> None:
    profile, lock = load_profile("cpu"), read_lock()
    other = profile.model_copy(update={"redaction": profile.redaction.model_copy(update={"enabled": False})})
    ((_, before), _), ((_, after), _) = changes(tmp_path, profile, lock), changes(tmp_path, other, lock)
    assert before["digest"] == after["digest"]
    assert before["details"] != after["details"]


def test_the_policy_in_force_is_the_file_as_it_is_now(tmp_path: Path) -> None:
    own = tmp_path / "gate-policy.yaml"
    named = PolicyInForce(lambda: own if own.is_file() else None)
    assert named() == load_policy().sha256
    own.write_bytes(PACKAGED.read_bytes() + b"# ours\n")
    assert named() == load_policy(own).sha256 != load_policy().sha256
    own.write_text("no: policy")
    assert named() is None
    own.unlink()
    assert named() == load_policy().sha256
