"""A connection over a socket in memory."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.conversation import Script, ScriptedConversation
from voicectl.core import events as ev
from voicectl.core.clock import MonotonicClock
from voicectl.media.transports.realtime.connection import Connection, ConnectionLimits, Conversation, Ending
from voicectl.media.transports.realtime.protocol import RealtimeProtocol
from voicectl.media.transports.realtime.session import SessionDefaults

LIMITS = ConnectionLimits(queue_depth=2, stall_s=0.05, hangup_s=0.05, idle_s=5.0)


@dataclass
class MemorySocket:
    """The client's frames, then its departure; `stuck` never takes a frame."""

    frames: list[str]
    leaves: bool = True
    stuck: bool = False
    sent: list[dict[str, Any]] = field(default_factory=list)
    closed: tuple[int, str] | None = None

    def why_gone(self) -> str:
        return "the client closed the connection"

    async def receive(self) -> str | bytes | None:
        if self.frames:
            return self.frames.pop(0)
        if not self.leaves:
            await asyncio.Event().wait()
        return None

    async def send(self, text: str) -> bool:
        if self.stuck:
            await asyncio.Event().wait()
        self.sent.append(json.loads(text))
        return True

    async def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)


async def ending_of(
    socket: MemorySocket, call: Conversation, *, closing: asyncio.Event | None = None, limits: ConnectionLimits = LIMITS
) -> Ending:
    protocol = RealtimeProtocol("sess_1", "m", defaults=SessionDefaults())
    before = asyncio.all_tasks()
    ending = await Connection(socket, protocol, call, clock=MonotonicClock(), limits=limits).run(
        closing or asyncio.Event()
    )
    assert asyncio.all_tasks() == before
    return ending


async def test_a_leaving_client_is_told_to_the_call_and_not_said_goodbye() -> None:
    socket = MemorySocket(['{"type": "input_audio_buffer.clear"}'])
    call = ScriptedConversation("s", Script())
    ending = await ending_of(socket, call)
    assert ending.code is None
    assert socket.closed is None
    assert call.finished
    assert isinstance(call.actions[-1], ev.CallerLeft)


async def test_a_call_that_ignores_the_departure_is_cancelled() -> None:
    call = ScriptedConversation("s", Script(deaf=True))
    await ending_of(MemorySocket([]), call)
    assert call.finished


async def test_a_stopping_gateway_flushes_and_says_goodbye() -> None:
    closing = asyncio.Event()
    closing.set()
    socket = MemorySocket([], leaves=False)
    call = ScriptedConversation("s", Script())
    ending = await ending_of(socket, call, closing=closing)
    assert ending.code == 1001
    assert socket.closed == (1001, "the gateway is stopping")
    assert [frame["type"] for frame in socket.sent] == ["session.created"]


async def test_a_client_that_never_reads_is_given_up() -> None:
    socket = MemorySocket(['{"type": "response.create"}'], leaves=False, stuck=True)
    call = ScriptedConversation("s", Script(flood=True, reply_s=0.003))
    ending = await ending_of(socket, call)
    assert ending.code == 1013
    assert call.finished


async def test_a_call_that_hangs_up_has_its_last_words_sent() -> None:
    class Brief:
        async def run(self, actions: "asyncio.Queue[ev.CallerAction]", emit: Any) -> None:
            await emit(ev.AudioCleared())

    socket = MemorySocket([], leaves=False)
    ending = await ending_of(socket, Brief())
    assert ending == Ending(1000, "the call ended")
    assert socket.sent[-1]["type"] == "input_audio_buffer.cleared"
    assert socket.closed == (1000, "the call ended")
