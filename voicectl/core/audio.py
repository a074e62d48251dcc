"""Sample formats shared by all planes: 16-bit PCM on wires, float32 in [-1, 1] in models."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

MODEL_RATE_HZ: Final = 16_000
"""Sample rate of every speech model's input."""
FRAME_S: Final = 0.020
"""Length of one media frame."""
BYTES_PER_SAMPLE: Final = 2


def pcm16_to_float(pcm: bytes) -> Samples:
    """Return little-endian 16-bit PCM as float32 samples in [-1, 1). Raises ValueError on an odd length."""
    if len(pcm) % BYTES_PER_SAMPLE:
        raise ValueError(f"{len(pcm)} bytes are not whole 16-bit samples")
    return np.frombuffer(pcm, dtype="<i2").astype(np.float32) / np.float32(32768.0)


def float_to_pcm16(samples: Samples) -> bytes:
    """Return float samples as little-endian 16-bit PCM, clipped at full scale."""
    scaled = np.rint(samples * np.float32(32768.0))
    pcm: bytes = np.clip(scaled, -32768, 32767).astype("<i2").tobytes()
    return pcm


def duration_s(pcm: bytes, sample_rate: int) -> float:
    """Return how long 16-bit mono PCM plays, in seconds."""
    return len(pcm) / (BYTES_PER_SAMPLE * sample_rate)
