"""The agent's reply in progress: drafted while the caller pauses, live once the turn is committed."""

from dataclasses import dataclass, field, replace

from voicectl.agent.segmenter import Segmenter
from voicectl.core.events import Modality, StageTimes, TokenUsage
from voicectl.core.ports import FinishReason


@dataclass(slots=True)
class Reply:
    """One reply. Its clauses are synthesised one after the other, the first already in the draft.

    `num_begun`, `num_told` and `num_spoken` count clauses: with sound, sent as text, fully synthesised.
    """

    response_id: str
    item_id: str
    modality: Modality
    segmenter: Segmenter
    metadata: dict[str, str] | None = None
    live: bool = False
    text: str = ""
    clauses: list[str] = field(default_factory=list)
    num_begun: int = 0
    num_told: int = 0
    num_spoken: int = 0
    speaking: bool = False
    audible: bool = False
    finishing: bool = False
    finish: FinishReason | None = None
    usage: TokenUsage = field(default_factory=TokenUsage)
    times: StageTimes = field(default_factory=StageTimes)
    failure: str | None = None
    stop_reason: str | None = None

    def note(self, **instants: float | None) -> None:
        """Record instants that are not recorded yet."""
        fresh = {name: at for name, at in instants.items() if getattr(self.times, name) is None}
        self.times = replace(self.times, **fresh)

    def write(self, text: str, finish: FinishReason | None, usage: TokenUsage | None) -> None:
        """Take more text; complete clauses queue up to be spoken."""
        self.text += text
        self.clauses += self.segmenter.push(text)
        if finish is not None:
            self.finish = finish
            self.clauses += self.segmenter.flush()
        if usage is not None:
            self.usage = usage

    def next_clause(self) -> int | None:
        """Return the clause to synthesise now: one at a time, and only the first of a draft."""
        if self.speaking or self.num_spoken == len(self.clauses):
            return None
        if not self.live and self.num_spoken > 0:
            return None
        return self.num_spoken

    @property
    def all_spoken(self) -> bool:
        """Whether every clause there will ever be was synthesised."""
        return self.finish is not None and not self.speaking and self.num_spoken == len(self.clauses)
