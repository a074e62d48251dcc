"""Take audit entries on the path of calls and write them on a thread. Owns the queue and the regular checkpoints."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog

from voicectl.core.errors import ConfigError, VoicectlError
from voicectl.governance.audit.checkpoint import CHECKPOINT_FILE, new_checkpoint, signed
from voicectl.governance.audit.keys import private_key
from voicectl.governance.audit.log import AuditLog
from voicectl.governance.audit.segments import write_whole

log = structlog.get_logger(__name__)

MAX_WAITING: Final = 10_000
CHECKPOINT_ENTRIES: Final = 100
"""Entries after which a checkpoint is signed; one is also signed at the end."""
CLOSE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class TrailHealth:
    """Entries since the start: written, refused or lost. `last_error` is None while all is well.

    `failed_at` is when the last one was refused or lost, Unix seconds; None if none was.
    """

    num_written: int
    num_failed: int
    num_waiting: int
    last_error: str | None
    failed_at: float | None = None


class AuditThread:
    """An AuditTrail that writes between `start` and `close`."""

    def __init__(self, audit: AuditLog, key: Path) -> None:
        self._audit = audit
        self._key = key
        self._queue: queue.Queue[tuple[str, dict[str, Any]] | None] = queue.Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._write_all, name="audit", daemon=True)
        self._num_written = 0
        self._num_failed = 0
        self._last_error: str | None = None
        self._failed_at: float | None = None

    @property
    def folder(self) -> Path:
        """Where the log is."""
        return self._audit.folder

    def start(self) -> None:
        """Begin to write; what was noted before is written first."""
        self._thread.start()

    def close(self) -> None:
        """Write what was noted, sign how far the log has come, and end; waits `CLOSE_S` at most."""
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=CLOSE_S)
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            log.error("audit_entries_lost", entries=self._queue.qsize())

    def note(self, kind: str, body: Mapping[str, Any]) -> None:
        """Take over an entry. Never waits and never raises; beyond `MAX_WAITING` entries are counted as lost."""
        try:
            self._queue.put_nowait((kind, dict(body)))
        except queue.Full:
            self._fail("the queue is full")

    def health(self) -> TrailHealth:
        """Return how it goes."""
        return TrailHealth(self._num_written, self._num_failed, self._queue.qsize(), self._last_error, self._failed_at)

    def _write_all(self) -> None:
        since = 0
        while (noted := self._queue.get()) is not None:
            if self._try(partial(self._audit.append, *noted)):
                self._num_written += 1
                since += 1
            if since >= CHECKPOINT_ENTRIES:
                since = 0
                self._try(self._sign)
        if since:
            self._try(self._sign)

    def _sign(self) -> None:
        sign_checkpoint(self._audit, self._key)

    def _try(self, work: Callable[[], object]) -> bool:
        try:
            work()
        except VoicectlError as error:
            self._fail(error.message)
            return False
        except Exception as error:  # the edge of the thread
            log.exception("audit_failed")
            self._fail(repr(error))
            return False
        self._last_error = None
        return True

    def _fail(self, error: str) -> None:
        self._num_failed += 1
        self._failed_at = time.time()
        if self._last_error is None:
            log.error("audit_entry_failed", error=error)
        self._last_error = error


def sign_checkpoint(audit: AuditLog, key: Path, *, now: float | None = None) -> bytes:
    """Sign where a log has come to, keep it beside the log, and return it. Raises ConfigError, AuditChainBroken."""
    head = audit.head()
    private = private_key(key, create=True)
    if head is None:
        raise ConfigError(f"{audit.folder}: there is no audit log to sign", hint="the service and the gate begin one")
    at = audit.now() if now is None else now
    content = signed(new_checkpoint(head.log, head.sequence, head.digest, at, private), private)
    write_whole(audit.folder / CHECKPOINT_FILE, content)
    return content
