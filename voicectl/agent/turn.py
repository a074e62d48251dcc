"""The caller's turn in progress: what was heard of it, and whether it has ended."""

from dataclasses import dataclass, field

from voicectl.agent.inputs import EndReason
from voicectl.agent.partials import LocalAgreement


@dataclass(slots=True)
class Hearing:
    """One transcription of the turn, made at a pause; `text` is None until it is there."""

    hearing_id: int
    pause_id: int | None
    started_at: float
    text: str | None = None
    duration_s: float = 0.0
    confidence: float | None = None
    transcribed_at: float | None = None


@dataclass(slots=True)
class CallerTurn:
    """A turn from its first voiced frame until it is settled. Instants are session seconds.

    `over_agent` holds while the caller speaks over the agent's voice and has not taken the floor;
    such a turn is not announced to the client, which would stop its loudspeaker. Of the `speech_s` spoken
    until `spoke_at`, the latest partial was asked for at `partial_s`, and `words` are those of the first `words_s`.
    """

    item_id: str
    began_position_s: float
    over_agent: bool
    announced: bool = False
    partials: LocalAgreement = field(default_factory=LocalAgreement)
    partial_running: bool = False
    last_partial_at: float | None = None
    partial_s: float = 0.0
    words: str = ""
    words_s: float = 0.0
    speech_s: float = 0.0
    spoke_at: float | None = None
    hearing: Hearing | None = None
    finished_at: float | None = None
    end_reason: EndReason | None = None
    speech_end_s: float | None = None
    last_voiced_at: float | None = None
