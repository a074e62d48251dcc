"""Tests of reading and extracting bundles, without signatures."""

import os
import tarfile
from pathlib import Path

import pytest

from tests.fakes.small_bundle import CONTENT, EXECUTABLE, make_bundle
from voicectl.core.errors import ConfigError, IntegrityError, UsageError
from voicectl.weights.bundle.manifest import Manifest, render_manifest
from voicectl.weights.bundle.verify import extract, verify_bundle

NOBODY = Path("/nonexistent/allowed_signers")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "small.vcb"
    make_bundle(path)
    return path


def checked(bundle: Path) -> Manifest:
    return verify_bundle(bundle, NOBODY, allow_unsigned=True).manifest


def test_unsigned_bundle_is_refused_unless_allowed(bundle: Path) -> None:
    with pytest.raises(IntegrityError, match="is not signed") as caught:
        verify_bundle(bundle, NOBODY)
    assert "--allow-unsigned" in str(caught.value.hint)
    verified = verify_bundle(bundle, NOBODY, allow_unsigned=True)
    assert verified.signed_by is None
    assert verified.digest == verified.manifest.digest


def test_bundle_is_a_tar_with_the_manifest_first(bundle: Path) -> None:
    with tarfile.open(bundle) as archive:
        assert archive.getnames() == ["manifest.json", *sorted(CONTENT)]


def test_progress_counts_every_byte(bundle: Path) -> None:
    seen: list[tuple[int, int]] = []
    verify_bundle(bundle, NOBODY, allow_unsigned=True, on_progress=lambda done, total: seen.append((done, total)))
    total = sum(map(len, CONTENT.values()))
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_extracted_tree_is_the_manifest(bundle: Path, tmp_path: Path) -> None:
    manifest = checked(bundle)
    into = tmp_path / "out" / "tree"
    extract(bundle, manifest, into)
    files = {path.relative_to(into).as_posix(): path for path in into.rglob("*") if path.is_file()}
    assert files.pop("manifest.json").read_bytes() == render_manifest(manifest)
    assert {path: file.read_bytes() for path, file in files.items()} == CONTENT
    assert {path for path, file in files.items() if file.stat().st_mode & 0o777 == 0o755} == {EXECUTABLE}
    assert [path.name for path in into.parent.iterdir()] == ["tree"]


def test_extraction_does_not_write_over_what_is_there(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    with pytest.raises(ConfigError, match="exists already"):
        extract(bundle, checked(bundle), tmp_path / "tree")


def test_bundle_that_changed_after_its_check_leaves_no_tree(bundle: Path, tmp_path: Path) -> None:
    manifest = checked(bundle)
    blob = bytearray(bundle.read_bytes())
    blob[-1500] ^= 1
    bundle.write_bytes(blob)
    with pytest.raises(IntegrityError):
        extract(bundle, manifest, tmp_path / "tree")
    make_bundle(bundle, serial=8)
    with pytest.raises(IntegrityError, match="changed since it was verified"):
        extract(bundle, manifest, tmp_path / "tree")
    assert not list(tmp_path.glob("*tree*"))


def test_what_is_no_file_is_a_usage_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(UsageError, match="no such bundle file"):
            verify_bundle(path, NOBODY)


@pytest.mark.parametrize("content", [b"", b"x", bytes(512), bytes(10240), b"\x1f\x8b" + bytes(600)])
def test_file_that_is_no_bundle_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.vcb"
    path.write_bytes(content)
    with pytest.raises(IntegrityError):
        verify_bundle(path, NOBODY, allow_unsigned=True)


def test_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="no such bundle file"):
        verify_bundle(tmp_path / "pipe", NOBODY)
