"""Turn what happens in calls into events. Keeps a few numbers a call, and waits for nothing."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog

from voicectl.core import events as ev
from voicectl.core.clock import Clock, MonotonicClock
from voicectl.core.ports import CallIdentity
from voicectl.core.sections.webhooks import EventType
from voicectl.service.webhooks.event import WebhookEvent, bounded, bounded_attributes

log = structlog.get_logger(__name__)

MAX_CALLS: Final = 10_000
"""Calls that are followed; only a gateway that never reports their end has more."""


@dataclass(slots=True)
class _Followed:
    """What is remembered of a call for its later events."""

    started_at: float
    num_turns: int = 0
    caller_text: str | None = None


class WebhookObserver:
    """A CallObserver that hands events to `offer`, which must not wait."""

    def __init__(
        self,
        offer: Callable[[WebhookEvent], None],
        *,
        clock: Clock | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._offer = offer
        self._clock = clock or MonotonicClock()
        self._now = now
        self._calls: dict[str, _Followed] = {}
        self._degraded: ev.ServiceDegraded | None = None

    def call_started(self, call: CallIdentity) -> None:
        """Tell of a session that began, or was taken up again."""
        self._calls[call.session_id] = _Followed(self._clock.now())
        if len(self._calls) > MAX_CALLS:
            del self._calls[next(iter(self._calls))]
        self._tell("session.resumed" if call.resumed else "session.started", _whose(call))

    def call_event(self, call: CallIdentity, event: ev.CallEvent, at: float) -> None:
        """Tell of what receivers may want to know."""
        match event:
            case ev.TranscriptFinal(text=text):
                self._followed(call).caller_text = text
            case ev.ResponseEnded():
                self._tell_turn(call, event)
            case ev.ToolCalled():
                self._tell_tool(call, event)
            case ev.EscalationRequested(reason, message):
                self._tell(
                    "call.escalation_requested",
                    _whose(call) | {"reason": bounded(reason), "message": bounded(message)},
                )
            case ev.ServiceDegraded(level, measures, reason):
                # Every call is told; other systems need to know once.
                if event != self._degraded:
                    self._degraded = event
                    facts = {"level": level, "measures": list(measures), "reason": bounded(reason)}
                    self._tell("service.degraded", facts)

    def call_ended(self, call: CallIdentity, reason: str) -> None:
        """Tell of a session's end."""
        followed = self._calls.pop(call.session_id, None)
        ended = {
            "reason": bounded(reason),
            "duration_s": round(self._clock.now() - followed.started_at, 3) if followed is not None else None,
            "num_turns": followed.num_turns if followed is not None else None,
        }
        self._tell("session.ended", _whose(call) | ended)

    def _tell_turn(self, call: CallIdentity, event: ev.ResponseEnded) -> None:
        followed = self._followed(call)
        followed.num_turns += 1
        facts = {
            "response_id": event.response_id,
            "item_id": event.item_id,
            "status": event.status,
            "reason": event.reason,
            "modality": event.modality,
            "usage": {
                "prompt_tokens": event.usage.prompt_tokens,
                "cached_tokens": event.usage.cached_tokens,
                "completion_tokens": event.usage.completion_tokens,
            },
            "latencies_ms": latencies_ms(event.times),
        }
        said, followed.caller_text = followed.caller_text, None
        spoken = {"caller_text": bounded(said) if said is not None else None, "reply_text": bounded(event.text)}
        self._tell("call.turn_completed", _whose(call) | facts, spoken)

    def _tell_tool(self, call: CallIdentity, event: ev.ToolCalled) -> None:
        facts = {
            "response_id": event.response_id,
            "tool_call_id": event.item.call_id,
            "name": bounded(event.item.name or ""),
            "by_gateway": event.by_gateway,
        }
        self._tell("call.tool_called", _whose(call) | facts, {"arguments": bounded(event.item.text)})

    def _followed(self, call: CallIdentity) -> _Followed:
        return self._calls.setdefault(call.session_id, _Followed(self._clock.now()))

    def _tell(self, kind: EventType, facts: dict[str, Any], spoken: dict[str, Any] | None = None) -> None:
        self._offer(WebhookEvent(kind, self._now(), facts, spoken or {}))


def latencies_ms(times: ev.StageTimes | None) -> dict[str, float | None]:
    """Return where the time of a turn went, each from what came before it; None is what did not happen."""
    if times is None:
        return {}
    return {
        "eou_to_first_audio": _between(times.committed_at, times.first_sent_at),
        "hesitation_to_transcript": _between(times.hesitated_at, times.transcribed_at),
        "transcript_to_first_token": _between(times.transcribed_at, times.first_token_at),
        "first_token_to_first_clause": _between(times.first_token_at, times.first_clause_at),
        "first_clause_to_first_audio": _between(times.first_clause_at, times.first_audio_at),
        "last_voiced_to_commit": _between(times.last_voiced_at, times.committed_at),
    }


def _between(start_at: float | None, end_at: float | None) -> float | None:
    return round((end_at - start_at) * 1000, 1) if start_at is not None and end_at is not None else None


def _whose(call: CallIdentity) -> dict[str, Any]:
    return {
        "session_id": call.session_id,
        "owner": call.owner,
        "resumed": call.resumed,
        "attributes": bounded_attributes(call.attributes),
    }
