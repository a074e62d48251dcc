"""Events that the database does not take, in files of their own: appended, synced, checked line by line.

Each process has a file, which it locks; the lock ends with the process, and whoever comes next adopts the file.
"""

import fcntl
import os
import secrets
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec
import structlog

from voicectl.core.disk import sync_folder
from voicectl.core.records import GovernanceEvent

log = structlog.get_logger(__name__)

SUFFIX: Final = ".spill"
DAMAGED: Final = "damaged"
"""File beside the spilled ones with the lines that fail their checksum, for people to look at."""
MAX_DAMAGED_BYTES: Final = 1_000_000
MAX_LINE_BYTES: Final = 4_000_000
_CHECK: Final = 9
"""Eight digits of CRC-32 and a space."""


class _Line(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    call_id: str
    sequence: int
    at: float
    kind: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Adopted:
    fd: int
    size: int


class SpillFull(Exception):
    """There is no room for the events: of the allowed bytes, or on the disk."""


class Spill:
    """The spilled events of this process and of those before it. Not for several threads at once."""

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self.folder: Final = folder
        self._max_bytes = max_bytes
        self._fd: int | None = None
        self._path: Path | None = None
        self._size = 0
        self._others: dict[Path, _Adopted] = {}
        self.num_damaged = 0

    @property
    def size_bytes(self) -> int:
        """How much waits here."""
        # Copied first: another thread may ask while this one finishes a file.
        return self._size + sum(other.size for other in tuple(self._others.values()))

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits here."""
        return self._size == 0 and not self._others

    def adopt(self) -> int:
        """Take over the files of processes that are no more; return how many there are. Raises OSError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in sorted(self.folder.glob(f"*{SUFFIX}"), key=lambda path: (path.stat().st_mtime_ns, path.name)):
            if path == self._path or path in self._others:
                continue
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # Its process lives.
                os.close(fd)
                continue
            self._others[path] = _Adopted(fd, os.fstat(fd).st_size)
        return len(self._others)

    def append(self, events: Sequence[GovernanceEvent]) -> None:
        """Make events durable. Raises SpillFull, after which none of them is kept."""
        text = b"".join(_line_of(event) for event in events)
        if self.size_bytes + len(text) > self._max_bytes:
            raise SpillFull(f"{self.folder}: {self._max_bytes} bytes are spilled already")
        try:
            fd = self._open()
            written = os.write(fd, text)
            if written != len(text):
                raise OSError(28, "No space left on device")
            os.fdatasync(fd)
        except OSError as error:
            self._undo()
            raise SpillFull(f"{self.folder}: {error.strerror or error}") from error
        self._size += len(text)

    def batches(self, size: int) -> Iterator[list[GovernanceEvent]]:
        """Yield what is here, the oldest file first. A file goes once all of it was taken and the next is asked for.

        Events may be appended meanwhile. What comes twice, because this was broken off, is for the reader to
        know. Raises OSError.
        """
        for path, other in list(self._others.items()):
            yield from self._read(path, size)
            path.unlink(missing_ok=True)
            del self._others[path]
            os.close(other.fd)
        if self._fd is not None and self._path is not None and self._size:
            yield from self._read(self._path, size)
            os.ftruncate(self._fd, 0)
            os.fsync(self._fd)
            self._size = 0

    def close(self) -> None:
        """Let go of the files; empty ones go."""
        for other in self._others.values():
            os.close(other.fd)
        self._others.clear()
        if self._fd is not None:
            if self._size == 0 and self._path is not None:
                self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = None

    def _open(self) -> int:
        if self._fd is None:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path = self.folder / f"{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(self._path, flags, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The name must outlive the host's power, not only the bytes.
            sync_folder(self.folder)
        return self._fd

    def _undo(self) -> None:
        """Cut off what a failed append left, so that it is not read as kept."""
        if self._fd is not None:
            with suppress(OSError):
                os.ftruncate(self._fd, self._size)

    def _read(self, path: Path, size: int) -> Iterator[list[GovernanceEvent]]:
        # A description of its own: an append moves the offset of the one that is written to.
        with path.open("rb") as file:
            # To the true end: more may have been appended since the last batch.
            while batch := self._next_batch(file, size):
                yield batch

    def _next_batch(self, file: BinaryIO, size: int) -> list[GovernanceEvent]:
        batch: list[GovernanceEvent] = []
        while len(batch) < size and (line := file.readline(MAX_LINE_BYTES)):
            event = _event_of(line)
            if event is None:
                self._set_aside(line)
            else:
                batch.append(event)
        return batch

    def _set_aside(self, line: bytes) -> None:
        if not line.endswith(b"\n") and len(line) < MAX_LINE_BYTES:
            # The process died while it wrote: nobody was told that this was kept.
            log.warning("spill_torn_line_dropped", bytes=len(line))
            return
        self.num_damaged += 1
        log.error("spill_line_damaged", folder=str(self.folder), bytes=len(line))
        damaged = self.folder / DAMAGED
        fd = os.open(damaged, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "ab") as file:
            if os.fstat(file.fileno()).st_size + len(line) <= MAX_DAMAGED_BYTES:
                file.write(line)


def _line_of(event: GovernanceEvent) -> bytes:
    text = msgspec.json.encode([event.call_id, event.sequence, event.at, event.kind, event.body])
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _event_of(line: bytes) -> GovernanceEvent | None:
    text = line[_CHECK:-1]
    if not line.endswith(b"\n") or line[: _CHECK - 1] != b"%08x" % zlib.crc32(text):
        return None
    try:
        read = msgspec.json.decode(text, type=_Line)
    except msgspec.MsgspecError:
        return None
    return GovernanceEvent(read.call_id, read.sequence, read.at, read.kind, read.body)
