"""A paced reply is punctual, a late frame is late by its delay, and a gap begins the schedule anew."""

import numpy as np
import pytest

from voicectl.bench.pacing import pacing_of
from voicectl.bench.turns import Piece

RATE = 24_000
LEAD_S = 0.06


def pieces(*arrivals_s: float, frame_s: float = 0.02) -> list[Piece]:
    frame = np.zeros(round(frame_s * RATE), dtype=np.float32)
    return [Piece(at, at, frame) for at in arrivals_s]


def paced(count: int) -> list[float]:
    return [max(0.0, 0.02 * index - LEAD_S) for index in range(count)]


def test_frames_on_schedule_are_not_late() -> None:
    found = pacing_of(pieces(*paced(20)), RATE, LEAD_S)
    assert max(found.late_s) < 1e-9
    assert len(found.late_s) == 19
    assert found.gaps_s == ()


def test_one_late_frame_is_late_by_its_delay_and_delays_no_other() -> None:
    arrivals = paced(20)
    arrivals[10] += 0.012
    found = pacing_of(pieces(*arrivals), RATE, LEAD_S)
    assert found.late_s[9] == pytest.approx(0.012)
    assert sum(found.late_s) == pytest.approx(0.012)


def test_a_frame_after_its_playing_time_is_a_gap_and_no_lateness() -> None:
    arrivals = paced(10)
    gap_at = 10 * 0.02 + 0.05
    arrivals += [gap_at, gap_at, gap_at, gap_at, gap_at + 0.02]
    found = pacing_of(pieces(*arrivals), RATE, LEAD_S)
    assert found.gaps_s == pytest.approx((0.05,))
    assert max(found.late_s) < 1e-9


def test_the_first_frame_alone_says_nothing() -> None:
    assert pacing_of(pieces(3.0), RATE, LEAD_S).late_s == ()
    assert pacing_of([], RATE, LEAD_S).late_s == ()
