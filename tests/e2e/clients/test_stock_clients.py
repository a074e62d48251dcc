"""Stock realtime clients, unpatched and each in an environment of its own, talk with the appliance."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from tests.e2e.clients.environment import HERE, client_python
from tests.e2e.conftest import Appliance
from tests.fakes.checking_proxy import Checked, checking_proxy
from voicectl.media.audiofile import read_speech

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
RATE = 24_000
WORDS = (
    "What is the weather in Paris?",
    "Do you also sell coffee?",
    "Please tell me a long story.",
    "Stop, please. I have another question.",
)


@pytest.fixture(scope="module")
def clips(spoken: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    paths = []
    for number, words in enumerate(WORDS):
        samples, rate = read_speech(spoken(words))
        path = folder / f"{number}.wav"
        soundfile.write(path, soxr.resample(samples, rate, RATE).astype(np.float32), RATE, subtype="PCM_16")
        paths.append(path)
    return paths


async def converse(
    appliance: Appliance, client: str, program: str, clips: list[Path]
) -> tuple[dict[str, Any], Checked]:
    """Run a client's program against the appliance; return what it reports and what went over the wire."""
    python = await asyncio.to_thread(client_python, client)
    async with checking_proxy(appliance.url) as checked:
        command = [str(HERE / program), "--url", f"http://127.0.0.1:{checked.port}", *map(str, clips)]
        process = await asyncio.create_subprocess_exec(
            str(python), *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(240):
            out, err = await process.communicate()
    wire = "\n".join(json.dumps(frame)[:300] for frame in checked.frames[-40:])
    assert process.returncode == 0, f"{err.decode()[-3000:]}\n{wire}"
    return json.loads(out.decode().splitlines()[-1]), checked


def check(report: dict[str, Any], checked: Checked) -> None:
    """A conversation of several spoken turns, one function call and one interruption, without a fault."""
    assert not checked.faults
    assert not report["errors"]
    # Some clients cancel what the gateway has already stopped; the answer they expect is this refusal.
    assert {frame["error"]["code"] for frame in checked.frames if frame.get("type") == "error"} <= {
        "response_cancel_not_active"
    }
    # Which city a model of 135 million parameters takes from the question is no matter of the wire; that the client's
    # function gets the one that the gateway sent is.
    (city,) = report["tool_arguments"]
    assert city.strip(" .?").replace(" ", "").isalpha()
    called = [frame for frame in checked.frames if frame.get("type") == "response.function_call_arguments.done"]
    assert [json.loads(frame["arguments"])["city"] for frame in called] == [city]
    assert "weather" in report["heard"][0].casefold()
    assert any("coffee" in words.casefold() for words in report["heard"])
    assert len(report["replies"]) >= 3
    assert sum(num_bytes > RATE for num_bytes in report["audio_bytes"]) >= 3
    assert report["interruptions"] >= 1
    assert checked.sent["conversation.item.truncate"] >= 1
    assert checked.received["response.function_call_arguments.done"] == 1
    endings = [frame["response"]["status"] for frame in checked.frames if frame.get("type") == "response.done"]
    assert "cancelled" in endings


@pytest.mark.parametrize(
    ("client", "program"),
    [
        ("openai-agents", "openai_agents.py"),
        ("pipecat", "pipecat_realtime.py"),
        ("livekit", "livekit_realtime.py"),
    ],
)
async def test_a_stock_client_holds_a_spoken_conversation_with_a_tool_call(
    appliance: Appliance, clips: list[Path], client: str, program: str
) -> None:
    report, checked = await converse(appliance, client, program, clips)
    check(report, checked)
