"""The Protocols through which `service` wires the planes to the engine, and what passes through them."""

import math
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal, Protocol

from voicectl.core.audio import Samples
from voicectl.core.checkpoint import ConversationState
from voicectl.core.events import CallEvent, Role, TokenUsage, Tool, ToolCall, ToolChoice
from voicectl.core.records import Tier

FinishReason = Literal["stop", "length", "tool_calls"]


class Priority(IntEnum):
    """Who goes first when a stage is busy; lower is sooner."""

    FINAL = 0
    SPECULATIVE = 1
    PARTIAL = 2


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said. `text` is empty when the audio holds no credible speech.

    `avg_logprob` is the mean log-probability a token, `compression_ratio` the text's length over
    its zlib length, `no_speech_prob` the model's own doubt; `window_frames` is the mel window the
    text was read from (10 ms a frame).
    """

    text: str
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    window_frames: int

    @property
    def confidence(self) -> float | None:
        """Return how sure the model was of its words, 0 to 1: the geometric mean of their probabilities a token."""
        return math.exp(min(0.0, self.avg_logprob)) if self.text else None


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of a prompt.

    An assistant entry that called functions carries them; an entry of role "tool" is the output of the
    call `call_id`.
    """

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A reply to generate. `session_id` names the cached sequence that shares the prompt's prefix.

    `forced_tool` is the function that must be called when `tool_choice` is "required", None for any.
    `schema` is a JSON schema, as text, that the whole reply must follow.
    """

    session_id: str
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float
    top_p: float
    top_k: int
    seed: int
    priority: Priority = Priority.FINAL
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = "auto"
    forced_tool: str | None = None
    schema: str | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """Newly generated text; the last delta of a reply carries `finish`, `usage` and any `tool_calls`."""

    text: str
    finish: FinishReason | None = None
    usage: TokenUsage | None = None
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class WordMark:
    """Where a word of the synthesised text is heard.

    `start` and `end` are character offsets into the request's text; `start_s` and `end_s` are
    seconds from the first sample of the request's audio.
    """

    start: int
    end: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class SpeechChunk:
    """A piece of synthesised speech: 16-bit mono PCM. `marks` cover the words that begin in it."""

    pcm: bytes
    sample_rate: int
    marks: tuple[WordMark, ...] = ()


class Transcriber(Protocol):
    """Speech to text."""

    async def transcribe(
        self,
        samples: Samples,
        *,
        hotwords: str | None = None,
        priority: Priority = Priority.FINAL,
        second_look: bool = True,
        timeout_s: float,
    ) -> Transcript:
        """Transcribe 16 kHz mono float samples, shape (n,). Cancelling the call cancels the request.

        Without a `second_look` at what is unclear, which takes several times as long, the first one counts.
        """
        ...


class TurnDetector(Protocol):
    """Tells from the sound whether the speaker has finished."""

    async def completeness(self, samples: Samples, *, timeout_s: float) -> float:
        """Return the probability in [0, 1] that the turn that ends with `samples` (16 kHz mono) is complete."""
        ...


class LanguageModel(Protocol):
    """Text to text."""

    def generate(self, request: ChatRequest, *, timeout_s: float) -> AsyncGenerator[TextDelta, None]:
        """Stream a reply. Closing the iterator, or cancelling its task, cancels the request."""
        ...

    async def forget(self, session_id: str) -> None:
        """Free what is cached for a session. Unknown sessions are ignored."""
        ...

    async def wake(self, request: ChatRequest) -> None:
        """Tell that a session will soon ask, with a prompt that begins as this one does. Never raises.

        What was parked of it is brought back, and what no cache holds is computed while there is time.
        """
        ...


class Synthesizer(Protocol):
    """Text to speech."""

    def synthesize(
        self, text: str, *, speed: float = 1.0, priority: Priority = Priority.FINAL, timeout_s: float
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Stream the speech of one clause or sentence. Closing the iterator cancels the request."""
        ...


class ToolRunner(Protocol):
    """Functions that the appliance carries out by itself."""

    @property
    def tools(self) -> tuple[Tool, ...]:
        """What the language model is told about them."""
        ...

    async def run(self, call: ToolCall, *, session_id: str) -> str:
        """Carry out a call and return its output for the language model; failures are told in words."""
        ...


class ContextSource(Protocol):
    """What other systems know about a caller."""

    async def context(self, session_id: str, attributes: Mapping[str, str]) -> str | None:
        """Return a text for the instructions of a conversation, None if there is none. Never raises."""
        ...


class CheckpointWriter(Protocol):
    """Keeps conversations for the time after a failure."""

    def save(self, state: ConversationState) -> None:
        """Take over a state. Never waits and never raises; of several states of one session the last counts."""
        ...


@dataclass(frozen=True, slots=True)
class RedactedText:
    """A text that may be written, logged or sent.

    `found` is how often each kind of thing was taken out of it, such as {"card": 1}. Until it is `settled`,
    digits at its end are covered that may yet turn out to begin a card number, or to be an ordinary one.
    """

    key: str
    text: str
    found: Mapping[str, int]
    settled: bool


class CallRedactor(Protocol):
    """Takes out of the texts of one call what must not be kept. Pure: no clock, no file; ends with the call.

    A card number said in pieces is found across texts, so the order of the calls is the order of speech. What
    `add` returns may be kept at once, whatever is said later; what comes out of `revised` and `close` is
    another, usually fuller, version of an earlier text and replaces it.
    """

    def add(self, key: str, text: str, *, speaker: Role) -> RedactedText:
        """Return the text of the entry `key` (an item's id) as it may be kept. A known key replaces its text."""
        ...

    def revised(self) -> tuple[RedactedText, ...]:
        """Return the earlier texts that read differently since they were last returned, each once."""
        ...

    def close(self) -> tuple[RedactedText, ...]:
        """Settle the texts that are still open, as nothing more is said, and return those that changed."""
        ...

    @property
    def found(self) -> Mapping[str, int]:
        """How often each kind of thing was found in the call so far, for its audit entry and record."""
        ...


class Redactor(Protocol):
    """Takes card numbers, identity numbers, addresses and birth dates out of texts, and fields out of records."""

    def open_call(self) -> CallRedactor:
        """Return what follows one call."""
        ...

    def text(self, text: str) -> str:
        """Return a text that stands alone (a log line, a message of an error, an attribute) as it may be kept."""
        ...

    def field(self, name: str, value: Any) -> Any:
        """Return the value of a named field by its policy: None if dropped, a keyed hash, or masked as a text.

        Reaches into mappings and lists; values tagged by `core.tagged.phi` follow the policy of their tag.
        """
        ...


class AuditTrail(Protocol):
    """Takes entries for the audit log on the path of calls."""

    def note(self, kind: str, body: Mapping[str, Any]) -> None:
        """Take over an entry of a known kind. Never waits and never raises; order is kept."""
        ...


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a call is for: its use case, and the risk tier in which that is served."""

    use_case: str
    tier: Tier


@dataclass(frozen=True, slots=True)
class CallIdentity:
    """Which call it is. `owner` names the client's key; `attributes` is what the client said about the call."""

    session_id: str
    owner: str | None
    started_at: float
    resumed: bool
    attributes: Mapping[str, str]
    purpose: Purpose | None = None


class CallObserver(Protocol):
    """Sees what happens in calls: metrics, traces, webhooks. Called on the event loop; must not wait or raise."""

    def call_started(self, call: CallIdentity) -> None:
        """A call began."""
        ...

    def call_event(self, call: CallIdentity, event: CallEvent, at: float) -> None:
        """Something was told to the client at `at` session seconds. Reply audio is not shown."""
        ...

    def call_ended(self, call: CallIdentity, reason: str) -> None:
        """A call is over."""
        ...
