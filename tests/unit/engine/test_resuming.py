import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicectl.core.audio import duration_s
from voicectl.core.ports import SpeechChunk, TextDelta, WordMark
from voicectl.engine.resuming import FADE_IN_S, ReplyDiverged, ResumedSpeech, ResumedText

RATE = 1_000
WORDS = ("one", "two", "three", "four")
LEVELS = (1001, 1103, 1301, 1511)
"""What each word sounds like; no part of one is another."""
TEXT = " ".join(WORDS)


def rendering(word_s: float, *, chunk_s: float = 0.05) -> list[SpeechChunk]:
    """Return `TEXT` with each word as its own constant, a gap of 20 ms behind it, cut into equal chunks."""
    samples: list[int] = []
    marks = []
    for number, word in enumerate(WORDS):
        start = TEXT.index(word)
        begins_s = len(samples) / RATE
        samples += [LEVELS[number]] * round(word_s * RATE)
        marks.append(WordMark(start, start + len(word), begins_s, len(samples) / RATE))
        samples += [0] * 20
    step = round(chunk_s * RATE)
    chunks = []
    for first in range(0, len(samples), step):
        pcm = np.array(samples[first : first + step], "<i2").tobytes()
        begun = [mark for mark in marks if first <= mark.start_s * RATE < first + step]
        chunks.append(SpeechChunk(pcm, RATE, tuple(begun)))
    return chunks


def played(chunks: list[SpeechChunk]) -> list[int]:
    """Return the distinct constants in the order in which they are heard."""
    samples = np.frombuffer(b"".join(chunk.pcm for chunk in chunks), "<i2")
    heard: list[int] = []
    for value in samples:
        if value in LEVELS and (not heard or heard[-1] != value):
            heard.append(int(value))
    return heard


def resumed(first: list[SpeechChunk], second: list[SpeechChunk], num_passed_on: int) -> list[SpeechChunk]:
    speech = ResumedSpeech()
    speech.restart()
    out = [speech.take(chunk) for chunk in first[:num_passed_on]]
    speech.restart()
    out += [speech.take(chunk) for chunk in second]
    return [chunk for chunk in out if chunk is not None]


def test_first_rendering_passes_unchanged() -> None:
    speech = ResumedSpeech()
    speech.restart()
    chunks = rendering(0.1)
    assert [speech.take(chunk) for chunk in chunks] == chunks


@settings(max_examples=40)
@given(st.integers(0, 9), st.floats(0.06, 0.2), st.floats(0.06, 0.2))
def test_every_word_is_heard_in_order_wherever_it_was_cut(num: int, first_s: float, second_s: float) -> None:
    chunks = resumed(rendering(round(first_s, 3)), rendering(round(second_s, 3)), num)
    heard = played(chunks)
    # A word that was cut is begun again; the fade hides nothing but its first samples.
    assert sorted(set(heard)) == list(LEVELS)
    assert heard == sorted(heard)
    marks = [mark for chunk in chunks for mark in chunk.marks]
    assert [TEXT[mark.start : mark.end] for mark in marks] == list(WORDS)
    assert [mark.start_s for mark in marks] == sorted(mark.start_s for mark in marks)
    total_s = sum(duration_s(chunk.pcm, RATE) for chunk in chunks)
    assert all(mark.start_s <= total_s for mark in marks)


def test_word_that_was_all_but_said_is_not_said_again() -> None:
    # After 150 ms, 30 ms of "one" are missing.
    out = resumed(rendering(0.18), rendering(0.18), 3)
    samples = np.frombuffer(b"".join(chunk.pcm for chunk in out), "<i2")
    assert int((samples == LEVELS[0]).sum()) == 150
    assert played(out) == list(LEVELS)


def test_sound_is_faded_in_after_the_cut() -> None:
    out = resumed(rendering(0.1), rendering(0.1), 3)
    later = np.frombuffer(b"".join(chunk.pcm for chunk in out[3:]), "<i2")
    assert later[0] == 0
    assert 0 < later[2] < later[round(FADE_IN_S * RATE) + 1]


def test_without_marks_as_much_is_left_out_as_was_passed_on() -> None:
    plain = [SpeechChunk(chunk.pcm, RATE) for chunk in rendering(0.1)]
    out = resumed(plain, plain, 4)
    assert sum(len(chunk.pcm) for chunk in out) == sum(len(chunk.pcm) for chunk in plain)


def text_of(*pieces: str, finish: bool = True) -> list[TextDelta]:
    return [*(TextDelta(piece) for piece in pieces), *([TextDelta("", "stop")] if finish else [])]


def test_reply_goes_on_with_what_is_new() -> None:
    text = ResumedText()
    text.restart()
    assert [text.take(delta) for delta in text_of("Hel", "lo the", finish=False)] == text_of(
        "Hel", "lo the", finish=False
    )
    text.restart()
    out = [text.take(delta) for delta in text_of("He", "llo", " there", ", friend")]
    assert out == [None, None, TextDelta("re"), TextDelta(", friend"), TextDelta("", "stop")]


@pytest.mark.parametrize("second", [text_of("Good day"), text_of("Hello"), text_of("Hell", "a")])
def test_reply_with_other_words_cannot_go_on(second: list[TextDelta]) -> None:
    text = ResumedText()
    text.restart()
    text.take(TextDelta("Hello there"))
    text.restart()
    with pytest.raises(ReplyDiverged):
        for delta in second:
            text.take(delta)


@settings(max_examples=50)
@given(st.text(min_size=1, max_size=40), st.data())
def test_any_cut_gives_the_whole_reply(reply: str, data: st.DataObject) -> None:
    def pieces(draw: st.DataObject) -> list[str]:
        cuts = sorted(draw.draw(st.lists(st.integers(0, len(reply)), max_size=5)))
        return [reply[start:end] for start, end in zip([0, *cuts], [*cuts, len(reply)], strict=True)]

    text, out = ResumedText(), ""
    text.restart()
    first = pieces(data)
    for piece in first[: data.draw(st.integers(0, len(first)))]:
        out += (text.take(TextDelta(piece)) or TextDelta("")).text
    text.restart()
    for delta in text_of(*pieces(data)):
        out += (text.take(delta) or TextDelta("")).text
    assert out == reply
