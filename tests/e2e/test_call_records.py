"""A real call leaves a record: its row, its turns with times, and no word where nothing redacts."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import start_appliance

pytestmark = pytest.mark.e2e


def command(*arguments: str) -> Any:
    done = subprocess.run([sys.executable, "-m", "voicectl", *arguments], capture_output=True, timeout=120, check=True)
    return json.loads(done.stdout)


@pytest.mark.timeout(300)
def test_a_call_is_recorded_with_its_use_case_and_the_times_of_its_turn(
    tmp_path: Path,
) -> None:
    place = f"governance.url=sqlite:///{tmp_path}/records.db"
    spill = f"governance.spill_folder={tmp_path}/spill"
    key = tmp_path / "key"
    key.write_text("k" * 32)
    hashed = f"governance.hash_key_file={key}"
    process, appliance = start_appliance("--set", place, "--set", spill, "--set", hashed)
    try:
        asyncio.run(one_turn(f"{appliance.url.replace('http', 'ws')}/v1/realtime?use_case=order_status"))
        deadline = time.monotonic() + 30
        while (listed := command("calls", "list", "--json", "--set", place))["calls"][0]["ended_at"] is None:
            assert time.monotonic() < deadline
        (call,) = listed["calls"]
    finally:
        process.terminate()
        assert process.wait(60) == 0
        assert process.stdout is not None
        process.stdout.close()
    assert (call["use_case"], call["tier"], call["incomplete"]) == ("order_status", "low", False)
    assert (call["num_turns"], call["end_reason"]) == (1, "caller-hung-up")
    assert len(call["model_digest"]) == len(call["config_digest"]) == len(call["prompt_digest"]) == 64
    (turn,) = command("calls", "show", call["call_id"], "--json", "--set", place)["turns"]
    assert turn["completion_tokens"] > 0
    assert os.listdir(tmp_path / "spill") == []  # noqa: PTH208 - the folder is there and empty


async def one_turn(url: str) -> None:
    """Ask something in text and wait for the spoken answer."""
    from websockets.asyncio.client import connect

    async with connect(url, max_size=None) as socket:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Say hello."}]}
        await socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
        await socket.send(json.dumps({"type": "response.create"}))
        async with asyncio.timeout(120):
            while json.loads(await socket.recv())["type"] != "response.done":
                pass
