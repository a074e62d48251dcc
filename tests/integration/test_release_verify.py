"""Tests of verification and status on a real folder: whatever differs is named, nothing is repaired."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.release_host import BLOB_SHA256, ReleaseHost

pytestmark = pytest.mark.integration


@pytest.fixture
def host(tmp_path: Path) -> Iterator[ReleaseHost]:
    host = ReleaseHost(tmp_path / "host")
    (host.root / "etc/voicectl/host.yaml").write_text("server: {}\n")
    yield host
    host.lose_power()


def test_a_host_as_it_was_installed_has_no_drift(host: ReleaseHost) -> None:
    release_id = host.active("1.0.0")
    answer = host.run("verify", "--deep")
    assert (answer.code, answer.document["drift"], answer.document["num_drift"]) == (0, [], 0)
    document = host.run("status").document
    assert (document["last_verify_ok"], document["last_verify_deep"]) == (True, True)
    assert (document["release"], document["service"], document["ready"]) == (release_id, "active", True)


def _flip(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])


HARM: dict[str, tuple[Callable[[ReleaseHost, str], object], str]] = {
    "program": (lambda host, name: _flip(host.release(name) / "venv/bin/voicectl"), "venv/bin/voicectl: sha256"),
    "golden": (lambda host, name: _flip(host.release(name) / "golden/golden.wav"), "golden/golden.wav: sha256"),
    "weights": (
        lambda host, name: _flip(host.root / "var/lib/voicectl/blobs/sha256" / BLOB_SHA256[:2] / BLOB_SHA256),
        f"{BLOB_SHA256}: sha256",
    ),
    "extra": (lambda host, name: (host.release(name) / "venv/x.pth").touch(), "venv/x.pth: not part of the release"),
    "missing": (lambda host, name: (host.release(name) / "models.lock").unlink(), "models.lock: missing"),
    "mode": (lambda host, name: (host.release(name) / "models.lock").chmod(0o666), "models.lock: mode 0666"),
    "unit": (lambda host, name: _flip(host.root / "etc/systemd/system/voicectl.service"), "edited by hand"),
    "program of the host": (lambda host, name: _flip(host.program), "release.pyz: edited by hand"),
    "configuration": (lambda host, name: _flip(host.root / "etc/voicectl/host.yaml"), "host.yaml: edited by hand"),
    "drop-in": (lambda host, name: _drop_in(host), "voicectl.service.d/local.conf: added by hand"),
    "link": (lambda host, name: _relink(host), "current: leads to something else"),
}


def _drop_in(host: ReleaseHost) -> None:
    path = host.root / "etc/systemd/system/voicectl.service.d/local.conf"
    path.parent.mkdir()
    path.write_text("[Service]\nNice=5\n")


def _relink(host: ReleaseHost) -> None:
    link = host.root / "opt/voicectl/current"
    link.unlink()
    link.symlink_to("/tmp")


@pytest.mark.parametrize("harm", HARM)
def test_drift_is_named_and_kept_and_told_by_status(host: ReleaseHost, harm: str) -> None:
    release_id = host.active("1.0.0")
    change, named = HARM[harm]
    zip_is_hurt = harm == "program of the host"
    if zip_is_hurt:
        with host.program.open("ab") as program:
            program.write(b"\n")
    else:
        change(host, release_id)
    found = host.run("verify", "--deep")
    assert found.code == 12, found
    assert any(named in line for line in found.document["drift"]), found.document["drift"]
    again = host.run("verify", "--deep")
    assert again.document["drift"] == found.document["drift"]
    status = host.run("status")
    assert status.code == 12
    assert any(named in line for line in status.document["drift"])
    assert status.document["last_verify"] is not None
    assert status.document["last_verify_ok"] is False


def test_a_shallow_look_does_not_read_but_sees_sizes(host: ReleaseHost) -> None:
    release_id = host.active("1.0.0")
    wav = host.release(release_id) / "golden/golden.wav"
    _flip(wav)
    assert host.run("verify").code == 0
    wav.write_bytes(b"RIFF!")
    assert host.run("verify").code == 12


def test_accepted_configuration_is_drift_no_more(host: ReleaseHost) -> None:
    host.active("1.0.0")
    (host.root / "etc/voicectl/host.yaml").write_text("server: {port: 9}\n")
    assert host.run("status").code == 12
    assert host.run("verify", "--accept").code == 0
    assert host.run("status").code == 0


def test_an_installation_run_again_keeps_naming_what_people_edited(host: ReleaseHost) -> None:
    release_id = host.active("1.0.0")
    path = host.root / "etc/voicectl/host.yaml"
    path.write_text("server: {port: 9}\n")
    assert host.run("activate", release_id).code == 0
    assert (path.read_text(), host.run("verify").code) == ("server: {port: 9}\n", 12)


def test_what_an_installation_wrote_is_no_drift_when_its_release_is_refused(host: ReleaseHost) -> None:
    host.active("1.0.0")
    new = host.staged("1.1.0", serial=2, crash=True)
    with host.program.open("ab") as program:
        program.write(b"\n")
    assert host.run("activate", new).code == 9
    assert (host.run("status").code, host.run("verify", "--deep").code) == (0, 0)


def test_both_kept_releases_are_verified(host: ReleaseHost) -> None:
    old, new = host.active("1.0.0"), host.active("1.1.0", serial=2)
    _flip(host.release(old) / "venv/bin/voicectl")
    found = host.run("verify", "--deep")
    assert found.code == 12
    assert old in found.document["drift"][0]
    # A shallow look before the switch does not see a flipped bit; the gate behind it does.
    assert (host.run("rollback").code, host.serving()) == (10, new)


def test_a_host_without_a_release_has_a_status(host: ReleaseHost) -> None:
    answer = host.run("status")
    assert (answer.code, answer.document["release"], answer.document["state"]) == (0, None, "none")
