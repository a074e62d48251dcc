"""What words and sound say about a pause."""

import pytest

from voicectl.core.sections.media import Endpointing
from voicectl.media.patience import Verdict, announces_more, required_pause_ms

SETTINGS = Endpointing()


@pytest.mark.parametrize(
    "text",
    [
        "I'd like to",
        "So this is the",
        "My number is, um",
        "Well, er...",
        "First this,",
        "one zero zero",
        "4 1",
        "Book a table for two and",
    ],
)
def test_a_filler_a_function_word_a_comma_or_digits_announce_more(text: str) -> None:
    assert announces_more(text)


@pytest.mark.parametrize(
    "text", ["", "Yes.", "What is it for?", "Go forward ten meters.", "quit", "I", "A.", "in 1813.", "Drop the two."]
)
def test_a_sentence_a_command_or_a_letter_announces_nothing(text: str) -> None:
    assert not announces_more(text)


def test_nothing_is_complete_before_its_words_are_known() -> None:
    assert Verdict.of(0.99, None, 0.5) is Verdict.UNKNOWN
    assert Verdict.of(None, "Yes.", 0.5) is Verdict.UNKNOWN


def test_sound_and_words_are_weighed_together() -> None:
    assert Verdict.of(0.9, "Yes.", 0.5) is Verdict.COMPLETE
    assert Verdict.of(0.9, "quit", 0.5) is Verdict.COMPLETE
    assert Verdict.of(0.1, "Yes.", 0.5) is Verdict.DOUBTFUL
    assert Verdict.of(0.1, "quit", 0.5) is Verdict.INCOMPLETE
    assert Verdict.of(0.9, "I want the", 0.5) is Verdict.ANNOUNCED


def test_less_evidence_of_completeness_never_shortens_the_wait() -> None:
    order = (Verdict.COMPLETE, Verdict.DOUBTFUL, Verdict.INCOMPLETE, Verdict.ANNOUNCED)
    waits = [required_pause_ms(verdict, 0.0, SETTINGS) for verdict in order]
    assert waits == sorted(waits)


def test_a_caller_who_paused_before_gets_longer_than_that_pause() -> None:
    assert required_pause_ms(Verdict.COMPLETE, 400.0, SETTINGS) > 400.0
    assert required_pause_ms(Verdict.COMPLETE, 60_000.0, SETTINGS) == SETTINGS.patience_ms
