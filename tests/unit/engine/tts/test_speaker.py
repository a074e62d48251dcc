"""A text becomes pieces of speech with a mark for every word."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from voicectl.engine.tts.speaker import ChunkPlan, Speaker, Spoken
from voicectl.engine.tts.voice import Voice

RATE = 1000


class LetterPhonemes:
    """Says letters the tiny voice knows as themselves and everything else as "a"."""

    def phonemes(self, text: str) -> Sequence[str]:
        return [character if character in "abcdefgh .," else "a" for character in text.strip() if character != "!"]

    def word(self, text: str) -> Sequence[str]:
        return self.phonemes(text)


def spoken(path: Path, text: str) -> list[Spoken]:
    speaker = Speaker(Voice(path, threads=1), LetterPhonemes(), ChunkPlan(first=10, later=25))
    return list(speaker.speak(text, speed=1.0))


def test_every_word_is_marked_once_in_order_and_within_the_audio(tiny_voice: Callable[..., Path]) -> None:
    text = "bad cab, a 12 fad. Egg! "
    pieces = spoken(tiny_voice(), text)
    duration_s = sum(len(piece.samples) for piece in pieces) / RATE
    marks = [mark for piece in pieces for mark in piece.marks]
    assert [text[mark.start : mark.end] for mark in marks] == text.split()
    instants = [instant for mark in marks for instant in (mark.start_s, mark.end_s)]
    assert instants == sorted(instants)
    assert instants[0] >= 0
    assert instants[-1] <= duration_s


def test_a_mark_comes_with_the_piece_its_word_begins_in(tiny_voice: Callable[..., Path]) -> None:
    begin_s = 0.0
    for piece in spoken(tiny_voice(), "bad cab a fad egg fab dad abe"):
        end_s = begin_s + len(piece.samples) / RATE
        assert all(begin_s <= mark.start_s <= end_s for mark in piece.marks)
        begin_s = end_s


def test_a_voice_without_durations_spreads_its_words_evenly(tiny_voice: Callable[..., Path]) -> None:
    marks = [mark for piece in spoken(tiny_voice(durations=False), "bad cab") for mark in piece.marks]
    assert len(marks) == 2
    assert marks[0].end_s <= marks[1].start_s


def test_nothing_to_say_yields_nothing(tiny_voice: Callable[..., Path]) -> None:
    path = tiny_voice()
    for text in ("", " \n", "...", "😀", "?!"):
        assert spoken(path, text) == []


@given(st.integers(8, 80), st.integers(8, 200), st.integers(1, 2000), st.booleans())
def test_chunks_cover_all_frames_without_a_tiny_rest(first: int, later: int, total: int, opening: bool) -> None:
    ranges = ChunkPlan(first, later).ranges(total, opening=opening)
    assert ranges[0][0] == 0
    assert ranges[-1][1] == total
    assert all(left[1] == right[0] for left, right in pairwise(ranges))
    assert all(end - begin >= min(total, first // 2, later) for begin, end in ranges)
    if opening and total >= 2 * first:
        assert ranges[0] == (0, first)
