"""One caller's ear: from PCM of any rate to decisions about turns, and the audio of the turn at hand."""

from collections import deque
from typing import Final

import numpy as np

from voicectl.core.audio import BYTES_PER_SAMPLE, MODEL_RATE_HZ, Samples, pcm16_to_float
from voicectl.core.sections.media import VadSettings
from voicectl.media.endpointing import Decision, Endpointer, Evidence, TurnEnded
from voicectl.media.resample import Resampler
from voicectl.media.vad import SILENCE_DBFS, VoiceActivityDetector

_SLICE_S: Final = 0.1
"""Audio taken in at once, so that a long piece is forgotten as it is heard."""
_ONSET_S: Final = 0.1
"""Speech is noticed this long after it began; the prefix lies before that."""


class Listener:
    """Listens to one stream. It keeps the turn at hand, or the last moments before one, and nothing else."""

    def __init__(self, vad: VoiceActivityDetector, endpointer: Endpointer, settings: VadSettings) -> None:
        self._vad = vad
        self._endpointer = endpointer
        self._prefix_s = settings.prefix_ms / 1000
        self._audio = _Tape()
        self._resampler: Resampler | None = None
        self._ended: Samples | None = None
        self._endpointing = True
        self.level_dbfs = SILENCE_DBFS

    @property
    def position_s(self) -> float:
        """Return how much of the stream came in."""
        return self._audio.end / MODEL_RATE_HZ

    @property
    def speaking(self) -> bool:
        """Return whether the caller speaks now, and not in a pause."""
        return self._endpointer.speaking

    def onset_seconds(self) -> float:
        """Return how long there has been sound that may become speech; 0 once it has."""
        return self._endpointer.onset_s

    def speech_seconds(self) -> float:
        """Return how much of the turn at hand was voiced."""
        return self._endpointer.speech_s

    def buffered_seconds(self) -> float:
        """Return the length of `turn_audio()`."""
        return self.turn_audio().size / MODEL_RATE_HZ

    def configure(
        self,
        *,
        silence_ms: int | None = None,
        start_threshold: float | None = None,
        patience: float = 1.0,
        endpointing: bool = True,
    ) -> None:
        """Set what a client chose; None is the profile's.

        `silence_ms` ends every turn after just that pause, `patience` stretches all others. Without
        `endpointing` there are no decisions, and everything since the last commit or clear is the turn, up to
        the longest.
        """
        self._endpointer.configure(fixed_pause_ms=silence_ms, start_threshold=start_threshold, patience=patience)
        if endpointing != self._endpointing:
            self._endpointing = endpointing
            self._endpointer.reset()
            self._vad.reset(self._audio.end)

    def push(self, pcm: bytes, sample_rate: int) -> list[Decision]:
        """Hear 16-bit mono PCM. Raises ValueError on an odd number of bytes."""
        if len(pcm) % BYTES_PER_SAMPLE:
            raise ValueError(f"{len(pcm)} bytes are not whole 16-bit samples")
        step = max(1, round(sample_rate * _SLICE_S)) * BYTES_PER_SAMPLE
        decisions: list[Decision] = []
        for start in range(0, len(pcm), step):
            samples = pcm16_to_float(pcm[start : start + step])
            decisions += self._hear(self._at_model_rate(samples, sample_rate))
        return decisions

    def weigh(self, evidence: Evidence) -> list[Decision]:
        """Take evidence about a pause."""
        began_s = self._endpointer.began_s
        decisions = self._endpointer.weigh(evidence)
        self._keep_ended(decisions, began_s)
        return list(decisions)

    def turn_audio(self) -> Samples:
        """Return the turn at 16 kHz: the ended one until `reset_turn`, else the one at hand, with its prefix.

        Before any speech it is what would be the prefix.
        """
        return self._audio.since(self._kept_from(self._endpointer.began_s)) if self._ended is None else self._ended

    def reset_turn(self) -> None:
        """Forget the turn that ended; if none did, the one at hand ends here, unsaid."""
        if self._ended is None:
            self.clear()
        self._ended = None

    def commit(self) -> Samples:
        """End the turn because the client says so, and return its audio."""
        samples = self.turn_audio()
        self.reset_turn()
        return samples

    def clear(self) -> None:
        """Forget everything heard."""
        self._endpointer.reset()
        self._ended = None
        self._audio.drop_before(self._audio.end)

    def _hear(self, samples: Samples) -> list[Decision]:
        self._audio.append(samples)
        decisions: list[Decision] = []
        if self._endpointing:
            for frame in self._vad.push(samples):
                began_s = self._endpointer.began_s
                heard = self._endpointer.hear(frame)
                self._keep_ended(heard, began_s)
                self.level_dbfs = frame.level_dbfs
                decisions += heard
        self._audio.drop_before(self._kept_from(self._endpointer.began_s))
        return decisions

    def _keep_ended(self, decisions: tuple[Decision, ...], began_s: float | None) -> None:
        """Keep the audio of a turn that ended: the next may begin before anybody asks for it."""
        if any(isinstance(decision, TurnEnded) for decision in decisions):
            self._ended = self._audio.since(self._kept_from(began_s))

    def _kept_from(self, began_s: float | None) -> int:
        """Return where the audio that matters begins, in samples of the stream."""
        if not self._endpointing:
            from_s = self.position_s - self._prefix_s - self._endpointer.max_turn_s
        elif began_s is None:
            from_s = self.position_s - self._prefix_s - _ONSET_S
        else:
            from_s = began_s - self._prefix_s
        return max(0, round(from_s * MODEL_RATE_HZ))

    def _at_model_rate(self, samples: Samples, sample_rate: int) -> Samples:
        if self._resampler is None or self._resampler.source_hz != sample_rate:
            held = self._resampler.flush() if self._resampler is not None else samples[:0]
            self._resampler = Resampler(sample_rate, MODEL_RATE_HZ)
            return np.concatenate((held, self._resampler.push(samples)))
        return self._resampler.push(samples)


class _Tape:
    """The latest samples of a stream, found by their position in it."""

    def __init__(self) -> None:
        self._pieces: deque[Samples] = deque()
        self._start = 0
        self.end = 0

    def append(self, samples: Samples) -> None:
        """Add the next samples."""
        if samples.size:
            self._pieces.append(samples)
            self.end += samples.size

    def since(self, position: int) -> Samples:
        """Return all samples from a position on, shape (n,)."""
        if not self._pieces or position >= self.end:
            return np.zeros(0, dtype=np.float32)
        return np.concatenate(self._pieces)[max(0, position - self._start) :]

    def drop_before(self, position: int) -> None:
        """Forget the pieces that lie wholly before a position."""
        while self._pieces and self._start + self._pieces[0].size <= position:
            self._start += self._pieces.popleft().size
