"""One client's side of the Realtime wire: frames in, caller actions and server events out. Knows no socket."""

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from voicectl.core import events as ev
from voicectl.core.events import CallerAction, CallEvent, SessionSettings
from voicectl.media.transports.realtime import beta as beta_dialect
from voicectl.media.transports.realtime import client_events as sent
from voicectl.media.transports.realtime import server_events as out
from voicectl.media.transports.realtime.audio_format import decode_audio
from voicectl.media.transports.realtime.client_items import new_item, new_items
from voicectl.media.transports.realtime.client_tools import parse_choice, parse_tools
from voicectl.media.transports.realtime.errors import UNSUPPORTED, ClientEventError
from voicectl.media.transports.realtime.responses import OpenResponse, unannounced
from voicectl.media.transports.realtime.server_events import Json
from voicectl.media.transports.realtime.session import (
    RealtimeSession,
    SessionDefaults,
    format_of,
    new_session,
    resumed_session,
    updated_session,
)

DEGRADED_EVENT: Final = "voicectl.service_degraded"
ESCALATION_EVENT: Final = "voicectl.escalation_requested"
"""Events that no stock client knows; only clients that ask for them get them."""


@dataclass(frozen=True, slots=True)
class Received:
    """What one frame means: actions for the call, and events to answer at once."""

    actions: tuple[CallerAction, ...] = ()
    events: tuple[Json, ...] = ()


class RealtimeProtocol:
    """The state of one connection. Bad input becomes `error` events; nothing a client sends raises.

    Extensions of the wire, all by query parameters of the URL, which the endpoint parses:
    `voicectl_session=<id>` goes on with a conversation whose connection or gateway was lost (`resumed`
    are its settings; `session.created` shows them under the same session id, and a turn that was not
    answered is answered without being asked for; audio formats have to be set again),
    `voicectl_timings=1` adds stage times to `response.done` (`timings`), and `voicectl_events=1` adds
    the events `voicectl.service_degraded` and `voicectl.escalation_requested` (`appliance_events`).
    """

    def __init__(
        self,
        session_id: str,
        model: str,
        *,
        defaults: SessionDefaults,
        beta: bool = False,
        timings: bool = False,
        appliance_events: bool = False,
        resumed: SessionSettings | None = None,
        max_message_bytes: int = 1_000_000,
    ) -> None:
        session = new_session(session_id, model, defaults)
        self._session = session if resumed is None else resumed_session(session, resumed)
        self._beta = beta
        self._timings = timings
        self._appliance_events = appliance_events
        self._max_message_bytes = max_message_bytes
        self._unconfirmed: deque[RealtimeSession] = deque()
        self._responses: dict[str, OpenResponse] = {}
        self._speech_began_ms: dict[str, int] = {}
        self._partial_items: set[str] = set()

    @property
    def session(self) -> RealtimeSession:
        """The session as last set by the client."""
        return self._session

    def opening(self) -> list[Json]:
        """Return what greets the client."""
        events = [out.event("session.created", session=self._session.as_ga())]
        if self._beta:
            conversation_id = f"conv_{self._session.session_id.removeprefix('sess_')}"
            conversation = {"id": conversation_id, "object": "realtime.conversation"}
            events.append(out.event("conversation.created", conversation=conversation))
        return self._in_dialect(events)

    # --- client → call -------------------------------------------------------------------------

    def receive(self, frame: str | bytes, at: float) -> Received:
        """Return what a frame, received at `at` session seconds, asks for."""
        event_id: str | None = None
        try:
            plain = sent.decode_frame(frame, self._max_message_bytes)
            event_id = sent.client_event_id(plain)
            event = sent.parse_event(beta_dialect.to_ga(plain) if self._beta else plain)
            action = self._action(event, at)
        except ClientEventError as refusal:
            param = beta_dialect.beta_param(refusal.param) if self._beta else refusal.param
            return Received(events=(out.error(refusal.code, refusal.message, param=param, event_id=event_id),))
        return Received() if action is None else Received(actions=(action,))

    def _action(self, event: sent.ClientEvent, at: float) -> CallerAction | None:  # noqa: PLR0911 # one arm an event
        match event:
            case sent.AudioAppend():
                pcm = decode_audio(event.audio, self._session.input_format)
                return ev.AudioReceived(pcm, self._session.input_format.sample_rate, at) if pcm else None
            case sent.SessionUpdateEvent():
                return self._configured(event)
            case sent.AudioCommit():
                return ev.AudioCommitRequested(event.event_id)
            case sent.AudioClear():
                return ev.AudioClearRequested(event.event_id)
            case sent.ItemCreate():
                return ev.ItemCreateRequested(new_item(event.item), event.previous_item_id, event.event_id)
            case sent.ItemDelete():
                return ev.ItemDeleteRequested(event.item_id, event.event_id)
            case sent.ItemRetrieve():
                return ev.ItemRetrieveRequested(event.item_id, event.event_id)
            case sent.ItemTruncate():
                return ev.ItemTruncateRequested(event.item_id, event.audio_end_ms, event.event_id)
            case sent.ResponseCreate():
                return self._requested(event)
            case sent.ResponseCancel():
                return ev.ResponseCancelRequested(event.response_id, event.event_id)

    def _configured(self, event: sent.SessionUpdateEvent) -> ev.SessionConfigured:
        # The input format must change with the very next append, so it does not wait for the call's answer.
        self._session, settings = updated_session(self._session, event.session)
        self._unconfirmed.append(self._session)
        return ev.SessionConfigured(settings, event.event_id)

    def _requested(self, event: sent.ResponseCreate) -> ev.ResponseRequested:
        wanted = event.response or sent.ResponseParams()
        _refuse_unsupported(wanted, self._session)
        limit = wanted.max_output_tokens
        choice = None if wanted.tool_choice is None else parse_choice(wanted.tool_choice, "response.tool_choice")
        return ev.ResponseRequested(
            instructions=wanted.instructions,
            output_modality=None if wanted.output_modalities is None else wanted.output_modalities[0],
            max_output_tokens=self._session.defaults.max_output_tokens if limit == "inf" else limit,
            metadata=wanted.metadata,
            event_id=event.event_id,
            tools=None if wanted.tools is None else parse_tools(wanted.tools, "response.tools"),
            tool_choice=None if choice is None else choice.tool_choice,
            forced_tool=None if choice is None else choice.forced_tool,
            out_of_band=wanted.conversation == "none",
            input=None if wanted.input is None else new_items(wanted.input, "response.input"),
        )

    # --- call → client -------------------------------------------------------------------------

    def send(self, event: CallEvent, at: float) -> list[Json]:
        """Return the server events that tell the client of `event`, which is sent at `at` session seconds."""
        return self._in_dialect(self._server_events(event, at))

    def _in_dialect(self, events: list[Json]) -> list[Json]:
        if not self._beta:
            return events
        translated = (beta_dialect.from_ga(event) for event in events)
        return [event for event in translated if event is not None]

    def _server_events(self, event: CallEvent, at: float) -> list[Json]:  # noqa: PLR0911 # one arm an event
        match event:
            case ev.ReplyAudio():
                response = self._responses.get(event.response_id)
                return [] if response is None else response.audio(event)
            case ev.ReplyText():
                response = self._responses.get(event.response_id)
                return [] if response is None else response.text(event)
            case ev.ResponseStarted():
                return self._started(event)
            case ev.ResponseEnded():
                return self._ended(event, at)
            case ev.SettingsChanged():
                session = self._unconfirmed.popleft() if self._unconfirmed else self._session
                return [out.event("session.updated", session=session.as_ga())]
            case ev.ActionRejected():
                return [out.error(event.code, event.message, param=event.param, event_id=event.event_id)]
            case ev.SpeechStarted() | ev.SpeechStopped() | ev.SpeechDiscarded():
                return self._speech(event)
            case ev.AudioCommitted() | ev.AudioCleared():
                return [_buffer_event(event)]
            case ev.TranscriptDelta() | ev.TranscriptFinal() | ev.TranscriptFailed():
                return self._transcript(event)
            case ev.ToolCalled():
                return self._tool_called(event)
            case ev.ServiceDegraded() | ev.EscalationRequested():
                return self._appliance_event(event)
            case _:
                return self._item_event(event)

    def _started(self, event: ev.ResponseStarted) -> list[Json]:
        response = self._responses[event.response_id] = OpenResponse(event, self._session)
        return response.opening()

    def _ended(self, event: ev.ResponseEnded, at: float) -> list[Json]:
        opening = [] if event.response_id in self._responses else self._started(unannounced(event))
        response = self._responses.pop(event.response_id)
        return [*opening, *response.closing(event, sent_at=at if self._timings else None)]

    def _tool_called(self, event: ev.ToolCalled) -> list[Json]:
        response = self._responses.get(event.response_id)
        if response is not None and not event.by_gateway:
            return response.call(event)
        # What the gateway carries out is part of the conversation but no output that a client must act on.
        item = out.wire_item(event.item)
        place = {"item": item, "previous_item_id": event.previous_item_id}
        return [out.event(f"conversation.item.{kind}", **place) for kind in ("added", "done")]

    def _appliance_event(self, event: ev.ServiceDegraded | ev.EscalationRequested) -> list[Json]:
        if not self._appliance_events:
            return []
        if isinstance(event, ev.ServiceDegraded):
            measures = list(event.measures)
            return [out.event(DEGRADED_EVENT, level=event.level, measures=measures, reason=event.reason)]
        return [out.event(ESCALATION_EVENT, reason=event.reason, message=event.message)]

    def _speech(self, event: ev.SpeechStarted | ev.SpeechStopped | ev.SpeechDiscarded) -> list[Json]:
        if isinstance(event, ev.SpeechStarted):
            began_ms = self._speech_began_ms[event.item_id] = out.milliseconds(event.position_s)
            return [out.event("input_audio_buffer.speech_started", audio_start_ms=began_ms, item_id=event.item_id)]
        began = self._speech_began_ms.pop(event.item_id, None)
        if isinstance(event, ev.SpeechStopped):
            ended_ms = out.milliseconds(event.position_s)
            return [out.event("input_audio_buffer.speech_stopped", audio_end_ms=ended_ms, item_id=event.item_id)]
        # GA has no word for noise: end what was begun, so that no client waits for the turn.
        events = []
        if began is not None:
            events.append(out.event("input_audio_buffer.speech_stopped", audio_end_ms=began, item_id=event.item_id))
        if event.item_id in self._partial_items:
            events += self._transcript(ev.TranscriptFailed(event.item_id, "this was no speech"))
        return events

    def _transcript(self, event: ev.TranscriptDelta | ev.TranscriptFinal | ev.TranscriptFailed) -> list[Json]:
        place: dict[str, Any] = {"item_id": event.item_id, "content_index": 0}
        name = "conversation.item.input_audio_transcription"
        if isinstance(event, ev.TranscriptDelta):
            self._partial_items.add(event.item_id)
            return [out.event(f"{name}.delta", **place, delta=event.text)]
        self._partial_items.discard(event.item_id)
        if isinstance(event, ev.TranscriptFinal):
            usage = {"type": "duration", "seconds": out.milliseconds(event.duration_s) / 1000}
            return [out.event(f"{name}.completed", **place, transcript=event.text, usage=usage)]
        failure = {
            "type": "transcription_error",
            "code": "transcription_failed",
            "message": event.message,
            "param": None,
        }
        return [out.event(f"{name}.failed", **place, error=failure)]

    def _item_event(
        self, event: ev.ItemAdded | ev.ItemDone | ev.ItemDeleted | ev.ItemRetrieved | ev.ItemTruncated
    ) -> list[Json]:
        match event:
            case ev.ItemDeleted():
                return [out.event("conversation.item.deleted", item_id=event.item_id)]
            case ev.ItemTruncated():
                fields = {"item_id": event.item_id, "content_index": 0, "audio_end_ms": event.audio_end_ms}
                return [out.event("conversation.item.truncated", **fields)]
            case ev.ItemRetrieved():
                return [out.event("conversation.item.retrieved", item=out.wire_item(event.item))]
        for response in self._responses.values():
            if response.item_id == event.item.item_id:
                # The reply ends its own entry.
                return response.begin_message(event.previous_item_id) if isinstance(event, ev.ItemAdded) else []
        kind = "added" if isinstance(event, ev.ItemAdded) else "done"
        item = out.wire_item(event.item, in_progress=kind == "added")
        return [out.event(f"conversation.item.{kind}", item=item, previous_item_id=event.previous_item_id)]


def _buffer_event(event: ev.AudioCommitted | ev.AudioCleared) -> Json:
    if isinstance(event, ev.AudioCleared):
        return out.event("input_audio_buffer.cleared")
    return out.event("input_audio_buffer.committed", item_id=event.item_id, previous_item_id=event.previous_item_id)


def _refuse_unsupported(wanted: sent.ResponseParams, session: RealtimeSession) -> None:
    if wanted.prompt is not None:
        raise ClientEventError(UNSUPPORTED, "stored prompts are not supported by this gateway", param="response.prompt")
    wanted_format = wanted.audio.output.format if wanted.audio and wanted.audio.output else None
    param = "response.audio.output.format"
    if wanted_format is not None and format_of(wanted_format, param) is not session.output_format:
        raise ClientEventError(
            UNSUPPORTED, "the output format is the session's: change it with session.update", param=param
        )
