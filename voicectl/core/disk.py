"""Have on the disk what must outlive a loss of power."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder are on its disk. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
