"""Have on the disk what must outlive a loss of power, files there whole or not at all, and read only files."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder are on its disk. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading: a device or a pipe could have no end. Raises OSError."""
    # Without O_NONBLOCK, opening a pipe waits for somebody to write.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return os.fdopen(fd, "rb")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a fresh private file that takes the place of `path` in the end; of one that is not finished nothing stays.

    Raises OSError, also for what is no regular file: a device or a pipe that is replaced is no more.
    """
    with suppress(FileNotFoundError):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            raise OSError(errno.EEXIST, "it is a symbolic link; name the file that it leads to")
        if not stat.S_ISREG(mode):
            raise OSError(errno.EEXIST, "it is there and no regular file")
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        yield fresh
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
