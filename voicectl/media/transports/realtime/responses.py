"""The events of one reply, in the order that clients rely on."""

import json
import math
from dataclasses import asdict
from typing import Any, Final

from voicectl.core.events import Item, ReplyAudio, ReplyText, ResponseEnded, ResponseStarted, StageTimes
from voicectl.media.transports.realtime import server_events as out
from voicectl.media.transports.realtime.audio_format import AudioEncoder
from voicectl.media.transports.realtime.server_events import Json
from voicectl.media.transports.realtime.session import RealtimeSession

TIMES_KEY: Final = "voicectl.times"
"""Metadata key of the stage times of a turn, for clients that asked for them."""


class OpenResponse:
    """A reply from `response.created` to `response.done`; its audio format is the one it began with."""

    def __init__(self, started: ResponseStarted, session: RealtimeSession) -> None:
        self.item_id: Final = started.item_id
        self._started: Final = started
        self._session: Final = session.as_ga()
        self._encoder: Final = AudioEncoder(session.output_format)
        self._place: Final = {"response_id": started.response_id, "item_id": started.item_id, "output_index": 0}
        self._spoken: Final = started.modality == "audio"

    def opening(self) -> list[Json]:
        """Return what announces the reply."""
        item = out.wire_item(self._item("", complete=False), in_progress=True)
        return [
            out.event("response.created", response=self._response("in_progress", self._started.metadata, [])),
            self._event("response.output_item.added", item=item),
            out.event("conversation.item.added", item=item, previous_item_id=self._started.previous_item_id),
            self._part_event("response.content_part.added", part=out.content_part(self._started.modality, "")),
        ]

    def text(self, more: ReplyText) -> list[Json]:
        """Return more words."""
        if not more.text:
            return []
        kind = "response.output_audio_transcript.delta" if self._spoken else "response.output_text.delta"
        return [self._part_event(kind, delta=more.text)]

    def audio(self, more: ReplyAudio) -> list[Json]:
        """Return more sound; none while the resampler gathers samples."""
        return self._audio_delta(self._encoder.push(more.pcm, more.sample_rate)) if self._spoken else []

    def closing(self, ended: ResponseEnded, *, sent_at: float | None) -> list[Json]:
        """Return what ends the reply. `sent_at`, in session seconds, adds the stage times to the metadata."""
        complete = ended.status == "completed"
        item = out.wire_item(self._item(ended.text, complete=complete))
        metadata = ended.metadata if sent_at is None else _with_times(ended.metadata, ended.times, sent_at)
        response = self._response(ended.status, metadata, [item])
        response["usage"] = out.usage(ended.usage)
        response["status_details"] = out.status_details(ended)
        return [
            *self._content_done(ended, complete=complete),
            self._part_event("response.content_part.done", part=out.content_part(self._started.modality, ended.text)),
            self._event("response.output_item.done", item=item),
            out.event("conversation.item.done", item=item, previous_item_id=self._started.previous_item_id),
            out.event("response.done", response=response),
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

    def _event(self, kind: str, **fields: Any) -> Json:
        place = {key: value for key, value in self._place.items() if key != "item_id"}
        return out.event(kind, **place, **fields)

    def _part_event(self, kind: str, **fields: Any) -> Json:
        return out.event(kind, **self._place, content_index=0, **fields)

    def _item(self, text: str, *, complete: bool) -> Item:
        return Item(self.item_id, "assistant", text, self._started.modality, complete)

    def _response(self, status: str, metadata: dict[str, str] | None, output: list[Json]) -> Json:
        return out.response(
            self._started.response_id,
            session=self._session,
            audio_format=self._encoder.format.as_ga(),
            modality=self._started.modality,
            status=status,
            metadata=metadata,
            output=output,
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
