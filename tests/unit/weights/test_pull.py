"""Tests of bringing pinned models into the store."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from voicectl.core.errors import ArtifactMissing, ChecksumMismatch, ConfigError, IntegrityError
from voicectl.core.lockfile import Lock, LockedModel, lock_of
from voicectl.weights.progress import SilentProgress
from voicectl.weights.pull import PullOptions, pull
from voicectl.weights.store import Store

from .conftest import CONFIG, WEIGHTS, model_of, pin_of, sha256


def actions(store: Store, model: LockedModel, **options: object) -> list[str]:
    return [file.action for file in pull([model], store, PullOptions(**options))]  # type: ignore[arg-type]


def blobs(store: Store) -> set[str]:
    return {path.name for path in store.blobs.glob("*/*")}


def leftovers(store: Store) -> list[Path]:
    return list(store.partials.glob("*"))


def test_a_pull_fetches_once(store: Store, tiny: LockedModel) -> None:
    assert actions(store, tiny) == ["fetched", "fetched"]
    assert actions(store, tiny) == ["present", "present"]
    assert not leftovers(store)


def test_a_complete_pull_needs_no_lock_and_no_source(store: Store, tiny: LockedModel, origin: Path) -> None:
    pull([tiny], store, PullOptions())
    shutil.rmtree(origin)
    with store.exclusive():
        assert actions(store, tiny, offline=True) == ["present", "present"]


@pytest.mark.parametrize("content", [WEIGHTS[:-1], WEIGHTS[:-1] + b"!", WEIGHTS + b"!", b""])
def test_wrong_bytes_of_a_source_place_nothing(store: Store, tiny: LockedModel, origin: Path, content: bytes) -> None:
    (origin / "model.bin").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"tiny/model\.bin") as caught:
        pull([tiny], store, PullOptions())
    assert caught.value.exit_code == 4
    assert sha256(WEIGHTS) not in blobs(store)
    assert not store.model_path("tiny").exists()
    assert not store.partial_path(sha256(WEIGHTS)).exists()


def test_a_tampered_blob_is_repaired(store: Store, tiny: LockedModel) -> None:
    pull([tiny], store, PullOptions())
    blob = store.blob_path(sha256(WEIGHTS))
    blob.chmod(0o644)
    blob.write_bytes(WEIGHTS[::-1])
    assert actions(store, tiny) == ["present", "repaired"]
    assert store.verified_root(tiny)


def test_refetch_takes_nothing_for_granted(store: Store, tiny: LockedModel) -> None:
    pull([tiny], store, PullOptions())
    assert actions(store, tiny, refetch=True) == ["repaired", "repaired"]
    assert store.verified_root(tiny)


@pytest.mark.parametrize("begun", [WEIGHTS[:5000], WEIGHTS, b"wrong" * 100, WEIGHTS * 2])
def test_what_a_killed_pull_left_is_continued_or_dropped(store: Store, tiny: LockedModel, begun: bytes) -> None:
    with store.exclusive():
        store.partial_path(sha256(WEIGHTS)).write_bytes(begun)
    assert actions(store, tiny) == ["fetched", "fetched"]
    assert store.verified_root(tiny)
    assert not leftovers(store)


def test_a_resumed_pull_reads_only_the_rest(store: Store, tiny: LockedModel) -> None:
    seen: list[int] = []

    class Watch(SilentProgress):
        def advanced(self, item: str, done_bytes: int) -> None:
            if item == "tiny/model.bin":
                seen.append(done_bytes)

    with store.exclusive():
        store.partial_path(sha256(WEIGHTS)).write_bytes(WEIGHTS[:5000])
    pull([tiny], store, PullOptions(), Watch())
    assert seen == [5000, len(WEIGHTS)]


def test_too_small_a_disk_is_refused_up_front(store: Store, tiny: LockedModel) -> None:
    size = len(WEIGHTS) + len(CONFIG)
    with pytest.raises(ConfigError, match=f"has 1000 bytes free, the pull needs {size}") as caught:
        pull([tiny], store, PullOptions(free_bytes=lambda folder: 1000))
    assert caught.value.exit_code == 3
    assert not blobs(store)


def test_a_disk_that_fills_up_leaves_nothing_that_is_used(store: Store, tiny: LockedModel) -> None:
    class FullDisk(SilentProgress):
        def advanced(self, item: str, done_bytes: int) -> None:
            if item == "tiny/model.bin":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(ConfigError, match="bytes free, the pull needs"):
        pull([tiny], store, PullOptions(), FullDisk())
    assert sha256(WEIGHTS) not in blobs(store)
    assert not store.model_path("tiny").exists()


def test_all_missing_files_are_named_at_once(store: Store, tiny: LockedModel, origin: Path) -> None:
    shutil.rmtree(origin)
    with pytest.raises(ArtifactMissing, match="2 files are missing") as caught:
        pull([tiny], store, PullOptions())
    assert "tiny/config.json" in caught.value.message
    assert "tiny/model.bin" in caught.value.message


def test_what_can_be_had_is_kept_when_something_is_missing(store: Store, tiny: LockedModel, origin: Path) -> None:
    (origin / "config.json").unlink()
    with pytest.raises(ArtifactMissing, match=r"tiny/config\.json: no such file"):
        pull([tiny], store, PullOptions())
    assert blobs(store) == {sha256(WEIGHTS)}


def test_the_next_source_is_tried(store: Store, origin: Path) -> None:
    pin = pin_of(WEIGHTS, "file:/nowhere", f"file:{origin / 'model.bin'}", path="model.bin")
    [model] = lock_of([model_of("m", pin)], name="x").models
    assert actions(store, model) == ["fetched"]


def test_offline_names_the_network_sources(store: Store) -> None:
    pin = pin_of(WEIGHTS, "pypi:tiny-weights==1.0#a/model.bin", "hf:o/r@1#model.bin", path="model.bin")
    [model] = lock_of([model_of("m", pin)], name="x").models
    with pytest.raises(ArtifactMissing, match="not fetched while offline") as caught:
        pull([model], store, PullOptions(offline=True))
    assert caught.value.exit_code == 5
    assert caught.value.hint is not None
    assert "pypi:tiny-weights==1.0#a/model.bin, hf:o/r@1#model.bin" in caught.value.hint


@pytest.mark.parametrize("by_digest", [True, False])
def test_a_mirror_serves_by_digest_or_by_name_offline(store: Store, tmp_path: Path, by_digest: bool) -> None:
    pin = pin_of(WEIGHTS, "hf:o/r@1#model.bin", path="sub/model.bin")
    [model] = lock_of([model_of("m", pin)], name="x").models
    path = tmp_path / "mirror" / (sha256(WEIGHTS) if by_digest else "m/sub/model.bin")
    path.parent.mkdir(parents=True)
    path.write_bytes(WEIGHTS)
    assert actions(store, model, offline=True, mirror=tmp_path / "mirror") == ["fetched"]
    assert path.stat().st_nlink == 1, "the mirror's own file must not become part of the store"


def test_a_mirror_with_wrong_bytes_is_refused(store: Store, tiny: LockedModel, tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "model.bin").write_bytes(b"wrong")
    with pytest.raises(ChecksumMismatch) as caught:
        pull([tiny], store, PullOptions(mirror=tmp_path))
    assert caught.value.expected == sha256(WEIGHTS)
    assert caught.value.actual == sha256(b"wrong")


def joined(tmp_path: Path) -> LockedModel:
    halves = [WEIGHTS[:5000], WEIGHTS[5000:]]
    for number, half in enumerate(halves):
        (tmp_path / f"half{number}").write_bytes(half)
    parts = [pin_of(half, f"file:{tmp_path / f'half{number}'}") for number, half in enumerate(halves)]
    return lock_of([model_of("m", pin_of(WEIGHTS, "parts", path="model.bin", part=parts))], name="x").models[0]


def test_parts_are_joined_in_order(store: Store, tmp_path: Path) -> None:
    model = joined(tmp_path)
    assert actions(store, model) == ["fetched"]
    assert (store.verified_root(model) / "model.bin").read_bytes() == WEIGHTS
    assert blobs(store) == {sha256(WEIGHTS)}
    assert not leftovers(store)


def test_a_wrong_part_is_refused(store: Store, tmp_path: Path) -> None:
    model = joined(tmp_path)
    (tmp_path / "half1").write_bytes(b"!" * (len(WEIGHTS) - 5000))
    with pytest.raises(ChecksumMismatch, match=r"m/model\.bin \(part "):
        pull([model], store, PullOptions())
    assert not blobs(store)


def test_a_missing_part_is_missing(store: Store, tmp_path: Path) -> None:
    model = joined(tmp_path)
    (tmp_path / "half1").unlink()
    with pytest.raises(ArtifactMissing, match=r"m/model\.bin"):
        pull([model], store, PullOptions())
    assert not blobs(store)


def test_a_wrong_member_of_a_wheel_drops_the_wheel(store: Store, wheel: Callable[..., Path]) -> None:
    pin = pin_of(WEIGHTS, "pypi:tiny-weights==1.0#a/model.bin", path="model.bin")
    [model] = lock_of([model_of("m", pin)], name="x").models
    kept = store.partials / "wheels" / "tiny-weights==1.0.whl"
    kept.parent.mkdir(parents=True)
    shutil.copy(wheel({"a/model.bin": WEIGHTS[::-1]}), kept)
    with pytest.raises(ChecksumMismatch):
        pull([model], store, PullOptions())
    assert not kept.exists()
    assert not blobs(store)


def test_models_share_equal_files(store: Store, lock: Lock, tiny: LockedModel) -> None:
    twin = lock_of([{**tiny.model_dump(by_alias=True), "name": "twin"}], name="x").models[0]
    files = pull([tiny, twin], store, PullOptions(jobs=1))
    assert [file.action for file in files] == ["fetched"] * 4
    assert len(blobs(store)) == 2
    assert (store.verified_root(tiny) / "model.bin").samefile(store.verified_root(twin) / "model.bin")


def test_an_interrupted_pull_stops_its_threads_and_keeps_the_bytes(store: Store, tiny: LockedModel) -> None:
    class Interrupts(SilentProgress):
        def advanced(self, item: str, done_bytes: int) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull([tiny], store, PullOptions(jobs=1), Interrupts())
    assert not blobs(store)
    assert actions(store, tiny) == ["fetched", "fetched"]
