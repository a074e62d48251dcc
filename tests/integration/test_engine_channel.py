"""The frame pipe between two real sockets on one loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import zmq

from voicectl.engine.channel import FRAMES_A_WAKE_UP, MAX_WAITING_FRAMES, Channel

pytestmark = pytest.mark.integration


@asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[tuple[Channel, Channel, list[bytes], list[bytes]]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    address = f"ipc://{folder}/s"
    at_bound: list[bytes] = []
    at_connected: list[bytes] = []
    bound = Channel.bound(context, address, at_bound.append)
    connected = Channel.connected(context, address, at_connected.append)
    try:
        yield bound, connected, at_bound, at_connected
    finally:
        bound.close()
        connected.close()
        context.term()


async def filled(frames: list[bytes], count: int) -> None:
    async with asyncio.timeout(5):
        while len(frames) < count:
            await asyncio.sleep(0.001)


async def test_more_frames_than_a_wake_up_arrive_in_order_both_ways(tmp_path: Path) -> None:
    count = 3 * FRAMES_A_WAKE_UP + 1
    async with pair(tmp_path) as (bound, connected, at_bound, at_connected):
        assert connected.send(b"hello")
        await filled(at_bound, 1)
        frames = [str(number).encode() for number in range(count)]
        for frame in frames:
            assert bound.send(frame)
            assert connected.send(frame)
        await filled(at_bound, count + 1)
        await filled(at_connected, count)
        assert at_bound[1:] == at_connected == frames


async def test_sending_to_nobody_does_not_wait(tmp_path: Path) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    channel = Channel.bound(context, f"ipc://{tmp_path}/s", lambda _: None)
    assert not channel.send(b"x")
    channel.close()
    assert not channel.send(b"x")
    channel.close()
    context.term()


async def test_reader_that_stands_still_fills_the_pipe(tmp_path: Path) -> None:
    async with pair(tmp_path) as (_, connected, at_bound, _):
        # No await: the loop of this process is the one that would read.
        sent = 0
        while connected.send(b"x" * 100):
            sent += 1
            assert sent < 10 * MAX_WAITING_FRAMES
        assert sent >= MAX_WAITING_FRAMES
        await filled(at_bound, sent)
        assert connected.send(b"again")


async def test_frame_that_breaks_its_reader_does_not_hold_up_the_next(tmp_path: Path) -> None:
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    taken: list[bytes] = []

    def take(frame: bytes) -> None:
        if frame == b"bad":
            raise ValueError(frame)
        taken.append(frame)

    bound = Channel.bound(context, f"ipc://{tmp_path}/s", take)
    connected = Channel.connected(context, f"ipc://{tmp_path}/s", taken.append)
    for frame in (b"one", b"bad", b"two"):
        connected.send(frame)
    await filled(taken, 2)
    assert taken == [b"one", b"two"]
    assert len(failures) == 1
    bound.close()
    connected.close()
    context.term()
