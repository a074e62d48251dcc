"""The agent's reply in progress: drafted while the caller pauses, live once the turn is committed."""

from dataclasses import dataclass, field, replace

from voicectl.agent.continuation import Continuation
from voicectl.agent.segmenter import Segmenter
from voicectl.core.events import Modality, ResponseRequested, StageTimes, TokenUsage, ToolCall
from voicectl.core.ports import FinishReason


@dataclass(slots=True)
class Reply:
    """One reply. Its clauses are synthesised one after the other, the first already in the draft.

    `num_begun`, `num_told`, `num_spoken`, `num_silent` and `num_sounding` count clauses: with sound,
    sent as text, fully synthesised, failed to be synthesised, and heard at least in part.
    `attempt` numbers the generations of its text: a reply is written again when the language model
    fails, and goes on being written when functions that it called have returned (`rounds`).
    `calls` were written but not told yet; `running` are ids of calls the gateway carries out.
    `held_by` names what keeps its voice silent at present: a turn of the caller, or the beginning of one.
    """

    response_id: str
    item_id: str
    modality: Modality
    segmenter: Segmenter
    request: ResponseRequested
    live: bool = False
    announced: bool = False
    text: str = ""
    generated: str = ""
    clauses: list[str] = field(default_factory=list)
    num_begun: int = 0
    num_told: int = 0
    num_spoken: int = 0
    num_silent: int = 0
    num_sounding: int = 0
    num_told_chars: int = 0
    speaking: bool = False
    voice_failed_in_draft: bool = False
    audible: bool = False
    held_by: str | None = None
    num_holds: int = 0
    finishing: bool = False
    attempt: int = 0
    rounds: int = 0
    num_failures: int = 0
    continuation: Continuation | None = None
    calls: tuple[ToolCall, ...] = ()
    running: set[str] = field(default_factory=set)
    waited: bool = False
    finish: FinishReason | None = None
    usage: TokenUsage = field(default_factory=TokenUsage)
    times: StageTimes = field(default_factory=StageTimes)
    failure: str | None = None
    voice_failure: str | None = None
    stop_reason: str | None = None

    @property
    def asked(self) -> bool:
        """Whether it asks the caller something."""
        return "?" in self.text

    @property
    def out_of_band(self) -> bool:
        """Whether it leaves the conversation as it is."""
        return self.request.out_of_band

    def note(self, **instants: float | None) -> None:
        """Record instants that are not recorded yet."""
        fresh = {name: at for name, at in instants.items() if getattr(self.times, name) is None}
        self.times = replace(self.times, **fresh)

    def write(self, text: str, finish: FinishReason | None, usage: TokenUsage | None) -> None:
        """Take more text; complete clauses queue up to be spoken."""
        if self.continuation is not None:
            text = self.continuation.push(text, last=finish is not None)
        if not self.generated:
            text = self._joined(text)
        elif self.continuation is not None and self.text[-1:].isspace():
            text = text.lstrip()
        self.text += text
        self.generated += text
        self.clauses += self.segmenter.push(text)
        if finish is not None:
            self.finish = finish
            self.clauses += self.segmenter.flush()
        if usage is not None:
            self.usage = TokenUsage(
                self.usage.prompt_tokens + usage.prompt_tokens,
                self.usage.cached_tokens + usage.cached_tokens,
                self.usage.completion_tokens + usage.completion_tokens,
            )

    def recite(self, text: str) -> None:
        """Add a clause that no language model wrote."""
        clause = self._joined(f"{text} ")
        self.text += clause
        self.clauses.append(clause)

    def _joined(self, text: str) -> str:
        """Return text as it follows on what is there: with one blank between."""
        if not self.text or not text.strip():
            return text
        return text.lstrip() if self.text[-1].isspace() else f" {text.lstrip()}"

    def begin_attempt(self, segmenter: Segmenter, *, again: bool) -> None:
        """Get ready for more text: the same once more (`again`), or what follows on it."""
        self.attempt += 1
        self.segmenter = segmenter
        self.finish = None
        self.failure = None
        if self.modality == "audio":
            # A clause that is not complete will be written again.
            kept = "".join(self.clauses)
            num_dropped = len(self.text) - len(kept)
            self.text = kept
            self.generated = self.generated[: len(self.generated) - num_dropped]
        if not again:
            self.generated = ""
        self.continuation = Continuation(self.generated, "next_sentence") if self.generated.strip() else None

    def next_clause(self) -> int | None:
        """Return the clause to synthesise now: one at a time, and only the first of a draft."""
        if self.speaking or self.num_spoken == len(self.clauses):
            return None
        if not self.live and (self.num_spoken > 0 or self.voice_failed_in_draft):
            return None
        return self.num_spoken

    @property
    def written(self) -> bool:
        """Whether all of its text is there."""
        return self.finish is not None and not self.running

    @property
    def all_spoken(self) -> bool:
        """Whether every clause there will ever be was synthesised."""
        return self.written and not self.speaking and self.num_spoken == len(self.clauses)

    @property
    def sounding_text(self) -> str:
        """The clauses of which the caller heard at least a part."""
        return "".join(self.clauses[: self.num_sounding])
