"""One connection: reads a socket into a conversation, writes its events back, and leaves nothing behind."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec
import structlog

from voicectl.core.clock import Clock
from voicectl.core.events import CallerAction, CallerLeft, CallEvent
from voicectl.media.transports.realtime.protocol import RealtimeProtocol
from voicectl.media.transports.realtime.server_events import Json, error

log = structlog.get_logger(__name__)

NORMAL_CLOSURE: Final = 1000
GOING_AWAY: Final = 1001
INTERNAL_ERROR: Final = 1011
TRY_AGAIN_LATER: Final = 1013

Emit = Callable[[CallEvent], Awaitable[None]]


class Conversation(Protocol):
    """One call. It holds nothing before `run` and after it."""

    async def run(self, actions: "asyncio.Queue[CallerAction]", emit: Emit) -> None:
        """Take actions until CallerLeft, or until the call ends; tell the caller through `emit`."""
        ...


class Socket(Protocol):
    """A WebSocket as a connection needs it."""

    async def receive(self) -> str | bytes | None:
        """Return the next message, None once the peer is gone."""
        ...

    def why_gone(self) -> str:
        """Return why nothing more is received, once it is so."""
        ...

    async def send(self, text: str) -> bool:
        """Send a text message; False when the peer is gone."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye. Does nothing when the peer is gone."""
        ...


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds of one connection, seconds and counts; see `Server` and `Timeouts` of the profile."""

    queue_depth: int
    stall_s: float
    hangup_s: float
    idle_s: float


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a connection ends. `code` None means that the peer is gone and no goodbye is owed."""

    code: int | None
    reason: str


class Connection:
    """The tasks of one client: reader, conversation, writer. Each returns an Ending when it is done."""

    def __init__(
        self,
        socket: Socket,
        protocol: RealtimeProtocol,
        conversation: Conversation,
        *,
        clock: Clock,
        limits: ConnectionLimits,
    ) -> None:
        self._socket = socket
        self._protocol = protocol
        self._conversation = conversation
        self._clock = clock
        self._limits = limits
        self._actions: asyncio.Queue[CallerAction] = asyncio.Queue(limits.queue_depth)
        self._outgoing: asyncio.Queue[Json | None] = asyncio.Queue(limits.queue_depth)
        self._overrun = asyncio.Event()
        self._deaf = False

    async def run(self, closing: asyncio.Event) -> Ending:
        """Serve the client until it leaves, the call ends, it misbehaves, or `closing` is set."""
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(self._read())
            call = group.create_task(self._converse())
            writer = group.create_task(self._write())
            watchers = [group.create_task(self._watch_overrun()), group.create_task(_going_away(closing))]
            tasks = [reader, call, writer, *watchers]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                # In the order of `tasks`: that the peer is gone outweighs what follows from it.
                ending = next(task.result() for task in tasks if task in done)
                reader.cancel()
                await self._wind_up(ending, call, writer)
            finally:
                for task in tasks:
                    task.cancel()
        return ending

    async def _wind_up(self, ending: Ending, call: asyncio.Task[Ending], writer: asyncio.Task[Ending]) -> None:
        """Let the call hear that its caller left, flush what is owed, and close; each within its time."""
        # Nobody reads any more: what the call still has to say must not hold it up.
        self._deaf = ending.code in (None, TRY_AGAIN_LATER)
        if not call.done():
            if self._actions.full():
                self._actions.get_nowait()
            self._actions.put_nowait(CallerLeft(ending.reason))
            await asyncio.wait([call], timeout=self._limits.hangup_s)
        if ending.code is None:
            return
        if not self._deaf and not writer.done():
            await self._put(None)
            await asyncio.wait([writer], timeout=self._limits.hangup_s)
        writer.cancel()
        try:
            async with asyncio.timeout(self._limits.hangup_s):
                await self._socket.close(ending.code, ending.reason)
        except TimeoutError:
            log.warning("close_not_sent", code=ending.code, reason=ending.reason)

    # --- tasks ---------------------------------------------------------------------------------

    async def _read(self) -> Ending:
        while True:
            try:
                async with asyncio.timeout(self._limits.idle_s):
                    frame = await self._socket.receive()
            except TimeoutError:
                return Ending(NORMAL_CLOSURE, f"nothing received for {self._limits.idle_s:g} s")
            if frame is None:
                return Ending(None, self._socket.why_gone())
            received = self._protocol.receive(frame, self._clock.now())
            for event in received.events:
                log.info("client_event_refused", code=event["error"]["code"], param=event["error"]["param"])
                await self._put(event)
            for action in received.actions:
                try:
                    async with asyncio.timeout(self._limits.stall_s):
                        await self._actions.put(action)
                except TimeoutError:
                    log.error("call_stalled", waiting=self._actions.qsize(), stall_s=self._limits.stall_s)
                    return Ending(INTERNAL_ERROR, f"the call took no audio for {self._limits.stall_s:g} s")

    async def _converse(self) -> Ending:
        try:
            await self._conversation.run(self._actions, self._emit)
        except Exception:  # the edge of a call: one that fails must not take another with it
            log.exception("call_failed")
            await self._put(error("internal_error", "the call failed; see the gateway's log", kind="server_error"))
            return Ending(INTERNAL_ERROR, "the call failed")
        return Ending(NORMAL_CLOSURE, "the call ended")

    async def _emit(self, event: CallEvent) -> None:
        for server_event in self._protocol.send(event, self._clock.now()):
            await self._put(server_event)

    async def _put(self, event: Json | None) -> None:
        """Queue an event for the client; one that stopped reading is given up."""
        if self._deaf:
            # A call that talks without pause must not keep the loop from hanging it up.
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(self._limits.stall_s):
                await self._outgoing.put(event)
        except TimeoutError:
            self._deaf = True
            self._overrun.set()

    async def _write(self) -> Ending:
        event: Json | None
        waiting = deque(self._protocol.opening())
        while True:
            event = waiting.popleft() if waiting else await self._outgoing.get()
            if event is None:
                return Ending(NORMAL_CLOSURE, "everything is sent")
            if not await self._socket.send(msgspec.json.encode(event).decode()):
                return Ending(None, "the client is gone")

    async def _watch_overrun(self) -> Ending:
        await self._overrun.wait()
        log.warning("client_too_slow", waiting=self._outgoing.qsize(), stall_s=self._limits.stall_s)
        return Ending(TRY_AGAIN_LATER, f"the client read nothing for {self._limits.stall_s:g} s")


async def _going_away(closing: asyncio.Event) -> Ending:
    await closing.wait()
    return Ending(GOING_AWAY, "the gateway is stopping")
