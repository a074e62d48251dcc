import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from voicectl.core.errors import RequestRejected
from voicectl.engine.jobqueue import QueueLimits
from voicectl.engine.jobs import BatchPool, JobPool, JobRun
from voicectl.engine.messages import Failed, ReplyBody, Scored, ScoreTurn, TextPiece
from voicectl.engine.stage import Job

FINAL, PARTIAL = 0, 2
WAIT_S = 5.0


@dataclass
class ManualClock:
    at: float = 0.0

    def now(self) -> float:
        return self.at


@dataclass
class Replies:
    """Collects the replies of one job."""

    bodies: list[ReplyBody] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def __call__(self, body: ReplyBody) -> None:
        self.bodies.append(body)
        if isinstance(body, Scored | Failed):
            self.ended.set()

    def terminal(self) -> ReplyBody:
        assert self.ended.wait(WAIT_S)
        return self.bodies[-1]

    def kind(self) -> str:
        reply = self.terminal()
        assert isinstance(reply, Failed)
        return reply.kind


class Bench:
    """A pool whose handler waits for the test, and does what the test told it."""

    def __init__(self, lanes: int = 1, depth: int = 2) -> None:
        self.clock = ManualClock()
        self.started = threading.Semaphore(0)
        self.proceed = threading.Semaphore(0)
        self.stopped = threading.Semaphore(0)
        self.error: Exception | None = None
        self.pieces: list[ReplyBody] = []
        self.pool = JobPool("bench", self.handler, lanes=lanes, depth=depth, optional_from=PARTIAL, clock=self.clock)

    def handler(self, run: JobRun) -> ReplyBody:
        self.started.release()
        assert self.proceed.acquire(timeout=WAIT_S)
        try:
            for piece in self.pieces:
                run.emit(piece)
            if self.error is not None:
                raise self.error
            return Scored(probability=1.0)
        finally:
            self.stopped.release()

    def submit(self, request_id: int, priority: int = FINAL, deadline_at: float = 100.0) -> Replies:
        replies = Replies()
        body = ScoreTurn(pcm=b"")
        self.pool.submit(
            Job(request_id=request_id, priority=priority, deadline_at=deadline_at, body=body, emit=replies)
        )
        return replies

    def submit_running(self, request_id: int, priority: int = FINAL) -> Replies:
        replies = self.submit(request_id, priority)
        assert self.started.acquire(timeout=WAIT_S)
        return replies


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    for _ in range(16):
        bench.proceed.release()
    bench.pool.close()


def test_a_job_streams_its_pieces_then_its_result(bench: Bench) -> None:
    bench.pieces = [TextPiece("a"), TextPiece("b")]
    replies = bench.submit_running(1)
    bench.proceed.release()
    assert replies.terminal() == Scored(probability=1.0)
    assert replies.bodies[:-1] == [TextPiece("a"), TextPiece("b")]


def test_cancelling_a_waiting_job_answers_cancelled_and_it_never_runs(bench: Bench) -> None:
    bench.submit_running(1)
    waiting = bench.submit(2)
    bench.pool.cancel(2)
    assert waiting.kind() == "cancelled"
    assert bench.pool.queued() == 1


def test_cancelling_a_running_job_answers_at_once_and_discards_what_follows(bench: Bench) -> None:
    bench.pieces = [TextPiece("too late")]
    replies = bench.submit_running(1)
    bench.pool.cancel(1)
    assert replies.kind() == "cancelled"
    bench.proceed.release()
    assert bench.stopped.acquire(timeout=WAIT_S)
    assert len(replies.bodies) == 1


def test_cancelling_an_unknown_job_does_nothing(bench: Bench) -> None:
    bench.pool.cancel(99)
    assert bench.pool.queued() == 0


def test_a_full_queue_answers_rejected(bench: Bench) -> None:
    bench.submit_running(1)
    bench.submit(2)
    bench.submit(3)
    assert bench.submit(4).kind() == "rejected"
    assert bench.pool.queued() == 3


def test_a_deadline_that_passes_in_the_queue_answers_deadline(bench: Bench) -> None:
    bench.submit_running(1)
    waiting = bench.submit(2, deadline_at=5.0)
    bench.clock.at = 5.0
    assert bench.pool.queued() == 1
    assert waiting.kind() == "deadline"


def test_a_result_after_the_deadline_answers_deadline(bench: Bench) -> None:
    replies = bench.submit_running(1)
    bench.clock.at = 200.0
    bench.proceed.release()
    assert replies.kind() == "deadline"


def test_a_running_partial_makes_room_for_a_final(bench: Bench) -> None:
    partial = bench.submit_running(1, PARTIAL)
    final = bench.submit(2)
    assert partial.kind() == "rejected"
    bench.proceed.release()
    assert bench.started.acquire(timeout=WAIT_S)
    bench.proceed.release()
    assert final.terminal() == Scored(probability=1.0)


@pytest.mark.parametrize(
    ("error", "kind"), [(RequestRejected("cannot be served"), "rejected"), (RuntimeError("broken"), "internal")]
)
def test_a_handler_that_raises_fails_its_job_and_the_lane_lives_on(bench: Bench, error: Exception, kind: str) -> None:
    bench.error = error
    replies = bench.submit_running(1)
    bench.proceed.release()
    assert replies.kind() == kind
    bench.error = None
    after = bench.submit_running(2)
    bench.proceed.release()
    assert after.terminal() == Scored(probability=1.0)


def test_closing_cancels_waiting_and_running_jobs_and_later_ones() -> None:
    bench = Bench()
    running = bench.submit_running(1)
    waiting = bench.submit(2)
    closer = threading.Thread(target=bench.pool.close)
    closer.start()
    assert running.kind() == "cancelled"
    assert waiting.kind() == "cancelled"
    bench.proceed.release()
    closer.join(WAIT_S)
    assert not closer.is_alive()
    assert bench.submit(3).kind() == "cancelled"


class BatchBench:
    """A pool of one lane whose batches wait for the test; `batches` holds the ids of each."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.started = threading.Semaphore(0)
        self.proceed = threading.Semaphore(0)
        self.error: Exception | None = None
        limits = QueueLimits(lanes=1, depth=8, optional_from=PARTIAL, most=2)
        self.pool = BatchPool("bench", self.handler, limits, group=lambda _: "any")

    def handler(self, batch: Sequence[JobRun]) -> None:
        self.batches.append([run.job.request_id for run in batch])
        self.started.release()
        assert self.proceed.acquire(timeout=WAIT_S)
        if self.error is not None:
            raise self.error
        for run in batch:
            run.end(Scored(probability=1.0))

    def submit(self, request_id: int, priority: int = FINAL) -> Replies:
        replies = Replies()
        self.pool.submit(Job(request_id, priority, float("inf"), ScoreTurn(pcm=b""), replies))
        return replies


@pytest.fixture
def batches() -> Iterator[BatchBench]:
    bench = BatchBench()
    yield bench
    for _ in range(16):
        bench.proceed.release()
    bench.pool.close()


def test_what_waits_while_a_batch_runs_runs_together_next(batches: BatchBench) -> None:
    batches.submit(1)
    assert batches.started.acquire(timeout=WAIT_S)
    later = [batches.submit(request_id) for request_id in (2, 3, 4)]
    for _ in range(3):
        batches.proceed.release()
    assert all(replies.terminal() == Scored(probability=1.0) for replies in later)
    assert batches.batches == [[1], [2, 3], [4]]


def test_cancelling_one_job_of_a_running_batch_answers_it_and_leaves_the_other(batches: BatchBench) -> None:
    batches.submit(1)
    assert batches.started.acquire(timeout=WAIT_S)
    kept, given_up = batches.submit(2), batches.submit(3)
    batches.proceed.release()
    assert batches.started.acquire(timeout=WAIT_S)
    batches.pool.cancel(3)
    assert given_up.kind() == "cancelled"
    batches.proceed.release()
    assert kept.terminal() == Scored(probability=1.0)
    assert len(given_up.bodies) == 1


def test_a_batch_handler_that_raises_fails_all_its_jobs_and_the_lane_lives_on(batches: BatchBench) -> None:
    batches.error = RuntimeError("broken")
    failed = batches.submit(1)
    batches.proceed.release()
    assert failed.kind() == "internal"
    batches.error = None
    after = batches.submit(2)
    batches.proceed.release()
    assert after.terminal() == Scored(probability=1.0)
