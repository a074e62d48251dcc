"""The stock `openai` SDK talks with the real appliance, unpatched; every frame is of the SDK's own types."""

import asyncio
import base64
import json
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import soxr
from openai import AsyncOpenAI

from tests.e2e.conftest import Appliance
from tests.fakes.conformance import validate_frame
from voicectl.core.audio import float_to_pcm16, pcm16_to_float
from voicectl.media.audiofile import read_speech

pytestmark = pytest.mark.e2e
RATE = 24_000
FRAME = RATE // 50


class Phone:
    """Speaks into a session in real time and writes down what comes back."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.frames: list[dict[str, Any]] = []
        self.to_say: list[bytes] = []
        self.arrived = asyncio.Condition()

    async def speak(self) -> None:
        """Send what is to be said, and silence otherwise, a frame every 20 ms."""
        loop = asyncio.get_running_loop()
        due_at = loop.time()
        while True:
            frame = self.to_say.pop(0) if self.to_say else b"\0" * (2 * FRAME)
            await self.connection.input_audio_buffer.append(audio=base64.b64encode(frame).decode())
            due_at += 0.02
            await asyncio.sleep(max(0.0, due_at - loop.time()))

    async def listen(self) -> None:
        """Take every frame, check it, keep it."""
        while True:
            frame = json.loads(await self.connection.recv_bytes())
            validate_frame(frame)
            assert frame["type"] != "error", frame
            async with self.arrived:
                self.frames.append(frame)
                self.arrived.notify_all()

    def say(self, path: Path) -> None:
        """Queue a recording."""
        samples, rate = read_speech(path)
        pcm = float_to_pcm16(soxr.resample(samples, rate, RATE).astype(np.float32))
        frames = [pcm[start : start + 2 * FRAME] for start in range(0, len(pcm), 2 * FRAME)]
        self.to_say += [frame.ljust(2 * FRAME, b"\0") for frame in frames]

    async def until(self, kind: str, number: int = 1) -> dict[str, Any]:
        """Wait for the n-th event of a kind."""
        async with asyncio.timeout(30), self.arrived:
            await self.arrived.wait_for(lambda: len(self.of(kind)) >= number)
        return self.of(kind)[number - 1]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the events of a kind so far."""
        return [frame for frame in self.frames if frame["type"] == kind]


class Call:
    """A phone on a call, as an async context manager."""

    def __init__(self, appliance: Appliance) -> None:
        self._client = AsyncOpenAI(base_url=f"{appliance.url}/v1", api_key="unused")
        self._manager = self._client.realtime.connect(model="voicectl")

    async def __aenter__(self) -> Phone:
        phone = Phone(await self._manager.__aenter__())
        self._tasks = [asyncio.create_task(phone.speak()), asyncio.create_task(phone.listen())]
        return phone

    async def __aexit__(self, *failure: Any) -> None:
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._manager.__aexit__(None, None, None)
        await self._client.close()
        for result in results:
            if not isinstance(result, asyncio.CancelledError) and failure[0] is None:
                raise result


async def test_a_spoken_conversation_of_two_turns(appliance: Appliance, spoken: Callable[[str], Path]) -> None:
    first_words, second_words = spoken("Can you tell me what you sell?"), spoken("Do you also sell coffee?")
    async with Call(appliance) as phone:
        await phone.connection.session.update(session={"type": "realtime", "max_output_tokens": 20})
        phone.say(first_words)
        first = await phone.until("response.done")
        phone.say(second_words)
        second = await phone.until("response.done", 2)
    words = [event["transcript"].lower() for event in phone.of("conversation.item.input_audio_transcription.completed")]
    assert "what you sell" in words[0]
    assert "coffee" in words[1]
    for done in (first["response"], second["response"]):
        assert done["status"] in {"completed", "incomplete"}
        assert done["output"][0]["content"][0]["transcript"]
    assert second["response"]["usage"]["input_token_details"]["cached_tokens"] > 0
    sound = b"".join(base64.b64decode(event["delta"]) for event in phone.of("response.output_audio.delta"))
    assert np.abs(pcm16_to_float(sound)).max() > 0.05


async def test_barge_in_stops_the_reply_and_keeps_only_heard_words(
    appliance: Appliance, spoken: Callable[[str], Path]
) -> None:
    request, objection = spoken("Please tell me a long story."), spoken("Stop, please. I have another question.")
    async with Call(appliance) as phone:
        await phone.connection.session.update(
            session={
                "type": "realtime",
                "instructions": "Tell a long story in many sentences.",
                "max_output_tokens": 200,
            }
        )
        phone.say(request)
        await phone.until("response.output_audio.delta")
        await asyncio.sleep(1.0)
        begun = asyncio.get_running_loop().time()
        phone.say(objection)
        done = await phone.until("response.done")
        stopped_after_s = asyncio.get_running_loop().time() - begun
        num_chunks = len(phone.of("response.output_audio.delta"))
        await asyncio.sleep(0.3)
        assert len(phone.of("response.output_audio.delta")) == num_chunks
    assert done["response"]["status"] == "cancelled"
    assert done["response"]["status_details"]["reason"] == "turn_detected"
    heard = done["response"]["output"][0]["content"][0]["transcript"]
    told = "".join(event["delta"] for event in phone.of("response.output_audio_transcript.delta"))
    assert heard
    assert told.strip().startswith(heard.strip())
    assert len(heard) < len(told)
    assert stopped_after_s < 2.0


async def test_a_backchannel_does_not_interrupt(appliance: Appliance, spoken: Callable[[str], Path]) -> None:
    request, backchannel = spoken("Please tell me about your shop."), spoken("Okay.")
    async with Call(appliance) as phone:
        await phone.connection.session.update(session={"type": "realtime", "max_output_tokens": 30})
        phone.say(request)
        await phone.until("response.output_audio.delta")
        await asyncio.sleep(0.5)
        phone.say(backchannel)
        done = await phone.until("response.done")
        await asyncio.sleep(1.5)
    assert done["response"]["status"] in {"completed", "incomplete"}
    assert len(phone.of("conversation.item.input_audio_transcription.completed")) == 1
    assert len(phone.of("response.done")) == 1


async def test_a_client_that_vanishes_leaves_nothing_behind(
    appliance: Appliance, spoken: Callable[[str], Path]
) -> None:
    request = spoken("Please tell me a long story.")
    async with Call(appliance) as phone:
        phone.say(request)
        await phone.until("response.output_audio.delta")
        phone.connection._connection.transport.abort()
    for _ in range(50):
        state = appliance.get("/readyz")
        if state["sessions"]["live"] == 0:
            break
        await asyncio.sleep(0.1)
    assert state["sessions"]["live"] == 0
    assert state["ready"]


async def test_killed_workers_come_back_and_the_session_lives(
    appliance: Appliance, spoken: Callable[[str], Path]
) -> None:
    question = spoken("Do you also sell coffee?")
    async with Call(appliance) as phone:
        await phone.connection.session.update(session={"type": "realtime", "max_output_tokens": 16})
        for worker in psutil.Process(appliance.pid).children():
            worker.kill()
        async with asyncio.timeout(60):
            while not await asyncio.to_thread(is_ready, appliance):
                await asyncio.sleep(0.2)
        phone.say(question)
        done = await phone.until("response.done")
    assert done["response"]["status"] in {"completed", "incomplete"}
    [heard] = phone.of("conversation.item.input_audio_transcription.completed")
    assert "coffee" in heard["transcript"].lower()


def is_ready(appliance: Appliance) -> bool:
    """Tell whether every stage takes requests."""
    try:
        return bool(appliance.get("/readyz")["ready"])
    except urllib.error.HTTPError as refused:
        assert refused.code == 503
        refused.close()
        return False
