"""A gateway with known delays: hears by level, answers with a tone a fixed time after the last voiced sample."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

RATE = 24_000
LEVEL = 0.02


@dataclass
class Script:
    """How the fake answers. `delays_s` has one entry a turn; a turn without one is never answered."""

    delays_s: tuple[float, ...] = (0.25,)
    pause_s: float = 0.1
    lead_in_s: float = 0.03
    reply_s: float = 0.3
    reply: str = "A tone."
    heard: str = "some words"
    timings: bool = True
    hang_up_after_turns: int | None = None
    garbage: str | None = None


@dataclass
class FakeGateway:
    """What the fake saw; `url` is where it listens."""

    url: str
    script: Script
    events: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    configured: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def fake_gateway(script: Script | None = None) -> AsyncIterator[FakeGateway]:
    gateway = FakeGateway("", script or Script())

    async def answer(socket: ServerConnection) -> None:
        gateway.paths.append(socket.request.path if socket.request else "")
        await _Call(socket, gateway).run()

    async with serve(answer, "127.0.0.1", 0, compression=None, max_size=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        gateway.url = f"ws://127.0.0.1:{port}"
        yield gateway


class _Call:
    def __init__(self, socket: ServerConnection, gateway: FakeGateway) -> None:
        self.socket = socket
        self.gateway = gateway
        self.script = gateway.script
        self.position = 0
        self.origin_at = float("inf")
        self.voiced_position: int | None = None
        self.turns = 0
        self.replying: asyncio.Task[None] | None = None

    async def run(self) -> None:
        try:
            await self.send({"type": "session.created", "session": {"type": "realtime"}})
            async for message in self.socket:
                await self.take(json.loads(message), time.monotonic())
        except ConnectionClosed:
            pass
        finally:
            if self.replying:
                self.replying.cancel()

    async def take(self, event: dict[str, Any], at: float) -> None:
        if event["type"] != "input_audio_buffer.append":
            self.gateway.events.append(event)
        match event["type"]:
            case "session.update":
                await self.send({"type": "session.updated", "session": event["session"]})
                self.gateway.configured.set()
            case "response.create":
                self.reply_to(at, None)
            case "input_audio_buffer.append":
                self.hear(base64.b64decode(event["audio"]), at)

    def hear(self, pcm: bytes, at: float) -> None:
        frame = np.abs(np.frombuffer(pcm, "<i2") / 32768)
        loud = np.flatnonzero(frame > LEVEL)
        if loud.size:
            self.voiced_position = self.position + int(loud[-1])
        self.position += frame.size
        # The least delayed frame so far tells when the stream began.
        self.origin_at = min(self.origin_at, at - self.position / RATE)
        silence = self.position - (self.voiced_position or 0)
        if self.voiced_position is not None and silence > self.script.pause_s * RATE:
            self.reply_to(self.origin_at + self.voiced_position / RATE, self.voiced_position / RATE)
            self.voiced_position = None

    def reply_to(self, voiced_at: float, position_s: float | None) -> None:
        if self.turns < len(self.script.delays_s):
            delay_s = self.script.delays_s[self.turns]
            self.replying = asyncio.ensure_future(self.reply(voiced_at, position_s, delay_s))
        self.turns += 1

    async def reply(self, voiced_at: float, position_s: float | None, delay_s: float) -> None:
        script = self.script
        item, response = f"item_{self.turns}", f"resp_{self.turns}"
        committed_at = time.monotonic()
        if position_s is not None:
            await self.send({"type": "input_audio_buffer.committed", "item_id": item})
            heard = {"type": "conversation.item.input_audio_transcription.completed", "transcript": script.heard}
            await self.send({**heard, "item_id": item})
        if script.garbage is not None:
            await self.socket.send(script.garbage)
        await self.send({"type": "response.created", "response": {"id": response}})
        await asyncio.sleep(max(0.0, voiced_at + delay_s - time.monotonic()))
        sent_at = time.monotonic()
        tone = 0.3 * np.sin(2 * np.pi * 500 * np.arange(round(script.reply_s * RATE)) / RATE)
        sound = np.concatenate([np.zeros(round(script.lead_in_s * RATE)), tone])
        pcm = (sound * 32767).astype("<i2").tobytes()
        for start in range(0, len(pcm), 9600):
            delta = base64.b64encode(pcm[start : start + 9600]).decode()
            await self.send({"type": "response.output_audio.delta", "response_id": response, "delta": delta})
        await self.send(
            {"type": "response.output_audio_transcript.delta", "response_id": response, "delta": script.reply}
        )
        times = {
            "last_voiced_position_s": position_s,
            "last_voiced_at": voiced_at if position_s is not None else None,
            "hesitated_at": None,
            "transcribed_at": committed_at,
            "first_token_at": None,
            "first_clause_at": committed_at,
            "first_audio_at": sent_at,
            "committed_at": committed_at,
            "first_sent_at": sent_at,
            "session_now": time.monotonic(),
        }
        done: dict[str, Any] = {"id": response, "status": "completed", "output": [], "metadata": None}
        if script.timings:
            done["metadata"] = {"voicectl.times": json.dumps(times)}
        await self.send({"type": "response.done", "response": done})
        if script.hang_up_after_turns == self.turns:
            await self.socket.close(1011)

    async def send(self, event: dict[str, Any]) -> None:
        await self.socket.send(json.dumps(event))
