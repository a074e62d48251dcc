"""Read a bundle once, front to back, and believe nothing before it was checked; write it out the same way."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from voicectl.core.disk import sync_folder
from voicectl.core.errors import ConfigError, IntegrityError, UsageError
from voicectl.weights.bundle.archive import BLOCK_BYTES, TRAILER, header, padding, size_in
from voicectl.weights.bundle.manifest import (
    MANIFEST_NAME,
    MAX_MANIFEST_BYTES,
    MAX_SIGNATURE_BYTES,
    SIGNATURE_NAME,
    BundledFile,
    Manifest,
    parse_manifest,
    render_manifest,
)
from voicectl.weights.bundle.signing import signer

OnProgress = Callable[[int, int], None]
"""Learns how many bytes are done, and of how many."""

_CHUNK_BYTES: Final = 1 << 20
_SIGN_IT: Final = "sign it with `voicectl bundle sign`, or accept it unsigned with --allow-unsigned"


@dataclass(frozen=True, slots=True)
class VerifiedBundle:
    """A bundle every byte of which was checked. `signed_by` is None only where unsigned ones were allowed."""

    path: Path
    manifest: Manifest
    digest: str
    signed_by: str | None

    @property
    def release_id(self) -> str:
        """Return what the release is called on a host."""
        return self.manifest.release_id


@dataclass(frozen=True, slots=True)
class Head:
    """What comes before the files: the manifest, its exact text, and the signature, None when there is none."""

    manifest: Manifest
    content: bytes
    signature: bytes | None


def verify_bundle(
    path: Path, allowed_signers: Path, *, allow_unsigned: bool = False, on_progress: OnProgress | None = None
) -> VerifiedBundle:
    """Check the signature first, then every byte of the archive; return what it holds.

    `allow_unsigned` accepts a bundle without a signature, never one with a wrong signature. Raises IntegrityError
    for anything but exactly the archive that the signed manifest describes, UsageError or ConfigError when a file
    cannot be read.
    """
    with opened(path) as file:
        head = read_head(file, path)
        signed_by = _signed_by(head, path, allowed_signers, allow_unsigned=allow_unsigned)
        check_files(file, head, path, on_progress=on_progress)
    return VerifiedBundle(path, head.manifest, hashlib.sha256(head.content).hexdigest(), signed_by)


def extract(path: Path, manifest: Manifest, into: Path, *, on_progress: OnProgress | None = None) -> None:
    """Write the files of a verified bundle below the new folder `into`, manifest and signature included.

    Every byte is checked again while it is written and on the disk before the folder appears. Raises IntegrityError
    when the file is no longer the bundle with this manifest, ConfigError when it cannot be written.
    """
    if into.exists():
        raise ConfigError(f"{into}: exists already", hint="remove it, or name another folder")
    fresh = into.with_name(f".{into.name}.{os.getpid()}")
    try:
        with opened(path) as file:
            head = read_head(file, path)
            if head.content != render_manifest(manifest):
                raise IntegrityError(f"{path}: changed since it was verified", hint="verify it again")
            _write_tree(file, head, path, fresh, on_progress)
        fresh.rename(into)
        sync_folder(into.parent)
    except OSError as error:
        raise ConfigError(f"{error.filename or into}: cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a bundle. Raises UsageError or ConfigError when it is none or cannot be read."""
    if not path.is_file():
        raise UsageError(f"{path}: no such bundle file", hint="make one with `voicectl bundle build`")
    try:
        with path.open("rb", buffering=0) as file:
            yield file
    except PermissionError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error


def read_head(file: BinaryIO, path: Path) -> Head:
    """Return manifest and signature, with `file` behind them. Checks no signature. Raises IntegrityError."""
    name = str(path)
    block = _exactly(file, BLOCK_BYTES, name)
    size_bytes = size_in(block, path=MANIFEST_NAME, limit_bytes=MAX_MANIFEST_BYTES, name=name)
    content = _member(file, size_bytes, name)
    manifest = parse_manifest(content, name=name)
    here = file.tell()
    block = _exactly(file, BLOCK_BYTES, name)
    if block == _header_of(manifest.files[0])[:BLOCK_BYTES]:
        file.seek(here)
        return Head(manifest, content, None)
    size_bytes = size_in(block, path=SIGNATURE_NAME, limit_bytes=MAX_SIGNATURE_BYTES, name=name)
    return Head(manifest, content, _member(file, size_bytes, name))


def check_files(file: BinaryIO, head: Head, path: Path, *, on_progress: OnProgress | None = None) -> None:
    """Read `file` from behind its head to its end. Raises IntegrityError at the first byte that is not foretold."""
    reader = _Reader(file, str(path), head, on_progress)
    for entry in head.manifest.files:
        reader.check(entry)
    reader.finish()


class _Reader:
    """Goes through the files of a bundle with one buffer."""

    def __init__(self, file: BinaryIO, name: str, head: Head, on_progress: OnProgress | None) -> None:
        self._file = file
        self._name = name
        self._buffer = memoryview(bytearray(_CHUNK_BYTES))
        self._on_progress = on_progress
        self._done = 0
        self._total = head.manifest.content_bytes

    def check(self, entry: BundledFile, write: Callable[[memoryview], None] | None = None) -> None:
        """Compare the next file with its entry, byte by byte handed to `write`."""
        expected = _header_of(entry)
        if _exactly(self._file, len(expected), self._name) != expected:
            raise self._altered(f"{entry.path} is not where the manifest has it, or another file is in its place")
        digest = hashlib.sha256()
        left = entry.size
        while left:
            count = self._file.readinto(self._buffer[: min(left, _CHUNK_BYTES)])  # type: ignore[attr-defined] # raw
            if not count:
                raise self._altered(f"it ends within {entry.path}")
            piece = self._buffer[:count]
            digest.update(piece)
            if write is not None:
                write(piece)
            left -= count
            self._done += count
            if self._on_progress is not None:
                self._on_progress(self._done, self._total)
        if digest.hexdigest() != entry.sha256:
            raise self._altered(f"sha256 of {entry.path} is {digest.hexdigest()}, the manifest says {entry.sha256}")
        if any(_exactly(self._file, padding(entry.size), self._name)):
            raise self._altered(f"bytes that belong to no file follow {entry.path}")

    def finish(self) -> None:
        """Make sure that nothing follows but the end of the archive."""
        if self._file.read(len(TRAILER) + 1) != TRAILER:
            raise self._altered("something else than the end of the archive follows the last file")

    def _altered(self, what: str) -> IntegrityError:
        return IntegrityError(f"{self._name}: {what}", hint=_COPY_AGAIN)


_COPY_AGAIN: Final = "the bundle was damaged or altered; copy it again from its source"


def _header_of(entry: BundledFile) -> bytes:
    return header(entry.path, entry.size, entry.mode)


def _member(file: BinaryIO, size_bytes: int, name: str) -> bytes:
    content = _exactly(file, size_bytes, name)
    if any(_exactly(file, padding(size_bytes), name)):
        raise IntegrityError(f"{name}: bytes that belong to no file at its beginning", hint=_COPY_AGAIN)
    return content


def _exactly(file: BinaryIO, num_bytes: int, name: str) -> bytes:
    pieces = []
    left = num_bytes
    while left and (piece := file.read(left)):
        pieces.append(piece)
        left -= len(piece)
    if left:
        raise IntegrityError(f"{name}: it ends at byte {file.tell()}, {left} bytes too soon", hint=_COPY_AGAIN)
    return b"".join(pieces)


def _signed_by(head: Head, path: Path, allowed_signers: Path, *, allow_unsigned: bool) -> str | None:
    if head.signature is not None:
        return signer(head.content, head.signature, allowed_signers, name=str(path))
    if not allow_unsigned:
        raise IntegrityError(f"{path}: is not signed", hint=_SIGN_IT)
    return None


def _write_tree(file: BinaryIO, head: Head, path: Path, into: Path, on_progress: OnProgress | None) -> None:
    into.mkdir(parents=True, mode=0o755)
    with _created(into / MANIFEST_NAME, "0644") as write:
        write(memoryview(head.content))
    if head.signature is not None:
        with _created(into / SIGNATURE_NAME, "0644") as write:
            write(memoryview(head.signature))
    reader = _Reader(file, str(path), head, on_progress)
    for entry in head.manifest.files:
        target = into / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with _created(target, entry.mode) as write:
            reader.check(entry, write)
    reader.finish()
    for folder in (into, *(path for path in into.rglob("*") if path.is_dir())):
        sync_folder(folder)


@contextmanager
def _created(path: Path, mode: str) -> Iterator[Callable[[memoryview], None]]:
    """Yield what writes to the new file `path`; at the end it is on the disk with these permissions."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb", buffering=0) as file:

        def write(piece: memoryview) -> None:
            while piece:
                piece = piece[file.write(piece) :]

        yield write
        os.fchmod(fd, int(mode, 8))
        os.fsync(fd)
