"""The routing of a worker, with lists in the place of the socket and the models."""

import asyncio
import math
import threading
import time

import pytest
import structlog
from prometheus_client import CollectorRegistry, Counter

from voicectl.engine.messages import (
    Body,
    Cancel,
    Failed,
    Forget,
    Forgotten,
    FromWorker,
    Generate,
    Ping,
    Pong,
    Reply,
    ReplyBody,
    Request,
    Scored,
    ScoreTurn,
    Synthesize,
    TextPiece,
    ToWorker,
    Transcribe,
    decode_from_worker,
    encode,
)
from voicectl.engine.stage import Job
from voicectl.engine.worker import STAGE_OF, WorkerLoop


class Recorder:
    """A stage that keeps what it is given."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.cancelled: list[int] = []
        self.failure: Exception | None = None
        self.closed = False

    def submit(self, job: Job) -> None:
        if self.failure is not None:
            raise self.failure
        self.jobs.append(job)

    def cancel(self, request_id: int) -> None:
        self.cancelled.append(request_id)

    def queued(self) -> int:
        return len(self.jobs)

    def close(self) -> None:
        self.closed = True
        if self.failure is not None:
            raise self.failure
        for job in self.jobs:
            job.emit(Failed("cancelled", "closing"))


class Bench:
    """A worker loop between a gateway and stages that are lists."""

    def __init__(self, *stages: str) -> None:
        self.sent: list[FromWorker] = []
        self.stages = {name: Recorder() for name in stages}
        self.loop = WorkerLoop()
        self.loop.open(self.stages, self._send)

    def _send(self, frame: bytes) -> bool:
        self.sent.append(decode_from_worker(frame))
        return True

    async def give(self, message: ToWorker) -> list[FromWorker]:
        self.loop.receive(encode(message))
        return await self.took()

    async def took(self) -> list[FromWorker]:
        for _ in range(3):
            await asyncio.sleep(0)
        sent, self.sent = self.sent, []
        return sent


@pytest.mark.parametrize(
    ("body", "stage"),
    [
        (Transcribe(b""), "stt"),
        (ScoreTurn(b""), "turn"),
        (Generate("s", (), 1, 0, 1, 1, 0), "llm"),
        (Forget("s"), "llm"),
        (Synthesize("x"), "tts"),
    ],
)
async def test_body_goes_to_its_stage(body: Body, stage: str) -> None:
    bench = Bench("stt", "turn", "llm", "tts")
    before = time.monotonic()
    assert await bench.give(Request(3, 1, 2.0, body)) == []
    (job,) = bench.stages[stage].jobs
    assert (job.request_id, job.priority, job.body) == (3, 1, body)
    assert 0 <= job.deadline_at - before - 2.0 < 1.0
    assert sum(recorder.queued() for recorder in bench.stages.values()) == 1


async def test_every_body_has_a_stage() -> None:
    assert set(STAGE_OF) == set(Body.__args__)


async def test_body_without_a_stage_is_rejected() -> None:
    (reply,) = await Bench("llm").give(Request(3, 1, 2.0, Transcribe(b"")))
    assert isinstance(reply, Reply) and isinstance(reply.body, Failed)
    assert (reply.request_id, reply.body.kind) == (3, "rejected")
    assert "runs llm, none of which serves Transcribe" in reply.body.message


@pytest.mark.parametrize("timeout_s", [math.nan, math.inf])
async def test_timeout_that_is_no_time_is_rejected(timeout_s: float) -> None:
    bench = Bench("llm")
    (reply,) = await bench.give(Request(3, 1, timeout_s, Forget("s")))
    assert isinstance(reply, Reply) and isinstance(reply.body, Failed)
    assert reply.body.kind == "rejected"
    assert bench.stages["llm"].jobs == []


async def test_stage_that_raises_fails_the_request() -> None:
    bench = Bench("llm")
    bench.stages["llm"].failure = KeyError("oops")
    with structlog.testing.capture_logs() as logs:
        (reply,) = await bench.give(Request(3, 1, 2.0, Forget("s")))
    assert reply == Reply(3, Failed("internal", "KeyError: 'oops'"))
    assert logs[0]["event"] == "submit_failed"


@pytest.mark.parametrize("frame", [b"", b"\xc1", b"hello", encode(Reply(1, Forgotten()))])
async def test_malformed_frame_is_logged_and_dropped(frame: bytes) -> None:
    bench = Bench("llm")
    with structlog.testing.capture_logs() as logs:
        bench.loop.receive(frame)
    assert [entry["event"] for entry in logs] == ["frame_dropped"]
    assert await bench.took() == []


async def test_cancel_reaches_the_stages() -> None:
    bench = Bench("llm", "tts")
    await bench.give(Cancel(9))
    assert [recorder.cancelled for recorder in bench.stages.values()] == [[9], [9]]


async def test_ping_is_answered_with_the_number_of_jobs() -> None:
    bench = Bench("llm", "tts")
    await bench.give(Request(1, 0, 1.0, Forget("s")))
    await bench.give(Request(2, 0, 1.0, Synthesize("x")))
    assert await bench.give(Ping(4)) == [Pong(4, 2)]


async def test_replies_of_a_thread_leave_together_and_in_order() -> None:
    bench = Bench("llm")
    await bench.give(Request(1, 0, 1.0, Forget("s")))
    emit = bench.stages["llm"].jobs[0].emit
    replies: list[ReplyBody] = [*(TextPiece(str(number)) for number in range(50)), Forgotten()]
    thread = threading.Thread(target=lambda: [emit(reply) for reply in replies])
    thread.start()
    thread.join()
    assert bench.sent == []
    assert await bench.took() == [Reply(1, reply) for reply in replies]


async def test_reply_that_cannot_be_sent_becomes_a_failure() -> None:
    bench = Bench("turn")
    await bench.give(Request(1, 0, 1.0, ScoreTurn(b"")))
    with structlog.testing.capture_logs():
        bench.stages["turn"].jobs[0].emit(Scored(object()))  # type: ignore[arg-type]
    (reply,) = await bench.took()
    assert isinstance(reply, Reply) and isinstance(reply.body, Failed)
    assert reply.body.kind == "internal"


async def test_close_sends_the_last_replies_of_every_stage() -> None:
    bench = Bench("stt", "llm")
    await bench.give(Request(1, 0, 1.0, Forget("s")))
    bench.stages["stt"].failure = RuntimeError("will not close")
    with structlog.testing.capture_logs():
        bench.loop.close()
    assert bench.sent == [Reply(1, Failed("cancelled", "closing"))]
    assert all(recorder.closed for recorder in bench.stages.values())


async def test_dropped_replies_are_logged() -> None:
    loop = WorkerLoop()
    stage = Recorder()
    loop.open({"llm": stage}, lambda _: False)
    loop.receive(encode(Ping(1)))
    with structlog.testing.capture_logs() as logs:
        loop.flush()
    assert logs == [{"event": "replies_dropped", "count": 1, "log_level": "error"}]


async def test_pong_carries_what_was_measured() -> None:
    registry = CollectorRegistry()
    Counter("voicectl_x_jobs", "Jobs.", registry=registry).inc(2)
    sent: list[FromWorker] = []
    loop = WorkerLoop(registry)
    loop.open({}, lambda frame: sent.append(decode_from_worker(frame)) is None)
    loop.receive(encode(Ping(7)))
    loop.flush()
    (pong,) = sent
    assert isinstance(pong, Pong) and pong.nonce == 7
    assert [(sample.name, sample.value) for family in pong.metrics for sample in family.samples] == [
        ("voicectl_x_jobs_total", 2.0)
    ]


async def test_broken_stage_ends_the_worker_at_the_next_ping() -> None:
    class Breaks(Recorder):
        reason: str | None = None

        def broken(self) -> str | None:
            return self.reason

    stage, told = Breaks(), []
    loop = WorkerLoop(on_broken=lambda: told.append("broken"))
    loop.open({"llm": stage}, lambda _: True)
    loop.receive(encode(Ping(1)))
    assert told == []
    stage.reason = "its thread has ended"
    loop.receive(encode(Ping(2)))
    assert told == ["broken"]
