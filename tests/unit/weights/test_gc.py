"""Tests of removing what the lock file does not name."""

from voicectl.core.lockfile import Lock, lock_of
from voicectl.weights.gc import find_garbage, remove_garbage
from voicectl.weights.pull import PullOptions, pull
from voicectl.weights.store import Store

from .conftest import CONFIG, WEIGHTS, sha256


def test_pinned_files_and_their_partial_downloads_stay(store: Store, lock: Lock) -> None:
    pull(lock.models, store, PullOptions())
    store.partial_path(sha256(WEIGHTS)).write_bytes(b"begun")
    assert find_garbage(store, lock) == []


def test_what_the_lock_does_not_name_goes_and_its_bytes_are_counted_once(store: Store, lock: Lock) -> None:
    pull(lock.models, store, PullOptions())
    store.partial_path("0" * 64).write_bytes(b"abandoned")
    (store.partials / "wheels").mkdir()
    garbage = find_garbage(store, lock_of([], name="empty"))
    assert sum(piece.size_bytes for piece in garbage) == len(WEIGHTS) + len(CONFIG) + len(b"abandoned")
    remove_garbage(garbage)
    assert not [path for path in store.root.rglob("*") if path.is_file() and path.name != ".lock"]


def test_a_strange_file_in_a_model_folder_goes_alone(store: Store, lock: Lock) -> None:
    pull(lock.models, store, PullOptions())
    strange = store.model_path("tiny") / "strange.gguf"
    strange.write_bytes(b"12345")
    [piece] = find_garbage(store, lock)
    assert (piece.path, piece.size_bytes) == (strange, 5)
    remove_garbage([piece])
    assert store.verified_root(lock.models[0])
