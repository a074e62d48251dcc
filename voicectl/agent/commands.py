"""What an agent session wants done. `service` carries these out, in order."""

from dataclasses import dataclass

from voicectl.core.events import CallEvent, Tool, ToolCall, ToolChoice
from voicectl.core.ports import Message


@dataclass(frozen=True, slots=True)
class Hear:
    """Transcribe the turn as it stands; answer with `TurnTranscribed`. `final` if the turn is over."""

    hearing_id: int
    final: bool


@dataclass(frozen=True, slots=True)
class HearPartial:
    """Transcribe the turn so far; answer with `PartialTranscribed`.

    A partial that does not decide is only made if there is capacity; one that `decides` whether the agent
    is interrupted waits its turn.
    """

    item_id: str
    decides: bool = False


@dataclass(frozen=True, slots=True)
class StopHearing:
    """The transcription is not wanted any more."""

    hearing_id: int


@dataclass(frozen=True, slots=True)
class EndTurn:
    """The turn is settled: forget its audio."""


@dataclass(frozen=True, slots=True)
class Compose:
    """Generate text of a reply; answer with `ReplyPiece`s of the same `attempt`, or `ReplyFailed`."""

    response_id: str
    messages: tuple[Message, ...]
    max_tokens: int
    speculative: bool
    attempt: int = 0
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = "auto"
    forced_tool: str | None = None


@dataclass(frozen=True, slots=True)
class CallTool:
    """Carry out a function of the gateway; answer with `ToolReturned`, whatever becomes of the reply."""

    response_id: str
    call: ToolCall


@dataclass(frozen=True, slots=True)
class Remind:
    """Answer with `Reminded` after so many seconds, unless the reply is abandoned before."""

    response_id: str
    after_s: float


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The conversation changed: keep it for the time after a failure."""


@dataclass(frozen=True, slots=True)
class Speak:
    """Synthesise a clause and queue it for playout; answer with `ClauseStarted` and `ClauseEnded`."""

    response_id: str
    clause: int
    text: str


@dataclass(frozen=True, slots=True)
class Release:
    """Let the queued audio of a reply play, and all that follows."""

    response_id: str
    item_id: str


@dataclass(frozen=True, slots=True)
class FinishPlayout:
    """No more audio will come; answer with `PlayoutDrained` once all is played."""

    response_id: str


@dataclass(frozen=True, slots=True)
class HoldPlayout:
    """Send no more of a reply for now; keep what is to come."""

    response_id: str


@dataclass(frozen=True, slots=True)
class LimitHold:
    """Answer with `HoldLasted` of the same `number` after so many seconds."""

    response_id: str
    number: int
    after_s: float


@dataclass(frozen=True, slots=True)
class ResumePlayout:
    """Go on with a reply that was held, where it was held."""

    response_id: str


@dataclass(frozen=True, slots=True)
class StopPlayout:
    """Silence a reply within one frame; answer with `PlayoutStopped`."""

    response_id: str


@dataclass(frozen=True, slots=True)
class Abandon:
    """Cancel all work on a reply and drop its audio that was not played."""

    response_id: str


@dataclass(frozen=True, slots=True)
class Emit:
    """Tell the transport."""

    event: CallEvent


Command = (
    Hear
    | HearPartial
    | StopHearing
    | EndTurn
    | Compose
    | CallTool
    | Remind
    | Checkpoint
    | Speak
    | Release
    | FinishPlayout
    | HoldPlayout
    | LimitHold
    | ResumePlayout
    | StopPlayout
    | Abandon
    | Emit
)
