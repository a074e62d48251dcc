"""Tests of the store of weights."""

import os
from pathlib import Path

import pytest

from voicectl.core.errors import ArtifactMissing, ChecksumMismatch, ConfigError, IntegrityError, LockedError
from voicectl.core.lockfile import LockedModel
from voicectl.weights.pull import PullOptions, pull
from voicectl.weights.store import Store


@pytest.fixture
def pulled(store: Store, tiny: LockedModel) -> Store:
    pull([tiny], store, PullOptions())
    return store


def test_a_verified_model_is_a_folder_of_links_to_blobs(pulled: Store, tiny: LockedModel) -> None:
    root = pulled.verified_root(tiny)
    assert root == pulled.root / "models" / "tiny"
    for file in tiny.files:
        assert (root / file.path).samefile(pulled.blob_path(file.sha256))
        assert not (root / file.path).stat().st_mode & 0o222


def test_one_flipped_byte_in_a_blob_is_found(pulled: Store, tiny: LockedModel) -> None:
    blob = pulled.blob_path(tiny.files[1].sha256)
    blob.chmod(0o644)
    with blob.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff")
    with pytest.raises(ChecksumMismatch) as caught:
        pulled.verified_root(tiny)
    assert caught.value.exit_code == 4
    assert caught.value.path == pulled.model_path("tiny") / "model.bin"
    assert caught.value.expected == tiny.files[1].sha256
    assert caught.value.actual not in {"", caught.value.expected}


def test_a_replaced_link_is_found(pulled: Store, tiny: LockedModel) -> None:
    path = pulled.model_path("tiny") / "config.json"
    path.unlink()
    path.write_bytes(b"{}")
    with pytest.raises(ChecksumMismatch, match=r"config\.json"):
        pulled.verified_root(tiny)


def test_an_unpinned_file_beside_the_model_is_refused_and_removed_by_a_pull(pulled: Store, tiny: LockedModel) -> None:
    (pulled.model_path("tiny") / "other.gguf").write_bytes(b"evil")
    with pytest.raises(IntegrityError, match=r"other\.gguf: not a file of tiny"):
        pulled.verified_root(tiny)
    pull([tiny], pulled, PullOptions())
    assert pulled.verified_root(tiny)


def test_a_missing_model_says_what_where_from_and_the_command(store: Store, tiny: LockedModel, origin: Path) -> None:
    with pytest.raises(ArtifactMissing, match=r"tiny/config\.json") as caught:
        store.verified_root(tiny)
    assert caught.value.exit_code == 5
    assert caught.value.hint is not None
    assert "voicectl models pull tiny" in caught.value.hint
    assert f"file:{origin / 'config.json'}" in caught.value.hint


def test_wrong_bytes_are_told_before_missing_ones(pulled: Store, tiny: LockedModel) -> None:
    (pulled.model_path("tiny") / "config.json").unlink()
    blob = pulled.blob_path(tiny.files[1].sha256)
    blob.chmod(0o644)
    blob.write_bytes(b"short")
    with pytest.raises(ChecksumMismatch):
        pulled.verified_root(tiny)


def test_state_tells_absent_partial_and_present(store: Store, tiny: LockedModel) -> None:
    assert store.state(tiny) == "absent"
    with store.exclusive():
        store.partial_path(tiny.files[0].sha256).write_bytes(b"x")
    assert store.state(tiny) == "partial"
    pull([tiny], store, PullOptions())
    assert store.state(tiny) == "present"


def test_a_second_holder_is_refused_and_told_the_first(store: Store) -> None:
    words = f"process {os.getpid()} is changing"
    with store.exclusive(), pytest.raises(LockedError, match=words) as caught, Store(store.root).exclusive():
        pytest.fail("two runs hold the store")
    assert caught.value.exit_code == 11
    with Store(store.root).exclusive():
        pass


def test_a_folder_that_cannot_be_made_is_a_configuration_error(tmp_path: Path, tiny: LockedModel) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match="cannot write to the folder of weights"):
        pull([tiny], Store(tmp_path / "file" / "store"), PullOptions())
