"""One caller's ear."""

import numpy as np

from voicectl.core.audio import MODEL_RATE_HZ, Samples, pcm16_to_float
from voicectl.core.profile import Endpointing, VadSettings
from voicectl.media.endpointing import Decision, Endpointer, Evidence, SpeechBegan
from voicectl.media.resample import Resampler
from voicectl.media.vad import VoiceActivityDetector


class Listener:
    def __init__(self, vad: VoiceActivityDetector, endpointer: Endpointer, settings: VadSettings) -> None:
        self._vad, self._endpointer, self._settings = vad, endpointer, settings
        self._res: dict[int, Resampler] = {}
        self._audio: Samples = np.zeros(0, np.float32)
        self._audio_start = 0
        self._n = 0
        self._turn_start: int | None = None

    @property
    def position_s(self) -> float:
        return self._n / MODEL_RATE_HZ

    @property
    def speaking(self) -> bool:
        return self._endpointer.speaking

    def speech_seconds(self) -> float:
        return self._endpointer.speech_s

    def push(self, pcm: bytes, sample_rate: int) -> list[Decision]:
        x = pcm16_to_float(pcm)
        if sample_rate not in self._res:
            self._res[sample_rate] = Resampler(sample_rate, MODEL_RATE_HZ)
        x = self._res[sample_rate].push(x)
        self._n += x.size
        self._audio = np.concatenate((self._audio, x))
        out: list[Decision] = []
        for frame in self._vad.push(x):
            for d in self._endpointer.hear(frame):
                if isinstance(d, SpeechBegan):
                    self._turn_start = max(0, int(d.position_s * MODEL_RATE_HZ) - self._settings.prefix_ms * 16)
                out.append(d)
        if self._turn_start is None:
            keep = self._settings.prefix_ms * 16 + 8000
            if self._audio.size > keep:
                self._audio_start += self._audio.size - keep
                self._audio = self._audio[-keep:]
        return out

    def weigh(self, e: Evidence) -> list[Decision]:
        return list(self._endpointer.weigh(e))

    def turn_audio(self) -> Samples:
        start = 0 if self._turn_start is None else max(0, self._turn_start - self._audio_start)
        return self._audio[start:].copy()

    def buffered_seconds(self) -> float:
        return self._audio.size / MODEL_RATE_HZ

    def reset_turn(self) -> None:
        self._turn_start = None

    def clear(self) -> None:
        self._turn_start = None
        self._endpointer.reset()
        self._audio_start += self._audio.size
        self._audio = self._audio[:0]

    def configure(self, **kw) -> None:
        pass
