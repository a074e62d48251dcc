"""Word errors of transcripts that have a reference, by jiwer over texts that Whisper's normaliser made alike."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from voicectl.core.records import ReferenceKind, TurnRow

MAX_REFERENCE: Final = 10_000
"""Characters of one reference: alignment takes time that grows with the square of it."""


@dataclass(frozen=True, slots=True)
class WordErrors:
    """Substitutions, deletions and insertions, and the words of the reference that they are counted against."""

    substitutions: int
    deletions: int
    insertions: int
    words: int

    @property
    def rate(self) -> float | None:
        """The word error rate, None where the reference has no words."""
        if not self.words:
            return None
        return (self.substitutions + self.deletions + self.insertions) / self.words


def word_errors(reference: str, transcript: str) -> WordErrors:
    """Return the errors of a transcript. A reference without words has insertions only."""
    import jiwer

    normalise = _normaliser()
    expected, heard = normalise(reference), normalise(transcript)
    if not expected:
        return WordErrors(0, 0, len(heard.split()), 0)
    aligned = jiwer.process_words(expected, heard)
    return WordErrors(aligned.substitutions, aligned.deletions, aligned.insertions, len(expected.split()))


def wer_columns(turn: TurnRow, reference: str, kind: ReferenceKind) -> dict[str, object]:
    """Return the columns of a turn to set for its reference. Raises ValueError where it has no transcript."""
    if turn.transcript is None:
        raise ValueError(f"turn {turn.turn} of call {turn.call_id} has no transcript to compare")
    errors = word_errors(reference, turn.transcript)
    return {
        "wer_substitutions": errors.substitutions,
        "wer_deletions": errors.deletions,
        "wer_insertions": errors.insertions,
        "wer_words": errors.words,
        "reference_kind": kind,
        "normaliser": normaliser_version(),
    }


def normaliser_version() -> str:
    """Return what rates are comparable by: other normalisers and versions count other errors."""
    return f"whisper-en-{version('whisper-normalizer')}"


@functools.cache
def _normaliser() -> Callable[[str], str]:
    # Reads a table of spellings; commands that compare nothing need not wait for it.
    from whisper_normalizer.english import EnglishTextNormalizer

    normalise: Callable[[str], str] = EnglishTextNormalizer()
    return normalise
