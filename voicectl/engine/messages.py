"""What the gateway and its workers say to each other over ZeroMQ, as msgspec structs.

Every frame is one MessagePack struct; unknown fields, tags and protocol versions are refused.
A request carries its id, a priority, and the seconds it may still take (the two processes share no
clock). Results stream under the same id until a terminal reply: `Transcribed`, `Scored`,
`GenerationEnded`, `SpeechEnded`, `Forgotten` or `Failed`.
"""

from typing import Final, Literal

import msgspec

from voicectl.core.errors import VoicectlError
from voicectl.core.events import Role, ToolChoice
from voicectl.core.ports import FinishReason

PROTOCOL_VERSION: Final = 1

FailureKind = Literal["cancelled", "deadline", "rejected", "internal"]


class Wire(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag=True):
    """A value on the wire, told apart by its tag."""


# --- gateway → worker ------------------------------------------------------------------------


class Transcribe(Wire, frozen=True):
    """Transcribe `pcm` (16 kHz mono, 16 bit), with or without a `second_look` at what is unclear."""

    pcm: bytes
    hotwords: str | None = None
    second_look: bool = True


class ScoreTurn(Wire, frozen=True):
    """Tell whether the turn that ends with `pcm` (16 kHz mono, 16 bit) is complete."""

    pcm: bytes


class WireTool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A function that may be called; `parameters` is a JSON schema, as text."""

    name: str
    description: str
    parameters: str


class WireToolCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A function call; `arguments` is a JSON object, as text."""

    call_id: str
    name: str
    arguments: str


class PromptMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of a prompt, as `core.ports.Message`."""

    role: Role
    content: str
    tool_calls: tuple[WireToolCall, ...] = ()
    call_id: str | None = None


class Generate(Wire, frozen=True):
    """Generate a reply; `session_id` names the sequence whose cached prefix is reused."""

    session_id: str
    messages: tuple[PromptMessage, ...]
    max_tokens: int
    temperature: float
    top_p: float
    top_k: int
    seed: int
    tools: tuple[WireTool, ...] = ()
    tool_choice: ToolChoice = "auto"
    forced_tool: str | None = None
    schema: str | None = None


class Forget(Wire, frozen=True):
    """Free what is cached for a session."""

    session_id: str


class Wake(Wire, frozen=True):
    """A session will soon ask, with a prompt that begins as this one does: have that in the cache by then."""

    expected: Generate


class Synthesize(Wire, frozen=True):
    """Speak `text`; `speed` 1.0 is the voice's own rate."""

    text: str
    speed: float = 1.0


Body = Transcribe | ScoreTurn | Generate | Forget | Wake | Synthesize


class Request(Wire, frozen=True):
    """A body with its id, priority (lower is sooner) and remaining time."""

    request_id: int
    priority: int
    timeout_s: float
    body: Body
    version: int = PROTOCOL_VERSION


class Cancel(Wire, frozen=True):
    """Stop a request; it answers `Failed("cancelled")` unless it had already ended."""

    request_id: int


class Ping(Wire, frozen=True):
    """Ask whether the worker lives."""

    nonce: int


ToWorker = Request | Cancel | Ping


# --- worker → gateway ------------------------------------------------------------------------


class Transcribed(Wire, frozen=True):
    """The end of a `Transcribe`; fields as in `core.ports.Transcript`."""

    text: str
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    window_frames: int


class Scored(Wire, frozen=True):
    """The end of a `ScoreTurn`."""

    probability: float


class TextPiece(Wire, frozen=True):
    """More text of a `Generate`."""

    text: str


class GenerationEnded(Wire, frozen=True):
    """The end of a `Generate`; counts are tokens."""

    finish: FinishReason
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    tool_calls: tuple[WireToolCall, ...] = ()


class Forgotten(Wire, frozen=True):
    """The end of a `Forget` or a `Wake`."""


class Mark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A word's place in the text (characters) and in the audio (seconds from its first sample)."""

    start: int
    end: int
    start_s: float
    end_s: float


class SpeechPiece(Wire, frozen=True):
    """More audio of a `Synthesize`: 16-bit mono PCM."""

    pcm: bytes
    sample_rate: int
    marks: tuple[Mark, ...] = ()


class SpeechEnded(Wire, frozen=True):
    """The end of a `Synthesize`."""


class Failed(Wire, frozen=True):
    """The end of any request that did not succeed."""

    kind: FailureKind
    message: str


ReplyBody = Transcribed | Scored | TextPiece | GenerationEnded | Forgotten | SpeechPiece | SpeechEnded | Failed


STREAMED: Final = (TextPiece, SpeechPiece)
"""The bodies that more replies of the same request follow; every other body is terminal."""


class Reply(Wire, frozen=True):
    """A result of the request with this id."""

    request_id: int
    body: ReplyBody


class Ready(Wire, frozen=True):
    """The worker has loaded its models and warmed up."""

    pid: int
    stages: tuple[str, ...]
    version: int = PROTOCOL_VERSION


class StartFailed(Wire, frozen=True):
    """The worker could not load and ends. `exit_code` is the one that the cause's error class names."""

    message: str
    hint: str | None = None
    exit_code: int = 1


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One value of a metric, in Prometheus' terms."""

    name: str
    labels: dict[str, str]
    value: float


class MetricFamily(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One metric of a worker with its present values."""

    name: str
    documentation: str
    kind: Literal["counter", "gauge", "histogram"]
    samples: tuple[Sample, ...]


class Pong(Wire, frozen=True):
    """The worker lives. `queued` counts its waiting and running requests, `metrics` is what it measured."""

    nonce: int
    queued: int
    metrics: tuple[MetricFamily, ...] = ()


FromWorker = Reply | Ready | StartFailed | Pong


class MalformedMessage(VoicectlError):
    """A frame is not a message of this protocol version."""


_ENCODER: Final = msgspec.msgpack.Encoder()
_TO_WORKER: Final = msgspec.msgpack.Decoder(ToWorker)
_FROM_WORKER: Final = msgspec.msgpack.Decoder(FromWorker)
_UNDECODABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What damaged frames raise: not all that msgspec raises is an error of its own."""


def encode(message: ToWorker | FromWorker) -> bytes:
    """Return the frame of a message."""
    return _ENCODER.encode(message)


def decode_to_worker(frame: bytes) -> ToWorker:
    """Return the message for a worker in `frame`. Raises MalformedMessage."""
    try:
        message: ToWorker = _TO_WORKER.decode(frame)
    except _UNDECODABLE as error:
        raise MalformedMessage(f"frame of {len(frame)} bytes: {error}") from error
    if isinstance(message, Request) and message.version != PROTOCOL_VERSION:
        raise MalformedMessage(f"protocol version {message.version}, this worker speaks {PROTOCOL_VERSION}")
    return message


def decode_from_worker(frame: bytes) -> FromWorker:
    """Return the message from a worker in `frame`. Raises MalformedMessage."""
    try:
        message: FromWorker = _FROM_WORKER.decode(frame)
    except _UNDECODABLE as error:
        raise MalformedMessage(f"frame of {len(frame)} bytes: {error}") from error
    if isinstance(message, Ready) and message.version != PROTOCOL_VERSION:
        raise MalformedMessage(f"protocol version {message.version}, this gateway speaks {PROTOCOL_VERSION}")
    return message
