"""A real bundle: complete, and byte for byte the same when it is built twice. Needs the models and a network."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from voicectl.core.lockfile import parse_lock, read_lock
from voicectl.core.paths import store_path
from voicectl.weights.bundle.manifest import Manifest
from voicectl.weights.bundle.requirements import matched, read_requirements
from voicectl.weights.bundle.verify import extract, verify_bundle
from voicectl.weights.store import Store, file_digest

NOBODY = Path("/nonexistent/allowed_signers")
COPIED = ("cmake", "playbooks", "profiles", "voicectl", "LICENSE", "README.md", "models.lock", "pyproject.toml")
FIRST_BUILD_S = 1800
"""The first build of a host compiles llama-cpp-python, which takes five minutes on two idle cores."""

pytestmark = pytest.mark.timeout(FIRST_BUILD_S)


def build(checkout: Path, output: Path, **environment: str) -> Path:
    command = [sys.executable, "-m", "voicectl", "bundle", "build", "--serial", "7", "--output", str(output), "--json"]
    variables = {**os.environ, "PYTHONPATH": str(checkout), **environment}
    finished = subprocess.run(command, cwd=checkout, env=variables, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return Path(json.loads(finished.stdout)["bundle"])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for program in ("apt-get", "dpkg-deb", "c++"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: bundles are built on Debian")
    profile = ("faster-whisper-tiny.en", "piper-en_US-joe-medium")
    lock, store = read_lock(REPOSITORY / "models.lock"), Store(store_path())
    if any(store.state(lock.model(name)) != "present" for name in profile):
        pytest.skip("the models of profile cpu are not here: `voicectl models pull`")
    return build(REPOSITORY, tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def manifest(bundle: Path) -> Manifest:
    return verify_bundle(bundle, NOBODY, allow_unsigned=True).manifest


@pytest.fixture(scope="module")
def tree(bundle: Path, manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("tree") / "tree"
    extract(bundle, manifest, into)
    return into


def test_same_inputs_give_the_same_bytes_elsewhere_and_later(bundle: Path, tmp_path: Path) -> None:
    checkout = tmp_path / "another place"
    checkout.mkdir()
    for path in sorted(REPOSITORY.glob("requirements*")):
        shutil.copyfile(path, checkout / path.name)
    for name in COPIED:
        source = REPOSITORY / name
        ignored = shutil.ignore_patterns("__pycache__")
        if source.is_dir():
            shutil.copytree(source, checkout / name, ignore=ignored)
        else:
            shutil.copyfile(source, checkout / name)
    for path in checkout.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    again = build(checkout, tmp_path / "out", TZ="Asia/Tokyo", LANG="C", SOURCE_DATE_EPOCH="1700000000")
    assert again.name == bundle.name
    assert file_digest(again) == file_digest(bundle)


def test_wheels_are_exactly_those_of_the_requirements(tree: Path) -> None:
    wheels = matched(read_requirements(tree / "requirements.txt"), tree / "wheels")
    names = {wheel.name for wheel in wheels}
    locked = {pin.name for pin in read_requirements(REPOSITORY / "requirements.lock")}
    assert names == locked | {"pip", "voicectl"}
    assert {wheel.path.name.rpartition("-")[2] for wheel in wheels if wheel.name == "llama-cpp-python"} == {
        "linux_x86_64.whl"
    }


def test_index_of_packages_names_every_package_file(tree: Path) -> None:
    text = (tree / "debs" / "Packages").read_text()
    stanzas = [
        dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line) for stanza in text.split("\n\n")
    ]
    named = {stanza["Filename"].removeprefix("./"): stanza["SHA256"] for stanza in stanzas if stanza}
    assert named == {path.name: file_digest(path) for path in (tree / "debs").glob("*.deb")}
    packages = {stanza["Package"] for stanza in stanzas if stanza}
    assert {"nftables", "python3", "libgomp1", "libstdc++6", "libc6"} <= packages
    assert "perl" not in packages


def test_weights_are_those_of_the_lock_file_inside(tree: Path) -> None:
    lock = parse_lock((tree / "models.lock").read_text())
    pinned = {file.sha256 for model in lock.models for file in model.files}
    assert pinned == {path.name for path in (tree / "blobs").rglob("*") if path.is_file()}
    assert {model.role for model in lock.models} == {"stt", "llm", "tts", "turn", "vad"}


def test_bill_of_materials_names_every_wheel_package_and_weight(tree: Path, manifest: Manifest) -> None:
    document = json.loads((tree / "sbom.spdx.json").read_text())
    named = {package["packageFileName"].removeprefix("./") for package in document["packages"]}
    bundled = {file.path for file in manifest.files}
    kinds = ("wheels/", "debs/", "blobs/")
    assert named == {path for path in bundled if path.startswith(kinds)} - {"debs/Packages"}


def test_golden_question_is_spoken_and_bounded(tree: Path) -> None:
    document = json.loads((tree / "golden" / "golden.json").read_text())
    assert document["transcript"]
    assert 0 < document["max_wer"] < 1
    assert document["max_v2v_ms"] > 0
    assert (tree / "golden" / "golden.wav").read_bytes()[:4] == b"RIFF"


def test_playbooks_are_those_of_the_checkout(tree: Path) -> None:
    ours = {path.name for path in (REPOSITORY / "playbooks").glob("*.yml")}
    assert ours == {path.name for path in (tree / "playbooks").glob("*.yml")}
    assert ours
