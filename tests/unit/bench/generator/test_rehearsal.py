"""The rehearsal goes through what a call does: a reply is heard, measured and packed."""

import pytest

from voicectl.bench.generator.rehearsal import ANSWER_AT, rehearse


def test_the_rehearsed_turn_is_measured_as_a_real_one() -> None:
    sample = rehearse()
    assert sample.end == "answered"
    # The tone's first sample is above the level of what may be heard, or nearly.
    assert sample.v2v_s == pytest.approx(ANSWER_AT, abs=0.001)
