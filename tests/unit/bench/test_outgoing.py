"""The caller's stream never stops, and knows when each sample was spoken."""

import numpy as np
import pytest

from voicectl.bench.outgoing import FRAME_SAMPLES, Outgoing, at_wire_rate


def test_stream_is_silence_around_what_is_said() -> None:
    out = Outgoing(origin_at=10.0)
    out.mark_sent(out.next_frame(), 0.0)
    said = np.ones(FRAME_SAMPLES + 100, dtype=np.float32)
    spoken = out.say(said)
    assert (spoken.position_s, spoken.began_at) == pytest.approx((0.02, 10.02))
    for _ in range(3):
        out.mark_sent(out.next_frame(), 0.001)
    sent = np.concatenate(out.sent)
    assert np.array_equal(np.flatnonzero(sent), np.arange(FRAME_SAMPLES, 2 * FRAME_SAMPLES + 100))
    assert sent.size == out.num_sent == 4 * FRAME_SAMPLES
    assert out.worst_late_s == 0.001


def test_frame_leaves_when_it_is_complete() -> None:
    out = Outgoing(origin_at=5.0)
    assert out.next_due_at == pytest.approx(5.02)
    out.mark_sent(out.next_frame(), 0.0)
    assert out.next_due_at == pytest.approx(5.04)


def test_what_was_sent_since_a_position_knows_its_time() -> None:
    out = Outgoing(origin_at=1.0)
    out.say(np.full(2 * FRAME_SAMPLES, 0.5, dtype=np.float32))
    for _ in range(2):
        out.mark_sent(out.next_frame(), 0.0)
    since = out.since(FRAME_SAMPLES)
    assert since.samples.size == FRAME_SAMPLES
    assert since.began_at == pytest.approx(1.02)


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 44_100])
def test_any_rate_becomes_the_wire_rate(rate: int) -> None:
    assert at_wire_rate(np.zeros(rate, dtype=np.float32), rate).size == pytest.approx(24_000, abs=2)
