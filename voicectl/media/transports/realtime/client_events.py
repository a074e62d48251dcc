"""What a client may send, as strict pydantic models, and the errors for everything else."""

from typing import Annotated, Any, Final, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voicectl.media.transports.realtime.client_items import Id, NewItem
from voicectl.media.transports.realtime.errors import (
    INVALID_FRAME,
    INVALID_JSON,
    INVALID_TYPE,
    INVALID_VALUE,
    MESSAGE_TOO_LARGE,
    MISSING_PARAMETER,
    UNKNOWN_PARAMETER,
    ClientEventError,
)

Json = Any
"""A part of a client event that is accepted as it is and not acted on."""

MAX_METADATA_PAIRS: Final = 16


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Lenient(BaseModel):
    """Unknown fields are dropped: newer clients add some that change nothing here."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


# --- session ---------------------------------------------------------------------------------


class Format(_Strict):
    """An audio format; `rate` belongs to `audio/pcm` alone."""

    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
    rate: Literal[24000, 8000] | None = None


class Transcription(_Lenient):
    """How caller audio is to be transcribed; `keywords` and `prompt` become hotwords."""

    model: str | None = None
    language: str | None = None
    prompt: str | None = None
    keywords: list[str] | None = None


class ServerVad(_Strict):
    """Endpointing by a pause of fixed length."""

    type: Literal["server_vad"]
    threshold: float | None = Field(default=None, gt=0, lt=1)
    prefix_padding_ms: int | None = Field(default=None, ge=0, le=5000)
    silence_duration_ms: int | None = Field(default=None, ge=100, le=10_000)
    idle_timeout_ms: int | None = Field(default=None, ge=0)
    create_response: bool | None = None
    interrupt_response: bool | None = None


class SemanticVad(_Strict):
    """Endpointing by how complete the turn sounds."""

    type: Literal["semantic_vad"]
    eagerness: Literal["low", "medium", "high", "auto"] | None = None
    create_response: bool | None = None
    interrupt_response: bool | None = None


class AudioInput(_Strict):
    """How the client sends sound."""

    format: Format | None = None
    noise_reduction: Json = None
    transcription: Transcription | None = None
    turn_detection: Annotated[ServerVad | SemanticVad, Field(discriminator="type")] | None = None


class AudioOutput(_Strict):
    """How the client wants sound."""

    format: Format | None = None
    speed: float | None = Field(default=None, ge=0.25, le=1.5)
    voice: Json = None


class Audio(_Strict):
    """Both directions."""

    input: AudioInput | None = None
    output: AudioOutput | None = None


Modalities = Annotated[list[Literal["audio", "text"]], Field(min_length=1, max_length=1)]
MaxTokens = Annotated[int, Field(ge=1, le=4096)] | Literal["inf"]


class SessionUpdate(_Strict):
    """A part of a GA session; what is absent stays as it is."""

    type: Literal["realtime"] = "realtime"
    id: Json = None
    object: Json = None
    expires_at: Json = None
    model: str | None = None
    instructions: str | None = None
    output_modalities: Modalities | None = None
    audio: Audio | None = None
    max_output_tokens: MaxTokens | None = None
    tools: list[Json] | None = None
    tool_choice: Json = None
    parallel_tool_calls: Json = None
    prompt: Json = None
    include: Json = None
    reasoning: Json = None
    tracing: Json = None
    truncation: Json = None


# --- responses ---------------------------------------------------------------------------------


Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(max_length=MAX_METADATA_PAIRS),
]


class ResponseAudioOutput(_Strict):
    """Wishes for the sound of one reply."""

    format: Format | None = None
    voice: Json = None


class ResponseAudio(_Strict):
    """Wishes for the sound of one reply."""

    output: ResponseAudioOutput | None = None


class ResponseParams(_Strict):
    """Wishes for one reply."""

    instructions: str | None = None
    output_modalities: Modalities | None = None
    max_output_tokens: MaxTokens | None = None
    metadata: Metadata | None = None
    audio: ResponseAudio | None = None
    conversation: Literal["auto", "none"] | None = None
    input: list[Json] | None = None
    tools: list[Json] | None = None
    tool_choice: Json = None
    parallel_tool_calls: Json = None
    prompt: Json = None
    reasoning: Json = None


# --- events ------------------------------------------------------------------------------------


class _Event(_Lenient):
    event_id: str | None = Field(default=None, max_length=512)


class SessionUpdateEvent(_Event):
    """`session.update`"""

    type: Literal["session.update"]
    session: SessionUpdate


class AudioAppend(_Event):
    """`input_audio_buffer.append`"""

    type: Literal["input_audio_buffer.append"]
    audio: str


class AudioCommit(_Event):
    """`input_audio_buffer.commit`"""

    type: Literal["input_audio_buffer.commit"]


class AudioClear(_Event):
    """`input_audio_buffer.clear`"""

    type: Literal["input_audio_buffer.clear"]


class ItemCreate(_Event):
    """`conversation.item.create`"""

    type: Literal["conversation.item.create"]
    previous_item_id: Id | None = None
    item: NewItem


class ItemDelete(_Event):
    """`conversation.item.delete`"""

    type: Literal["conversation.item.delete"]
    item_id: Id


class ItemRetrieve(_Event):
    """`conversation.item.retrieve`"""

    type: Literal["conversation.item.retrieve"]
    item_id: Id


class ItemTruncate(_Event):
    """`conversation.item.truncate`"""

    type: Literal["conversation.item.truncate"]
    item_id: Id
    content_index: int = Field(default=0, ge=0)
    audio_end_ms: int = Field(ge=0, le=2**31)


class ResponseCreate(_Event):
    """`response.create`"""

    type: Literal["response.create"]
    response: ResponseParams | None = None


class ResponseCancel(_Event):
    """`response.cancel`"""

    type: Literal["response.cancel"]
    response_id: Id | None = None


ClientEvent = (
    SessionUpdateEvent
    | AudioAppend
    | AudioCommit
    | AudioClear
    | ItemCreate
    | ItemDelete
    | ItemRetrieve
    | ItemTruncate
    | ResponseCreate
    | ResponseCancel
)

_MODELS: Final[dict[str, type[ClientEvent]]] = {
    "session.update": SessionUpdateEvent,
    "input_audio_buffer.append": AudioAppend,
    "input_audio_buffer.commit": AudioCommit,
    "input_audio_buffer.clear": AudioClear,
    "conversation.item.create": ItemCreate,
    "conversation.item.delete": ItemDelete,
    "conversation.item.retrieve": ItemRetrieve,
    "conversation.item.truncate": ItemTruncate,
    "response.create": ResponseCreate,
    "response.cancel": ResponseCancel,
}
_NO_FIELDS: Final = frozenset({"server_vad", "semantic_vad", "int", "literal['inf']", "constrained-int"})
"""What pydantic puts on the path of a fault for a branch of a union; no field of the client's."""
_CODES: Final = {"missing": MISSING_PARAMETER, "extra_forbidden": UNKNOWN_PARAMETER, "literal_error": INVALID_VALUE}


def decode_frame(frame: str | bytes, max_bytes: int) -> dict[str, Any]:
    """Return the JSON object in a text frame. Raises ClientEventError."""
    if isinstance(frame, bytes):
        raise ClientEventError(INVALID_FRAME, f"binary frame of {len(frame)} bytes: this wire is JSON in text frames")
    # A character has at least one byte, so the exact size is only counted for frames near the limit.
    if len(frame) > max_bytes or (len(frame) > max_bytes // 4 and len(frame.encode()) > max_bytes):
        raise ClientEventError(
            MESSAGE_TOO_LARGE,
            f"message of {len(frame)} characters exceeds {max_bytes} bytes: send audio in smaller pieces",
        )
    try:
        value = msgspec.json.decode(frame)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError, ValueError) as error:
        raise ClientEventError(INVALID_JSON, f"message of {len(frame)} characters is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ClientEventError(INVALID_JSON, f"an event is a JSON object, not {type(value).__name__}")
    return value


def client_event_id(event: dict[str, Any]) -> str | None:
    """Return the client's own id of an event, None where it is absent or no text."""
    event_id = event.get("event_id")
    return event_id if isinstance(event_id, str) else None


def parse_event(event: dict[str, Any]) -> ClientEvent:
    """Return the typed event of a JSON object in GA form. Raises ClientEventError."""
    event_id = client_event_id(event)
    kind = event.get("type")
    if kind is None:
        raise ClientEventError(MISSING_PARAMETER, "the event has no type", param="type", event_id=event_id)
    model = _MODELS.get(kind) if isinstance(kind, str) else None
    if model is None:
        shown = repr(kind)[:80]
        raise ClientEventError(
            INVALID_VALUE, f"unknown event type {shown}; known: {', '.join(_MODELS)}", param="type", event_id=event_id
        )
    try:
        return model.model_validate(event)
    except ValidationError as error:
        raise _refusal(error, event_id) from error


def _refusal(error: ValidationError, event_id: str | None) -> ClientEventError:
    first = error.errors(include_url=False, include_context=False)[0]
    param = ".".join(str(part) for part in first["loc"] if part not in _NO_FIELDS)
    kind = first["type"]
    code = _CODES.get(kind, INVALID_TYPE if kind.endswith("_type") else INVALID_VALUE)
    given = "" if code in (MISSING_PARAMETER, UNKNOWN_PARAMETER) else f", not {first['input']!r:.80}"
    message = {
        MISSING_PARAMETER: f"{param} is required",
        UNKNOWN_PARAMETER: f"{param} is not a known parameter",
    }.get(code, f"{param}: {first['msg'][0].lower()}{first['msg'][1:]}{given}")
    return ClientEventError(code, message, param=param or None, event_id=event_id)
