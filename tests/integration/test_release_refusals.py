"""Tests of what the host's release program refuses: damaged releases, odd folders, two runs at once, bad commands."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.release_host import BLOB_SHA256, ReleaseHost

pytestmark = pytest.mark.integration


@pytest.fixture
def host(tmp_path: Path) -> Iterator[ReleaseHost]:
    host = ReleaseHost(tmp_path / "host")
    yield host
    host.lose_power()


def blob(host: ReleaseHost) -> Path:
    return host.root / "var/lib/voicectl/blobs/sha256" / BLOB_SHA256[:2] / BLOB_SHA256


def test_an_altered_release_is_not_staged(host: ReleaseHost) -> None:
    release_id = host.place("1.0.0")
    (host.release(release_id) / "golden/golden.wav").write_bytes(b"riff")
    answer = host.run("stage", release_id)
    assert answer.code == 4
    assert answer.document["problems"][0].startswith("golden/golden.wav: sha256")
    assert release_id not in host.run("status").document["releases"]


def test_another_manifest_is_not_staged(host: ReleaseHost) -> None:
    release_id = host.place("1.0.0")
    (host.release(release_id) / "manifest.json").write_text("{}")
    assert host.run("stage", release_id).code == 4


@pytest.mark.parametrize("harm", ["alter", "remove"])
def test_weights_that_are_not_the_bundles_are_not_staged(host: ReleaseHost, harm: str) -> None:
    release_id = host.place("1.0.0")
    blob(host).write_bytes(b"x" * len(blob(host).read_bytes())) if harm == "alter" else blob(host).unlink()
    assert host.run("stage", release_id).code == 4


def test_a_release_for_other_hosts_is_not_staged(host: ReleaseHost) -> None:
    wanted = {"os": "debian", "os_version": "13", "arch": "s390x", "python": None, "cpu_flags": []}
    answer = host.run("stage", host.place("1.0.0", manifest={"compatible": wanted}))
    assert answer.code == 3
    assert "13" in answer.document["error"]["message"]
    assert "s390x" in answer.document["error"]["message"]


def test_a_release_that_was_changed_behind_its_staging_is_not_activated(host: ReleaseHost) -> None:
    old, new = host.active("1.0.0"), host.staged("1.1.0", serial=2)
    (host.release(new) / "venv/bin/extra").write_text("")
    answer = host.run("activate", new)
    assert (answer.code, host.serving()) == (4, old)


def test_what_was_not_staged_is_not_activated(host: ReleaseHost) -> None:
    answer = host.run("activate", host.place("1.0.0"))
    assert (answer.code, host.linked()) == (3, None)


@pytest.mark.parametrize("harm", ["link out", "world-writable", "setuid", "pipe"])
def test_odd_things_in_a_release_are_refused(host: ReleaseHost, harm: str) -> None:
    release_id = host.place("1.0.0")
    odd = host.release(release_id) / "odd"
    if harm == "link out":
        odd.symlink_to("/etc/shadow")
    elif harm == "pipe":
        os.mkfifo(odd, 0o600)
    else:
        odd.touch()
        odd.chmod(0o666 if harm == "world-writable" else 0o4755)
    answer = host.run("stage", release_id)
    assert (answer.code, str(odd) in answer.document["error"]["message"]) == (3, True)


@pytest.mark.parametrize("folder", ["var/lib/voicectl/release", "opt/voicectl/releases", "opt/voicectl"])
@pytest.mark.parametrize("harm", ["link", "open"])
def test_folders_that_others_could_change_are_refused(host: ReleaseHost, folder: str, harm: str) -> None:
    release_id = host.staged("1.0.0")
    path = host.root / folder
    if harm == "open":
        path.chmod(0o777)
    else:
        path.rename(path.with_name("elsewhere"))
        path.symlink_to("elsewhere")
    assert host.run("activate", release_id).code == 3
    assert host.linked() is None


def test_a_second_run_is_told_at_once_who_is_at_work(host: ReleaseHost) -> None:
    release_id = host.staged("1.0.0", hang_s=3)
    first = host.begin("activate", release_id)
    while host.state()["attempt"] is None:
        time.sleep(0.02)
    began_at = time.monotonic()
    second = host.run("activate", release_id)
    assert second.code == 11
    assert f"process {first.pid}" in second.document["error"]["message"]
    assert time.monotonic() - began_at < 2
    assert "activate" in host.run("status").document["locked_by"]
    assert host.run("recover").code == 11
    # The unit of the service requires the one that recovers: a restart within a change must not fail for it.
    at_boot = host.run("recover", "--boot")
    assert (at_boot.code, at_boot.document["changed"]) == (0, False)
    out, _ = first.communicate(timeout=60)
    assert json.loads(out)["state"] == "good"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("fly",),
        ("activate",),
        ("activate", "../../etc"),
        ("activate", "1.0.0"),
        ("rollback", "--to", "x"),
        ("stage", ""),
    ],
)
def test_commands_that_cannot_be_meant_are_usage_errors(host: ReleaseHost, arguments: tuple[str, ...]) -> None:
    answer = host.run(*arguments)
    assert (answer.code, answer.document["error"]["exit_code"]) == (2, 2)


def test_a_damaged_state_stops_everything_and_changes_nothing(host: ReleaseHost) -> None:
    release_id = host.active("1.0.0")
    state = host.root / "var/lib/voicectl/release/state.json"
    for content in (b"", b"{", b'{"schema": 99}'):
        state.write_bytes(content)
        for command in (("recover",), ("recover", "--boot"), ("status",), ("activate", release_id), ("prune",)):
            assert host.run(*command).code == 4
    assert (host.linked(), host.serving(), state.read_bytes()) == (release_id, release_id, b'{"schema": 99}')


def test_a_lost_state_is_damage_and_not_a_new_host(host: ReleaseHost) -> None:
    host.active("1.0.0")
    (host.root / "var/lib/voicectl/release/state.json").unlink()
    answer = host.run("recover", "--boot")
    assert (answer.code, host.serving()) == (4, host.linked())


def test_a_reader_that_went_away_does_not_spoil_the_change(host: ReleaseHost) -> None:
    release_id = host.staged("1.0.0")
    program = host.begin("activate", release_id)
    assert program.stdout is not None
    assert program.stderr is not None
    program.stdout.close()
    program.stderr.close()
    program.wait(60)
    assert (host.state()["active"], host.serving()) == (release_id, release_id)


def test_a_tainted_release_marks_the_host(host: ReleaseHost) -> None:
    release_id = host.place("1.0.0")
    assert host.run("stage", release_id, "--tainted", "unsigned bundle").document["changed"] is True
    assert host.run("stage", release_id, "--tainted", "unsigned bundle").document["changed"] is False
    document = host.run("status").document
    assert (document["tainted"], document["taint"]) == (True, [f"{release_id}: unsigned bundle"])
