"""Find and remove what the lock file does not name: blobs, model files, abandoned downloads."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from voicectl.core.lockfile import Lock
from voicectl.weights.store import Store


@dataclass(frozen=True, slots=True)
class Garbage:
    """A file or folder nobody needs; `size_bytes` is the space it gives back."""

    path: Path
    size_bytes: int


def find_garbage(store: Store, lock: Lock) -> list[Garbage]:
    """Return what `lock` does not name. Partial downloads of pinned files are kept: a pull continues them."""
    pins = [pin for model in lock.models for file in model.files for pin in (file, *file.parts)]
    digests = {pin.sha256 for pin in pins}
    # Hard links share their bytes with a blob, so only the blob's removal gives space back.
    return [
        Garbage(path, _size(path) if path.parent != store.models and _frees(store, path) else 0)
        for path in (*_stale_links(store, lock), *_unnamed(store, digests))
    ]


def remove_garbage(garbage: list[Garbage]) -> None:
    """Remove what `find_garbage` found. The caller holds the store."""
    for piece in garbage:
        if piece.path.is_dir() and not piece.path.is_symlink():
            shutil.rmtree(piece.path)
        else:
            piece.path.unlink(missing_ok=True)


def _stale_links(store: Store, lock: Lock) -> Iterator[Path]:
    pinned = {store.model_path(m.name) / f.path: store.blob_path(f.sha256) for m in lock.models for f in m.files}
    names = {model.name for model in lock.models}
    for folder in sorted(store.models.glob("*")):
        if folder.name not in names:
            yield folder
            continue
        for path in sorted(folder.rglob("*")):
            blob = pinned.get(path)
            if path.is_dir() and not path.is_symlink():
                continue
            if blob is None or not (path.exists() and blob.exists() and path.samefile(blob)):
                yield path


def _unnamed(store: Store, digests: set[str]) -> Iterator[Path]:
    yield from sorted(path for path in store.blobs.glob("*/*") if path.name not in digests)
    yield from sorted(path for path in store.partials.glob("*") if path.name not in digests)


def _frees(store: Store, path: Path) -> bool:
    return not path.is_relative_to(store.models) or path.lstat().st_nlink == 1


def _size(path: Path) -> int:
    if path.is_symlink() or path.is_file():
        return path.lstat().st_size
    return sum(below.lstat().st_size for below in path.rglob("*") if not below.is_dir())
