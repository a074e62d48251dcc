"""Speak a text piece by piece: samples as soon as they exist, and where each word lies in them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from voicectl.core.audio import Samples
from voicectl.engine.messages import Mark
from voicectl.engine.tts.marks import is_silent, locate_words
from voicectl.engine.tts.silence import CLAUSE_TAIL_S, SENTENCE_TAIL_S, SilenceTrimmer
from voicectl.engine.tts.text import Segment, segments
from voicectl.engine.tts.voice import Encoded, Voice

WARM_UP_TEXT: Final = "Hello, I can help you with that."
"""Spoken once at load: the first runs of a session allocate its memory."""


@dataclass(frozen=True, slots=True)
class ChunkPlan:
    """Decoder frames in the first chunk of a text and in the others."""

    first: int
    later: int

    def ranges(self, num_frames: int, *, opening: bool) -> list[tuple[int, int]]:
        """Return the frame ranges of a segment; `opening` where nobody has heard anything yet.

        A rest shorter than half a first chunk joins the chunk before it.
        """
        ranges, begin = [], 0
        size = self.first if opening else self.later
        while begin < num_frames:
            end = begin + size
            if num_frames - end < self.first // 2:
                end = num_frames
            ranges.append((begin, end))
            begin, size = end, self.later
        return ranges


@dataclass(frozen=True, slots=True)
class Spoken:
    """New samples and the words that begin in them; both may be empty."""

    samples: Samples
    marks: tuple[Mark, ...] = ()


_NOTHING: Final = Spoken(np.empty(0, dtype=np.float32))


class Phonemes(Protocol):
    """Turns text into phonemes: IPA code points, spaces and punctuation."""

    def phonemes(self, text: str) -> Sequence[str]:
        """Return the phonemes of one sentence or less."""
        ...

    def word(self, text: str) -> Sequence[str]:
        """Return the phonemes of a word said alone."""
        ...


class Speaker:
    """A voice and its phonemes. One thread at a time may advance its generators."""

    def __init__(self, voice: Voice, phonemizer: Phonemes, plan: ChunkPlan) -> None:
        self._voice = voice
        self._phonemizer = phonemizer
        self._plan = plan

    @property
    def sample_rate(self) -> int:
        """Return the voice's sample rate."""
        return self._voice.config.sample_rate

    def warm_up(self) -> None:
        """Speak once for nobody."""
        for _ in self.speak(WARM_UP_TEXT, speed=1.0):
            pass

    def speak(self, text: str, *, speed: float) -> Iterator[Spoken]:
        """Yield the speech of `text`. Each step is one bounded computation, and some yield nothing yet."""
        num_passed = 0
        for segment in segments(text):
            for spoken in self._segment(segment, speed=speed, offset=num_passed):
                num_passed += len(spoken.samples)
                yield spoken

    def _segment(self, segment: Segment, *, speed: float, offset: int) -> Iterator[Spoken]:
        phonemes = self._phonemizer.phonemes(segment.text)
        if is_silent(phonemes):
            return
        ids, starts = self._voice.ids(phonemes)
        encoded = self._voice.encode(ids, speed=speed)
        instants = _instants(encoded, len(ids), starts, self._voice.hop)
        words = segment.words()
        spoken_words = [segment.spoken(word) for word in words]
        ranges = locate_words(spoken_words, phonemes, self._phonemizer.word)
        placed = [
            _Placed(word.start, word.end, instants[begin], instants[end])
            for word, (begin, end) in zip(words, ranges, strict=True)
        ]
        yield _NOTHING
        yield from self._decode(encoded, _WordQueue(placed, offset, self.sample_rate), segment)

    def _decode(self, encoded: Encoded, words: "_WordQueue", segment: Segment) -> Iterator[Spoken]:
        tail_s = SENTENCE_TAIL_S if segment.ends_sentence else CLAUSE_TAIL_S
        trimmer = SilenceTrimmer(self.sample_rate, tail_s=tail_s)
        decoder = self._voice.decode(encoded)
        for begin, end in self._plan.ranges(encoded.num_frames, opening=words.offset == 0):
            samples = trimmer.push(decoder.samples(begin, end))
            if end == encoded.num_frames:
                rest = trimmer.finish(at_least=words.last_end - trimmer.num_dropped)
                samples = np.concatenate([samples, rest])
            last = end == encoded.num_frames
            yield Spoken(samples, words.take(trimmer.num_passed, trimmer.num_dropped, last=last))


@dataclass(frozen=True, slots=True)
class _Placed:
    """A word's characters, and its samples from the segment's first one, silence included."""

    start: int
    end: int
    first_sample: int
    last_sample: int


class _WordQueue:
    """Hands out the marks of a segment as the audio reaches them."""

    def __init__(self, words: Sequence[_Placed], offset: int, sample_rate: int) -> None:
        self.offset = offset
        self.last_end = max((word.last_sample for word in words), default=0)
        self._words = list(words)
        self._rate = sample_rate

    def take(self, num_passed: int, num_dropped: int, *, last: bool) -> tuple[Mark, ...]:
        """Return the marks of the words that begin in the first `num_passed` samples, those left if `last`."""
        marks = []
        while self._words and (last or self._words[0].first_sample - num_dropped < num_passed):
            word = self._words.pop(0)
            first, end = word.first_sample - num_dropped, word.last_sample - num_dropped
            if last:
                first, end = min(first, num_passed), min(end, num_passed)
            marks.append(Mark(word.start, word.end, self._seconds(first), self._seconds(end)))
        return tuple(marks)

    def _seconds(self, sample: int) -> float:
        return (self.offset + max(0, sample)) / self._rate


def _instants(encoded: Encoded, num_ids: int, starts: Sequence[int], hop: int) -> list[int]:
    """Return the sample at which each phoneme begins; evenly spread where the voice gives no durations."""
    frames = encoded.frames_per_id
    if frames is not None and len(frames) == num_ids and int(frames.sum()) == encoded.num_frames:
        begins = np.concatenate([[0], np.cumsum(frames)])
    else:
        begins = np.linspace(0, encoded.num_frames, num_ids + 1)
    return [int(begins[start] * hop) for start in starts]
