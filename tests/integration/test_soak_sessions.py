"""Hundreds of short sessions in one process: no memory, file or task stays behind."""

import asyncio
import base64
import gc
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
from websockets.asyncio.client import connect

from tests.fakes.conversation import RunningGateway, eventually, running, scripted_profile, tone

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

NUM_SESSIONS = 500
WARM_UP = 100
MAX_GROWTH = 0.03
APPEND = json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(tone(0.02, 24_000)).decode()})


@dataclass(frozen=True)
class Held:
    """What the process holds."""

    resident_bytes: int
    files: int
    tasks: int

    @classmethod
    def now(cls) -> "Held":
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        tasks = [task for task in asyncio.all_tasks() if not task.done()]
        return cls(pages * os.sysconf("SC_PAGE_SIZE"), len(list(Path("/proc/self/fd").iterdir())), len(tasks))


async def session(gateway: RunningGateway, number: int) -> None:
    """Take a text turn and a spoken one, and leave: politely, in the middle of a reply, or without a word."""
    call = await connect(gateway.realtime_url, compression=None, ping_interval=None, max_queue=None)
    kinds = []
    await call.send('{"type": "response.create", "response": {"output_modalities": ["text"]}}')
    for _ in range(10):
        await call.send(APPEND)
    await call.send('{"type": "input_audio_buffer.commit"}')
    await call.send('{"type": "response.create"}')
    async with asyncio.timeout(10):
        while kinds.count("response.done") < (1 if number % 5 == 0 else 2):
            kinds.append(json.loads(await call.recv())["type"])
    if number % 7 == 0:
        call.transport.abort()
        await call.wait_closed()
    else:
        await call.close()


async def test_five_hundred_sessions_leave_nothing_behind() -> None:
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("warning"))
    try:
        await soak()
    finally:
        structlog.configure(**before)


async def soak() -> None:
    async with running(profile=scripted_profile(max_sessions=8)) as gateway:
        calls = gateway.gateway.conversations
        measured: list[Held] = []
        for number in range(1, NUM_SESSIONS + 1):
            await session(gateway, number)
            # The fake keeps its calls; that is not the gateway's leak.
            if len(calls) > 20:
                await eventually(lambda: all(call.finished for call in calls))
                calls.clear()
            if number in (WARM_UP, NUM_SESSIONS):
                await eventually(lambda: all(call.finished for call in calls))
                calls.clear()
                await asyncio.sleep(0.1)
                measured.append(Held.now())
        warm, end = measured
        growth = end.resident_bytes / warm.resident_bytes - 1
        sys.stdout.write(f"after {WARM_UP}: {warm}; after {NUM_SESSIONS}: {end}; memory {growth:+.2%}\n")
        assert growth < MAX_GROWTH
        assert (end.files, end.tasks) == (warm.files, warm.tasks)
