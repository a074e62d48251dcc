"""Records calls while the gateway runs: a bounded queue, and the thread that empties it. Makes no call wait."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import structlog

from voicectl.core.ports import AuditTrail, CallIdentity
from voicectl.core.sections.governance import Governance
from voicectl.service.recording.observer import RecordingObserver
from voicectl.service.recording.retainer import Retainer
from voicectl.service.recording.scribe import Noted, Scribe
from voicectl.service.recording.writer import Counts, RecordingState, Writer

log = structlog.get_logger(__name__)

MAX_BATCH: Final = 500
LOST_EVERY_S: Final = 60.0
LAST_ATTEMPT_S: Final = 2.0
"""How much longer than three waits for the database the last attempt to use it may take."""
MAX_MISSED: Final = 10_000


@dataclass(frozen=True, slots=True)
class RecordingHealth:
    """How calls are recorded. `num_queued` are not written yet."""

    state: RecordingState
    num_queued: int
    spilled_bytes: int
    counts: Counts
    last_error: str | None


class Recorder:
    """Records calls, as an async context manager. `observer` is the CallObserver that feeds it."""

    def __init__(
        self,
        settings: Governance,
        writer: Writer,
        scribe: Scribe,
        retainer: Retainer,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.observer: Final = RecordingObserver(self.offer)
        self._settings = settings
        self._writer = writer
        self._scribe = scribe
        self._retainer = retainer
        self._now = now
        self._queue: deque[Noted] = deque()
        self._guard = threading.Lock()
        self._missed: dict[str, tuple[CallIdentity, int]] = {}
        self._num_missed = 0
        self._arrived = threading.Event()
        self._stopping = threading.Event()
        self._lost_at = self._now() + LOST_EVERY_S
        # A daemon: a database that hangs must not keep the gateway from ending.
        self._thread = threading.Thread(target=self._run, name="call-records", daemon=True)

    async def __aenter__(self) -> Self:
        """Open the database. Raises StoreRefused or ConfigError for one that will never do; one that is down will."""
        await asyncio.to_thread(self._writer.begin)
        self._thread.start()
        self._retainer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Write what is queued, for up to `flush_s` seconds; what is left then is spilled. May be called again.

        Only a database that hangs makes it wait longer: until that one attempt is given up.
        """
        self._retainer.stop()
        self._writer.finish_within(self._settings.flush_s)
        self._stopping.set()
        self._arrived.set()
        if self._thread.is_alive():
            patience_s = self._settings.flush_s + 3 * self._settings.storage_s + LAST_ATTEMPT_S
            await asyncio.to_thread(self._thread.join, patience_s)
        if self._thread.is_alive():
            log.error("call_events_left", events=len(self._queue), error=self._writer.last_error)

    def tell(self, audit: AuditTrail) -> None:
        """Have the audit log told of consent, disclosures and transfers as they are written down."""
        self._writer.audit = audit

    def offer(self, noted: Noted) -> None:
        """Take something over. Never waits and never raises; when the queue is full it is missed, and counted."""
        if len(self._queue) >= self._settings.queue_depth:
            self._miss(noted.call)
            return
        self._queue.append(noted)
        if not self._arrived.is_set():
            self._arrived.set()

    def health(self) -> RecordingHealth:
        """Return how it goes."""
        return RecordingHealth(
            state="losing" if self._missed else self._writer.state,
            num_queued=len(self._queue),
            spilled_bytes=self._writer.spilled_bytes,
            counts=self._writer.counts,
            last_error=self._writer.last_error,
        )

    def _miss(self, call: CallIdentity) -> None:
        with self._guard:
            known = self._missed.get(call.session_id)
            if known is None and len(self._missed) >= MAX_MISSED:
                self._num_missed += 1
            else:
                self._missed[call.session_id] = (call, 1 + (known[1] if known else 0))

    # --- on the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            self._arrived.wait(self._patience_s())
            if not self._stopping.is_set() and self._queue:
                # What follows soon goes into the same commit, which then falls between the busy moments.
                self._stopping.wait(self._settings.commit_interval_s)
            self._arrived.clear()
            # Asked behind the clearing, which may have cleared the call to stop.
            stopping = self._stopping.is_set()
            try:
                self._write_queued()
                if not stopping:
                    self._close_lost()
            except Exception:  # the edge of the thread: it must outlive its mistakes
                log.exception("recording_broken")
                self._stopping.wait(1.0)
            if stopping and not self._queue:
                break
        self._writer.close()

    def _patience_s(self) -> float:
        rest_s = self._writer.rest_s
        lost_s = max(0.0, self._lost_at - self._now())
        return lost_s if rest_s is None else min(rest_s, lost_s)

    def _write_queued(self) -> None:
        while True:
            batch = [self._queue.popleft() for _ in range(min(MAX_BATCH, len(self._queue)))]
            with self._guard:
                missed, self._missed = self._missed, {}
            try:
                self._writer.write(batch, list(missed.values()))
            except BaseException:
                for noted in batch:
                    self._miss(noted.call)
                raise
            if not self._queue:
                return

    def _close_lost(self) -> None:
        """Look now and then for calls that will never end."""
        if self._now() < self._lost_at:
            return
        self._lost_at = self._now() + LOST_EVERY_S
        before = time.time() - self._settings.lost_after_s
        count = self._writer.run(lambda records: records.close_lost(before, self._scribe.live))
        if count:
            log.warning("calls_lost", calls=count, silent_s=self._settings.lost_after_s)
