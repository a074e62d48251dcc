"""Have on the disk what must outlive a loss of power, and read from it nothing but files."""

import errno
import os
import stat
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
