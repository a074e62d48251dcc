"""What one call did: server events and audio by their arrival time, on the caller's clock. Knows no socket."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from voicectl.bench.turns import TIMES_KEY, Piece, Reply, parse_times
from voicectl.core.audio import Samples, pcm16_to_float
from voicectl.core.errors import VoicectlError
from voicectl.core.events import StageTimes

RATE_HZ: Final = 24_000
"""Sample rate of both directions of the wire."""

ServerEvent = Mapping[str, Any]


class WireError(VoicectlError):
    """The server sent what the Realtime protocol does not know."""


@dataclass(slots=True)
class _Response:
    response_id: str
    created_at: float
    pieces: list[Piece] = field(default_factory=list)
    text: str = ""
    status: str | None = None
    times: StageTimes | None = None

    def reply(self) -> Reply:
        return Reply(self.response_id, self.created_at, self.text.strip(), self.status, tuple(self.pieces), self.times)


class CallRecord:
    """The agent's side of a call. Feed it every server event in order.

    `item_ids` are the entries of the conversation in the order of their coming, `retrieved` those that were
    asked for, `input_tokens` the length of each reply's prompt where the server told it. `committed` are the
    instants at which the server took a turn as ended, `committed_items` the entries that they became.
    """

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.played_until = 0.0
        self.active: str | None = None
        self.speaking = False
        self.last_event_at = 0.0
        self.session_id: str | None = None
        self.item_ids: list[str] = []
        self.retrieved: dict[str, Mapping[str, Any]] = {}
        self.input_tokens: list[int] = []
        self.committed: list[float] = []
        self.committed_items: list[str | None] = []
        self._responses: dict[str, _Response] = {}
        self._transcripts: dict[str, str] = {}

    def note(self, event: ServerEvent, at: float) -> Samples | None:
        """Take in one event that arrived at `at`; return the audio it carried. Raises WireError."""
        self.last_event_at = at
        match event.get("type"):
            case "session.created":
                # Not every server gives ids; who wants to come back or to look something up needs them.
                self.session_id = _mapping(event, "session").get("id")
            case "conversation.item.added":
                self.item_ids.append(_text(_mapping(event, "item"), "id"))
            case "conversation.item.retrieved":
                item = _mapping(event, "item")
                self.retrieved[_text(item, "id")] = item
            case "input_audio_buffer.speech_started":
                self.speaking = True
            case "input_audio_buffer.speech_stopped" | "input_audio_buffer.cleared":
                self.speaking = False
            case "input_audio_buffer.committed":
                self.speaking = False
                self.committed.append(at)
                item_id = event.get("item_id")
                self.committed_items.append(item_id if isinstance(item_id, str) else None)
            case "conversation.item.input_audio_transcription.completed":
                self._transcripts[_text(event, "item_id")] = _text(event, "transcript")
            case "response.created":
                self._begin(event, at)
            case "response.output_audio_transcript.delta" | "response.output_text.delta":
                self._response(event).text += _text(event, "delta")
            case "response.output_audio.delta":
                return self._play(event, at)
            case "response.done":
                self._end(event, at)
            case "error":
                self.errors.append(_message(event))
        return None

    def replies(self, since: int = 0) -> tuple[Reply, ...]:
        """Return the responses from the `since`-th on."""
        return tuple(response.reply() for response in list(self._responses.values())[since:])

    def sounding(self, response_id: str, last: int) -> tuple[int, tuple[Piece, ...]]:
        """Return the place of a response among all, and the `last` pieces of its sound that came."""
        return list(self._responses).index(response_id), tuple(self._responses[response_id].pieces[-last:])

    @property
    def num_responses(self) -> int:
        """Return how many responses began."""
        return len(self._responses)

    @property
    def num_transcripts(self) -> int:
        """Return how many of the caller's turns were transcribed."""
        return len(self._transcripts)

    def heard(self, since: int = 0) -> str:
        """Return what the server understood from its `since`-th transcript on."""
        return " ".join(text.strip() for text in list(self._transcripts.values())[since:] if text.strip())

    def heard_in(self, items: Iterable[str | None]) -> str | None:
        """Return what the server understood of these entries, whenever it said so; None if it never did."""
        known = [self._transcripts[item].strip() for item in items if item in self._transcripts]
        return " ".join(filter(None, known)) if known else None

    def release(self, before: int) -> None:
        """Forget the sound of the responses before that one: a long call must not hold all it heard."""
        for response in list(self._responses.values())[:before]:
            response.pieces.clear()

    def agent_track(self, origin_at: float, length: int) -> Samples:
        """Return the agent's sound on the caller's timeline from `origin_at`, at least `length` samples."""
        pieces = [piece for response in self._responses.values() for piece in response.pieces]
        starts = [max(0, round((piece.play_at - origin_at) * RATE_HZ)) for piece in pieces]
        ends = [start + piece.samples.size for start, piece in zip(starts, pieces, strict=True)]
        track: Samples = np.zeros(max([length, *ends]), dtype=np.float32)
        for start, piece in zip(starts, pieces, strict=True):
            track[start : start + piece.samples.size] = piece.samples
        return track

    def _begin(self, event: ServerEvent, at: float) -> None:
        response_id = _text(_mapping(event, "response"), "id")
        self._responses[response_id] = _Response(response_id, at)
        self.active = response_id

    def _play(self, event: ServerEvent, at: float) -> Samples:
        try:
            samples = pcm16_to_float(base64.b64decode(_text(event, "delta"), validate=True))
        except (binascii.Error, ValueError) as error:
            raise WireError(f"response.output_audio.delta holds no 16-bit PCM: {error}") from error
        piece = Piece(arrived_at=at, play_at=max(at, self.played_until), samples=samples)
        self.played_until = piece.play_at + samples.size / RATE_HZ
        self._response(event).pieces.append(piece)
        return samples

    def _end(self, event: ServerEvent, at: float) -> None:
        document = _mapping(event, "response")
        response = self._responses.get(_text(document, "id"))
        if response is None:
            raise WireError(f"response.done for {document.get('id')!r}, which never began")
        response.status = _text(document, "status")
        usage = document.get("usage")
        if isinstance(usage, Mapping) and isinstance(usage.get("input_tokens"), int):
            self.input_tokens.append(usage["input_tokens"])
        response.text = _spoken_text(document) or response.text
        times = (document.get("metadata") or {}).get(TIMES_KEY)
        if times is not None:
            try:
                response.times = parse_times(times)
            except ValueError as error:
                raise WireError(f"response.done: {error}") from error
        if response.status == "cancelled":
            # An interrupted agent falls silent at once: what a client has not played by now, it drops.
            response.pieces = _cut(response.pieces, at)
            self.played_until = min(self.played_until, at)
        if self.active == response.response_id:
            self.active = None

    def _response(self, event: ServerEvent) -> _Response:
        response = self._responses.get(_text(event, "response_id"))
        if response is None:
            raise WireError(f"{event.get('type')} for response {event.get('response_id')!r}, which never began")
        return response


def _cut(pieces: list[Piece], at: float) -> list[Piece]:
    kept = []
    for piece in pieces:
        length = round((at - piece.play_at) * RATE_HZ)
        if length > 0:
            kept.append(Piece(piece.arrived_at, piece.play_at, piece.samples[:length]))
    return kept


def _spoken_text(response: Mapping[str, Any]) -> str:
    contents = [part for item in response.get("output") or [] for part in item.get("content") or []]
    return "".join(part.get("transcript") or part.get("text") or "" for part in contents)


def _message(event: ServerEvent) -> str:
    error = _mapping(event, "error")
    return str(error.get("message") or error.get("code") or "unnamed error")


def _mapping(event: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = event.get(key)
    if not isinstance(value, Mapping):
        raise WireError(f"{event.get('type')}: no {key} object")
    return value


def _text(event: Mapping[str, Any], key: str) -> str:
    value = event.get(key)
    if not isinstance(value, str):
        raise WireError(f"{event.get('type', 'response')}: no text {key!r}")
    return value
