"""What an agent session learns from the planes around it. `service` translates into these."""

from dataclasses import dataclass
from typing import Literal

from voicectl.core.events import TokenUsage, ToolCall
from voicectl.core.measures import Measures
from voicectl.core.ports import FinishReason

EndReason = Literal["complete", "timeout", "too_long", "client"]


@dataclass(frozen=True, slots=True)
class CallerStirred:
    """Sound that may become speech has lasted `speech_s`; 0 if it became none."""

    speech_s: float


@dataclass(frozen=True, slots=True)
class CallerBegan:
    """Speech began at `position_s` of the input stream."""

    position_s: float


@dataclass(frozen=True, slots=True)
class CallerSpeaking:
    """Speech goes on; `speech_s` of it was voiced so far."""

    speech_s: float


@dataclass(frozen=True, slots=True)
class CallerHesitated:
    """A pause became long enough to prepare a reply."""

    pause_id: int


@dataclass(frozen=True, slots=True)
class CallerResumed:
    """The caller went on after a pause."""

    pause_id: int


@dataclass(frozen=True, slots=True)
class CallerFinished:
    """The turn is over. `speech_end_s` and `heard_at` are where and when its last voiced frame came in."""

    speech_end_s: float
    heard_at: float
    reason: EndReason


@dataclass(frozen=True, slots=True)
class CallerWasNoise:
    """What began as speech was too short to be any."""


@dataclass(frozen=True, slots=True)
class TurnTranscribed:
    """The words of the turn up to the pause that `hearing_id` names; empty for no credible speech.

    `confidence` is that of `Transcript`.
    """

    hearing_id: int
    text: str
    duration_s: float
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class TurnNotTranscribed:
    """Speech to text failed for `hearing_id`."""

    hearing_id: int
    message: str


@dataclass(frozen=True, slots=True)
class PartialTranscribed:
    """The words of the turn so far, None if the partial was dropped."""

    item_id: str
    text: str | None


@dataclass(frozen=True, slots=True)
class ReplyPiece:
    """More text of a reply; the last piece of an attempt carries `finish`, `usage` and any `tool_calls`."""

    response_id: str
    text: str
    finish: FinishReason | None = None
    usage: TokenUsage | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class ReplyFailed:
    """The language model failed for this reply."""

    response_id: str
    message: str
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class ClauseFailed:
    """The voice failed for a clause; some of its sound may exist."""

    response_id: str
    clause: int
    message: str


@dataclass(frozen=True, slots=True)
class ToolReturned:
    """A function that the gateway carried out returned `output`."""

    response_id: str
    call: ToolCall
    output: str


@dataclass(frozen=True, slots=True)
class Reminded:
    """The time of a `Remind` is over."""

    response_id: str


@dataclass(frozen=True, slots=True)
class MeasuresChanged:
    """The appliance leaves out other things than before."""

    measures: Measures


@dataclass(frozen=True, slots=True)
class ContextKnown:
    """What other systems know about the caller, as a text for the instructions."""

    text: str


@dataclass(frozen=True, slots=True)
class ClauseStarted:
    """The first audio of a clause exists."""

    response_id: str
    clause: int


@dataclass(frozen=True, slots=True)
class ClauseEnded:
    """All audio of a clause exists."""

    response_id: str
    clause: int


@dataclass(frozen=True, slots=True)
class PlayoutBegan:
    """The first audio of a reply was sent."""

    response_id: str


@dataclass(frozen=True, slots=True)
class ClauseSounding:
    """The caller begins to hear a clause."""

    response_id: str
    clause: int


@dataclass(frozen=True, slots=True)
class HoldLasted:
    """The time of a `LimitHold` is over."""

    response_id: str
    number: int


@dataclass(frozen=True, slots=True)
class PlayoutDrained:
    """Everything a reply had to say was played."""

    response_id: str


@dataclass(frozen=True, slots=True)
class PlayoutStopped:
    """A reply was silenced after `heard_ms`; the caller heard `heard_text`."""

    response_id: str
    heard_text: str
    heard_ms: int


@dataclass(frozen=True, slots=True)
class ItemHeardUpTo:
    """The client says that of `item_id` it played `audio_end_ms`, which is `text`."""

    item_id: str
    audio_end_ms: int
    text: str
    event_id: str | None


AgentInput = (
    CallerStirred
    | CallerBegan
    | CallerSpeaking
    | CallerHesitated
    | CallerResumed
    | CallerFinished
    | CallerWasNoise
    | TurnTranscribed
    | TurnNotTranscribed
    | PartialTranscribed
    | ReplyPiece
    | ReplyFailed
    | ClauseFailed
    | ToolReturned
    | Reminded
    | MeasuresChanged
    | ContextKnown
    | ClauseSounding
    | ClauseStarted
    | ClauseEnded
    | PlayoutBegan
    | HoldLasted
    | PlayoutDrained
    | PlayoutStopped
    | ItemHeardUpTo
)
