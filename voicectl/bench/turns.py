"""Where the time of a turn went: from the caller's own recording and the server's instants. Pure.

Two clocks meet here. The caller's clock gives `v2v`, from the waveforms. The server's clock gives
durations only. The stages are disjoint and lie one behind the other, so that their sum must equal
`v2v`; what is left over is reported, never booked on a stage.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np

from voicectl.bench.waveform import Span, audible_span
from voicectl.core.audio import Samples
from voicectl.core.events import StageTimes

TIMES_KEY: Final = "voicectl.times"
"""Key of the server's instants in the metadata of `response.done`."""
STAGES: Final = ("vad", "endpointing", "stt", "llm", "tts", "playout", "transport", "lead_in")
"""The stages of the critical path, in the order in which they happen."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Received audio and when a client with no jitter buffer to speak of plays it, on the caller's clock."""

    arrived_at: float
    play_at: float
    samples: Samples


@dataclass(frozen=True, slots=True)
class Reply:
    """One response of the server as the caller saw it."""

    response_id: str
    created_at: float
    text: str
    status: str | None
    pieces: tuple[Piece, ...] = ()
    times: StageTimes | None = None


@dataclass(frozen=True, slots=True)
class Spoken:
    """What the caller said in a turn. Sample 0 left the mouth at `began_at`, stream position `position_s`.

    Who knows where the words begin and end, in clean speech under noise for example, gives their `span`.
    """

    samples: Samples
    began_at: float
    position_s: float
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class TurnEvidence:
    """All that was observed of one turn. `rtt_s` is the network's round trip."""

    heard: str
    replies: tuple[Reply, ...]
    rate: int
    spoken: Spoken | None = None
    committed_at: float | None = None
    rtt_s: float | None = None


@dataclass(frozen=True, slots=True)
class TurnReport:
    """One turn, measured. None means that it was not observed. Instants are on the caller's clock."""

    heard: str
    reply: str
    v2v_ms: float | None
    eou_to_first_audio_ms: float | None
    stages_ms: Mapping[str, float | None]
    unexplained_ms: float | None
    overlapped_ms: Mapping[str, float | None]
    interrupted: bool
    cut_in: bool
    answered: bool
    last_voiced_at: float | None = None
    first_audible_at: float | None = None

    def document(self) -> dict[str, Any]:
        """Return the turn as `talk --json` prints it, milliseconds with one decimal."""
        return {
            "heard": self.heard,
            "reply": self.reply,
            "v2v_ms": _rounded(self.v2v_ms),
            "eou_to_first_audio_ms": _rounded(self.eou_to_first_audio_ms),
            "stages_ms": {stage: _rounded(value) for stage, value in self.stages_ms.items()},
            "unexplained_ms": _rounded(self.unexplained_ms),
            "overlapped_ms": {stage: _rounded(value) for stage, value in self.overlapped_ms.items()},
            "interrupted": self.interrupted,
            "cut_in": self.cut_in,
        }


def report_turn(evidence: TurnEvidence) -> TurnReport:
    """Measure one turn.

    The answer is the first reply that is heard after the caller's last voiced sample. A reply heard
    before it is a cut-in; the turn then has a v2v only if another reply follows.
    """
    voiced = _voiced(evidence)
    audible = [(reply, audible_at(reply.pieces, evidence.rate)) for reply in evidence.replies]
    heard_at = [(reply, at) for reply, at in audible if at is not None]
    cut_in = voiced is not None and any(at < voiced.ended_at for _, at in heard_at)
    answers = [(reply, at) for reply, at in heard_at if voiced is None or at >= voiced.ended_at]
    answer, first_at = answers[0] if answers else (None, None)
    shown = answer or (evidence.replies[-1] if evidence.replies else None)
    v2v_s = None if voiced is None or first_at is None else first_at - voiced.ended_at
    stages = _stages(answer, first_at, voiced, evidence.rtt_s)
    return TurnReport(
        heard=evidence.heard,
        reply=shown.text if shown else "",
        v2v_ms=_ms(v2v_s),
        eou_to_first_audio_ms=_ms(_eou_to_first_audio(answer, evidence.committed_at)),
        stages_ms={stage: _ms(value) for stage, value in stages.items()},
        unexplained_ms=_ms(_unexplained(v2v_s, stages.values())),
        overlapped_ms={name: _ms(value) for name, value in _overlapped(answer).items()},
        interrupted=any(reply.status == "cancelled" for reply in evidence.replies),
        cut_in=cut_in,
        answered=shown is not None,
        last_voiced_at=None if voiced is None else voiced.ended_at,
        first_audible_at=first_at,
    )


def audible_at(pieces: Sequence[Piece], rate: int) -> float | None:
    """Return when the first audible sample of these pieces is played; None if they are silent."""
    span = _audible(pieces, rate)
    return None if span is None else _played_at(pieces, round(span.first_s * rate), rate)


def last_audible_at(pieces: Sequence[Piece], rate: int) -> float | None:
    """Return when the last audible sample of these pieces is played; None if they are silent."""
    span = _audible(pieces, rate)
    return None if span is None else _played_at(pieces, round(span.last_s * rate), rate)


def _audible(pieces: Sequence[Piece], rate: int) -> Span | None:
    return audible_span(np.concatenate([piece.samples for piece in pieces]), rate) if pieces else None


def _played_at(pieces: Sequence[Piece], index: int, rate: int) -> float | None:
    """Return when the sample of that index, counted over all pieces, is played; None beyond the last."""
    for piece in pieces:
        if index < piece.samples.size:
            return piece.play_at + index / rate
        index -= piece.samples.size
    return None


def parse_times(text: str) -> StageTimes:
    """Return the instants of a response's metadata. Raises ValueError on anything else."""
    document = json.loads(text)
    if not isinstance(document, dict):
        raise ValueError(f"stage times are a JSON object, not {text[:80]!r}")
    known = {field.name for field in fields(StageTimes)}
    values = {name: value for name, value in document.items() if name in known}
    wrong = {name: value for name, value in values.items() if value is not None and not isinstance(value, int | float)}
    if wrong:
        raise ValueError(f"stage times are seconds or null, not {wrong}")
    return StageTimes(**values)


@dataclass(frozen=True, slots=True)
class _Voiced:
    """The caller's last voiced sample: its stream position, and when it was spoken."""

    position_s: float
    ended_at: float


def _voiced(evidence: TurnEvidence) -> _Voiced | None:
    if evidence.spoken is None:
        return None
    span = evidence.spoken.span or audible_span(evidence.spoken.samples, evidence.rate)
    if span is None:
        return None
    return _Voiced(evidence.spoken.position_s + span.last_s, evidence.spoken.began_at + span.last_s)


def _stages(
    answer: Reply | None, first_at: float | None, voiced: _Voiced | None, rtt_s: float | None
) -> dict[str, float | None]:
    times = (answer.times if answer else None) or StageTimes()
    committed = times.committed_at
    lead_in = None if first_at is None or answer is None else first_at - answer.pieces[0].play_at
    return {
        "vad": _between(voiced.position_s if voiced else None, times.last_voiced_position_s),
        "endpointing": _between(times.last_voiced_at, committed),
        "stt": _after(committed, (), times.transcribed_at),
        "llm": _after(committed, (times.transcribed_at,), times.first_clause_at),
        "tts": _after(committed, (times.first_clause_at,), times.first_audio_at),
        "playout": _after(committed, (times.first_audio_at,), times.first_sent_at),
        "transport": rtt_s,
        "lead_in": lead_in,
    }


def _overlapped(answer: Reply | None) -> dict[str, float | None]:
    """How long the stages took in themselves; most of it lies before the commit."""
    times = (answer.times if answer else None) or StageTimes()
    return {
        "pause": _between(times.last_voiced_at, times.hesitated_at),
        "stt": _between(times.hesitated_at, times.transcribed_at),
        "first_token": _between(times.transcribed_at, times.first_token_at),
        "first_clause": _between(times.first_token_at, times.first_clause_at),
        "tts": _between(times.first_clause_at, times.first_audio_at),
        "held": _between(times.first_audio_at, times.first_sent_at),
    }


def _eou_to_first_audio(answer: Reply | None, committed_at: float | None) -> float | None:
    if answer is None:
        return None
    if answer.times is not None:
        return _between(answer.times.committed_at, answer.times.first_sent_at)
    # A server that tells no instants: what the caller saw, one network trip included in both.
    return _between(committed_at, answer.pieces[0].arrived_at)


def _unexplained(v2v_s: float | None, stages: Iterable[float | None]) -> float | None:
    known = [value for value in stages if value is not None]
    return None if v2v_s is None or len(known) < len(STAGES) else v2v_s - sum(known)


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else end - start


def _after(committed: float | None, earlier: Sequence[float | None], end: float | None) -> float | None:
    """Seconds of a stage that lie behind the commit and behind the stage before it; 0 if it was ready."""
    starts = [committed, *earlier]
    known = [start for start in starts if start is not None]
    if end is None or len(known) < len(starts):
        return None
    return max(0.0, end - max(known))


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
