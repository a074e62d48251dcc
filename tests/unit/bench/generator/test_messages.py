"""The pipe between the bench and its workers: what goes in comes out, and nothing else does."""

import asyncio

import msgspec
import pytest

from voicectl.bench.generator.messages import (
    Assignment,
    CallOver,
    Finished,
    Go,
    Message,
    Stop,
    TurnOver,
    from_worker,
    packed,
    to_worker,
)
from voicectl.bench.run_record import CallSample, TurnSample
from voicectl.bench.workload.ready import ReadyConversation, ReadyTurn, ReadyWorkload, Sound

TURN = TurnSample(1, "hello", "speech", "answered", 1.0, 0.3, stages_s={"stt": None, "tts": 0.1})
WORKLOAD = ReadyWorkload(
    "mine", "", (ReadyConversation("one", 1.0, (ReadyTurn("a", "speech", 0, 1.0, 1.0),)),), (Sound(b"\0\1", None, 0.5),)
)
ASSIGNMENT = Assignment("ws://x", {}, WORKLOAD, 1, "{}", False, False, None, 10.0, 10.0, 60.0, starts=((0, 0.5),))


def pipe(content: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(content)
    reader.feed_eof()
    return reader


@pytest.mark.parametrize("message", [ASSIGNMENT, Go(3.5), Stop("enough")])
async def test_order_arrives_as_it_was_sent(message: Message) -> None:
    assert await to_worker(pipe(packed(message))) == message


@pytest.mark.parametrize(
    "message",
    [
        TurnOver(0, TURN),
        CallOver(CallSample(0, "one", 0.0, 0.0, 0.1, 9.0, "completed", None, (TURN,)), {"model": "m"}),
        Finished((0.1, 0.2), 1, 0.3),
    ],
)
async def test_result_arrives_as_it_was_sent(message: Message) -> None:
    assert await from_worker(pipe(packed(message))) == message


@pytest.mark.parametrize("content", [b"", b"\1", packed(Go(1.0))[:-1]])
async def test_pipe_that_ends_gives_nothing(content: bytes) -> None:
    assert await to_worker(pipe(content)) is None


@pytest.mark.parametrize("content", [b"\1\0\0\0\xc0", packed(Finished((), 1, 0.0)), b"\xff\xff\xff\xff"])
async def test_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        await to_worker(pipe(content))
