"""Tests of the host's release program on real folders and processes: gates, switches, ways back."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.release_host import ReleaseHost

pytestmark = pytest.mark.integration


@pytest.fixture
def host(tmp_path: Path) -> Iterator[ReleaseHost]:
    host = ReleaseHost(tmp_path / "host")
    yield host
    host.lose_power()


def test_a_first_release_is_staged_gated_and_serves(host: ReleaseHost) -> None:
    release_id = host.staged("1.0.0")
    answer = host.run("activate", release_id)
    assert (answer.code, answer.document["changed"], answer.document["state"]) == (0, True, "good")
    assert (host.linked(), host.serving()) == (release_id, release_id)
    assert [step["phase"] for step in answer.document["steps"]] == ["gate", "switch", "restart", "prove"]
    assert answer.document["steps"][3]["wer"] == 0.0
    assert not (host.root / "run/systemd/system/voicectl-gate@.service").exists()


def test_a_second_run_changes_nothing(host: ReleaseHost) -> None:
    release_id = host.active("1.0.0")
    state = host.state()
    for command in ("stage", "activate"):
        answer = host.run(command, release_id)
        assert (answer.code, answer.document["changed"]) == (0, False)
    assert host.state() == state


def test_an_upgrade_keeps_the_release_before_and_removes_older_ones(host: ReleaseHost) -> None:
    first, second, third = (host.active(f"1.{number}.0", serial=number) for number in range(3))
    assert host.serving() == third
    assert (host.state()["previous"], host.release(second).exists()) == (second, True)
    assert not host.release(first).exists()
    assert set(host.state()["releases"]) == {second, third}


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"crash": True}, "did not start"),
        ({"heard": "banana split"}, "misheard"),
        ({"voice": "bananas grow on trees"}, "does not say the answer"),
        ({"silent": True}, "silent"),
        ({"v2v_ms": 9000.0}, "took 9000 ms"),
        ({"v2v_ms": None}, "no answer"),
    ],
    ids=["crashes", "hears garbage", "says garbage", "is silent", "is too slow", "says nothing"],
)
def test_a_broken_release_never_gets_to_serve(host: ReleaseHost, broken: dict[str, object], reason: str) -> None:
    old = host.active("1.0.0")
    new = host.staged("1.1.0", serial=2, **broken)
    answer = host.run("activate", new)
    assert answer.code == 9
    assert reason in answer.document["error"]["message"]
    assert (host.linked(), host.serving(), host.state()["active"]) == (old, old, old)
    assert host.state()["releases"][new]["status"] == "failed"
    assert "restart" not in [event.get("phase") for event in host.events() if event.get("target") == new]


def test_a_release_that_breaks_only_in_service_is_taken_back(host: ReleaseHost) -> None:
    old = host.active("1.0.0")
    new = host.staged("1.1.0", serial=2, crash_in_service=True)
    answer = host.run("activate", new)
    assert answer.code == 9
    assert "the last words of the service" in answer.document["error"]["message"]
    assert (host.linked(), host.serving()) == (old, old)
    assert answer.document["outcome"]["result"] == "returned"
    unit = (host.root / "etc/systemd/system/voicectl.service").read_text()
    assert old in unit


@pytest.mark.parametrize("broken", [{"crash": True}, {"crash_in_service": True}], ids=["gate", "service"])
def test_a_first_release_that_fails_leaves_nothing_active(host: ReleaseHost, broken: dict[str, object]) -> None:
    answer = host.run("activate", host.staged("1.0.0", **broken))
    assert answer.code == 9
    assert (host.linked(), host.serving(), host.state()["active"]) == (None, None, None)
    assert not (host.root / "etc/systemd/system/voicectl.service").exists()
    assert not (host.root / "etc/systemd/system/multi-user.target.wants/voicectl.service").exists()


def test_when_the_old_release_fails_too_it_is_said(host: ReleaseHost) -> None:
    old = host.active("1.0.0")
    new = host.staged("1.1.0", serial=2, crash_in_service=True)
    behaviour = host.release(old) / "behaviour.json"
    behaviour.write_text(json.dumps({"crash": True}))
    answer = host.run("activate", new)
    assert answer.code == 10
    assert "then:" in answer.document["error"]["message"]
    assert (host.linked(), host.state()["active"]) == (old, old)


def test_a_use_case_that_the_gate_closed_does_not_hold_a_release_up(host: ReleaseHost) -> None:
    host.active("1.0.0")
    new = host.staged("1.1.0", serial=2, refused="use_case_demoted")
    answer = host.run("activate", new)
    assert (answer.code, host.serving(), host.linked()) == (0, new, new)


def test_a_release_that_cannot_read_what_the_gate_opened_is_taken_back(host: ReleaseHost) -> None:
    old = host.active("1.0.0")
    answer = host.run("activate", host.staged("1.1.0", serial=2, refused="rollout_unproven"))
    assert (answer.code, host.serving(), host.linked()) == (9, old, old)
    assert "rollout_unproven" in answer.document["error"]["message"]


def test_rollback_goes_back_and_a_second_one_does_not_lead_forward(host: ReleaseHost) -> None:
    old, new = host.active("1.0.0"), host.active("1.1.0", serial=2)
    answer = host.run("rollback")
    assert (answer.code, host.serving(), host.linked()) == (0, old, old)
    again = host.run("rollback")
    assert again.code == 3
    assert f"--to {new}" in again.document["error"]["hint"]
    assert host.run("rollback", "--to", new).code == 0
    assert host.serving() == new


def test_a_rollback_that_fails_goes_on_with_what_served(host: ReleaseHost) -> None:
    old, new = host.active("1.0.0"), host.active("1.1.0", serial=2)
    (host.release(old) / "system/voicectl.service").write_text("[Service]\nExecStart=/usr/bin/false\n")
    answer = host.run("rollback")
    assert answer.code == 10
    assert (host.serving(), host.linked(), host.state()["active"]) == (new, new, new)


def test_without_a_release_to_go_back_to_a_rollback_is_refused(host: ReleaseHost) -> None:
    assert host.run("rollback").code == 3
    host.active("1.0.0")
    assert host.run("rollback").code == 3


def test_a_downgrade_is_refused_unless_it_is_allowed(host: ReleaseHost) -> None:
    new = host.active("1.1.0", serial=7)
    old = host.staged("1.0.0", serial=6)
    answer = host.run("activate", old)
    assert (answer.code, host.serving()) == (3, new)
    assert "downgrade" in answer.document["error"]["message"]
    assert host.run("activate", old, "--allow-downgrade").code == 0
    assert host.serving() == old


def test_changed_settings_of_the_same_release_are_gated_and_restarted(host: ReleaseHost) -> None:
    release_id = host.active("1.0.0")
    _, host.port = host.port, host.gate_port + 1
    host.configure(release_id)
    answer = host.run("activate", release_id)
    assert (answer.code, answer.document["changed"], answer.document["outcome"]["kind"]) == (0, True, "restart")
    assert host.serving() == release_id


def test_settings_that_do_not_work_are_put_back(host: ReleaseHost) -> None:
    release_id = host.active("1.0.0")
    unit = (host.root / "etc/systemd/system/voicectl.service").read_bytes()
    system = host.release(release_id) / "system"
    (system / "voicectl.service").write_text("[Service]\nExecStart=/usr/bin/false\n")
    answer = host.run("activate", release_id)
    assert answer.code == 9
    assert host.serving() == release_id
    assert (host.root / "etc/systemd/system/voicectl.service").read_bytes() == unit


def test_the_golden_call_presents_the_hosts_key(host: ReleaseHost) -> None:
    key = host.root / "etc/voicectl/gate.key"
    key.write_text("vk_abc_def\n")
    key.chmod(0o600)
    release_id = host.active("1.0.0")
    assert host.serving() == release_id
    key.chmod(0o644)
    answer = host.run("gate", release_id)
    assert answer.code == 9
    assert "others than its owner" in answer.document["error"]["message"]


def test_no_word_of_a_call_and_no_key_is_written_down(host: ReleaseHost) -> None:
    key = host.root / "etc/voicectl/gate.key"
    key.write_text("vk_abc_def\n")
    key.chmod(0o600)
    host.active("1.0.0")
    host.run("activate", host.staged("1.1.0", serial=2, voice="bananas grow on trees"))
    folder = host.root / "var/lib/voicectl/release"
    text = "".join(path.read_text() for path in folder.rglob("*") if path.is_file()).lower()
    assert not any(word in text for word in ("paris", "france", "bananas", "vk_abc"))


def test_gate_alone_leaves_the_service_and_the_link_alone(host: ReleaseHost) -> None:
    old, new = host.active("1.0.0"), host.staged("1.1.0", serial=2)
    answer = host.run("gate", new)
    assert (answer.code, answer.document["passed"]) == (0, True)
    assert (host.linked(), host.serving()) == (old, old)
    assert host.systemctl("is-enabled", "voicectl.service") == 0


def test_a_stopped_service_of_the_active_release_is_started_again(host: ReleaseHost) -> None:
    release_id = host.active("1.0.0")
    host.systemctl("stop", "voicectl.service")
    assert host.run("activate", release_id).code == 0
    assert host.serving() == release_id


def test_a_prepared_release_is_known_or_cleared_away(host: ReleaseHost) -> None:
    known, half = host.staged("1.0.0"), host.place("1.1.0")
    assert host.run("prepare", known).document["present"] is True
    answer = host.run("prepare", half)
    assert (answer.document["present"], answer.document["changed"]) == (False, True)
    assert (host.release(known).exists(), host.release(half).exists()) == (True, False)


def test_pruning_keeps_weights_that_a_kept_release_names(host: ReleaseHost) -> None:
    from tests.fakes.release_host import BLOB_SHA256

    blob = host.root / "var/lib/voicectl/blobs/sha256" / BLOB_SHA256[:2] / BLOB_SHA256
    host.active("1.0.0")
    host.active("1.1.0", serial=2)
    host.active("1.2.0", serial=3)
    assert blob.exists()
    assert host.run("verify", "--deep").code == 0
