"""Whisper's log-mel spectrogram in float32, for speech to text and end of turn. Knows no model."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voicectl.core.audio import MODEL_RATE_HZ, Samples

HOP: Final = 160
"""Samples between two frames: 10 ms."""
FRAMES_PER_S: Final = MODEL_RATE_HZ // HOP

_FFT: Final = 400
_HALF: Final = _FFT // 2
_FLOOR: Final = np.float32(1e-10)

# Slaney's mel scale: linear to 1 kHz, then 27 steps for each factor of 6.4.
_HZ_PER_MEL: Final = 200.0 / 3.0
_LOG_FROM_HZ: Final = 1000.0
_LOG_FROM_MEL: Final = _LOG_FROM_HZ / _HZ_PER_MEL
_LOG_STEP: Final = math.log(6.4) / 27.0

Features = NDArray[np.float32]


class LogMel:
    """Computes spectrograms of `num_mels` bands, as Whisper's models were trained on.

    Equal to Whisper's own to float32 precision; frames that lie in the trailing silence are not
    computed but filled in, which halves the time of a short utterance in a long window.
    """

    def __init__(self, num_mels: int = 80) -> None:
        self._window = np.hanning(_FFT + 1)[:-1].astype(np.float32)
        self._filters = _mel_filters(num_mels)

    def __call__(self, samples: Samples, num_frames: int) -> Features:
        """Return (mels, num_frames) features of `samples` with silence behind them.

        Raises ValueError when the samples are longer than the frames.
        """
        length = num_frames * HOP
        if len(samples) > length:
            raise ValueError(f"{len(samples)} samples do not fit into {num_frames} frames")
        padded = np.zeros(length + _FFT, dtype=np.float32)
        signal = padded[_HALF : _HALF + length]
        signal[: len(samples)] = samples
        padded[:_HALF] = signal[_HALF:0:-1]
        padded[-_HALF:] = signal[-2 : -_HALF - 2 : -1]
        # A frame is silent when it starts behind the last sample.
        num_heard = min(num_frames, -(-(_HALF + len(samples)) // HOP))
        frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[: num_heard * HOP : HOP]
        spectrum = np.fft.rfft(frames * self._window, axis=-1)
        power = spectrum.real**2 + spectrum.imag**2
        features = np.full((self._filters.shape[0], num_frames), _FLOOR, dtype=np.float32)
        np.maximum(self._filters @ power.T, _FLOOR, out=features[:, :num_heard])
        np.log10(features, out=features)
        np.maximum(features, features.max() - np.float32(8.0), out=features)
        features += np.float32(4.0)
        features /= np.float32(4.0)
        return features


def _mel_filters(num_mels: int) -> Features:
    """Return (mels, frequency bins) triangular filters of equal area on Slaney's scale."""
    top_hz = MODEL_RATE_HZ / 2
    top_mel = _LOG_FROM_MEL + math.log(top_hz / _LOG_FROM_HZ) / _LOG_STEP
    mels = np.linspace(0.0, top_mel, num_mels + 2)
    log_part = _LOG_FROM_HZ * np.exp(_LOG_STEP * (np.maximum(mels, _LOG_FROM_MEL) - _LOG_FROM_MEL))
    edges_hz = np.where(mels < _LOG_FROM_MEL, mels * _HZ_PER_MEL, log_part)
    bins_hz = np.linspace(0.0, top_hz, _HALF + 1)
    low, centre, high = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    rising = (bins_hz - low) / (centre - low)
    falling = (high - bins_hz) / (high - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    weights: Features = (triangles * (2.0 / (high - low))).astype(np.float32)
    return weights
