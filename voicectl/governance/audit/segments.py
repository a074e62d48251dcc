"""The files of an audit log: their names, their order, their ends. Knows no entries."""

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from voicectl.core.disk import sync_folder
from voicectl.core.errors import LockedError

OWNER_ONLY: Final = 0o600
OWNER_ONLY_FOLDER: Final = 0o700
LOCK_FILE: Final = "audit.lock"
LOCK_WAIT_S: Final = 10.0
_POLL_S: Final = 0.01
_NAME: Final = re.compile(r"audit-(\d{6,})\.jsonl")
_TAIL_BYTES: Final = 1 << 16


def segment_name(number: int) -> str:
    """Return the name of the file with that number; the first is 1."""
    return f"audit-{number:06d}.jsonl"


def segments(folder: Path) -> list[Path]:
    """Return the files of a log in order."""
    found = [
        (int(matched[1]), path) for path in folder.glob("audit-*.jsonl") if (matched := _NAME.fullmatch(path.name))
    ]
    return [path for _, path in sorted(found)]


def number_of(path: Path) -> int:
    """Return the number in a file's name."""
    matched = _NAME.fullmatch(path.name)
    assert matched is not None
    return int(matched[1])


@contextmanager
def exclusive(
    folder: Path, wait_s: float = LOCK_WAIT_S, *, name: str = LOCK_FILE, what: str = "the audit log"
) -> Iterator[None]:
    """Keep other writers out, of this process and of others. Raises LockedError, OSError."""
    fd = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, OWNER_ONLY)
    try:
        leave_to_owner(fd, folder)
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    raise LockedError(f"{folder}: another writer holds {what}") from error
                time.sleep(_POLL_S)
        yield
    finally:
        os.close(fd)


def make_folder(folder: Path) -> None:
    """Make a private folder where there is none; it belongs to whom the folder around it belongs."""
    if not folder.is_dir():
        folder.mkdir(mode=OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
        if os.geteuid() == 0:
            owner = folder.parent.stat()
            os.chown(folder, owner.st_uid, owner.st_gid, follow_symlinks=False)


def leave_to_owner(fd: int, folder: Path) -> None:
    """Give a file to whom its folder belongs: root writes for a service that runs as somebody else."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(fd, owner.st_uid, owner.st_gid)


def append_bytes(path: Path, content: bytes) -> int:
    """Write to the end of a file, past the disk's cache, and return its size. A new file outlives a power loss."""
    fresh = not path.exists()
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, OWNER_ONLY)
    try:
        if fresh:
            leave_to_owner(fd, path.parent)
        left = memoryview(content)
        while left:
            left = left[os.write(fd, left) :]
        os.fsync(fd)
        size = os.fstat(fd).st_size
    finally:
        os.close(fd)
    if fresh:
        sync_folder(path.parent)
    return size


def cut(path: Path, size: int) -> None:
    """Take off what lies behind `size` bytes."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.ftruncate(fd, size)
        os.fsync(fd)
    finally:
        os.close(fd)


def write_whole(path: Path, content: bytes) -> None:
    """Replace a private file in one step."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, OWNER_ONLY)
    try:
        with os.fdopen(fd, "wb") as file:
            leave_to_owner(fd, path.parent)
            file.write(content)
            file.flush()
            os.fsync(fd)
        fresh.replace(path)
        sync_folder(path.parent)
    finally:
        fresh.unlink(missing_ok=True)


def last_lines(path: Path, limit: int) -> tuple[bytes | None, bytes]:
    """Return the last whole line, without its end, and what comes behind it. A line has at most `limit` bytes."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - 2 * limit - _TAIL_BYTES)
        file.seek(start)
        tail = file.read()
    whole, end, torn = tail.rpartition(b"\n")
    if not end:
        return None, tail
    return whole.rpartition(b"\n")[2], torn


def lines_backwards(path: Path) -> Iterator[bytes]:
    """Return the whole lines of a file without their ends, the last one first; what has no end is left out."""
    with path.open("rb") as file:
        left = file.seek(0, os.SEEK_END)
        begun, whole = b"", False
        while left:
            size = min(left, _TAIL_BYTES)
            left -= size
            file.seek(left)
            begun, *lines = (file.read(size) + begun).split(b"\n")
            if lines and not whole:
                lines.pop()
                whole = True
            yield from reversed(lines)
        if whole:
            yield begun
