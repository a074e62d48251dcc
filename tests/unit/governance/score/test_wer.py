"""Word errors are counted over texts that were made alike, and never out of nothing."""

import pytest

from voicectl.core.records import TurnRow
from voicectl.governance.score.wer import WordErrors, wer_columns, word_errors


@pytest.mark.parametrize(
    ("reference", "transcript", "errors"),
    [
        ("Where is my order?", "where is my order", WordErrors(0, 0, 0, 4)),
        ("It's twenty-five dollars.", "it is $25", WordErrors(0, 0, 0, 3)),
        ("where is my order", "where is the order", WordErrors(1, 0, 0, 4)),
        ("where is my order", "is my order", WordErrors(0, 1, 0, 4)),
        ("where is my order", "where oh is my new order", WordErrors(0, 0, 2, 4)),
        ("hello there", "", WordErrors(0, 2, 0, 2)),
        ("uh", "well then", WordErrors(0, 0, 2, 0)),
        ("", "", WordErrors(0, 0, 0, 0)),
    ],
)
def test_errors_are_counted_by_kind(reference: str, transcript: str, errors: WordErrors) -> None:
    assert word_errors(reference, transcript) == errors


def test_a_reference_without_words_has_no_rate() -> None:
    assert WordErrors(0, 0, 2, 0).rate is None
    assert WordErrors(1, 1, 2, 8).rate == 0.5


def test_columns_name_the_normaliser_and_the_kind() -> None:
    found = wer_columns(TurnRow("c", 1, transcript="hello"), "hello", "human")
    assert (found["wer_words"], found["reference_kind"]) == (1, "human")
    assert str(found["normaliser"]).startswith("whisper-en-")


def test_a_turn_without_transcript_is_not_held_for_silence() -> None:
    with pytest.raises(ValueError, match="turn 1 of call c has no transcript"):
        wer_columns(TurnRow("c", 1), "hello", "human")
