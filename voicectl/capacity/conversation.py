"""What conversations ask of a host: turns by their lengths, no words. Knows no engine and no schedule."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Self

from voicectl.core.errors import ConfigError

SPEECH_TOKENS_A_SECOND: Final = 4.3
"""Tokens of a language model that a second of English speech holds (3.2 words, 1.35 tokens a word)."""
SHORTEST_PAUSE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause inside an utterance, long enough for a reply to be prepared: it begins `at_s` after the first word."""

    at_s: float
    length_s: float


@dataclass(frozen=True, slots=True)
class TurnShape:
    """One turn of a caller and the agent's reply to it.

    `end_pause_s` is the silence that ends the turn, `hearing_s` how much later than a pure count of silence the
    engine hears of it. `prompt_tokens` is what the turn adds to the prompt, `clauses_s` the speech of the reply by
    clause, the first of them after `first_clause_tokens`. With `second_look`, what was heard is so unclear that it
    is read again through the longest window.
    """

    speech_s: float
    end_pause_s: float
    prompt_tokens: int
    first_clause_tokens: int
    reply_tokens: int
    clauses_s: tuple[float, ...]
    pauses: tuple[Pause, ...] = ()
    hearing_s: float | None = None
    second_look: bool = False

    @property
    def reply_s(self) -> float:
        """Return how long the reply sounds."""
        return sum(self.clauses_s)


@dataclass(frozen=True, slots=True)
class Conversation:
    """Conversations of one kind: each call goes through the turns in a circle, from a turn of its own on.

    `think_s` lies between the end of a reply and the caller's next word, up to `think_spread_s` more or less.
    Each turn adds `turn_tokens` to what the model holds of the conversation, `turns_behind` lie behind on average.
    """

    name: str
    turns: tuple[TurnShape, ...]
    think_s: float
    think_spread_s: float = 0.0
    turn_tokens: int = 40
    turns_behind: float = 6.0

    def __post_init__(self) -> None:
        if not self.turns:
            raise ConfigError(f"conversation {self.name} has no turns")
        if self.turn_tokens < 1 or self.turns_behind < 0:
            raise ConfigError(
                f"conversation {self.name}: a turn adds tokens, and no number of them below 0 lies behind"
            )

    @property
    def context_tokens(self) -> int:
        """Return what the model holds of one conversation, on average."""
        return round(self.turn_tokens * self.turns_behind)

    def cycle_s(self, v2v_s: float = 0.6) -> float:
        """Return the mean time from one turn's first word to the next's."""
        mean = sum(turn.speech_s + turn.reply_s for turn in self.turns) / len(self.turns)
        return mean + v2v_s + self.think_s

    def fitted(self, *, talk_ratio: float | None = None, reply_tokens: int | None = None) -> Self:
        """Return the conversation with other proportions.

        `talk_ratio` is the part of the call in which the caller speaks; the time to think follows from it.
        Longer or shorter replies keep their first clause.
        """
        changed = self
        if reply_tokens is not None:
            changed = replace(changed, turns=tuple(_with_reply(turn, reply_tokens) for turn in changed.turns))
        if talk_ratio is not None:
            speech_s = sum(turn.speech_s for turn in changed.turns) / len(changed.turns)
            think_s = speech_s / talk_ratio - changed.cycle_s() + changed.think_s
            if think_s < SHORTEST_PAUSE_S:
                most = speech_s / (changed.cycle_s() - changed.think_s + SHORTEST_PAUSE_S)
                raise ConfigError(
                    f"a talk ratio of {talk_ratio:.0%} leaves no time for the replies of conversation {self.name}",
                    hint=f"callers who wait for replies speak {most:.0%} of the time at most; "
                    "lower --talk-ratio or --reply-tokens",
                )
            changed = replace(
                changed, think_s=think_s, think_spread_s=min(think_s, changed.think_spread_s or think_s / 2)
            )
        return changed

    def lasting(self, call_s: float) -> Self:
        """Return the conversation in calls of that length: at its end all turns lie behind, on average half of them."""
        return replace(self, turns_behind=max(1.0, call_s / self.cycle_s() / 2))

    def document(self) -> dict[str, Any]:
        """Return the conversation as JSON knows it."""
        return asdict(self)

    @classmethod
    def read(cls, document: dict[str, Any]) -> Self:
        """Return the conversation of a document that `document` made. Raises TypeError, KeyError or ValueError."""
        turns = tuple(
            TurnShape(
                **{
                    **turn,
                    "clauses_s": tuple(float(one) for one in turn["clauses_s"]),
                    "pauses": tuple(Pause(**pause) for pause in turn["pauses"]),
                }
            )
            for turn in document["turns"]
        )
        return cls(**{**document, "turns": turns})


def _with_reply(turn: TurnShape, reply_tokens: int) -> TurnShape:
    first = min(turn.first_clause_tokens, reply_tokens)
    head, *rest = turn.clauses_s or (0.0,)
    rest_tokens = turn.reply_tokens - turn.first_clause_tokens
    wanted = reply_tokens - first
    if wanted == 0:
        clauses: tuple[float, ...] = (head,)
    elif rest and rest_tokens > 0:
        clauses = (head, *(clause_s * wanted / rest_tokens for clause_s in rest))
    else:
        clauses = (head, wanted / SPEECH_TOKENS_A_SECOND)
    return replace(turn, first_clause_tokens=first, reply_tokens=reply_tokens, clauses_s=clauses)


@dataclass(frozen=True, slots=True)
class Tuning:
    """The settings of a profile that decide how its stages share a host."""

    stt_lanes: int = 2
    stt_batch: int = 2
    stt_windows: tuple[int, ...] = (1000, 1500, 2000, 3000)
    partial_interval_s: float = 0.6
    prefill_tokens: int = 64
    hot_sessions: int = 16
    idle_tokens: int | None = 2048
    tts_parallel: int = 2
    first_chunk_s: float = 0.46
    chunk_s: float = 1.39
    threads: dict[str, int] = field(default_factory=dict)
    niceness: dict[str, int] = field(default_factory=dict)
    hesitation_s: float = 0.1
    completion_s: float = 0.8
    late_s: dict[str, float] = field(default_factory=dict)
    overload: bool = True


REFERENCE: Final = Conversation(
    "reference",
    (
        TurnShape(1.10, 0.36, 16, 8, 11, (0.99, 1.29), (), 0.076),
        TurnShape(3.38, 0.35, 21, 7, 12, (1.02, 2.12), (), 0.048),
        TurnShape(1.85, 0.12, 18, 8, 11, (1.03, 1.29), (Pause(0.64, 0.13),), -0.1),
        TurnShape(3.06, 0.56, 20, 8, 11, (0.99, 1.29), (), 0.019),
        TurnShape(1.84, 0.18, 17, 8, 11, (1.03, 1.29), (), -0.1),
        TurnShape(2.19, 0.48, 17, 7, 25, (1.70, 5.99), (Pause(0.65, 0.13), Pause(1.67, 0.16)), 0.124),
        TurnShape(3.56, 0.30, 25, 10, 21, (1.63, 3.41), (), 0.001),
        TurnShape(2.52, 0.57, 22, 9, 25, (1.08, 3.46), (Pause(0.76, 0.18),), 0.032),
    ),
    think_s=6.0,
    think_spread_s=3.0,
    turn_tokens=39,
)
"""Eight turns of read speech and commands of 2 to 5 s with replies of at most 25 tokens, as the engine of profile
`cpu` hears and answers them (2026-11): what data sheets are planned with."""
