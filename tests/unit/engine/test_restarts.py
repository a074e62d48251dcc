from collections.abc import Sequence

import pytest

from voicectl.engine.restarts import Life, RestartPolicy, restart_delay_s

POLICY = RestartPolicy()


def lives(*parts: tuple[float | None, float], gap_s: float = 0.0) -> list[Life]:
    """Return consecutive lives from (seconds to ready or None, seconds of life)."""
    now, result = 0.0, []
    for ready_s, length_s in parts:
        result.append(Life(now, None if ready_s is None else now + ready_s, now + length_s))
        now += length_s + gap_s
    return result


@pytest.mark.parametrize(
    ("history", "delay_s"),
    [
        (lives((1, 5)), 0.1),
        (lives((1, 5), (1, 5)), 0.2),
        (lives((1, 5), (1, 5), (1, 5)), 0.4),
        (lives(*[(1, 5)] * 7), 5.0),
        (lives(*[(1, 5)] * 16), 5.0),
        (lives(*[(1, 5)] * 7, (1, 40)), 0.1),
        (lives((1, 40), (1, 5)), 0.1),
        (lives((1, 40), (1, 5), (1, 5)), 0.2),
        (lives(*[(None, 1)] * 4), 0.8),
    ],
)
def test_delay_doubles_with_each_unhealthy_life(history: Sequence[Life], delay_s: float) -> None:
    assert restart_delay_s(history, POLICY) == pytest.approx(delay_s)


def test_five_failed_starts_within_the_window_are_given_up() -> None:
    assert restart_delay_s(lives(*[(None, 1)] * 5), POLICY) is None


def test_slow_failed_starts_are_tried_for_ever() -> None:
    assert restart_delay_s(lives(*[(None, 20)] * 16), POLICY) == 5.0


def test_worker_that_was_ready_is_never_given_up() -> None:
    assert restart_delay_s(lives(*[(0.5, 1)] * 16), POLICY) == 5.0


def test_failed_starts_before_a_healthy_life_do_not_count() -> None:
    history = lives(*[(None, 1)] * 4, (1, 31), (None, 1))
    assert restart_delay_s(history, POLICY) == pytest.approx(0.1)
