"""Where weights lie: blobs named by their digest, and a folder of links to them for each model."""

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from voicectl.core.disk import sync_folder
from voicectl.core.errors import (
    ArtifactMissing,
    ChecksumMismatch,
    ConfigError,
    IntegrityError,
    LockedError,
    VoicectlError,
)
from voicectl.core.lockfile import LockedFile, LockedModel

HASH_THREADS: Final = 4
_NO_HARD_LINKS: Final = frozenset({errno.EPERM, errno.EXDEV, errno.ENOTSUP, errno.EMLINK})


@dataclass(frozen=True, slots=True)
class FileCheck:
    """What a look at one file found; `problem` is None when size and digest are the pinned ones."""

    model: str
    file: LockedFile
    path: Path
    problem: VoicectlError | None


class Store:
    """The weights of this host below `root`.

    `blobs/sha256/<aa>/<digest>` holds bytes that were checked, `models/<name>/` links to them,
    `partial/` what is still coming. A blob appears by a rename, after its check, and is never changed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.blobs = self.root / "blobs" / "sha256"
        self.models = self.root / "models"
        self.partials = self.root / "partial"

    def blob_path(self, sha256: str) -> Path:
        """Return where the bytes with this digest are, or would be."""
        return self.blobs / sha256[:2] / sha256

    def partial_path(self, sha256: str) -> Path:
        """Return where the bytes with this digest are gathered."""
        return self.partials / sha256

    def model_path(self, name: str) -> Path:
        """Return the folder of a model."""
        return self.models / name

    def verified_root(self, model: LockedModel) -> Path:
        """Return the folder of `model` after checking every file in it.

        Raises ChecksumMismatch or IntegrityError for wrong or unpinned files, ArtifactMissing for absent ones.
        """
        problems = [check.problem for check in self.check([model]) if check.problem]
        for problem in sorted(problems, key=lambda problem: problem.exit_code):
            raise problem
        self.refuse_unpinned(model)
        return self.model_path(model.name)

    def refuse_unpinned(self, model: LockedModel) -> None:
        """Raise IntegrityError when the folder of `model` holds a file that is not pinned."""
        if extra := self._unpinned(model):
            # A stage picks its file by suffix, so an unpinned file could be loaded.
            raise IntegrityError(
                f"{extra[0]}: not a file of {model.name} in models.lock",
                hint=f"`voicectl models pull {model.name}` removes it",
            )

    def state(self, model: LockedModel) -> Literal["present", "partial", "absent"]:
        """Tell how much of `model` is here, by names and sizes alone."""
        folder = self.model_path(model.name)
        here = [(folder / f.path).is_file() and (folder / f.path).stat().st_size == f.size for f in model.files]
        if all(here):
            return "present"
        begun = any(self.partial_path(pin.sha256).exists() for f in model.files for pin in (f, *f.parts))
        return "partial" if any(here) or begun else "absent"

    def check(self, models: Iterable[LockedModel]) -> list[FileCheck]:
        """Compare every file of `models` with its pin; raises nothing about the files."""
        wanted = [(model, file) for model in models for file in model.files]
        # The longest first, so that no thread is left alone with it at the end.
        order = sorted(range(len(wanted)), key=lambda index: -wanted[index][1].size)
        with ThreadPoolExecutor(HASH_THREADS) as threads:
            found = dict(zip(order, threads.map(lambda index: self._check(*wanted[index]), order), strict=True))
        return [found[index] for index in range(len(wanted))]

    def is_intact(self, sha256: str, size: int) -> bool:
        """Tell whether the blob is here with the right bytes."""
        path = self.blob_path(sha256)
        return path.is_file() and path.stat().st_size == size and file_digest(path) == sha256

    def is_linked(self, model: LockedModel) -> bool:
        """Tell whether the folder of `model` holds exactly the blobs of its files."""
        folder = self.model_path(model.name)
        return not self._unpinned(model) and all(
            _same(folder / file.path, self.blob_path(file.sha256)) for file in model.files
        )

    def place(self, sha256: str) -> None:
        """Turn the checked and synced partial file with this digest into a blob."""
        partial, blob = self.partial_path(sha256), self.blob_path(sha256)
        blob.parent.mkdir(parents=True, exist_ok=True)
        partial.chmod(0o444)
        partial.replace(blob)
        sync_folder(blob.parent)

    def link(self, model: LockedModel) -> None:
        """Make the folder of `model` hold exactly its files. All blobs must be here."""
        folder = self.model_path(model.name)
        for path in self._unpinned(model):
            path.unlink()
        for file in model.files:
            blob, path = self.blob_path(file.sha256), folder / file.path
            if _same(path, blob):
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = self.partials / f"link-{os.getpid()}"
            fresh.unlink(missing_ok=True)
            _link(blob, fresh)
            fresh.replace(path)
        sync_folder(folder)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep other runs from changing the store. Raises LockedError at once when one is at it."""
        fd = self._open()
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
                raise LockedError(
                    f"{self.root}: process {holder} is changing the store",
                    hint="run the command again when it has finished",
                ) from error
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(fd)

    def _open(self) -> int:
        try:
            for folder in (self.blobs, self.models, self.partials):
                folder.mkdir(parents=True, exist_ok=True)
            return os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ConfigError(
                f"{error.filename}: cannot write to the folder of weights: {error.strerror}",
                hint="set VOICECTL_HOME to a folder that you may write to",
            ) from error

    def _check(self, model: LockedModel, file: LockedFile) -> FileCheck:
        path = self.model_path(model.name) / file.path
        return FileCheck(model.name, file, path, _problem(model, file, path))

    def _unpinned(self, model: LockedModel) -> list[Path]:
        folder = self.model_path(model.name)
        pinned = {folder / file.path for file in model.files}
        return sorted(path for path in folder.rglob("*") if path not in pinned and not _is_real_folder(path))


def file_digest(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def missing(model: str, file: LockedFile, reason: str) -> ArtifactMissing:
    """Return the error for a file that is not here: what, why, where it could come from, and the command."""
    sources = ", ".join(source for pin in (*file.parts, file) for source in pin.sources if source != "parts")
    return ArtifactMissing(
        f"{model}/{file.path}: {reason}",
        hint=f"`voicectl models pull {model}` fetches it from {sources}, or add --mirror DIR",
    )


def _problem(model: LockedModel, file: LockedFile, path: Path) -> VoicectlError | None:
    try:
        size = path.stat().st_size
        actual = file_digest(path)
    except FileNotFoundError:
        return missing(model.name, file, f"not in {path.parent}")
    except OSError as error:
        return ConfigError(f"{path}: cannot read: {error.strerror}")
    if size == file.size and actual == file.sha256:
        return None
    return ChecksumMismatch(path, expected=file.sha256, actual=actual)


def _same(path: Path, blob: Path) -> bool:
    return path.exists() and blob.exists() and path.samefile(blob)


def _is_real_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _link(blob: Path, path: Path) -> None:
    try:
        path.hardlink_to(blob)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        path.symlink_to(blob)
