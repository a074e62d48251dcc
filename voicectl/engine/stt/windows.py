"""Decide how much silence goes behind an utterance and where long audio is cut. Knows no model."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from voicectl.core.audio import MODEL_RATE_HZ, Samples
from voicectl.engine.mel import FRAMES_PER_S, HOP

LONGEST_WINDOW: Final = 3000
"""Frames of the window that Whisper was trained on: 30 s."""
MARGIN_FRAMES: Final = 100
"""Silence wanted behind the audio. Without it Whisper says last words twice (WER 5.0 % against
4.3 % with 50 to 200 frames; 28 read clips, tiny.en, 2026-11)."""
MOST_TOKENS: Final = 224
"""Tokens Whisper can say about one window."""

# Fast speech is 6 words a second, a word 1.2 tokens; the constant leaves room for times and short commands.
_TOKENS_PER_S: Final = 7
_FEWEST_TOKENS: Final = 18

_LONGEST_PIECE: Final = 29 * MODEL_RATE_HZ
_SEARCH_FROM: Final = 19 * MODEL_RATE_HZ
_LEAST_STEP: Final = MODEL_RATE_HZ // 2
_QUIET: Final = MODEL_RATE_HZ // 5


def choose_window(num_samples: int, windows: Sequence[int]) -> int:
    """Return the shortest of the rising `windows` (frames) that holds the samples and the margin."""
    wanted = -(-num_samples // HOP) + MARGIN_FRAMES
    return next((window for window in windows if window >= wanted), LONGEST_WINDOW)


def token_limit(num_samples: int) -> int:
    """Return how many tokens speech of this length can have; more is a loop."""
    return min(MOST_TOKENS, _FEWEST_TOKENS + _TOKENS_PER_S * num_samples // MODEL_RATE_HZ)


def pieces(samples: Samples) -> list[Samples]:
    """Cut audio beyond 30 s into pieces of 19 to 29 s at the quietest 0.2 s; shorter audio stays whole."""
    cut: list[Samples] = []
    while len(samples) > LONGEST_WINDOW * MODEL_RATE_HZ // FRAMES_PER_S:
        at = _SEARCH_FROM + _quietest(samples[_SEARCH_FROM:_LONGEST_PIECE])
        cut.append(samples[:at])
        samples = samples[at:]
    cut.append(samples)
    return cut


def resume_at(stopped_at_s: float | None, num_samples: int) -> int | None:
    """Return the sample from which to read on where the model stopped early, or None when it did not."""
    if stopped_at_s is None:
        return None
    sample = int(stopped_at_s * MODEL_RATE_HZ)
    return sample if _LEAST_STEP <= sample <= num_samples - MODEL_RATE_HZ else None


def _quietest(samples: Samples) -> int:
    """Return the middle of the quietest 0.2 s, in samples."""
    energy = np.cumsum(np.square(samples, dtype=np.float64))
    loudness = energy[_QUIET:] - energy[:-_QUIET]
    return int(np.argmin(loudness)) + _QUIET // 2
