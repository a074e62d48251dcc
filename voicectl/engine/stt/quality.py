"""Decide whether a text that Whisper made is worth a second look, or worth nothing. Knows no model."""

import zlib
from dataclasses import dataclass
from typing import Final

DOUBT_FROM: Final = 0.6
"""The no-speech probability above which Whisper's own rule begins to doubt a text."""

_LONGEST_PHRASE: Final = 16


@dataclass(frozen=True, slots=True)
class Reading:
    """What one pass made of one window.

    `avg_logprob` and `num_tokens` are those of the words. `complete` is False when the text was cut
    off at its token limit; `resume_at_s` is where the model stopped listening, if it says so.
    """

    text: str
    avg_logprob: float
    no_speech_prob: float
    num_tokens: int
    complete: bool
    window_frames: int
    resume_at_s: float | None = None


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """Bounds of a credible text, from the profile."""

    max_compression_ratio: float
    min_logprob: float


def compression_ratio(text: str) -> float:
    """Return the length of the text over its zlib length, as Whisper defines it; 0.0 for no text."""
    encoded = text.encode()
    return len(encoded) / len(zlib.compress(encoded)) if encoded else 0.0


def trailing_copies(text: str) -> tuple[int, int]:
    """Return (words a phrase, copies) of the phrase that the text ends with most often in a row.

    A copy that was cut off at the end is overlooked. Case and punctuation do not count.
    """
    words = ["".join(c for c in word.casefold() if c.isalnum()) for word in text.split()]
    best = (len(words), 1)
    for size in range(1, min(_LONGEST_PHRASE, len(words) // 2) + 1):
        for cut_off in range(size):
            copies = _copies(words[: len(words) - cut_off], size)
            # The rest must be the beginning of one more copy, or there is no loop.
            rest = words[len(words) - cut_off :]
            phrase = words[len(words) - cut_off - size : len(words) - cut_off]
            if rest == phrase[:cut_off] and copies > best[1]:
                best = (size, copies)
    return best


def needs_retry(reading: Reading, limits: QualityLimits) -> bool:
    """Tell whether the full window should be asked too: cut off, doubtful, or a phrase said twice in a row."""
    size, copies = trailing_copies(reading.text)
    is_looping = copies >= 4 or (size >= 2 and copies >= 2)
    return not reading.complete or is_looping or not is_credible(reading, limits)


def is_credible(reading: Reading, limits: QualityLimits) -> bool:
    """Tell whether a text can stand for speech; what is not is dropped when there is no retry left."""
    if not any(character.isalnum() for character in reading.text):
        return False
    if reading.avg_logprob < _least_logprob(reading.no_speech_prob, limits.min_logprob):
        return False
    if compression_ratio(reading.text) > limits.max_compression_ratio:
        return False
    size, copies = trailing_copies(reading.text)
    return copies < 4 or 2 * size * copies <= len(reading.text.split())


def _least_logprob(no_speech_prob: float, min_logprob: float) -> float:
    """Return how sure the words must be: `min_logprob`, and beyond the doubt's threshold the more
    the higher the doubt, up to certainty. Whisper's own rule, made continuous: it lets a confident
    "you" over pure silence pass.
    """
    belief = (1.0 - no_speech_prob) / (1.0 - DOUBT_FROM)
    return min_logprob * min(1.0, belief)


def _copies(words: list[str], size: int) -> int:
    phrase = words[-size:]
    copies = 1
    while words[-(copies + 1) * size : -copies * size] == phrase:
        copies += 1
    return copies
