"""The private folder of the engine's sockets: who may open it, where it lies, what a crash left behind."""

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import structlog

from voicectl.core.paths import runtime_path

MAX_ADDRESS_BYTES: Final = 107
"""Longest path of a Unix socket (unix(7), sun_path)."""
_NAME_BYTES: Final = 24
_PREFIX: Final = "engine-"

log = structlog.get_logger(__name__)


@contextlib.contextmanager
def socket_folder(base: Path | None = None) -> Iterator[Path]:
    """Yield a new folder that only this user can enter, and remove it at the end.

    It lies in `base` (the runtime folder unless given), or in the system's folder for temporary files
    where that is not writable, not this user's, or its path too long for a socket's.
    """
    folder = _create(runtime_path() if base is None else base)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _create(base: Path) -> Path:
    prefix = f"{_PREFIX}{os.getpid()}-"
    room = MAX_ADDRESS_BYTES - len(os.fsencode(base)) - len(prefix)
    if room >= _NAME_BYTES:
        try:
            base.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _is_ours(base):
                _sweep(base)
                return Path(tempfile.mkdtemp(prefix=prefix, dir=base))
        except OSError as error:
            log.debug("runtime_folder_not_usable", folder=str(base), reason=str(error))
    return Path(tempfile.mkdtemp(prefix=f"voicectl-{prefix}"))


def _is_ours(base: Path) -> bool:
    """Whether nobody else can put another folder in the place of ours."""
    status = base.stat()
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _sweep(base: Path) -> None:
    """Remove the folders of gateways that were killed."""
    for folder in base.glob(f"{_PREFIX}*-*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdecimal() and not _is_alive(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
