"""What the planes tell each other during a call. Times are seconds on the session clock.

Caller actions come from a transport; call events go back to it. Neither side knows the other's
wire format: the Realtime transport turns JSON into actions and events into JSON.
"""

from dataclasses import dataclass, field
from typing import Literal

Role = Literal["system", "user", "assistant", "tool"]
ItemKind = Literal["message", "function_call", "function_call_output"]
Modality = Literal["audio", "text"]
EndpointingMode = Literal["semantic", "silence", "off"]
ResponseStatus = Literal["completed", "cancelled", "incomplete", "failed"]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the language model may call. `parameters` is a JSON schema, as text."""

    name: str
    description: str
    parameters: str


ToolChoice = Literal["auto", "none", "required"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a function, written by the language model. `arguments` is a JSON object, as text."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of the conversation. `modality` says how an assistant or user entry was given.

    A function call has `call_id` and `name`, its `text` is the arguments and its role "assistant"; the
    output of a call has `call_id`, its `text` is the output and its role "tool".
    """

    item_id: str
    role: Role
    text: str
    modality: Modality = "text"
    complete: bool = True
    kind: ItemKind = "message"
    call_id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What a client may change about its session. None keeps what is set.

    Turns end by what was said and how ("semantic"; `patience` stretches the pauses it waits for), by a
    pause of `silence_ms` alone ("silence"), or when the client says so ("off"). With `tool_choice`
    "required", `forced_tool` may name the function that must be called; "" is any.
    """

    instructions: str | None = None
    output_modality: Modality | None = None
    endpointing: EndpointingMode | None = None
    create_response: bool | None = None
    interrupt_response: bool | None = None
    transcription_enabled: bool | None = None
    silence_ms: int | None = None
    patience: float | None = None
    vad_threshold: float | None = None
    max_output_tokens: int | None = None
    speed: float | None = None
    hotwords: str | None = None
    tools: tuple[Tool, ...] | None = None
    tool_choice: ToolChoice | None = None
    forced_tool: str | None = None


# --- caller actions -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SessionConfigured:
    """The client changed its settings."""

    settings: SessionSettings
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class AudioReceived:
    """A piece of caller audio: 16-bit mono PCM at `sample_rate`."""

    pcm: bytes
    sample_rate: int
    received_at: float


@dataclass(frozen=True, slots=True)
class AudioCommitRequested:
    """The client ends the turn by itself."""

    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class AudioClearRequested:
    """The client drops the audio that is not yet part of a turn."""

    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class ItemCreateRequested:
    """The client adds an entry, at the end or behind `previous_item_id` ("root" is the start)."""

    item: Item
    previous_item_id: str | None = None
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class ItemDeleteRequested:
    """The client removes an entry."""

    item_id: str
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class ItemRetrieveRequested:
    """The client asks for an entry."""

    item_id: str
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class ItemTruncateRequested:
    """The client says how much of a spoken entry was heard."""

    item_id: str
    audio_end_ms: int
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class ResponseRequested:
    """The client asks for a reply now. `metadata` comes back untouched.

    `out_of_band` replies leave the conversation as it is; `input` replaces it as the prompt. What is None
    is the session's.
    """

    instructions: str | None = None
    output_modality: Modality | None = None
    max_output_tokens: int | None = None
    metadata: dict[str, str] | None = None
    event_id: str | None = None
    tools: tuple[Tool, ...] | None = None
    tool_choice: ToolChoice | None = None
    forced_tool: str | None = None
    out_of_band: bool = False
    input: tuple[Item, ...] | None = None


@dataclass(frozen=True, slots=True)
class ResponseCancelRequested:
    """The client stops a reply; None means the one in progress."""

    response_id: str | None = None
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class CallerLeft:
    """The transport is closed; nothing more can be sent or will come."""

    reason: str


CallerAction = (
    SessionConfigured
    | AudioReceived
    | AudioCommitRequested
    | AudioClearRequested
    | ItemCreateRequested
    | ItemDeleteRequested
    | ItemRetrieveRequested
    | ItemTruncateRequested
    | ResponseRequested
    | ResponseCancelRequested
    | CallerLeft
)


# --- call events ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SettingsChanged:
    """The session now runs with these settings."""

    settings: SessionSettings
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The caller began to speak at `position_s` of the input stream; `item_id` will hold the turn."""

    item_id: str
    position_s: float


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The caller's turn ended at `position_s` of the input stream."""

    item_id: str
    position_s: float


@dataclass(frozen=True, slots=True)
class SpeechDiscarded:
    """What began as speech was noise: there will be no turn `item_id`."""

    item_id: str


@dataclass(frozen=True, slots=True)
class AudioCommitted:
    """The caller's audio became the entry `item_id`."""

    item_id: str
    previous_item_id: str | None
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class AudioCleared:
    """The audio that was not yet part of a turn is gone."""

    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class ItemAdded:
    """An entry joined the conversation behind `previous_item_id`."""

    item: Item
    previous_item_id: str | None
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class ItemDone:
    """An entry is final."""

    item: Item
    previous_item_id: str | None


@dataclass(frozen=True, slots=True)
class ItemDeleted:
    """An entry is gone."""

    item_id: str
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class ItemRetrieved:
    """The entry that was asked for."""

    item: Item
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class ItemTruncated:
    """A spoken entry was cut to the `text` heard in its first `audio_end_ms`."""

    item_id: str
    audio_end_ms: int
    text: str
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class TranscriptDelta:
    """More words of the caller's turn that will not change; `text` is appended to earlier ones."""

    item_id: str
    text: str


@dataclass(frozen=True, slots=True)
class TranscriptFinal:
    """The words of the caller's turn. `duration_s` is the length of the audio they stand for.

    `confidence` is how sure speech recognition was of them, 0 to 1; None where it does not tell, or there are none.
    """

    item_id: str
    text: str
    duration_s: float
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class TranscriptFailed:
    """The caller's turn could not be transcribed."""

    item_id: str
    message: str


@dataclass(frozen=True, slots=True)
class ResponseStarted:
    """A reply began; its words, if it has any, will be the entry `item_id`.

    `out_of_band` replies leave the conversation as it is.
    """

    response_id: str
    item_id: str
    previous_item_id: str | None
    modality: Modality
    metadata: dict[str, str] | None = None
    out_of_band: bool = False


@dataclass(frozen=True, slots=True)
class ReplyText:
    """More words of a reply."""

    response_id: str
    item_id: str
    text: str


@dataclass(frozen=True, slots=True)
class ReplyAudio:
    """More sound of a reply: 16-bit mono PCM at `sample_rate`, paced as it should be played."""

    response_id: str
    item_id: str
    pcm: bytes
    sample_rate: int


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """A reply calls a function: the entry `item` (kind "function_call") joined behind `previous_item_id`.

    `by_gateway` calls are carried out by the gateway itself; the client need not act.
    """

    response_id: str
    item: Item
    previous_item_id: str | None
    by_gateway: bool = False


@dataclass(frozen=True, slots=True)
class ServiceDegraded:
    """The appliance gives less than usual: `level` 0 is all, `measures` names what is left out.

    `reason` is the stage or the load that asks for it.
    """

    level: int
    measures: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class EscalationRequested:
    """The appliance cannot go on by itself: a person should take the call."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """What a reply cost the language model, in tokens."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Where the time of one turn went: instants in seconds on the session clock, None if it did not happen.

    `last_voiced_position_s` is a position in the caller's input stream, not an instant.
    """

    last_voiced_position_s: float | None = None
    last_voiced_at: float | None = None
    hesitated_at: float | None = None
    transcribed_at: float | None = None
    first_token_at: float | None = None
    first_clause_at: float | None = None
    first_audio_at: float | None = None
    committed_at: float | None = None
    first_sent_at: float | None = None


@dataclass(frozen=True, slots=True)
class ResponseEnded:
    """A reply is over. `text` is what was said, cut to the heard words when it was interrupted."""

    response_id: str
    item_id: str
    status: ResponseStatus
    text: str
    modality: Modality
    reason: str | None = None
    usage: TokenUsage = field(default_factory=TokenUsage)
    times: StageTimes | None = None
    metadata: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ActionRejected:
    """A caller action could not be done; the session lives on."""

    code: str
    message: str
    event_id: str | None = None
    param: str | None = None


CallEvent = (
    SettingsChanged
    | SpeechStarted
    | SpeechStopped
    | SpeechDiscarded
    | AudioCommitted
    | AudioCleared
    | ItemAdded
    | ItemDone
    | ItemDeleted
    | ItemRetrieved
    | ItemTruncated
    | TranscriptDelta
    | TranscriptFinal
    | TranscriptFailed
    | ResponseStarted
    | ReplyText
    | ReplyAudio
    | ToolCalled
    | ServiceDegraded
    | EscalationRequested
    | ResponseEnded
    | ActionRejected
)
