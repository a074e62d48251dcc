"""Segments hold every word of the text once, within bounds."""

from hypothesis import given
from hypothesis import strategies as st

from voicectl.engine.tts.text import MAX_SEGMENT_CHARS, sanitise, segments

ALPHABET = "ab Z0. ,;!?\n\t'\"—$%😀\u200d\ufe0f\x00é你-/"


def texts_of(text: str) -> list[str]:
    return [segment.text.strip() for segment in segments(text)]


def test_sentences_become_segments() -> None:
    assert texts_of('Hello there. "Is it you?" Yes! Fine') == ["Hello there.", '"Is it you?"', "Yes!", "Fine"]


def test_abbreviations_initials_numbers_and_addresses_do_not_end_a_sentence() -> None:
    text = "Dr. J. Smith of the U.S. army paid 12.50 e.g. at example.com. Then he left."
    assert texts_of(text) == ["Dr. J. Smith of the U.S. army paid 12.50 e.g. at example.com.", "Then he left."]


def test_a_blank_line_ends_a_sentence_and_a_line_break_does_not() -> None:
    assert texts_of("one\ntwo\n\nthree") == ["one\ntwo", "three"]


def test_a_text_without_anything_to_say_has_no_segments() -> None:
    for text in ("", "   \n\t ", "...", "?! —", "😀😀", "\x00\u200b", '"."'):
        assert segments(text) == []


def test_emoji_and_control_characters_become_spaces_in_place() -> None:
    assert sanitise("a😀b\x00c") == "a b c"
    assert sanitise("20 °C © café\n") == "20 °C © café\n"


def test_a_long_sentence_is_cut_after_a_clause() -> None:
    text = "word " * 20 + "end, " + "word " * 20
    first, second = segments(text)
    assert first.text.endswith("end,")
    assert not first.ends_sentence
    assert second.text.strip().startswith("word")


def test_a_run_without_spaces_is_cut_anyway() -> None:
    found = segments("x" * 1000)
    assert max(len(segment.text) for segment in found) <= MAX_SEGMENT_CHARS
    assert sum(len(segment.text) for segment in found) == 1000


def test_only_a_stop_ends_a_sentence() -> None:
    ends = {text: segments(text)[0].ends_sentence for text in ("Yes.", 'He said "yes."', "Yes,", "Yes")}
    assert ends == {"Yes.": True, 'He said "yes."': True, "Yes,": False, "Yes": False}


@given(st.text(alphabet=ALPHABET, max_size=600))
def test_segments_are_bounded_and_every_word_lies_in_exactly_one(text: str) -> None:
    found = segments(text)
    clean = sanitise(text)
    assert len(clean) == len(text)
    position = 0
    heard: set[int] = set()
    for segment in found:
        assert segment.span.start >= position
        position = segment.span.end
        assert 0 < len(segment.text) <= MAX_SEGMENT_CHARS
        assert segment.text == clean[segment.span.start : segment.span.end]
        words = segment.words()
        assert words
        for word in words:
            assert clean[word.start : word.end] == segment.spoken(word) != ""
            assert not any(character.isspace() for character in segment.spoken(word))
            heard.update(range(word.start, word.end))
    assert {index for index, character in enumerate(clean) if character.isalnum()} <= heard
