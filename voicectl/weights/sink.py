"""One partial download: bytes behind each other, hashed and counted as they come. Knows no source."""

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from voicectl.core.errors import ChecksumMismatch, IntegrityError
from voicectl.core.lockfile import Pin
from voicectl.weights.progress import PullStopped

CHUNK_BYTES: Final = 1 << 20


class Sink:
    """The partial file of one pin. It keeps the bytes of an earlier run and never outgrows the pin."""

    def __init__(
        self, path: Path, pin: Pin, *, name: str, stop: threading.Event, advanced: Callable[[int], None]
    ) -> None:
        self.path = path
        self.pin = pin
        self.name = name
        self.stop = stop
        self.num_bytes = 0
        self._advanced = advanced
        self._hash = hashlib.sha256()
        self._fd = -1

    def __enter__(self) -> Self:
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if os.fstat(self._fd).st_size > self.pin.size:
            self.restart()
        while chunk := os.read(self._fd, CHUNK_BYTES) if self.num_bytes < self.pin.size else b"":
            self._count(chunk)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)
        self._fd = -1

    def restart(self) -> None:
        """Forget all bytes."""
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self.num_bytes = 0
        self._hash = hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        """Append bytes. Raises PullStopped, and IntegrityError when the pin's size is exceeded."""
        if self.stop.is_set():
            raise PullStopped
        if self.num_bytes + len(chunk) > self.pin.size:
            self.restart()
            raise IntegrityError(
                f"{self.name}: the source holds more than the {self.pin.size} bytes of models.lock",
                hint="use another source, for example `voicectl models pull --mirror DIR`",
            )
        view = memoryview(chunk)
        while view:
            view = view[os.write(self._fd, view) :]
        self._count(chunk)

    @property
    def is_complete(self) -> bool:
        """Tell whether size and digest are the pinned ones."""
        return self.num_bytes == self.pin.size and self._hash.hexdigest() == self.pin.sha256

    def finish(self) -> None:
        """Check size and digest and bring the bytes to the disk. Raises ChecksumMismatch and forgets them."""
        if not self.is_complete:
            actual = self._hash.hexdigest()
            self.restart()
            raise ChecksumMismatch(self.name, expected=self.pin.sha256, actual=actual)
        os.fsync(self._fd)

    def _count(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self.num_bytes += len(chunk)
        self._advanced(self.num_bytes)
