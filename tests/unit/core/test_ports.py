"""Tests of what passes through the ports."""

import pytest

from voicectl.core.ports import Transcript


@pytest.mark.parametrize(
    ("text", "avg_logprob", "confidence"),
    [("yes", 0.0, 1.0), ("yes", -0.6931, 0.5), ("yes", 1e-4, 1.0), ("yes", -50.0, 0.0), ("", -0.1, None)],
)
def test_confidence_is_the_mean_probability_of_a_token(text: str, avg_logprob: float, confidence: float | None) -> None:
    transcript = Transcript(text, avg_logprob, 0.0, 1.0, 1000)
    assert transcript.confidence == (None if confidence is None else pytest.approx(confidence, abs=1e-4))
