"""Workers are killed under live calls: no call is lost, and each is answered again."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import start_appliance
from tests.e2e.recordings import utterances
from voicectl.bench.faults import Kill, impacts
from voicectl.bench.load import LoadShape, lost, refused, run_calls
from voicectl.bench.usage import busiest, family

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
NUM_CALLS = 2
WORKERS = ("stt", "turn", "llm", "tts")


async def test_no_call_is_lost_when_each_worker_is_killed(speech: Path) -> None:
    process, appliance = start_appliance(
        "--set", f"server.max_sessions={NUM_CALLS}", "--set", "llm.max_reply_tokens=12"
    )
    kills: list[Kill] = []
    stopping = asyncio.Event()
    shape = LoadShape(NUM_CALLS, num_turns=100, pause_s=0.5, unanswered_s=10.0)
    try:
        async with asyncio.TaskGroup() as group:
            calls = group.create_task(run_calls(appliance.url, shape, utterances(speech), stopping=stopping))
            for worker in WORKERS:
                await asyncio.sleep(5)
                found = busiest(family(appliance.pid).values(), worker)
                assert found is not None, f"no process hosts {worker}"
                os.kill(found.pid, signal.SIGKILL)
                kills.append(Kill(worker, found.pid, time.monotonic(), None))
            await asyncio.sleep(8)
            stopping.set()
        outcomes = calls.result()
    finally:
        process.terminate()
        assert process.wait(30) == 0
        assert process.stdout is not None
        process.stdout.close()
    assert (refused(outcomes), lost(outcomes)) == (0, 0), [outcome.failure for outcome in outcomes]
    felt = impacts(kills, outcomes)
    assert {impact.kill.name for impact in felt} == set(WORKERS)
    assert [impact for impact in felt if impact.waited_s is None] == []
    assert max(impact.waited_s or 0 for impact in felt) < 20
