"""A voice activity detector without a model: whatever is loud is speech."""

from collections.abc import Iterator

import numpy as np

from voicectl.core.audio import Samples, float_to_pcm16
from voicectl.core.profile import Profile
from voicectl.media.endpointing import Endpointer
from voicectl.media.listening import Listener
from voicectl.media.vad import VAD_FRAME_S, VAD_FRAME_SAMPLES, VadFrame, level_dbfs

CALLER_HZ = 24_000
FRAME_SAMPLES = CALLER_HZ // 50


class LoudnessDetector:
    """Judges 32 ms at a time by their level."""

    def __init__(self) -> None:
        self._waiting: Samples = np.zeros(0, dtype=np.float32)
        self._num_frames = 0

    def reset(self, position: int = 0) -> None:
        self._waiting = self._waiting[:0]
        self._num_frames = position // VAD_FRAME_SAMPLES

    def push(self, samples: Samples) -> list[VadFrame]:
        self._waiting = np.concatenate((self._waiting, samples))
        frames = []
        while self._waiting.size >= VAD_FRAME_SAMPLES:
            level = level_dbfs(self._waiting[:VAD_FRAME_SAMPLES])
            self._waiting = self._waiting[VAD_FRAME_SAMPLES:]
            start_s = self._num_frames * VAD_FRAME_S
            self._num_frames += 1
            frames.append(VadFrame(start_s, start_s + VAD_FRAME_S, 0.99 if level > -40 else 0.01, level))
        return frames


def listener(profile: Profile) -> Listener:
    """Return an ear for one call."""
    return Listener(LoudnessDetector(), Endpointer(profile.endpointing, profile.vad), profile.vad)  # type: ignore[arg-type]


def speech(seconds: float) -> Iterator[bytes]:
    """Yield 20 ms frames of sound that counts as speech."""
    tone = (0.3 * np.sin(np.arange(round(seconds * CALLER_HZ)) * 0.05)).astype(np.float32)
    return _frames(tone)


def silence(seconds: float) -> Iterator[bytes]:
    """Yield 20 ms frames of silence."""
    return _frames(np.zeros(round(seconds * CALLER_HZ), dtype=np.float32))


def _frames(samples: Samples) -> Iterator[bytes]:
    for start in range(0, samples.size - FRAME_SAMPLES + 1, FRAME_SAMPLES):
        yield float_to_pcm16(samples[start : start + FRAME_SAMPLES])
