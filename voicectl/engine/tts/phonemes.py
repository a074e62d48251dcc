"""Text to phonemes through piper's espeak. The one place that imports piper."""

import threading
from functools import lru_cache

from piper.phonemize_espeak import EspeakPhonemizer

WORDS_CACHED = 4096
"""Pronunciations of single words kept; a conversation repeats most of its words."""


class Phonemizer:
    """espeak for one voice. espeak is one global machine: calls take turns."""

    def __init__(self, espeak_voice: str) -> None:
        self._voice = espeak_voice
        self._espeak = EspeakPhonemizer()
        self._lock = threading.Lock()
        self._word = lru_cache(maxsize=WORDS_CACHED)(self._join)

    def phonemes(self, text: str) -> tuple[str, ...]:
        """Return the phonemes of one sentence or less: IPA code points, spaces and punctuation."""
        return self._join(text)

    def word(self, text: str) -> tuple[str, ...]:
        """Return the phonemes of a word said alone."""
        return self._word(text)

    def _join(self, text: str) -> tuple[str, ...]:
        with self._lock:
            sentences = self._espeak.phonemize(self._voice, text)
        joined: list[str] = []
        for sentence in sentences:
            # espeak also ends a sentence after an abbreviation; the caller already knows it is one sentence.
            if joined and joined[-1] == ".":
                joined.pop()
            if joined and joined[-1] != " " and sentence:
                joined.append(" ")
            joined += sentence
        return tuple(joined)
