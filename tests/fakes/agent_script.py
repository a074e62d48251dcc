"""The planes around an agent session, by script: what is told to it, and what it ordered."""

from itertools import count

from voicectl.agent import commands as do
from voicectl.agent import inputs as told
from voicectl.agent.commands import Command, Emit
from voicectl.agent.session import Session, SessionInput
from voicectl.core import events as ev
from voicectl.core.config import load_profile

PROFILE = load_profile("cpu")


class Script:
    """Feeds a session and remembers what it ordered."""

    def __init__(self, gateway_tools: tuple[ev.Tool, ...] = (), *, prefix: str = "") -> None:
        numbers = count(1)
        self.session = Session(PROFILE, lambda kind: f"{prefix}{kind}_{next(numbers)}", gateway_tools=gateway_tools)
        self.at = 0.0
        self.all: list[Command] = []

    def tell(self, *inputs: SessionInput, after: float = 0.01) -> list[Command]:
        """Feed inputs; answer StopPlayout as the service does; return the new commands."""
        fresh: list[Command] = []
        for each in inputs:
            self.at += after
            fresh += self.session.step(each, self.at)
        self.all += fresh
        return fresh

    def events(self, kind: type) -> list:
        return [c.event for c in self.all if isinstance(c, Emit) and isinstance(c.event, kind)]

    def ordered(self, kind: type) -> list:
        return [c for c in self.all if isinstance(c, kind)]

    def say(self, text: str, *, pause_id: int = 1) -> str:
        """Let the caller say a whole turn; return the id of the reply that answers it."""
        self.tell(told.CallerBegan(self.at), told.CallerSpeaking(0.5), told.CallerHesitated(pause_id))
        hearing = self.ordered(do.Hear)[-1].hearing_id
        self.tell(told.TurnTranscribed(hearing, text, 1.0))
        self.tell(told.CallerFinished(self.at, self.at, "complete"))
        return self.ordered(do.Compose)[-1].response_id

    def call(self, response_id: str, *calls: ev.ToolCall, text: str = "", attempt: int = 0) -> None:
        """Let the language model call functions."""
        usage = ev.TokenUsage(10, 2, 5)
        self.tell(told.ReplyPiece(response_id, text, "tool_calls", usage, calls, attempt))

    def reply(self, response_id: str, *pieces: str, attempt: int = 0) -> None:
        """Let the language model answer and the first clause sound."""
        for piece in pieces[:-1]:
            self.tell(told.ReplyPiece(response_id, piece, attempt=attempt))
        self.tell(told.ReplyPiece(response_id, pieces[-1], "stop", ev.TokenUsage(10, 2, 5), attempt=attempt))

    def sound(self, response_id: str) -> None:
        """Let every clause be synthesised and begin to play."""
        for clause in range(10):
            spoken = [c.clause for c in self.ordered(do.Speak) if c.response_id == response_id]
            if clause not in spoken:
                return
            self.tell(told.ClauseStarted(response_id, clause))
            if clause == 0:
                self.tell(told.PlayoutBegan(response_id))
            self.tell(told.ClauseSounding(response_id, clause))
            self.tell(told.ClauseEnded(response_id, clause))
