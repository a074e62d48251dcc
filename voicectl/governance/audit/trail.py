"""Take audit entries on the path of calls and write them on a thread. Owns the queue and the regular checkpoints."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from voicectl.core.errors import ConfigError, VoicectlError
from voicectl.governance.audit.checkpoint import CHECKPOINT_FILE, new_checkpoint, read_checkpoint, signed
from voicectl.governance.audit.keys import create_key, private_key
from voicectl.governance.audit.log import AuditChainBroken, AuditLog
from voicectl.governance.audit.segments import write_whole
from voicectl.governance.audit.verify import lost

log = structlog.get_logger(__name__)

MAX_WAITING: Final = 10_000
CHECKPOINT_ENTRIES: Final = 100
"""Entries after which a checkpoint is signed; one is also signed at the end."""
CLOSE_S: Final = 10.0
_What = Literal["entry", "checkpoint"]


@dataclass(frozen=True, slots=True)
class TrailHealth:
    """Entries since the start: written, refused or lost. `last_error` is None while all is well.

    An entry that is written ends the error of the one before; that of a checkpoint stays until one is signed.

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
        self._errors: dict[_What, str] = {}
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
            self._fail("entry", "the queue is full")

    def health(self) -> TrailHealth:
        """Return how it goes."""
        error = self._errors.get("entry") or self._errors.get("checkpoint")
        return TrailHealth(self._num_written, self._num_failed, self._queue.qsize(), error, self._failed_at)

    def _write_all(self) -> None:
        since = 0
        # What was cut off while nobody wrote is told at once, not a hundred entries later.
        self._try("checkpoint", self._look)
        while (noted := self._queue.get()) is not None:
            if self._try("entry", partial(self._audit.append, *noted)):
                self._num_written += 1
                since += 1
            if since >= CHECKPOINT_ENTRIES:
                since = 0
                self._try("checkpoint", self._sign)
        if since:
            self._try("checkpoint", self._sign)

    def _look(self) -> None:
        if (self._audit.folder / CHECKPOINT_FILE).exists():
            check_last(self._audit, private_key(self._key))

    def _sign(self) -> None:
        sign_checkpoint(self._audit, self._key)

    def _try(self, what: _What, work: Callable[[], object]) -> bool:
        try:
            work()
        except VoicectlError as error:
            self._fail(what, error.message)
            return False
        except Exception as error:  # the edge of the thread
            log.exception("audit_failed")
            self._fail(what, repr(error))
            return False
        self._errors.pop(what, None)
        return True

    def _fail(self, what: _What, error: str) -> None:
        self._num_failed += 1
        self._failed_at = time.time()
        if what not in self._errors:
            log.error(f"audit_{what}_failed", error=error)
        self._errors[what] = error


def begin_log(audit: AuditLog, key: Path, reason: str) -> bool:
    """Make the key and begin the log, whichever is missing; return whether a log was begun.

    Raises ConfigError when neither is, and AuditChainBroken while a checkpoint of a lost log lies in the folder.
    """
    if audit.head() is not None:
        create_key(key)
        return False
    if (audit.folder / CHECKPOINT_FILE).exists():
        raise AuditChainBroken(
            f"{audit.folder}: the log that its last checkpoint was signed for is gone",
            hint="restore it from a copy; or keep the folder as evidence, move it aside, and do this again",
        )
    private_key(key, create=True)
    audit.begin(reason)
    return True


def sign_checkpoint(audit: AuditLog, key: Path, *, now: float | None = None) -> bytes:
    """Sign where a log has come to, keep it beside the log, and return it.

    Raises ConfigError without a log, and AuditChainBroken when the log lost what the last checkpoint was signed for.
    """
    head = audit.head()
    signed_before = (audit.folder / CHECKPOINT_FILE).exists()
    if head is None and not signed_before:
        raise ConfigError(f"{audit.folder}: there is no audit log to sign", hint="begin one with `voicectl audit init`")
    private = private_key(key, create=not signed_before)
    check_last(audit, private)
    assert head is not None
    at = audit.now() if now is None else now
    content = signed(new_checkpoint(head.log, head.sequence, head.digest, at, private), private)
    write_whole(audit.folder / CHECKPOINT_FILE, content)
    return content


def check_last(audit: AuditLog, key: Ed25519PrivateKey) -> None:
    """Raise AuditChainBroken unless the log goes on from its last checkpoint, if it has one."""
    path = audit.folder / CHECKPOINT_FILE
    if not path.exists():
        return
    what = lost(audit.folder, read_checkpoint(path, key.public_key()))
    if what is not None:
        raise AuditChainBroken(
            f"{audit.folder}: {what}; nothing is signed, and the checkpoint stays as it is",
            hint="restore the log from a copy; or keep the folder as evidence, move it aside, and begin a new log with "
            "`voicectl audit init`",
        )
