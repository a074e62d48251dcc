"""Stand between calls and what watches them: texts are redacted before any observer sees them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

import structlog

from voicectl.core import events as ev
from voicectl.core.ports import AuditTrail, CallIdentity, CallObserver, CallRedactor, Redactor
from voicectl.service.calls.observing import Observers

log = structlog.get_logger(__name__)

MAX_CALLS: Final = 10_000
"""Calls that are followed; only a gateway that never reports their end has more."""


class RedactingObserver:
    """A CallObserver that shows others the same calls without what must not be kept.

    Pieces of texts that are still being said are shown empty: what a number is can only be told from the whole.
    What was taken out of a call is noted in the audit log when the call ends.
    """

    def __init__(self, observers: Iterable[CallObserver], redactor: Redactor, audit: AuditTrail | None = None) -> None:
        self._observers = Observers(observers)
        self._redactor = redactor
        self._audit = audit
        self._calls: dict[tuple[str, float], CallRedactor] = {}

    def call_started(self, call: CallIdentity) -> None:
        """A call began."""
        self._calls[_key(call)] = self._redactor.open_call()
        if len(self._calls) > MAX_CALLS:
            del self._calls[next(iter(self._calls))]
        known = self._known(call)
        self._observers.show(lambda observer: observer.call_started(known))

    def call_event(self, call: CallIdentity, event: ev.CallEvent, at: float) -> None:
        """Something was told to the client."""
        redactor = self._calls.setdefault(_key(call), self._redactor.open_call())
        known, shown = self._known(call), redacted_event(event, redactor, self._redactor)
        self._observers.show(lambda observer: observer.call_event(known, shown, at))

    def call_ended(self, call: CallIdentity, reason: str) -> None:
        """A call is over."""
        redactor = self._calls.pop(_key(call), None)
        known, shown = self._known(call), self._redactor.text(reason)
        self._observers.show(lambda observer: observer.call_ended(known, shown))
        if redactor is None or self._audit is None:
            return
        redactor.close()
        if redactor.found:
            self._audit.note("redaction_applied", {"call_id": call.session_id, "counts": dict(redactor.found)})

    def _known(self, call: CallIdentity) -> CallIdentity:
        return replace(call, attributes=_texts(self._redactor, call.attributes)) if call.attributes else call


def redacted_event(  # noqa: PLR0911 - one return a kind of event
    event: ev.CallEvent, call: CallRedactor, alone: Redactor
) -> ev.CallEvent:
    """Return an event as observers may see it. `call` knows what was said before, `alone` redacts other texts."""
    match event:
        case ev.ItemAdded() | ev.ItemDone() | ev.ItemRetrieved() | ev.ToolCalled():
            return replace(event, item=redacted_item(event.item, call))
        case ev.TranscriptFinal(item_id, text):
            return replace(event, text=_said(call, item_id, text, "user"))
        case ev.ItemTruncated(item_id, _, text):
            return replace(event, text=_said(call, item_id, text, "assistant"))
        case ev.ResponseStarted():
            return replace(event, metadata=_metadata(alone, event.metadata))
        case ev.ResponseEnded():
            return replace(
                event,
                text=_said(call, event.item_id, event.text, "assistant"),
                reason=None if event.reason is None else alone.text(event.reason),
                metadata=_metadata(alone, event.metadata),
            )
        case ev.TranscriptDelta() | ev.ReplyText():
            return replace(event, text="")
        case ev.TranscriptFailed() | ev.EscalationRequested() | ev.ActionRejected():
            return replace(event, message=alone.text(event.message))
        case ev.SettingsChanged():
            return replace(event, settings=redacted_settings(event.settings, alone.text))
        case _:
            return event


def redacted_item(item: ev.Item, call: CallRedactor) -> ev.Item:
    """Return an entry of the conversation as it may be kept."""
    return replace(item, text=_said(call, item.item_id, item.text, item.role))


def redacted_settings(settings: ev.SessionSettings, redact: Callable[[str], str]) -> ev.SessionSettings:
    """Return what a client set, as it may be kept."""
    instructions, hotwords = settings.instructions, settings.hotwords
    return replace(
        settings,
        instructions=None if instructions is None else redact(instructions),
        hotwords=None if hotwords is None else redact(hotwords),
    )


def _said(call: CallRedactor, key: str, text: str, speaker: ev.Role) -> str:
    return call.add(key, text, speaker=speaker).text if text else text


def _metadata(redactor: Redactor, metadata: dict[str, str] | None) -> dict[str, str] | None:
    return None if metadata is None else _texts(redactor, metadata)


def _texts(redactor: Redactor, values: Mapping[str, str]) -> dict[str, str]:
    kept = {redactor.text(name): redactor.field(name, value) for name, value in values.items()}
    return {name: str(value) for name, value in kept.items() if value is not None}


def _key(call: CallIdentity) -> tuple[str, float]:
    # A session that is taken up again is another call, and may overlap with the one it takes over.
    return call.session_id, call.started_at
