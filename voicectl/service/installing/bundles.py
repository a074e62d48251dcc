"""From a bundle file to a folder that playbooks read: choose it, extract it once, believe no byte of a cached one."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from voicectl.core.errors import ArtifactMissing, UsageError
from voicectl.weights.bundle.manifest import MANIFEST_NAME, BundledFile, render_manifest
from voicectl.weights.bundle.verify import VerifiedBundle, extract

SUFFIX: Final = ".vcb"
FOLDER: Final = "bundles"
_LOCK: Final = ".lock"
_CHUNK_BYTES: Final = 1 << 20

OnProgress = Callable[[int, int], None]


def choose_bundle(wanted: Path | None, here: Path) -> Path:
    """Return the bundle that is meant: the named one, or the only one in the folder `here`.

    Raises UsageError when there are several, ArtifactMissing when there is none.
    """
    if wanted is not None:
        if not wanted.is_file():
            what = "is a folder" if wanted.is_dir() else "no such file"
            raise UsageError(f"--bundle {wanted}: {what}", hint=f"name a *{SUFFIX} file")
        return wanted
    found = sorted(here.glob(f"*{SUFFIX}"))
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise UsageError(f"there are several bundles here: {names}", hint="choose one: --bundle FILE")
    if not found:
        hint = "give --bundle FILE; on a connected machine `voicectl bundle build` makes one"
        raise ArtifactMissing(f"no *{SUFFIX} bundle in {here}", hint=hint)
    return found[0]


@contextmanager
def extracted(bundle: VerifiedBundle, cache: Path, on_progress: OnProgress | None = None) -> Iterator[Path]:
    """Give a folder with the files of a bundle. One from an earlier run is used only if every byte is as pinned.

    Folders of bundles that no run is using are removed: they can be made again, and may be large.
    """
    place = cache / FOLDER
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_unused(place, bundle.release_id)
    into = place / bundle.release_id
    descriptor = os.open(place / f"{bundle.release_id}{_LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # One run unpacks, others with the same bundle wait for it; then all of them read.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if not (into.is_dir() and is_intact(into, bundle, on_progress)):
            shutil.rmtree(into, ignore_errors=True)
            extract(bundle.path, bundle.manifest, into, on_progress=on_progress)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield into
    finally:
        os.close(descriptor)


def is_intact(folder: Path, bundle: VerifiedBundle, on_progress: OnProgress | None = None) -> bool:
    """Return whether a folder holds exactly the files of a bundle, nothing more, with the pinned bytes."""
    manifest = bundle.manifest
    try:
        if (folder / MANIFEST_NAME).read_bytes() != render_manifest(manifest):
            return False
        here = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
        if here - {MANIFEST_NAME, f"{MANIFEST_NAME}.sig"} != {file.path for file in manifest.files}:
            return False
        done = 0
        for file in manifest.files:
            if not _is_pinned(folder / file.path, file):
                return False
            done += file.size
            if on_progress is not None:
                on_progress(done, manifest.content_bytes)
    except OSError:
        return False
    return True


def _is_pinned(path: Path, file: BundledFile) -> bool:
    if path.is_symlink() or path.stat().st_size != file.size:
        return False
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while piece := content.read(_CHUNK_BYTES):
            digest.update(piece)
    return digest.hexdigest() == file.sha256


def _remove_unused(place: Path, kept: str) -> None:
    for folder in place.iterdir():
        if folder.name == kept or not folder.is_dir():
            continue
        descriptor = os.open(place / f"{folder.name}{_LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)
