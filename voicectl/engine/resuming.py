"""Go on with a reply or a clause whose worker died midway, from a second rendering of it. Knows no worker."""

from dataclasses import replace
from typing import Final

import numpy as np

from voicectl.core.audio import duration_s
from voicectl.core.errors import WorkerDied
from voicectl.core.ports import SpeechChunk, TextDelta, WordMark

NEARLY_SAID_S: Final = 0.06
"""A word of which less than this is missing counts as said."""
FADE_IN_S: Final = 0.005


class ReplyDiverged(WorkerDied):
    """A worker died in the middle of a reply, and the reply of its successor begins with other words."""


class ResumedText:
    """The text of a reply that has been passed on; of a second reply only what is new."""

    def __init__(self) -> None:
        self._passed_on = ""
        self._position = 0

    @property
    def begun(self) -> bool:
        """Whether any text was passed on."""
        return bool(self._passed_on)

    def restart(self) -> None:
        """Another reply to the same request begins."""
        self._position = 0

    def take(self, delta: TextDelta) -> TextDelta | None:
        """Return what is new in a delta, None if nothing is. Raises ReplyDiverged."""
        known = self._passed_on[self._position : self._position + len(delta.text)]
        if not delta.text.startswith(known):
            raise ReplyDiverged(f"a reply went another way after {self._position} characters")
        self._position += len(delta.text)
        if delta.finish is not None and self._position < len(self._passed_on):
            raise ReplyDiverged(f"a reply ended after {self._position} of {len(self._passed_on)} characters")
        fresh = delta.text[len(known) :]
        self._passed_on += fresh
        return replace(delta, text=fresh) if fresh or delta.finish is not None else None


class ResumedSpeech:
    """The sound of a clause that has been passed on; of a second rendering what follows it.

    It goes on at the beginning of the word that was in progress: renderings differ in length, and half
    a word from each would be no word.
    """

    def __init__(self) -> None:
        self._passed_on_s = 0.0
        self._marks: list[WordMark] = []
        self._rendered_s = 0.0
        self._skipping = False
        self._from_char: int | None = None
        self._shift_s = 0.0

    @property
    def begun(self) -> bool:
        """Whether any sound was passed on."""
        return self._passed_on_s > 0

    def restart(self) -> None:
        """Another rendering of the same text begins."""
        self._rendered_s = self._shift_s = 0.0
        self._skipping = self.begun
        self._from_char = self._next_char()

    def take(self, chunk: SpeechChunk) -> SpeechChunk | None:
        """Return what follows of a chunk, None if nothing does."""
        begins_s = self._rendered_s
        self._rendered_s += duration_s(chunk.pcm, chunk.sample_rate)
        pcm = chunk.pcm
        if self._skipping:
            resume_s = self._resume_s(chunk)
            if resume_s is None:
                return None
            self._skipping = False
            self._shift_s = self._passed_on_s - resume_s
            pcm = _from(pcm, chunk.sample_rate, resume_s - begins_s)
        known = {mark.start for mark in self._marks}
        marks = tuple(
            replace(mark, start_s=mark.start_s + self._shift_s, end_s=mark.end_s + self._shift_s)
            for mark in chunk.marks
            if mark.start not in known
        )
        self._marks.extend(marks)
        self._passed_on_s += duration_s(pcm, chunk.sample_rate)
        return SpeechChunk(pcm, chunk.sample_rate, marks) if pcm or marks else None

    def _next_char(self) -> int | None:
        """Return where in the text to go on; None when that is not known."""
        begun = [mark for mark in self._marks if mark.start_s < self._passed_on_s]
        if not begun:
            return None
        last = max(begun, key=lambda mark: mark.start_s)
        return last.end if last.end_s - self._passed_on_s <= NEARLY_SAID_S else last.start

    def _resume_s(self, chunk: SpeechChunk) -> float | None:
        """Return the instant of this rendering at which to go on, if it lies in or before this chunk."""
        if self._from_char is None:
            # No word is known to have begun: as much sound as was passed on is left out.
            return self._passed_on_s if self._rendered_s > self._passed_on_s else None
        starts = [mark.start_s for mark in chunk.marks if mark.start >= self._from_char]
        return min(starts, default=None)


def _from(pcm: bytes, sample_rate: int, offset_s: float) -> bytes:
    """Return PCM from `offset_s` on, faded in so that the cut does not click."""
    first = max(0, round(offset_s * sample_rate))
    samples = np.frombuffer(pcm, "<i2")[first:].astype(np.float32)
    length = min(len(samples), round(FADE_IN_S * sample_rate))
    samples[:length] *= np.linspace(0, 1, length, dtype=np.float32)
    return samples.astype("<i2").tobytes()
