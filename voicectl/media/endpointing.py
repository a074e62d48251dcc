"""Decide when a turn of the caller begins, hesitates and ends. Knows no audio, model or clock.

Time is the position in the input stream, seconds, in steps of one voice-activity frame (32 ms):
a threshold counts as reached at the nearest frame.
"""

from dataclasses import dataclass
from typing import Final, Literal

from voicectl.core.sections.media import Endpointing, VadSettings
from voicectl.media.patience import Verdict, required_pause_ms
from voicectl.media.vad import VAD_FRAME_S, VadFrame

_NEAREST_S: Final = VAD_FRAME_S / 2 + 1e-6
_ONSET_FRAMES: Final = 2
"""Frames in a row that begin speech: a click fills one."""
_AUDIBLE_DB: Final = 27.0
"""The detector stays on through breath and reverberation, 60 ms at the median and 430 ms at the worst
of 21 clips. What is this far below the caller's own level is not speech any more: 12 and 120 ms."""
# How fast the caller's level is followed, a voiced frame: up, down.
_ATTACK: Final = 0.5
_RELEASE: Final = 0.01


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known about a pause: how complete the turn sounds (0 to 1), and its words. None is unknown."""

    pause_id: int
    completeness: float | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    """The caller began to speak at `position_s`."""

    position_s: float


@dataclass(frozen=True, slots=True)
class Hesitated:
    """The caller has been silent for the hesitation threshold since `speech_end_s`."""

    pause_id: int
    speech_end_s: float
    position_s: float


@dataclass(frozen=True, slots=True)
class Resumed:
    """The caller speaks again in the same turn."""

    pause_id: int


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The turn is over; its last voiced frame ended at `speech_end_s`."""

    speech_end_s: float
    position_s: float
    reason: Literal["complete", "timeout", "too_long"]


@dataclass(frozen=True, slots=True)
class Discarded:
    """What had begun was too short to be speech."""

    position_s: float


Decision = SpeechBegan | Hesitated | Resumed | TurnEnded | Discarded


@dataclass(slots=True)
class _Turn:
    """A turn in progress."""

    began_s: float
    speech_end_s: float
    voiced_s: float
    pause_id: int | None = None
    longest_pause_s: float = 0.0
    completeness: float | None = None
    text: str | None = None


class Endpointer:
    """The turns of one input stream. Feed it every frame, in order, and evidence as it arrives."""

    def __init__(self, settings: Endpointing, vad: VadSettings) -> None:
        self._settings = settings
        self._vad = vad
        self._start_threshold = vad.start_threshold
        self._fixed_pause_ms: int | None = None
        self._patience = 1.0
        self._level_dbfs: float | None = None
        self._onset: list[VadFrame] = []
        self._turn: _Turn | None = None
        self._num_pauses = 0
        self._position_s = 0.0

    def configure(self, *, fixed_pause_ms: int | None, start_threshold: float | None, patience: float = 1.0) -> None:
        """Set what a client chose; None is the profile's.

        A fixed pause ends every turn, whatever was said; `patience` stretches all others.
        """
        self._fixed_pause_ms = fixed_pause_ms
        self._patience = patience
        self._start_threshold = self._vad.start_threshold if start_threshold is None else start_threshold

    def reset(self) -> None:
        """Forget the turn in progress, without a decision."""
        self._turn = None
        self._onset = []

    @property
    def max_turn_s(self) -> float:
        """Return how long a turn may be."""
        return self._settings.max_turn_s

    @property
    def began_s(self) -> float | None:
        """Return where the turn in progress began."""
        return None if self._turn is None else self._turn.began_s

    @property
    def speaking(self) -> bool:
        """Return whether the caller speaks now: in a turn, and not in a pause of it."""
        return self._turn is not None and self._turn.pause_id is None

    @property
    def onset_s(self) -> float:
        """Return how long there has been sound that may become a turn; 0 in one."""
        return self._onset[-1].end_s - self._onset[0].start_s if self._onset else 0.0

    @property
    def speech_s(self) -> float:
        """Return how much of the turn was voiced."""
        return 0.0 if self._turn is None else self._turn.voiced_s

    def hear(self, frame: VadFrame) -> tuple[Decision, ...]:
        """Take the next frame."""
        self._position_s = frame.end_s
        self._follow_level(frame)
        turn = self._turn
        if turn is None:
            return self._await_onset(frame)
        decisions = self._speech(turn, frame) if self._is_voiced(turn, frame) else self._silence(turn)
        if self._turn is not None and frame.end_s - turn.began_s >= self._settings.max_turn_s:
            decisions += self._end(turn, "too_long")
        return decisions

    def weigh(self, evidence: Evidence) -> tuple[Decision, ...]:
        """Take evidence about a pause; evidence about any pause but the present one is void."""
        turn = self._turn
        if turn is None or turn.pause_id is None or turn.pause_id != evidence.pause_id:
            return ()
        if evidence.completeness is not None:
            turn.completeness = evidence.completeness
        if evidence.text is not None:
            turn.text = evidence.text
        return self._end_if_due(turn)

    def _await_onset(self, frame: VadFrame) -> tuple[Decision, ...]:
        if frame.probability < self._start_threshold:
            self._onset = []
            return ()
        self._onset.append(frame)
        if len(self._onset) < _ONSET_FRAMES:
            return ()
        began_s = self._onset[0].start_s
        self._onset = []
        self._turn = _Turn(began_s, frame.end_s, frame.end_s - began_s)
        return (SpeechBegan(began_s),)

    def _is_voiced(self, turn: _Turn, frame: VadFrame) -> bool:
        # A breath does not end a pause, though it may lengthen speech.
        threshold = self._start_threshold if turn.pause_id is not None else self._vad.stop_threshold
        if frame.probability < min(threshold, self._start_threshold):
            return False
        return self._level_dbfs is None or frame.level_dbfs > self._level_dbfs - _AUDIBLE_DB

    def _speech(self, turn: _Turn, frame: VadFrame) -> tuple[Decision, ...]:
        pause_id, turn.pause_id = turn.pause_id, None
        if pause_id is not None:
            turn.longest_pause_s = max(turn.longest_pause_s, frame.start_s - turn.speech_end_s)
            turn.completeness = turn.text = None
        turn.speech_end_s = frame.end_s
        turn.voiced_s += frame.end_s - frame.start_s
        return () if pause_id is None else (Resumed(pause_id),)

    def _silence(self, turn: _Turn) -> tuple[Decision, ...]:
        if turn.pause_id is not None:
            return self._end_if_due(turn)
        if not self._has_lasted(turn, self._hesitation_ms):
            return ()
        if turn.voiced_s * 1000 < self._vad.min_speech_ms:
            self._turn = None
            return (Discarded(self._position_s),)
        self._num_pauses += 1
        turn.pause_id = self._num_pauses
        return (Hesitated(turn.pause_id, turn.speech_end_s, self._position_s), *self._end_if_due(turn))

    def _end_if_due(self, turn: _Turn) -> tuple[Decision, ...]:
        if self._fixed_pause_ms is not None:
            due, complete = self._has_lasted(turn, self._fixed_pause_ms), False
        else:
            verdict = Verdict.of(turn.completeness, turn.text, self._settings.complete_probability)
            pause_ms = required_pause_ms(verdict, turn.longest_pause_s * 1000, self._settings)
            due, complete = self._has_lasted(turn, pause_ms * self._patience), verdict is Verdict.COMPLETE
        return self._end(turn, "complete" if complete else "timeout") if due else ()

    def _end(self, turn: _Turn, reason: Literal["complete", "timeout", "too_long"]) -> tuple[Decision, ...]:
        self._turn = None
        return (TurnEnded(turn.speech_end_s, self._position_s, reason),)

    def _has_lasted(self, turn: _Turn, pause_ms: float) -> bool:
        return self._position_s - turn.speech_end_s >= pause_ms / 1000 - _NEAREST_S

    @property
    def _hesitation_ms(self) -> int:
        hesitation_ms = self._settings.hesitation_ms
        return hesitation_ms if self._fixed_pause_ms is None else min(hesitation_ms, self._fixed_pause_ms)

    def _follow_level(self, frame: VadFrame) -> None:
        """Follow how loud the caller speaks: at once when louder, over seconds when quieter."""
        if frame.probability < self._start_threshold:
            return
        if self._level_dbfs is None:
            self._level_dbfs = frame.level_dbfs
        step = frame.level_dbfs - self._level_dbfs
        self._level_dbfs += (_ATTACK if step > 0 else _RELEASE) * step
