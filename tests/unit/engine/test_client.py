"""The client of a worker, with a list in the place of the socket."""

import asyncio
from contextlib import aclosing

import pytest

from voicectl.core.errors import (
    DeadlineExceeded,
    EngineError,
    RequestCancelled,
    RequestRejected,
    WorkerDied,
)
from voicectl.core.ports import Priority
from voicectl.engine.client import MAX_FRAME_BYTES, MAX_PIECES, WorkerClient, WorkerUnavailable
from voicectl.engine.messages import (
    Body,
    Cancel,
    Failed,
    FailureKind,
    Forget,
    Forgotten,
    Generate,
    GenerationEnded,
    Reply,
    ReplyBody,
    Request,
    TextPiece,
    ToWorker,
    Transcribe,
    decode_to_worker,
)

GENERATE = Generate("s", (), max_tokens=5, temperature=0, top_p=1, top_k=1, seed=0)
ENDED = GenerationEnded("stop", 1, 0, 2)


class Wire:
    """What the client sent, decoded."""

    def __init__(self) -> None:
        self.sent: list[ToWorker] = []
        self.full = False

    def send(self, frame: bytes) -> bool:
        if not self.full:
            self.sent.append(decode_to_worker(frame))
        return not self.full


def attached(max_requests: int = 10) -> tuple[WorkerClient, Wire]:
    client, wire = WorkerClient("llm", max_requests=max_requests), Wire()
    client.attach(wire.send)
    return client, wire


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def read_all(client: WorkerClient) -> list[ReplyBody]:
    return [reply async for reply in client.stream(GENERATE, timeout_s=9)]


async def test_request_carries_priority_and_remaining_time() -> None:
    client, wire = attached()
    call = asyncio.ensure_future(client.call(Forget("s"), priority=Priority.PARTIAL, timeout_s=9))
    await turns()
    (request,) = wire.sent
    assert isinstance(request, Request)
    assert (request.body, request.priority) == (Forget("s"), 2)
    assert 8 < request.timeout_s <= 9
    client.accept(Reply(request.request_id, Forgotten()))
    assert await call == Forgotten()
    assert client.num_open == 0
    assert wire.sent == [request]


async def test_stream_yields_replies_in_order_and_ends_with_the_terminal_one() -> None:
    client, wire = attached()
    task = asyncio.ensure_future(read_all(client))
    await turns()
    replies: list[ReplyBody] = [TextPiece("a"), TextPiece("b"), ENDED]
    for reply in replies:
        client.accept(Reply(1, reply))
    assert await task == replies
    assert len(wire.sent) == 1


async def test_closing_a_stream_sends_one_cancel() -> None:
    client, wire = attached()
    async with aclosing(client.stream(GENERATE, timeout_s=9)) as stream:
        first = asyncio.ensure_future(anext(stream))
        await turns()
        client.accept(Reply(1, TextPiece("a")))
        assert await first == TextPiece("a")
    assert wire.sent[1:] == [Cancel(1)]
    # What still comes is ignored.
    client.accept(Reply(1, TextPiece("b")))
    client.accept(Reply(1, Failed("cancelled", "")))
    assert client.num_open == 0


async def test_cancelled_task_sends_one_cancel() -> None:
    client, wire = attached()
    task = asyncio.ensure_future(client.call(GENERATE, timeout_s=9))
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert wire.sent[1:] == [Cancel(1)]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("cancelled", RequestCancelled),
        ("deadline", DeadlineExceeded),
        ("rejected", RequestRejected),
        ("internal", EngineError),
    ],
)
async def test_failures_become_their_errors(kind: FailureKind, error: type[EngineError]) -> None:
    client, wire = attached()
    call = asyncio.ensure_future(client.call(GENERATE, timeout_s=9))
    await turns()
    client.accept(Reply(1, Failed(kind, "because")))
    with pytest.raises(error, match="because") as caught:
        await call
    assert type(caught.value) is error
    assert len(wire.sent) == 1


async def test_death_fails_what_is_in_flight_behind_what_came_before() -> None:
    client, wire = attached()
    stream = client.stream(GENERATE, timeout_s=9)
    first = asyncio.ensure_future(anext(stream))
    await turns()
    client.accept(Reply(1, TextPiece("a")))
    client.detach("worker llm was ended by signal SIGKILL")
    assert await first == TextPiece("a")
    with pytest.raises(WorkerDied, match="SIGKILL"):
        await anext(stream)
    # No cancel: its reader is gone, and the next worker knows nothing of it.
    assert len(wire.sent) == 1


async def test_request_waits_for_the_next_worker() -> None:
    client, _ = attached()
    client.detach("gone")
    call = asyncio.ensure_future(client.call(Forget("s"), timeout_s=9))
    await turns()
    assert (client.ready, client.num_open) == (False, 1)
    wire = Wire()
    client.attach(wire.send)
    await turns()
    assert isinstance(wire.sent[0], Request)
    client.accept(Reply(wire.sent[0].request_id, Forgotten()))
    assert await call == Forgotten()


async def test_request_that_ends_after_a_restart_cancels_nothing_at_the_new_worker() -> None:
    client, _ = attached()
    call = asyncio.ensure_future(client.call(GENERATE, timeout_s=9))
    await turns()
    client.detach("gone")
    wire = Wire()
    client.attach(wire.send)
    with pytest.raises(WorkerDied):
        await call
    assert wire.sent == []


async def test_worker_that_never_comes_meets_the_deadline() -> None:
    client = WorkerClient("llm", max_requests=1)
    with pytest.raises(DeadlineExceeded, match="worker llm was not ready within"):
        await client.call(GENERATE, timeout_s=0.0)
    assert client.num_open == 0


async def test_refusal_reaches_who_waits_and_who_comes_later() -> None:
    client = WorkerClient("llm", max_requests=9)
    waiting = asyncio.ensure_future(client.call(GENERATE, timeout_s=9))
    ready = asyncio.ensure_future(client.wait_ready())
    await turns()
    error = EngineError("worker llm: no such file", hint="pull it")
    client.refuse(error)
    client.detach("gone")
    for attempt in (waiting, ready, client.call(GENERATE, timeout_s=9)):
        with pytest.raises(EngineError, match="no such file") as caught:
            await attempt
        assert caught.value.hint == "pull it"


async def test_more_requests_than_allowed_are_refused() -> None:
    client, wire = attached(max_requests=1)
    first = asyncio.ensure_future(client.call(Forget("s"), timeout_s=9))
    await turns()
    with pytest.raises(RequestRejected, match="1 requests to worker llm are open already"):
        await client.call(Forget("s"), timeout_s=9)
    client.accept(Reply(1, Forgotten()))
    await first
    assert len(wire.sent) == 1


async def test_full_channel_refuses_the_request() -> None:
    client, wire = attached()
    wire.full = True
    with pytest.raises(RequestRejected, match="does not read"):
        await client.call(Forget("s"), timeout_s=9)


async def test_oversized_request_is_refused() -> None:
    client, wire = attached()
    with pytest.raises(RequestRejected, match="too long"):
        await client.call(Transcribe(bytes(MAX_FRAME_BYTES)), timeout_s=9)
    assert wire.sent == []


@pytest.mark.parametrize("body", [Forget("\ud800"), Generate("s", (), 1, 0, 1, 1, seed=1 << 70)])
async def test_request_that_cannot_be_encoded_is_refused(body: Body) -> None:
    client, wire = attached()
    with pytest.raises(RequestRejected, match="cannot be sent"):
        await client.call(body, timeout_s=9)
    assert (wire.sent, client.num_open) == ([], 0)


async def test_reader_that_falls_behind_loses_its_request() -> None:
    client, wire = attached()
    task = asyncio.ensure_future(read_all(client))
    await turns()
    for _ in range(MAX_PIECES + 5):
        client.accept(Reply(1, TextPiece("x")))
    with pytest.raises(EngineError, match="wait for their reader"):
        await task
    assert wire.sent[1:] == [Cancel(1)]


async def test_reply_to_nobody_is_ignored() -> None:
    client, _ = attached()
    client.accept(Reply(77, Forgotten()))
    assert client.num_open == 0


async def test_refused_client_serves_again_once_a_worker_is_attached() -> None:
    client, wire = attached()
    client.detach("gone")
    client.refuse(EngineError("it cannot be started"))
    with pytest.raises(EngineError, match="cannot be started"):
        await client.call(Forget("s"), timeout_s=9)
    client.attach(wire.send)
    asking = asyncio.ensure_future(client.call(Forget("s"), timeout_s=9))
    await turns()
    client.accept(Reply(1, Forgotten()))
    assert await asking == Forgotten()


async def test_request_waits_for_an_absent_worker_no_longer_than_allowed() -> None:
    client = WorkerClient("llm", max_requests=1, max_wait_s=0.0)
    with pytest.raises(WorkerUnavailable, match=r"away for 0\.0 s"):
        await client.call(Forget("s"), timeout_s=9)


async def test_request_that_a_dead_worker_no_longer_takes_goes_to_the_next_one() -> None:
    client, dead = attached()
    dead.full = True
    asking = asyncio.ensure_future(client.call(Forget("s"), timeout_s=9))
    await turns()
    client.detach("gone")
    wire = Wire()
    client.attach(wire.send)
    while not wire.sent:
        await asyncio.sleep(0)
    client.accept(Reply(client._last_id, Forgotten()))
    assert await asking == Forgotten()
