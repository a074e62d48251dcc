"""Run the jobs of a stage on a few threads, each ending in exactly one terminal reply. Knows no model."""

import threading
from collections.abc import Callable
from typing import Final

import structlog

from voicectl.core.clock import Clock, MonotonicClock
from voicectl.core.errors import DeadlineExceeded, RequestCancelled, VoicectlError
from voicectl.engine.jobqueue import JobQueue, QueueLimits, Verdict
from voicectl.engine.messages import Failed, FailureKind, ReplyBody
from voicectl.engine.stage import Job

CLOSE_TIMEOUT_S: Final = 1.0
"""How long `JobPool.close` waits for native calls to return."""

log = structlog.get_logger(__name__)


class JobRun:
    """One job on its way to its terminal reply; the handler's handle on it."""

    def __init__(self, job: Job, clock: Clock) -> None:
        self.job = job
        self._clock = clock
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
            self.job.emit(reply)
            return True

    def fail(self, kind: FailureKind, message: str) -> bool:
        """End the job without a result; False if it had ended already."""
        return self.end(Failed(kind=kind, message=message))


Handler = Callable[[JobRun], ReplyBody]
"""Does one job on a lane's thread and returns its terminal reply.

It calls `check` or `emit` at every point where it can stop. What it raises becomes `Failed`.
"""


class JobPool:
    """A `StageRuntime` made of a handler, a bounded priority queue and `lanes` threads."""

    def __init__(
        self,
        name: str,
        handler: Handler,
        *,
        lanes: int,
        depth: int,
        optional_from: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Start the threads. Jobs of priority `optional_from` or more run at once or are rejected."""
        self._handler = handler
        self._clock = clock or MonotonicClock()
        self._queue: JobQueue[JobRun] = JobQueue(QueueLimits(lanes=lanes, depth=depth, optional_from=optional_from))
        self._wake = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{lane}", daemon=True) for lane in range(lanes)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job, or answer it with a failure."""
        self._drop_expired()
        run = JobRun(job, self._clock)
        with self._wake:
            if self._closed:
                verdict: Verdict[JobRun] = Verdict(admitted=False, reason="the stage is closing")
            else:
                verdict = self._queue.offer(
                    run, request_id=job.request_id, priority=job.priority, deadline_at=job.deadline_at
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

    def _next(self) -> JobRun | None:
        with self._wake:
            while not self._closed:
                run = self._queue.take()
                if run is not None:
                    return run
                self._wake.wait()
        return None

    def _work(self) -> None:
        while (run := self._next()) is not None:
            try:
                self._do(run)
            except Exception:
                # The reply could not be sent: its process is going away. The lane stays usable.
                log.exception("reply_lost", request_id=run.job.request_id)
            finally:
                with self._wake:
                    self._queue.finish(run.job.request_id)
                    self._wake.notify()

    def _do(self, run: JobRun) -> None:
        try:
            run.check()
            reply = self._handler(run)
            run.check()
        except RequestCancelled as error:
            run.fail("cancelled", error.message)
        except DeadlineExceeded as error:
            run.fail("deadline", error.message)
        except VoicectlError as error:
            run.fail("rejected", error.message)
        except Exception as error:
            log.exception("job_failed", request_id=run.job.request_id)
            run.fail("internal", f"{type(error).__name__}: {error}")
        else:
            run.end(reply)
