"""Which part of a turn took from when to when, by the instants that a reply carries. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from voicectl.core.events import StageTimes


@dataclass(frozen=True, slots=True)
class Interval:
    """A stage of a turn. Instants are seconds on the session clock."""

    stage: str
    began_at: float
    ended_at: float

    @property
    def seconds(self) -> float:
        """Return how long it took."""
        return self.ended_at - self.began_at


ENDPOINTING: Final = "endpointing"
HESITATION: Final = "hesitation"
STT: Final = "stt"
FIRST_WORDS: Final = "llm_first_token"
FIRST_CLAUSE: Final = "llm_first_clause"
FIRST_AUDIO: Final = "tts_first_audio"
HELD: Final = "held"
STAGES: Final = (ENDPOINTING, HESITATION, STT, FIRST_WORDS, FIRST_CLAUSE, FIRST_AUDIO, HELD)


def intervals(times: StageTimes) -> Iterator[Interval]:
    """Yield the stages of which both ends were seen, in the order in which they begin.

    They overlap: what is drafted during a pause runs while endpointing still waits. A reply that nobody
    spoke for begins with its commit. `held` is finished audio that waits for the end of the turn.
    """
    llm_began_at = times.committed_at if times.transcribed_at is None else times.transcribed_at
    ends = (
        (ENDPOINTING, times.last_voiced_at, times.committed_at),
        (HESITATION, times.last_voiced_at, times.hesitated_at),
        (STT, times.hesitated_at, times.transcribed_at),
        (FIRST_WORDS, llm_began_at, times.first_token_at),
        (FIRST_CLAUSE, times.first_token_at, times.first_clause_at),
        (FIRST_AUDIO, times.first_clause_at, times.first_audio_at),
        (HELD, times.first_audio_at, times.first_sent_at),
    )
    for stage, began_at, ended_at in ends:
        if began_at is not None and ended_at is not None and began_at <= ended_at:
            yield Interval(stage, began_at, ended_at)


def eou_to_first_audio_s(times: StageTimes) -> float | None:
    """Return the seconds from the commit of the turn to the first audio sent."""
    return _between(times.committed_at, times.first_sent_at)


def answer_latency_s(times: StageTimes) -> float | None:
    """Return the seconds from the arrival of the caller's last voiced audio to the first audio sent.

    This is what a server can know of v2v: the network and the silence before the first audible sample
    are not in it.
    """
    return _between(times.last_voiced_at, times.first_sent_at)


def _between(began_at: float | None, ended_at: float | None) -> float | None:
    if began_at is None or ended_at is None or ended_at < began_at:
        return None
    return ended_at - began_at
