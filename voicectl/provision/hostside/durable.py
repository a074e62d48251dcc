"""Files that survive a power cut: they are the old ones or the new ones, never something in between."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PRIVATE: Final = 0o600
TRASH: Final = ".trash-"
"""Begins the name of a folder that is being removed."""


def write_atomically(path: Path, content: bytes, mode: int = PRIVATE) -> None:
    """Replace a file by `content`, and return when that is on disk."""
    fresh = path.with_name(f".{path.name}.fresh")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    fresh.replace(path)
    sync_folder(path.parent)


def append_line(path: Path, line: str) -> None:
    """Add one line to a file, and return when it is on disk. A line that a power cut tore is ended first."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        os.write(descriptor, (("\n" if torn else "") + line + "\n").encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if size == 0:
        sync_folder(path.parent)


def point(link: Path, target: str) -> None:
    """Make `link` point to `target` in one step, and return when that is on disk."""
    fresh = link.with_name(f".{link.name}.fresh")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)
    sync_folder(link.parent)


def remove_link(link: Path) -> None:
    """Remove a link, and return when that is on disk."""
    link.unlink(missing_ok=True)
    sync_folder(link.parent)


def remove_tree(folder: Path) -> None:
    """Remove a folder so that it is never found half there under its own name."""
    trash = folder.with_name(TRASH + folder.name)
    shutil.rmtree(trash, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        folder.replace(trash)
        sync_folder(folder.parent)
    shutil.rmtree(trash, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder are on disk."""
    with _opened_folder(folder) as descriptor:
        os.fsync(descriptor)


@contextmanager
def _opened_folder(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
