"""`/v1/realtime`: who gets a session, new or resumed, and its connection from upgrade to close."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from voicectl.core.checkpoint import ConversationState
from voicectl.core.clock import Clock
from voicectl.core.errors import RequestRejected
from voicectl.core.events import CallerAction, CallerLeft, CallEvent
from voicectl.core.ports import Purpose
from voicectl.core.profile import Profile
from voicectl.core.rollout import Refused
from voicectl.media.transports.realtime.connection import (
    INTERNAL_ERROR,
    TRY_AGAIN_LATER,
    Connection,
    ConnectionLimits,
    Conversation,
    Ending,
)
from voicectl.media.transports.realtime.protocol import RealtimeProtocol
from voicectl.media.transports.realtime.server_events import error
from voicectl.media.transports.realtime.session import SessionDefaults
from voicectl.service.access.control import AccessControl, Principal
from voicectl.service.access.middleware import PRINCIPAL
from voicectl.service.gateway import Gateway
from voicectl.service.http.attributes import attributes_of
from voicectl.service.http.problem import Problem, forbidden, invalid, not_found, problem_response, unavailable
from voicectl.service.http.seated_socket import SeatedSocket
from voicectl.service.http.seats import POLICY_VIOLATION, TAKEN_OVER, Seat, SeatEnding, Seats
from voicectl.service.http.use_case import PARAMETER as USE_CASE_PARAMETER
from voicectl.service.http.use_case import use_case_of
from voicectl.service.load.admission import Admission, SessionRefused

log = structlog.get_logger(__name__)

REALTIME_SUBPROTOCOL: Final = "realtime"
BETA_SUBPROTOCOL: Final = "openai-beta.realtime-v1"
BETA_HEADER_VALUE: Final = "realtime=v1"
SESSION_PARAMETER: Final = "voicectl_session"
EVENTS_PARAMETER: Final = "voicectl_events"
TIMINGS_PARAMETER: Final = "voicectl_timings"
RETRY_S: Final = 5.0
"""When to ask again where nothing better is known."""
LEAVE_FACTOR: Final = 4
"""A connection that is taken over has this many times `server.hangup_s` to go: call, writer and close take one each."""
_SESSION_ID: Final = re.compile(r"sess_[0-9a-f]{24}")
_REASON_BYTES: Final = 120


@dataclass(frozen=True, slots=True)
class Opened:
    """A call that is ready for its client; `state` is where it goes on, None for a new one."""

    seat: Seat
    conversation: Conversation
    state: ConversationState | None


class RealtimeEndpoint:
    """Admits clients and serves their connections."""

    def __init__(
        self, gateway: Gateway, profile: Profile, admission: Admission, control: AccessControl, clock: Clock
    ) -> None:
        server = profile.server
        self.seats: Final = Seats(first_event_s=server.first_event_s, max_session_s=server.max_session_s)
        self._gateway = gateway
        self._admission = admission
        self._control = control
        self._clock = clock
        self._max_message_bytes = server.max_message_bytes
        self._hangup_s = server.hangup_s
        self._defaults = session_defaults(profile)
        self._default_use_case = profile.governance.use_case
        self._limits = ConnectionLimits(
            queue_depth=server.queue_depth,
            stall_s=server.stall_s,
            hangup_s=server.hangup_s,
            idle_s=profile.timeouts.idle_session_s,
        )

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one client from upgrade to close."""
        try:
            async with self._opened(websocket) as opened:
                with structlog.contextvars.bound_contextvars(session_id=opened.seat.session_id):
                    await self._serve(websocket, opened)
        except Problem as problem:
            await _refuse(websocket, problem)

    @asynccontextmanager
    async def _opened(self, websocket: WebSocket) -> AsyncIterator[Opened]:
        """Hold a place and a call for a client, as long as it is connected. Raises Problem."""
        principal: Principal = websocket.scope["state"][PRINCIPAL]
        attributes = attributes_of(websocket.query_params.multi_items())
        named = use_case_of(websocket.query_params.get(USE_CASE_PARAMETER))
        wanted = websocket.query_params.get(SESSION_PARAMETER)
        if not (self._gateway.ready() if wanted is None else self._gateway.resuming()):
            raise unavailable("the engine is not ready: see /readyz", RETRY_S)
        seat = await self._seat(wanted, principal.owner, named)
        try:
            state = None if wanted is None else await self._saved(seat)
            purpose = self._purpose(self._use_case(named, state))
            seat.use_case = purpose.use_case
            with self._control.session_of(principal):
                try:
                    await self._admission.admit(seat.session_id)
                except SessionRefused as refusal:
                    raise unavailable(refusal.message, refusal.retry_after_s) from refusal
                try:
                    yield Opened(seat, self._call(seat, attributes, state, purpose), state)
                finally:
                    self._admission.release(seat.session_id)
        finally:
            self.seats.leave(seat)

    async def _seat(self, wanted: str | None, owner: str | None, named: str | None) -> Seat:
        """Return a seat for a new session, or for an earlier one that no other connection holds any more.

        Raises Problem, before anything becomes of the other connection.
        """
        if wanted is None:
            return self.seats.take(f"sess_{uuid4().hex[:24]}", owner)
        if not _SESSION_ID.fullmatch(wanted):
            raise _unknown_session(wanted)
        while (held := self.seats.holder(wanted)) is not None:
            if held.owner != owner:
                raise _unknown_session(wanted)
            if held.use_case is not None:
                self._purpose(_same_use_case(named, held.use_case, wanted))
            # The client lost its connection before we noticed: the old one must not answer for it any longer.
            log.info("session_taken_over", session_id=wanted)
            held.end(SeatEnding(TAKEN_OVER, "the session goes on over another connection"))
            try:
                async with asyncio.timeout(LEAVE_FACTOR * self._hangup_s):
                    await held.left.wait()
            except TimeoutError as error:
                raise unavailable("the session's earlier connection does not end", RETRY_S) from error
        return self.seats.take(wanted, owner)

    async def _saved(self, seat: Seat) -> ConversationState:
        state = await self._gateway.saved(seat.session_id, seat.owner)
        if state is None:
            raise _unknown_session(seat.session_id)
        return state

    def _use_case(self, named: str | None, state: ConversationState | None) -> str:
        """Return the use case of a call: that of its session, whatever its client says later. Raises Problem."""
        if state is None:
            return named or self._default_use_case
        return _same_use_case(named, state.use_case or self._default_use_case, state.session_id)

    def _purpose(self, use_case: str) -> Purpose:
        """Return what a call is for. Raises Problem for a use case that may not be served."""
        found = self._gateway.admit(use_case)
        if isinstance(found, Refused):
            # Which file cannot be believed, and why, is for the host's own log.
            reason = "what was opened cannot be proven" if found.code == "rollout_unproven" else found.reason
            raise forbidden(found.code, f"the use case {use_case} gets no traffic: {reason}", param=USE_CASE_PARAMETER)
        return Purpose(use_case, found.tier)

    def _call(
        self, seat: Seat, attributes: Mapping[str, str], state: ConversationState | None, purpose: Purpose
    ) -> Conversation:
        try:
            return self._gateway.open_conversation(
                seat.session_id, owner=seat.owner, attributes=attributes, state=state, purpose=purpose
            )
        except RequestRejected as rejection:
            raise unavailable(rejection.message, RETRY_S) from rejection

    async def _serve(self, websocket: WebSocket, opened: Opened) -> None:
        offered = websocket.scope.get("subprotocols", [])
        try:
            await websocket.accept(subprotocol=REALTIME_SUBPROTOCOL if REALTIME_SUBPROTOCOL in offered else None)
        except (WebSocketDisconnect, RuntimeError):
            await _abandon(opened.conversation)
            return
        protocol = RealtimeProtocol(
            opened.seat.session_id,
            self._gateway.model_name,
            defaults=self._defaults,
            beta=_asks_for_beta(websocket),
            timings=websocket.query_params.get(TIMINGS_PARAMETER) == "1",
            appliance_events=websocket.query_params.get(EVENTS_PARAMETER) == "1",
            resumed=None if opened.state is None else opened.state.settings,
            max_message_bytes=self._max_message_bytes,
        )
        socket = SeatedSocket(websocket, self.seats, opened.seat)
        connection = Connection(socket, protocol, opened.conversation, clock=self._clock, limits=self._limits)
        log.info("session_opened", sessions=len(self._admission), resumed=opened.state is not None)
        try:
            ending = await connection.run(self._admission.closing)
        except* Exception:  # the edge of a connection: the others must not notice
            log.exception("connection_failed")
            await socket.close(INTERNAL_ERROR, "internal error")
        else:
            if ending.code is None and opened.seat.is_over():
                await socket.dismiss(self._hangup_s)
                ending = Ending(opened.seat.ending.code, opened.seat.ending.reason)
            log.info("session_closed", code=ending.code, reason=ending.reason)


def _same_use_case(named: str | None, kept: str, session_id: str) -> str:
    """Return the use case of an earlier session. Raises Problem when the client names another one."""
    if named is not None and named != kept:
        # Or a call of a use case that was demoted would come back under the name of another one.
        raise invalid(
            "session_use_case_differs",
            f"the session {session_id} is of another use case than {named}: go on without naming one, "
            "or open a new session",
            param=USE_CASE_PARAMETER,
        )
    return kept


def _unknown_session(session_id: str) -> Problem:
    # One answer for all causes: whether somebody else's session exists is nobody's business.
    message = f"there is no session {session_id[:80]!r} to go on with: open a new one"
    return not_found("session_not_found", message, param=SESSION_PARAMETER)


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


async def _refuse(websocket: WebSocket, problem: Problem) -> None:
    """Answer the upgrade with the problem, so that clients and load balancers see it before they send anything.

    A browser's page sees nothing of such an answer: it gets the upgrade, an `error` event and a close.
    """
    log.warning("session_refused", status=problem.status, code=problem.code, reason=problem.message)
    if "origin" not in websocket.headers:
        await websocket.send_denial_response(problem_response(problem))
        return
    offered = websocket.scope.get("subprotocols", [])
    await websocket.accept(subprotocol=REALTIME_SUBPROTOCOL if REALTIME_SUBPROTOCOL in offered else None)
    event = error(problem.code, problem.message, param=problem.param, kind=problem.kind)
    try:
        await websocket.send_json(event)
        code = TRY_AGAIN_LATER if problem.retry_after_s is not None else POLICY_VIOLATION
        await websocket.close(code, problem.message.encode()[:_REASON_BYTES].decode(errors="ignore"))
    except (WebSocketDisconnect, RuntimeError):
        log.debug("close_after_disconnect", code=problem.code)


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
