"""Tests of what a calibration makes of its rounds."""

import pytest

from voicectl.service.calibrating import LEAST_CROWD_SPEED, ROUNDS, crowd_speed, time_for_round
from voicectl.service.stage_probes import SENTENCES


def test_every_round_speaks_as_many_sentences_and_none_is_left_out() -> None:
    assert len(SENTENCES) % ROUNDS == 0


def test_a_core_among_busy_ones_is_as_fast_as_the_same_work_tells() -> None:
    assert crowd_speed([(0.2, 0.25), (0.3, 0.375)]) == pytest.approx(0.8)


def test_a_core_is_never_faster_beside_others_nor_stopped_by_them() -> None:
    assert crowd_speed([(0.3, 0.2)]) == 1.0
    assert crowd_speed([(0.1, 9.0)]) == LEAST_CROWD_SPEED


def test_a_host_with_one_core_has_no_crowd() -> None:
    assert crowd_speed([]) == 1.0


@pytest.mark.parametrize(
    ("number", "elapsed_s", "rounds_s", "expected"),
    [
        pytest.param(1, 40.0, 30.0, True, id="two-rounds-in-any-case"),
        pytest.param(2, 21.0, 17.0, True, id="usual-host"),
        pytest.param(2, 27.0, 21.0, False, id="slow-host"),
    ],
)
def test_the_last_round_gives_way_where_the_minute_would_be_exceeded(
    number: int, elapsed_s: float, rounds_s: float, expected: bool
) -> None:
    assert time_for_round(number, elapsed_s, rounds_s) is expected
