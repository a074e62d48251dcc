import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicectl.engine.stt.quality import (
    QualityLimits,
    Reading,
    compression_ratio,
    is_credible,
    needs_retry,
    trailing_copies,
)

LIMITS = QualityLimits(max_compression_ratio=2.4, min_logprob=-1.0)


def reading(
    text: str = "Go forward ten meters.",
    avg_logprob: float = -0.3,
    no_speech_prob: float = 0.1,
    *,
    complete: bool = True,
) -> Reading:
    return Reading(text, avg_logprob, no_speech_prob, len(text.split()), complete, 1000)


@pytest.mark.parametrize(
    ("text", "size", "copies"),
    [
        ("", 0, 1),
        ("one", 1, 1),
        ("five five", 1, 2),
        ("no, no, no", 1, 3),
        ("the centuries by a process, by a process,", 3, 2),
        ("10 of clubs 10 of clubs 10 of", 3, 2),
        ("Quit. Quit. quit! Quit", 1, 4),
        ("it is what it is", 5, 1),
    ],
)
def test_trailing_copies_finds_the_phrase_a_text_ends_with(text: str, size: int, copies: int) -> None:
    assert trailing_copies(text) == (size, copies)


def test_compression_ratio_is_length_over_zlib_length() -> None:
    assert compression_ratio("") == 0.0
    assert compression_ratio("Go forward ten meters.") < 1.0
    assert compression_ratio("again and " * 20) > 2.4


def test_plain_speech_is_credible_and_needs_no_retry() -> None:
    assert is_credible(reading(), LIMITS)
    assert not needs_retry(reading(), LIMITS)


@pytest.mark.parametrize("text", ["", ".", "...", "♪"])
def test_text_without_words_is_not_credible(text: str) -> None:
    assert not is_credible(reading(text), LIMITS)


def test_a_low_logprob_is_retried_and_then_dropped() -> None:
    doubtful = reading(avg_logprob=-1.2)
    assert needs_retry(doubtful, LIMITS)
    assert not is_credible(doubtful, LIMITS)


@pytest.mark.parametrize(("no_speech_prob", "credible"), [(0.5, True), (0.6, True), (0.8, False), (0.99, False)])
def test_the_more_the_model_doubts_speech_the_surer_the_words_must_be(no_speech_prob: float, credible: bool) -> None:
    assert is_credible(reading(avg_logprob=-0.9, no_speech_prob=no_speech_prob), LIMITS) == credible


def test_sure_words_outweigh_some_doubt() -> None:
    assert is_credible(reading(avg_logprob=-0.2, no_speech_prob=0.8), LIMITS)


def test_a_cut_off_text_is_retried() -> None:
    assert needs_retry(reading(complete=False), LIMITS)


@pytest.mark.parametrize("text", ["ten of clubs ten of clubs", "word word word word"])
def test_a_phrase_said_twice_or_a_word_four_times_is_retried(text: str) -> None:
    assert needs_retry(reading(text), LIMITS)


@pytest.mark.parametrize("text", ["five five", "no no no", "bye bye"])
def test_what_people_do_repeat_is_not_retried(text: str) -> None:
    assert not needs_retry(reading(text), LIMITS)


def test_a_text_that_is_mostly_a_loop_is_not_credible() -> None:
    assert not is_credible(reading("be be be be be"), LIMITS)
    assert is_credible(reading("I was told to repeat the very last word again: word word word word"), LIMITS)


def test_a_high_compression_ratio_is_not_credible() -> None:
    assert not is_credible(reading("I'm not going to do it today. " * 8 + "Or"), LIMITS)


@given(st.lists(st.sampled_from(["a", "b", "."]), max_size=24), st.floats(-3.0, 0.0), st.floats(0.0, 1.0))
def test_what_needs_no_retry_is_credible(words: list[str], avg_logprob: float, no_speech_prob: float) -> None:
    candidate = reading(" ".join(words), avg_logprob, no_speech_prob)
    assert needs_retry(candidate, LIMITS) or is_credible(candidate, LIMITS)
