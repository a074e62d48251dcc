"""Texts worth saying, and long recordings cut where it is quiet."""

import numpy as np
import pytest

from voicectl.cli.microphone import Loudspeaker
from voicectl.cli.oneshot import checked_text, split_at_pauses
from voicectl.core.errors import UsageError


@pytest.mark.parametrize("text", ["", "   ", "\n", "…!?", "x" * 10_001])
def test_text_that_cannot_be_said_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        checked_text(text)


def test_text_is_stripped() -> None:
    assert checked_text("  Hello. \n") == "Hello."


def test_short_recording_stays_whole() -> None:
    samples = np.ones(16_000, dtype=np.float32)
    assert [piece.size for piece in split_at_pauses(samples, 16_000)] == [16_000]


def test_long_recording_is_cut_at_its_pauses_and_loses_nothing() -> None:
    rate = 1_000
    samples = np.random.default_rng(1).uniform(-1, 1, 70 * rate).astype(np.float32)
    for pause_s in (22, 45):
        samples[pause_s * rate : pause_s * rate + 400] = 0
    pieces = split_at_pauses(samples, rate)
    assert np.array_equal(np.concatenate(pieces), samples)
    assert all(piece.size <= 28 * rate for piece in pieces)
    assert pieces[0].size / rate == pytest.approx(22.2, abs=0.2)
    assert (pieces[0].size + pieces[1].size) / rate == pytest.approx(45.2, abs=0.2)


def test_loudspeaker_plays_in_order_and_falls_silent_when_interrupted() -> None:
    loudspeaker = Loudspeaker()
    loudspeaker.add(np.full(3, 0.1, dtype=np.float32))
    loudspeaker.add(np.full(3, 0.2, dtype=np.float32))
    block = np.full(4, 9.0, dtype=np.float32)
    loudspeaker.fill(block)
    assert block == pytest.approx([0.1, 0.1, 0.1, 0.2])
    loudspeaker.event({"type": "response.done", "response": {"status": "cancelled"}})
    loudspeaker.fill(block)
    assert block == pytest.approx([0, 0, 0, 0])
