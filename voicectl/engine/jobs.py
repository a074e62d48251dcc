"""Run the jobs of a stage on a few threads, each ending in exactly one terminal reply. Knows no model."""

import functools
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import structlog
from prometheus_client import CollectorRegistry

from voicectl.core.clock import Clock, MonotonicClock
from voicectl.core.errors import DeadlineExceeded, RequestCancelled, VoicectlError
from voicectl.engine.jobqueue import JobQueue, QueueLimits, Verdict
from voicectl.engine.messages import Failed, FailureKind, ReplyBody
from voicectl.engine.meter import StageMeter
from voicectl.engine.stage import Job

CLOSE_TIMEOUT_S: Final = 1.0
"""How long closing a pool waits for native calls to return."""

log = structlog.get_logger(__name__)


class JobRun:
    """One job on its way to its terminal reply; the handler's handle on it."""

    def __init__(self, job: Job, clock: Clock, *, on_end: Callable[[ReplyBody], None] | None = None) -> None:
        """Begin; `on_end` is told the terminal reply before it leaves."""
        self.job = job
        self.submitted_at = clock.now()
        self._clock = clock
        self._on_end = on_end
        self._lock = threading.RLock()
        self._ended = False

    def check(self) -> None:
        """Return if the job should go on. Raises RequestCancelled or DeadlineExceeded if not."""
        if self._ended:
            raise RequestCancelled(f"request {self.job.request_id} has ended")
        late_s = self._clock.now() - self.job.deadline_at
        if late_s >= 0:
            raise DeadlineExceeded(f"request {self.job.request_id} is {late_s:.3f} s past its deadline")

    def emit(self, piece: ReplyBody) -> None:
        """Send one piece of a stream. Raises as `check` does, so a stream stops at its next piece."""
        with self._lock:
            self.check()
            self.job.emit(piece)

    def end(self, reply: ReplyBody) -> bool:
        """Send the terminal reply; False if the job had one already."""
        with self._lock:
            if self._ended:
                return False
            self._ended = True
            if self._on_end is not None:
                self._on_end(reply)
            self.job.emit(reply)
            return True

    def fail(self, kind: FailureKind, message: str) -> bool:
        """End the job without a result; False if it had ended already."""
        return self.end(Failed(kind=kind, message=message))

    @property
    def ended(self) -> bool:
        """Return whether the terminal reply was sent."""
        return self._ended

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Do something for the job: what it raises, `check` included, ends the job."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - the edge of the job; `end_with` logs what is not ours
            self.end_with(error)

    def end_with(self, error: Exception) -> None:
        """End with the failure that an error stands for."""
        match error:
            case RequestCancelled():
                self.fail("cancelled", error.message)
            case DeadlineExceeded():
                self.fail("deadline", error.message)
            case VoicectlError():
                self.fail("rejected", error.message)
            case _ if self.fail("internal", f"{type(error).__name__}: {error}"):
                log.error("job_failed", request_id=self.job.request_id, exc_info=error)
            case _:
                # The reply could not be sent: its process is going away.
                log.error("reply_lost", request_id=self.job.request_id, exc_info=error)


Handler = Callable[[JobRun], ReplyBody]
"""Does one job on a lane's thread and returns its terminal reply.

It calls `check` or `emit` at every point where it can stop. What it raises becomes `Failed`.
"""

BatchHandler = Callable[[Sequence[JobRun]], None]
"""Does the jobs of a batch on a lane's thread and ends each as soon as it can.

What it raises ends all of them that have not ended.
"""


class BatchPool:
    """A `StageRuntime` made of a batch handler, a bounded priority queue and a thread for each lane."""

    def __init__(
        self,
        name: str,
        handler: BatchHandler,
        limits: QueueLimits,
        *,
        group: Callable[[Job], Hashable | None] = lambda _: None,
        meter: StageMeter | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Start the threads. Jobs for which `group` returns equal values may run together, those with None not."""
        self._handler = handler
        self._group = group
        self._meter = meter or StageMeter(CollectorRegistry(), name)
        self._clock = clock or MonotonicClock()
        self._queue: JobQueue[JobRun] = JobQueue(limits)
        self._wake = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{lane}", daemon=True) for lane in range(limits.lanes)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job, or answer it with a failure."""
        self._drop_expired()
        run = JobRun(job, self._clock, on_end=self._meter.ended)
        group = self._group(job)
        with self._wake:
            if self._closed:
                verdict: Verdict[JobRun] = Verdict(admitted=False, reason="the stage is closing")
            else:
                verdict = self._queue.offer(
                    run,
                    request_id=job.request_id,
                    priority=job.priority,
                    deadline_at=job.deadline_at,
                    group=group,
                    now=run.submitted_at,
                )
                self._wake.notify()
        if not verdict.admitted:
            run.fail("cancelled" if self._closed else "rejected", verdict.reason)
        for displaced in verdict.displaced:
            displaced.fail("rejected", "more important requests took its place")

    def cancel(self, request_id: int) -> None:
        """Answer a job with `Failed("cancelled")` now; what it still computes is discarded."""
        with self._wake:
            run = self._queue.withdraw(request_id)
        if run is not None:
            run.fail("cancelled", f"request {request_id} was cancelled")

    def queued(self) -> int:
        """Return how many jobs wait or run."""
        self._drop_expired()
        with self._wake:
            return len(self._queue)

    def close(self) -> None:
        """Answer all jobs with `Failed("cancelled")` and stop the threads."""
        with self._wake:
            self._closed = True
            remaining = self._queue.drain()
            self._wake.notify_all()
        for run in remaining:
            run.fail("cancelled", "the stage is closing")
        give_up_at = self._clock.now() + CLOSE_TIMEOUT_S
        for thread in self._threads:
            thread.join(max(0.0, give_up_at - self._clock.now()))

    def _drop_expired(self) -> None:
        with self._wake:
            expired = self._queue.expire(self._clock.now())
        for run in expired:
            run.fail("deadline", "its deadline passed while it waited")

    def _next(self) -> tuple[JobRun, ...]:
        with self._wake:
            while not self._closed:
                now = self._clock.now()
                batch = self._queue.take(now)
                if batch:
                    return batch
                self._wake.wait(self._queue.hold_s(now))
        return ()

    def _work(self) -> None:
        while batch := self._next():
            try:
                self._do(batch)
            except Exception as error:
                log.exception("batch_failed", size=len(batch))
                for run in batch:
                    run.fail("internal", f"{type(error).__name__}: {error}")
            finally:
                with self._wake:
                    self._queue.finish([run.job.request_id for run in batch])
                    self._wake.notify()

    def _do(self, batch: Sequence[JobRun]) -> None:
        began_at = self._clock.now()
        for run in batch:
            self._meter.waited(run.job.priority, began_at - run.submitted_at)
        self._handler(batch)
        self._meter.computed(len(batch), self._clock.now() - began_at)


class JobPool(BatchPool):
    """A pool in which every job runs alone."""

    def __init__(
        self,
        name: str,
        handler: Handler,
        *,
        lanes: int,
        depth: int,
        optional_from: int | None = None,
        meter: StageMeter | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Start the threads. Jobs of priority `optional_from` or more run at once or are rejected."""
        limits = QueueLimits(lanes=lanes, depth=depth, optional_from=optional_from)
        super().__init__(name, functools.partial(_one_by_one, handler), limits, meter=meter, clock=clock)


def _one_by_one(handler: Handler, batch: Sequence[JobRun]) -> None:
    for run in batch:
        with run.guarded():
            run.check()
            reply = handler(run)
            run.check()
            run.end(reply)
