"""The events of one reply, in the order that clients rely on."""

import json
import math
from dataclasses import asdict
from typing import Any, Final

from voicectl.core.events import Item, ReplyAudio, ReplyText, ResponseEnded, ResponseStarted, StageTimes, ToolCalled
from voicectl.media.transports.realtime import server_events as out
from voicectl.media.transports.realtime.audio_format import AudioEncoder
from voicectl.media.transports.realtime.server_events import Json
from voicectl.media.transports.realtime.session import RealtimeSession

TIMES_KEY: Final = "voicectl.times"
"""Metadata key of the stage times of a turn, for clients that asked for them."""


class OpenResponse:
    """A reply from `response.created` to `response.done`; its audio format is the one it began with.

    Its message is announced when the first of it comes, because clients speak empty messages: a reply
    that only calls functions has none.
    """

    def __init__(self, started: ResponseStarted, session: RealtimeSession) -> None:
        self.item_id: Final = started.item_id
        self._started: Final = started
        self._session: Final = session.as_ga()
        self._encoder: Final = AudioEncoder(session.output_format)
        self._spoken: Final = started.modality == "audio"
        self._output: list[Json] = []
        self._message_index: int | None = None
        self._previous_item_id = started.previous_item_id

    def opening(self) -> list[Json]:
        """Return what announces the reply."""
        return [out.event("response.created", response=self._response("in_progress", self._started.metadata))]

    def begin_message(self, previous_item_id: str | None) -> list[Json]:
        """Return what announces the message, nothing if it is announced."""
        if self._message_index is not None:
            return []
        item = out.wire_item(self._message("", complete=False), in_progress=True)
        self._message_index = len(self._output)
        self._previous_item_id = previous_item_id
        self._output.append(item)
        return [
            *self._item_added(self._message_index, item, previous_item_id),
            self._part_event("response.content_part.added", part=out.content_part(self._started.modality, "")),
        ]

    def text(self, more: ReplyText) -> list[Json]:
        """Return more words."""
        if not more.text:
            return []
        kind = "response.output_audio_transcript.delta" if self._spoken else "response.output_text.delta"
        return [*self.begin_message(self._previous_item_id), self._part_event(kind, delta=more.text)]

    def audio(self, more: ReplyAudio) -> list[Json]:
        """Return more sound; none while the resampler gathers samples."""
        if not self._spoken:
            return []
        opening = self.begin_message(self._previous_item_id)
        return [*opening, *self._audio_delta(self._encoder.push(more.pcm, more.sample_rate))]

    def call(self, called: ToolCalled) -> list[Json]:
        """Return the call of a function, whole: it is known only once it is complete."""
        item = out.wire_item(called.item)
        index = len(self._output)
        self._output.append(item)
        begun = {**item, "status": "in_progress", "arguments": ""}
        place = {
            "response_id": self._started.response_id,
            "item_id": called.item.item_id,
            "output_index": index,
            "call_id": called.item.call_id,
        }
        name = "response.function_call_arguments"
        return [
            *self._item_added(index, begun, called.previous_item_id),
            out.event(f"{name}.delta", **place, delta=called.item.text),
            out.event(f"{name}.done", **place, name=called.item.name, arguments=called.item.text),
            *self._item_done(index, item, called.previous_item_id),
        ]

    def closing(self, ended: ResponseEnded, *, sent_at: float | None) -> list[Json]:
        """Return what ends the reply. `sent_at`, in session seconds, adds the stage times to the metadata."""
        opening = self.begin_message(self._previous_item_id) if ended.text else []
        message = self._message_done(ended)
        metadata = ended.metadata if sent_at is None else _with_times(ended.metadata, ended.times, sent_at)
        response = self._response(ended.status, metadata)
        response["usage"] = out.usage(ended.usage)
        response["status_details"] = out.status_details(ended)
        return [*opening, *message, out.event("response.done", response=response)]

    def _message_done(self, ended: ResponseEnded) -> list[Json]:
        if self._message_index is None:
            return []
        complete = ended.status == "completed"
        item = self._output[self._message_index] = out.wire_item(self._message(ended.text, complete=complete))
        return [
            *self._content_done(ended, complete=complete),
            self._part_event("response.content_part.done", part=out.content_part(self._started.modality, ended.text)),
            *self._item_done(self._message_index, item, self._previous_item_id),
        ]

    def _content_done(self, ended: ResponseEnded, *, complete: bool) -> list[Json]:
        if not self._spoken:
            return [self._part_event("response.output_text.done", text=ended.text)]
        # An interrupted reply ends where it is: its last resampled milliseconds stay unsaid.
        rest = self._audio_delta(self._encoder.flush()) if complete else []
        return [
            *rest,
            self._part_event("response.output_audio.done"),
            self._part_event("response.output_audio_transcript.done", transcript=ended.text),
        ]

    def _audio_delta(self, encoded: str) -> list[Json]:
        return [self._part_event("response.output_audio.delta", delta=encoded)] if encoded else []

    def _item_added(self, index: int, item: Json, previous_item_id: str | None) -> list[Json]:
        return self._item_events("added", index, item, previous_item_id)

    def _item_done(self, index: int, item: Json, previous_item_id: str | None) -> list[Json]:
        return self._item_events("done", index, item, previous_item_id)

    def _item_events(self, kind: str, index: int, item: Json, previous_item_id: str | None) -> list[Json]:
        place = {"response_id": self._started.response_id, "output_index": index}
        events = [out.event(f"response.output_item.{kind}", **place, item=item)]
        if not self._started.out_of_band:
            events.append(out.event(f"conversation.item.{kind}", item=item, previous_item_id=previous_item_id))
        return events

    def _part_event(self, kind: str, **fields: Any) -> Json:
        place = {
            "response_id": self._started.response_id,
            "item_id": self.item_id,
            "output_index": self._message_index,
            "content_index": 0,
        }
        return out.event(kind, **place, **fields)

    def _message(self, text: str, *, complete: bool) -> Item:
        return Item(self.item_id, "assistant", text, self._started.modality, complete)

    def _response(self, status: str, metadata: dict[str, str] | None) -> Json:
        return out.response(
            self._started.response_id,
            session=self._session,
            audio_format=self._encoder.format.as_ga(),
            modality=self._started.modality,
            status=status,
            metadata=metadata,
            output=list(self._output),
            out_of_band=self._started.out_of_band,
        )


def unannounced(ended: ResponseEnded) -> ResponseStarted:
    """Return the beginning of a reply that failed before it began, so that clients see a whole response."""
    return ResponseStarted(ended.response_id, ended.item_id, None, ended.modality, ended.metadata)


def _with_times(metadata: dict[str, str] | None, times: StageTimes | None, sent_at: float) -> dict[str, str]:
    instants: dict[str, float | None] = {**asdict(times or StageTimes()), "session_now": sent_at}
    finite = {
        name: None if instant is None or not math.isfinite(instant) else round(instant, 6)
        for name, instant in instants.items()
    }
    return {TIMES_KEY: json.dumps(finite, separators=(",", ":")), **(metadata or {})}
