"""Tests of what a release's files are compared with."""

import base64
import hashlib
from pathlib import Path

from voicectl.provision.hostside.inventory import take_inventory
from voicectl.provision.hostside.manifest import BundleFile, Compatible, Manifest
from voicectl.provision.hostside.origins import REQUIRED, problems_of

PACKAGES = "venv/lib/python3.11/site-packages"


def placed(folder: Path) -> Manifest:
    for name in REQUIRED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    packages = folder / PACKAGES
    (packages / "thing-1.dist-info").mkdir(parents=True)
    (packages / "thing.py").write_text("code")
    (folder / "venv/bin").mkdir()
    (folder / "venv/bin/thing").write_text("script")
    rows = [("thing.py", "code"), ("../../../bin/thing", "script")]
    text = "".join(f"{path},sha256={_record_digest(content)},4\n" for path, content in rows)
    (packages / "thing-1.dist-info/RECORD").write_text(text + "thing-1.dist-info/RECORD,,\n__pycache__/x.pyc,,\n")
    files = tuple(BundleFile(name, len(name), hashlib.sha256(name.encode()).hexdigest()) for name in REQUIRED)
    return Manifest("1", 1, None, Compatible(None, None, None, None, (), None), files)


def _record_digest(content: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).rstrip(b"=").decode()


def problems(folder: Path, manifest: Manifest) -> str:
    return "; ".join(problems_of(folder, manifest, take_inventory(folder, deep=True)))


def test_a_release_as_it_was_built_has_no_problem(tmp_path: Path) -> None:
    assert problems(tmp_path, placed(tmp_path)) == ""


def test_an_altered_file_of_the_bundle_is_named(tmp_path: Path) -> None:
    manifest = placed(tmp_path)
    (tmp_path / "golden/golden.wav").write_text("GOLDEN/golden.wav")
    assert "golden/golden.wav: sha256" in problems(tmp_path, manifest)


def test_an_altered_module_and_script_are_named(tmp_path: Path) -> None:
    manifest = placed(tmp_path)
    (tmp_path / PACKAGES / "thing.py").write_text("evil")
    (tmp_path / "venv/bin/thing").unlink()
    found = problems(tmp_path, manifest)
    assert "thing.py: sha256" in found
    assert "venv/bin/thing: missing" in found


def test_a_module_that_no_wheel_holds_is_named(tmp_path: Path) -> None:
    manifest = placed(tmp_path)
    (tmp_path / PACKAGES / "sitecustomize.py").write_text("evil")
    (tmp_path / PACKAGES / "thing.pyc").write_text("compiled")
    found = problems(tmp_path, manifest)
    assert "sitecustomize.py: no wheel holds it" in found
    assert "thing.pyc" not in found


def test_what_the_gate_needs_must_be_there(tmp_path: Path) -> None:
    manifest = placed(tmp_path)
    (tmp_path / "golden/golden.json").unlink()
    assert "golden/golden.json: missing" in problems(tmp_path, manifest)
