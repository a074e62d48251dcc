"""Write a bundle: the files of a folder become the one archive that their manifest foretells; a signature is added."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from pydantic import ValidationError

from voicectl.core.errors import ConfigError
from voicectl.weights.bundle.archive import TRAILER, header, padding
from voicectl.weights.bundle.manifest import (
    MANIFEST_NAME,
    SIGNATURE_NAME,
    BundledFile,
    Manifest,
    parse_manifest,
    problems_in,
    render_manifest,
    sorted_files,
)
from voicectl.weights.bundle.signing import sign
from voicectl.weights.bundle.verify import OnProgress, check_files, opened, read_head
from voicectl.weights.store import file_digest

SUFFIX: Final = ".vcb"
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Placed:
    """A file of this host and its place in the bundle."""

    path: str
    source: Path
    mode: str = "0644"


def listed(placed: list[Placed]) -> tuple[BundledFile, ...]:
    """Return the manifest's list of files, each measured and hashed now. Raises ConfigError for what it refuses."""
    try:
        return sorted_files(
            [
                BundledFile(
                    path=file.path,
                    size=file.source.stat().st_size,
                    sha256=file_digest(file.source),
                    mode="0755" if file.mode == "0755" else "0644",
                )
                for file in placed
            ]
        )
    except ValidationError as error:
        raise ConfigError(f"a file cannot be part of a bundle: {problems_in(error)}") from error


def write_bundle(
    path: Path, manifest: Manifest, placed: list[Placed], *, on_progress: OnProgress | None = None
) -> None:
    """Write the unsigned bundle of `placed` to `path`, which appears when it is complete.

    Raises ConfigError when it cannot be written, or when a file changed since it was listed.
    """
    sources = {file.path: file.source for file in placed}
    content = render_manifest(manifest)
    parse_manifest(content, name=str(path))
    done, total = 0, manifest.content_bytes
    with _replacing(path) as out:
        _put(out, MANIFEST_NAME, content)
        for entry in manifest.files:
            out.write(header(entry.path, entry.size, entry.mode))
            copied = 0
            with sources[entry.path].open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    out.write(chunk)
                    copied += len(chunk)
                    if on_progress is not None:
                        on_progress(done + copied, total)
            if copied != entry.size:
                raise ConfigError(f"{sources[entry.path]}: changed while the bundle was written", hint="build again")
            out.write(bytes(padding(copied)))
            done += copied
        out.write(TRAILER)


def sign_bundle(path: Path, key: Path, *, on_progress: OnProgress | None = None) -> Manifest:
    """Check every byte of the bundle, sign its manifest, and put the signature in, in place of an older one.

    The file is replaced at once: it is the old bundle or the signed one, never a part. Returns the manifest.
    Raises IntegrityError when the bundle is damaged, UsageError when the key cannot sign.
    """
    with opened(path) as file:
        head = read_head(file, path)
        body_at = file.tell()
        check_files(file, head, path, on_progress=on_progress)
        signature = sign(head.content, key)
        with _replacing(path) as out:
            _put(out, MANIFEST_NAME, head.content)
            _put(out, SIGNATURE_NAME, signature)
            file.seek(body_at)
            while chunk := file.read(_CHUNK_BYTES):
                out.write(chunk)
    return head.manifest


def _put(out: BinaryIO, path: str, content: bytes) -> None:
    out.write(header(path, len(content)) + content + bytes(padding(len(content))))


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """Yield a new file that takes the place of `path` once it is complete and on the disk."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with fresh.open("wb") as out:
                yield out
                out.flush()
                os.fsync(out.fileno())
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{error.filename or path}: cannot be written: {error.strerror}") from error
