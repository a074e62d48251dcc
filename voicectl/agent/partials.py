"""Which words of successive partial transcripts will not change any more (LocalAgreement-2)."""

import re


def _key(word: str) -> str:
    return re.sub(r"\W+", "", word).casefold()


class LocalAgreement:
    """Words are settled once two successive transcripts agree on them.

    Source: Macháček et al., "Turning Whisper into Real-Time Transcription System", 2023.
    """

    def __init__(self) -> None:
        self._previous: list[str] = []
        self._num_settled = 0

    def push(self, text: str) -> str:
        """Take a transcript of the whole turn so far; return the newly settled words, with a leading blank."""
        words = text.split()
        agreed = 0
        for before, now in zip(self._previous, words, strict=False):
            if _key(before) != _key(now):
                break
            agreed += 1
        self._previous = words
        if agreed <= self._num_settled:
            return ""
        fresh = words[self._num_settled : agreed]
        first = self._num_settled == 0
        self._num_settled = agreed
        return ("" if first else " ") + " ".join(fresh)
