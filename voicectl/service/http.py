"""The gateway's HTTP side: the Realtime WebSocket, liveness and readiness. Knows no model and no media."""

import asyncio
from collections.abc import Mapping
from typing import Final, Protocol
from uuid import uuid4

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from voicectl.core.clock import Clock, MonotonicClock
from voicectl.core.errors import RequestRejected
from voicectl.core.events import CallerAction, CallerLeft, CallEvent
from voicectl.core.profile import Profile
from voicectl.media.transports.realtime.connection import (
    INTERNAL_ERROR,
    Connection,
    ConnectionLimits,
    Conversation,
)
from voicectl.media.transports.realtime.protocol import RealtimeProtocol
from voicectl.media.transports.realtime.session import SessionDefaults

__all__ = ["Conversation", "Gateway", "GatewayApp", "Sessions", "create_app"]

log = structlog.get_logger(__name__)

REALTIME_SUBPROTOCOL: Final = "realtime"
BETA_SUBPROTOCOL: Final = "openai-beta.realtime-v1"
BETA_HEADER_VALUE: Final = "realtime=v1"
TIMINGS_PARAMETER: Final = "voicectl_timings"
RETRY_AFTER_S: Final = 5


class Gateway(Protocol):
    """What serves the calls; implemented by the composition root."""

    @property
    def model_name(self) -> str:
        """The name that sessions report as their model."""
        ...

    def open_conversation(self, session_id: str) -> Conversation:
        """Return a call that is ready to run. Raises RequestRejected when there is no room for it."""
        ...

    def stages(self) -> Mapping[str, str]:
        """Return the state of each stage of the engine, such as "ready", "starting" or "restarting"."""
        ...

    def ready(self) -> bool:
        """Return whether calls can be served now."""
        ...


class Sessions:
    """The live calls of a gateway, and the stages of its end: draining admits none, closing ends all."""

    def __init__(self, max_sessions: int) -> None:
        self.max_sessions: Final = max_sessions
        self.draining = False
        self.closing: Final = asyncio.Event()
        self._live: Final[set[str]] = set()
        self._empty: Final = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._live)

    def admit(self, session_id: str) -> None:
        """Take a place. Raises RequestRejected when there is none."""
        if self.draining:
            raise RequestRejected("the gateway is stopping", hint="connect to another gateway")
        if len(self._live) >= self.max_sessions:
            raise RequestRejected(
                f"{len(self._live)} of {self.max_sessions} calls are in progress",
                hint="try again later, or raise server.max_sessions in the profile",
            )
        self._live.add(session_id)
        self._empty.clear()

    def release(self, session_id: str) -> None:
        """Give a place back."""
        self._live.discard(session_id)
        if not self._live:
            self._empty.set()

    async def wait_empty(self) -> None:
        """Return when no call is in progress."""
        await self._empty.wait()


class _StarletteSocket:
    """A Starlette WebSocket as a connection needs it."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    async def receive(self) -> str | bytes | None:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        text: str | None = message.get("text")
        if text is not None:
            return text
        payload: bytes = message["bytes"]
        return payload

    async def send(self, text: str) -> bool:
        try:
            await self._websocket.send_text(text)
        except (WebSocketDisconnect, RuntimeError):
            # Starlette raises RuntimeError for a send after the peer's close was received.
            return False
        return True

    async def close(self, code: int, reason: str) -> None:
        if self._websocket.client_state is WebSocketState.DISCONNECTED:
            return
        try:
            await self._websocket.close(code, reason)
        except (WebSocketDisconnect, RuntimeError):
            log.debug("close_after_disconnect", code=code)


class RealtimeEndpoint:
    """`/v1/realtime`: admits a client, then serves its connection."""

    def __init__(self, gateway: Gateway, profile: Profile, sessions: Sessions, clock: Clock) -> None:
        self._gateway = gateway
        self._sessions = sessions
        self._clock = clock
        self._max_message_bytes = profile.server.max_message_bytes
        self._defaults = session_defaults(profile)
        self._limits = ConnectionLimits(
            queue_depth=profile.server.queue_depth,
            stall_s=profile.server.stall_s,
            hangup_s=profile.server.hangup_s,
            idle_s=profile.timeouts.idle_session_s,
        )

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one client from upgrade to close."""
        session_id = f"sess_{uuid4().hex[:24]}"
        try:
            if not self._gateway.ready():
                raise RequestRejected("the engine is not ready", hint="see /readyz")
            self._sessions.admit(session_id)
        except RequestRejected as rejection:
            await _refuse(websocket, rejection)
            return
        try:
            await self._serve(websocket, session_id)
        finally:
            self._sessions.release(session_id)

    async def _serve(self, websocket: WebSocket, session_id: str) -> None:
        try:
            conversation = self._gateway.open_conversation(session_id)
        except RequestRejected as rejection:
            await _refuse(websocket, rejection)
            return
        offered = websocket.scope.get("subprotocols", [])
        try:
            await websocket.accept(subprotocol=REALTIME_SUBPROTOCOL if REALTIME_SUBPROTOCOL in offered else None)
        except (WebSocketDisconnect, RuntimeError):
            await _abandon(conversation)
            return
        protocol = RealtimeProtocol(
            session_id,
            self._gateway.model_name,
            defaults=self._defaults,
            beta=_asks_for_beta(websocket),
            timings=websocket.query_params.get(TIMINGS_PARAMETER) == "1",
            max_message_bytes=self._max_message_bytes,
        )
        socket = _StarletteSocket(websocket)
        connection = Connection(socket, protocol, conversation, clock=self._clock, limits=self._limits)
        with structlog.contextvars.bound_contextvars(session_id=session_id):
            log.info("session_opened", sessions=len(self._sessions))
            try:
                ending = await connection.run(self._sessions.closing)
            except* Exception:  # the edge of a connection: the others must not notice
                log.exception("connection_failed")
                await socket.close(INTERNAL_ERROR, "internal error")
            else:
                log.info("session_closed", code=ending.code, reason=ending.reason)


def _asks_for_beta(websocket: WebSocket) -> bool:
    wanted = websocket.headers.get("openai-beta", "")
    return BETA_HEADER_VALUE in [
        token.strip() for token in wanted.split(",")
    ] or BETA_SUBPROTOCOL in websocket.scope.get("subprotocols", [])


async def _abandon(conversation: Conversation) -> None:
    """Run a call whose caller left before the upgrade, so that it lets go of what it holds."""
    actions: asyncio.Queue[CallerAction] = asyncio.Queue(1)
    actions.put_nowait(CallerLeft("the client left before the upgrade"))

    async def nobody_hears(_: CallEvent) -> None:
        return

    await conversation.run(actions, nobody_hears)


async def _refuse(websocket: WebSocket, rejection: RequestRejected) -> None:
    """Answer the upgrade with 503, so that clients and load balancers may try again elsewhere."""
    log.warning("session_refused", reason=rejection.message)
    problem = {"type": "server_error", "code": "unavailable", "message": rejection.message, "param": None}
    await websocket.send_denial_response(
        JSONResponse({"error": problem}, status_code=503, headers={"Retry-After": str(RETRY_AFTER_S)})
    )


def session_defaults(profile: Profile) -> SessionDefaults:
    """Return what a session is at first under a profile."""
    return SessionDefaults(
        instructions=profile.llm.system_prompt,
        voice=profile.models.tts,
        transcription_model=profile.models.stt,
        language=profile.stt.language,
        hotwords=profile.stt.hotwords or "",
        speed=profile.tts.speed,
        max_output_tokens=profile.llm.max_reply_tokens,
        vad_threshold=profile.vad.start_threshold,
        prefix_padding_ms=profile.vad.prefix_ms,
        silence_ms=profile.endpointing.completion_ms,
        interrupt_response=profile.barge_in.enabled,
    )


class GatewayApp(Starlette):
    """The ASGI application, with what its server must know: the live calls and the largest message."""

    def __init__(self, routes: list[BaseRoute], sessions: Sessions, max_message_bytes: int) -> None:
        super().__init__(routes=routes)
        self.sessions: Final = sessions
        self.max_message_bytes: Final = max_message_bytes


def create_app(gateway: Gateway, profile: Profile, *, clock: Clock | None = None) -> GatewayApp:
    """Return the application that serves `gateway`. `clock` is the session clock of its calls."""
    sessions = Sessions(profile.server.max_sessions)

    async def alive(_: Request) -> JSONResponse:
        return JSONResponse({"status": "alive"})

    async def readiness(_: Request) -> JSONResponse:
        ready = gateway.ready() and not sessions.draining
        state = {
            "ready": ready,
            "draining": sessions.draining,
            "stages": dict(gateway.stages()),
            "sessions": {"live": len(sessions), "max": sessions.max_sessions},
        }
        return JSONResponse(state, status_code=200 if ready else 503)

    endpoint = RealtimeEndpoint(gateway, profile, sessions, clock or MonotonicClock())
    routes: list[BaseRoute] = [
        Route("/healthz", alive),
        Route("/readyz", readiness),
        WebSocketRoute("/v1/realtime", endpoint.serve),
    ]
    return GatewayApp(routes, sessions, profile.server.max_message_bytes)
