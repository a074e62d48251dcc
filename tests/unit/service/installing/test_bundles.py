"""A bundle is chosen without guessing, unpacked once, and no byte of the unpacked folder is believed later."""

import fcntl
from pathlib import Path

import pytest

from tests.fakes.small_bundle import make_bundle
from voicectl.core.errors import ArtifactMissing, UsageError
from voicectl.service.installing.bundles import FOLDER, choose_bundle, extracted, is_intact
from voicectl.weights.bundle.verify import VerifiedBundle


@pytest.fixture
def bundle(tmp_path: Path) -> VerifiedBundle:
    manifest = make_bundle(tmp_path / "x.vcb")
    return VerifiedBundle(tmp_path / "x.vcb", manifest, manifest.digest, None)


def test_only_bundle_of_a_folder_is_meant(tmp_path: Path) -> None:
    (tmp_path / "a.vcb").touch()
    (tmp_path / "a.tar").touch()
    assert choose_bundle(None, tmp_path) == tmp_path / "a.vcb"


def test_bundle_is_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissing, match=r"no \*\.vcb bundle"):
        choose_bundle(None, tmp_path)
    for name in ("a.vcb", "b.vcb"):
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match=r"several bundles here: a\.vcb, b\.vcb"):
        choose_bundle(None, tmp_path)


@pytest.mark.parametrize(("name", "words"), [("none.vcb", "no such file"), (".", "is a folder")])
def test_path_that_is_no_file_is_refused(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        choose_bundle(tmp_path / name, tmp_path)


def test_second_run_uses_what_the_first_unpacked(bundle: VerifiedBundle, tmp_path: Path) -> None:
    with extracted(bundle, tmp_path / "cache") as folder:
        inode = (folder / "models.lock").stat().st_ino
    with extracted(bundle, tmp_path / "cache") as again:
        assert again == folder
        assert (again / "models.lock").stat().st_ino == inode


@pytest.mark.parametrize("harm", ["altered", "missing", "added", "linked", "manifest"])
def test_folder_that_was_tampered_with_is_unpacked_anew(bundle: VerifiedBundle, tmp_path: Path, harm: str) -> None:
    with extracted(bundle, tmp_path / "cache") as folder:
        lock = folder / "models.lock"
        content = lock.read_bytes()
    match harm:
        case "altered":
            lock.write_bytes(content[::-1])
        case "missing":
            lock.unlink()
        case "added":
            (folder / "playbooks" / "group_vars").mkdir()
            (folder / "playbooks" / "group_vars" / "all.yml").write_text("x: 1\n")
        case "linked":
            lock.rename(tmp_path / "lock")
            lock.symlink_to(tmp_path / "lock")
        case _:
            (folder / "manifest.json").write_text("{}")
    assert not is_intact(folder, bundle)
    with extracted(bundle, tmp_path / "cache") as again:
        assert is_intact(again, bundle)
        assert (again / "models.lock").read_bytes() == content


def test_folders_of_other_bundles_go_unless_a_run_uses_them(bundle: VerifiedBundle, tmp_path: Path) -> None:
    place = tmp_path / "cache" / FOLDER
    for name in ("old-1", "used-1"):
        (place / name).mkdir(parents=True)
    with (place / "used-1.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        with extracted(bundle, tmp_path / "cache"):
            assert not (place / "old-1").exists()
            assert (place / "used-1").exists()
