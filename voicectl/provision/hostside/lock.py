"""One run at a time on a host: a lock that the kernel gives back however its holder ends."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from .durable import PRIVATE
from .faults import Locked

_POLL_S: Final = 0.05
_MAX_OWNER_BYTES: Final = 4096
_LOCKS: Final = Path("/proc/locks")


@contextmanager
def exclusive(path: Path, command: str, now: str, *, wait_s: float = 0.0) -> Iterator[None]:
    """Keep other runs out. Raises Locked, with the holder's command, when one is at work for longer than `wait_s`."""
    descriptor = _opened(path)
    try:
        deadline = time.monotonic() + wait_s
        while not _taken(descriptor):
            if time.monotonic() >= deadline:
                raise _locked(_described(_owner(descriptor)))
            time.sleep(_POLL_S)
        owner = json.dumps({"pid": os.getpid(), "command": command, "since": now})
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, owner.encode(), 0)
        yield
    finally:
        os.close(descriptor)


def refuse_locked(path: Path) -> None:
    """Raise Locked when another run is at work."""
    if (owner := holder(path)) is not None:
        raise _locked(owner)


def holder(path: Path) -> str | None:
    """Return who holds the lock, in words; None when it is free.

    The kernel's own list is read, because trying the lock would turn away a run that begins at that moment.
    """
    try:
        inode = path.stat().st_ino
        locks = _LOCKS.read_text()
    except OSError:
        return None
    if not any(_is_lock_of(line, inode) for line in locks.splitlines()):
        return None
    descriptor = _opened(path)
    try:
        return _described(_owner(descriptor))
    finally:
        os.close(descriptor)


def _locked(owner: str) -> Locked:
    return Locked(f"this host is locked by {owner}", hint="run the command again when that has finished")


def _is_lock_of(line: str, inode: int) -> bool:
    fields = line.split()
    # "1: FLOCK ADVISORY WRITE 4711 08:01:131090 0 EOF"; who waits for a lock has "->" behind the number.
    return len(fields) > 5 and fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == str(inode)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(descriptor: int) -> dict[str, object]:
    try:
        owner = json.loads(os.pread(descriptor, _MAX_OWNER_BYTES, 0) or b"{}")
    except ValueError:
        # The holder is writing it just now.
        return {}
    return owner if isinstance(owner, dict) else {}


def _described(owner: dict[str, object]) -> str:
    if not owner:
        return "another run"
    return f"`{owner.get('command')}` (process {owner.get('pid')}, since {owner.get('since')})"
