"""One run a host at a time, as far as one operator's machine can see: a lock file for each host's address."""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

from voicectl.core.errors import LockedError

FOLDER: Final = "locks"


@contextmanager
def host_locks(folder: Path, addresses: Sequence[str], *, command: str) -> Iterator[None]:
    """Hold the locks of all hosts, or none. Raises LockedError that names who holds one."""
    place = folder / FOLDER
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as held:
        # In one order everywhere, so that two runs over the same hosts cannot wait for each other.
        for address in sorted(set(addresses)):
            held.enter_context(_lock(place / f"{quote(address, safe='.-_')}.lock", address, command))
        yield


@contextmanager
def _lock(path: Path, address: str, command: str) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockedError(
                f"{address}: another run is at work there{_holder(descriptor)}",
                hint="wait for its end, then run the command again",
            ) from error
        holder = {"pid": os.getpid(), "command": command, "since": datetime.now(UTC).isoformat(timespec="seconds")}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        yield
    finally:
        # Never unlinked: another run may already wait for this very file.
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    try:
        holder = json.loads(os.pread(descriptor, 1000, 0))
        return f" ({holder['command']}, process {holder['pid']}, since {holder['since']})"
    except (ValueError, KeyError, TypeError):
        return ""
