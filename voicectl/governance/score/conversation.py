"""A call as scoring sees it: its row and its turns in order, with the texts that storage has redacted."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from voicectl.core.records import CallRow, TurnRow

Speaker = Literal["caller", "agent"]


@dataclass(frozen=True, slots=True)
class Said:
    """One party's words in a turn."""

    turn: int
    speaker: Speaker
    text: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """A finished call. `turns` are in order."""

    call: CallRow
    turns: tuple[TurnRow, ...]

    def said(self) -> Iterator[Said]:
        """Yield what was said, in order; turns without a text yield nothing."""
        for turn in self.turns:
            if turn.transcript:
                yield Said(turn.turn, "caller", turn.transcript)
            if turn.reply:
                yield Said(turn.turn, "agent", turn.reply)

    @property
    def happened(self) -> bool:
        """Whether anybody had a turn."""
        return self.call.num_turns > 0 or bool(self.turns)

    @property
    def caller_was_silent(self) -> bool:
        """Whether it is certain that the caller said nothing: nobody had a turn, or the agent alone.

        Without a redactor, whose counts a call then lacks, and behind retention or lost events, nobody knows.
        """
        call = self.call
        if not self.happened:
            return True
        if call.num_redactions is None or call.texts_pruned_at is not None or call.incomplete:
            return False
        if call.audio_s or call.num_misunderstandings or len(self.turns) < call.num_turns:
            return False
        # A turn of the caller whose words are not at hand has an empty transcript, not none.
        return not any(turn.transcript is not None or turn.last_voiced_at is not None for turn in self.turns)

    @property
    def has_caller_text(self) -> bool:
        """Whether any word of the caller is at hand."""
        return any(turn.transcript for turn in self.turns)

    @property
    def answered_s(self) -> float | None:
        """How long the call lasted once it was answered, seconds."""
        if self.call.answered_at is None or self.call.ended_at is None:
            return None
        return self.call.ended_at - self.call.answered_at
