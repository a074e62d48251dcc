from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicectl.engine.restarts import Life, Restart, RestartPolicy, next_restart

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
        (lives((1, 40)), 0.0),
        (lives((1, 3)), 0.0),
        (lives((1, 3), (1, 3)), 0.1),
        (lives((1, 3), (1, 3), (1, 3)), 0.2),
        (lives(*[(1, 3)] * 16), 0.4),
        (lives(*[(1, 3)] * 7, (1, 40)), 0.0),
        (lives((1, 40), (1, 3)), 0.0),
        (lives((None, 1)), 0.1),
        (lives(*[(None, 1)] * 4), 0.8),
        (lives(*[(1, 3)] * 4, (None, 1)), 1.6),
    ],
)
def test_first_end_costs_nothing_and_later_ones_double_the_delay(history: Sequence[Life], delay_s: float) -> None:
    assert next_restart(history, POLICY) == Restart(pytest.approx(delay_s))


def test_five_failed_starts_within_the_window_count_as_failed_and_are_tried_slowly() -> None:
    assert next_restart(lives(*[(None, 1)] * 5), POLICY) == Restart(POLICY.retry_start_s, failed=True)


def test_slow_failed_starts_are_tried_for_ever() -> None:
    assert next_restart(lives(*[(None, 20)] * 16), POLICY) == Restart(5.0)


def test_worker_that_was_ready_never_counts_as_failed() -> None:
    assert not next_restart(lives(*[(0.5, 1)] * 16), POLICY).failed


def test_failed_starts_before_a_healthy_life_do_not_count() -> None:
    history = lives(*[(None, 1)] * 4, (1, 31), (None, 1))
    assert next_restart(history, POLICY) == Restart(pytest.approx(0.1))


@given(
    st.lists(
        st.tuples(st.one_of(st.none(), st.floats(0, 5)), st.floats(5, 60)),
        min_size=1,
        max_size=16,
    )
)
def test_there_is_always_a_next_start_within_the_bounds(parts: list[tuple[float | None, float]]) -> None:
    restart = next_restart(lives(*parts), POLICY)
    assert 0 <= restart.delay_s <= (POLICY.retry_start_s if restart.failed else POLICY.max_delay_s)
