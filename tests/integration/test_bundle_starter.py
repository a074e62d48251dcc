"""Tests of `voicectl.pyz`: from a bundle and Python alone to that bundle's voicectl, or a refusal with a reason."""

import io
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.small_bundle import CONTENT, Signer, make_signer, manifest_of, placed_files
from voicectl.weights.bundle.manifest import Compatible
from voicectl.weights.bundle.startfile import STARTER_NAME, starter_program
from voicectl.weights.bundle.write import sign_bundle, write_bundle

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
PIP = """
import pathlib, sys
assert "--require-hashes" in sys.argv and "--no-index" in sys.argv
requirements = pathlib.Path(sys.argv[sys.argv.index("--requirement") + 1])
assert requirements.read_text() == "tiny==1.0\\n"
command = pathlib.Path(sys.executable).parent / "voicectl"
command.write_text(f"#!{sys.executable}\\nimport sys\\nprint('here', *sys.argv[1:])\\n")
command.chmod(0o755)
"""
"""A pip that installs one program: it prints its words."""


def wheel(**modules: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, source in modules.items():
            archive.writestr(name.replace("__MAIN", "/__main__.py"), source)
    return file.getvalue()


@dataclass(frozen=True, slots=True)
class Machine:
    """An empty home, a bundle, and who is trusted."""

    home: Path
    bundle: Path
    signer: Signer

    def start(self, *words: str, here: Path | None = None) -> "subprocess.CompletedProcess[str]":
        """Run the program that the bundle carries with nothing of this test's environment."""
        program = self.home / STARTER_NAME
        program.write_bytes(starter_program())
        program.chmod(0o755)
        return subprocess.run(
            [sys.executable, "-I", str(program), *words], cwd=here or self.home, capture_output=True, text=True,
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), "VOICECTL_HOME": str(self.home / "voicectl")},
            check=False, timeout=120,
        )  # fmt: skip

    def named(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Start with bundle and signers named."""
        return self.start(*words, "--bundle", str(self.bundle), "--allowed-signers", str(self.signer.allowed))


def bundle_at(path: Path, signer: Signer | None, python: str = HERE, pip: str = PIP) -> None:
    content = {**CONTENT, "wheels/pip-1-py3-none-any.whl": wheel(pip__MAIN=pip)}
    placed = placed_files(path.parent / "files", content)
    compatible = Compatible(os="debian", os_version="12", arch="x86_64", python=python)
    write_bundle(path, manifest_of(placed, compatible=compatible), placed)
    if signer is not None:
        sign_bundle(path, signer.key)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    home = tmp_path / "home"
    home.mkdir()
    made = Machine(home, tmp_path / "b.vcb", make_signer(tmp_path / "trusted"))
    bundle_at(made.bundle, made.signer)
    return made


def assert_refused(done: "subprocess.CompletedProcess[str]", code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "error: " in done.stderr
    assert "hint: " in done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


def test_words_reach_the_voicectl_of_the_bundle(machine: Machine) -> None:
    done = machine.named("install", "--local", "--set", "server.max_sessions=2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("here install --local --set server.max_sessions=2 --bundle ")
    link = machine.home / "voicectl/bin/voicectl"
    assert subprocess.run([link, "x"], capture_output=True, text=True, check=True).stdout == "here x\n"
    assert not list(machine.home.rglob("*.whl")), "the wheels stayed"


def test_second_start_makes_nothing_anew(machine: Machine) -> None:
    assert "once" in machine.named("a").stderr
    again = machine.named("b")
    assert again.stderr == ""
    assert again.stdout.startswith("here b")


def test_only_bundle_of_the_folder_is_taken(machine: Machine, tmp_path: Path) -> None:
    assert_refused(machine.start("status"), 2, "no bundle in", "--bundle")
    signed_by = ["--allowed-signers", str(machine.signer.allowed)]
    assert machine.start("status", *signed_by, here=tmp_path).stdout.startswith("here status")
    bundle_at(tmp_path / "second.vcb", machine.signer)
    assert_refused(machine.start("status", *signed_by, here=tmp_path), 2, "several bundles")


def test_environment_that_was_not_finished_is_made_anew(machine: Machine) -> None:
    machine.named("a")
    (marker,) = machine.home.rglob(".complete")
    marker.unlink()
    (marker.parent / "venv/bin/voicectl").write_text("half of it")
    assert machine.named("b").stdout.startswith("here b")


def test_program_of_another_origin_keeps_its_name(machine: Machine) -> None:
    other = machine.home / "voicectl/bin/voicectl"
    other.parent.mkdir(parents=True)
    other.write_text("another")
    done = machine.named("a")
    assert done.returncode == 0
    assert "stays" in done.stderr
    assert other.read_text() == "another"


def test_strangers_and_nobody_are_not_believed(machine: Machine, tmp_path: Path) -> None:
    stranger = make_signer(tmp_path / "stranger")
    said = ["--bundle", str(machine.bundle), "--allowed-signers"]
    assert_refused(machine.start("a", *said, str(stranger.allowed)), 4, "not signed by anyone")
    assert_refused(machine.start("a", *said, str(tmp_path / "absent")), 3, "no such file of allowed signers")
    bundle_at(machine.bundle, None)
    assert_refused(machine.named("a"), 4, "is not signed")
    taken = machine.named("a", "--allow-unsigned")
    assert taken.returncode == 0
    assert "NOT SIGNED" in taken.stderr


def test_expired_signer_is_refused(machine: Machine) -> None:
    allowed = machine.signer.allowed
    allowed.write_text(allowed.read_text().replace("namespaces", 'valid-before="20200101",namespaces'))
    assert_refused(machine.named("a"), 4, "expired")


def test_altered_bytes_run_nothing(machine: Machine) -> None:
    good = machine.bundle.read_bytes()
    places = {
        "manifest": good.index(b'"serial": 7') + 10,
        "requirements": good.rindex(b"tiny==1.0\n"),
        "pip": good.index(b"assert", good.index(b"PK\x03\x04")),
    }
    for name, at in places.items():
        machine.bundle.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        assert_refused(machine.named("a"), 4)
        assert not (machine.home / "voicectl/bin").exists(), name


@pytest.mark.parametrize("kept", [0, 100, 700, 5_000, -2_000])
def test_what_is_cut_off_or_no_bundle_is_refused(machine: Machine, kept: int) -> None:
    content = machine.bundle.read_bytes()
    machine.bundle.write_bytes(content[:kept] if kept else b"#!/bin/sh\necho no bundle\n")
    assert_refused(machine.named("a"), 4, "copy it again")


def test_bundle_that_is_not_there_or_a_folder_is_told(machine: Machine, tmp_path: Path) -> None:
    machine.bundle.unlink()
    assert_refused(machine.named("a"), 3, "No such file")
    machine.bundle.mkdir()
    assert_refused(machine.named("a"), 3, "directory")
    assert_refused(machine.start("a", "--bundle"), 2, "--bundle")


def test_packages_of_another_python_are_refused(machine: Machine) -> None:
    bundle_at(machine.bundle, machine.signer, python="3.99")
    assert_refused(machine.named("a"), 3, "Python 3.99", "debian 12")


def test_pip_that_fails_is_told_with_its_words(machine: Machine) -> None:
    bundle_at(machine.bundle, machine.signer, pip="raise SystemExit('no space left')")
    assert_refused(machine.named("a"), 3, "no space left")
    bundle_at(machine.bundle, machine.signer)
    assert machine.named("a").returncode == 0
